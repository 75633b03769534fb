// The chosen tab stands in the address, "#inpaint" or "#embeddings/walk": a link opens it, back and forward go
// from one to the other. Its keys are those of the WAI-ARIA authoring practices: one tab is in the Tab order,
// arrows, Home and End choose.
import { whenMounted } from "./mounted.js";

const TOP = "#tabs > .tab-wrapper";
const TAB = '[role="tab"]';
const NAME = "Glass-box Studio";
const PATIENCE = 20_000; // milliseconds that a linked part of the page may take to be there
const SETTLING = 1_000; // milliseconds in which a tab that is shown finds its height
const FADED = 28; // pixels at the ends of the row of tabs that are hard to read
const LABELS = [
  ["#tabs", "Parts of the studio"],
  ["#interrogate-views", "Ways to interrogate"],
];

// Return {tab, view} that an address's fragment names, "" for what it does not.
export function placeOf(hash) {
  const [, tab = "", view = ""] = /^#([\w-]+)(?:\/([\w-]+))?$/.exec(hash) ?? [];
  return { tab, view };
}

export function hashOf({ tab, view }) {
  return view ? `#${tab}/${view}` : `#${tab}`;
}

// Return a form as the browser kept it, in the mode that the address names; the server judges whether it is one.
export function asLinked(name, form, ...rest) {
  const { tab, view } = placeOf(location.hash);
  return [tab === name && view ? { ...form, mode: view } : form, ...rest];
}

// Return where an arrow, Home or End leads from place `at` of `count`; null for other keys.
export function stepTo(key, at, count) {
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + count, Home: 0, End: count - 1 }[key];
  return to === undefined ? null : to % count;
}

const panelOf = (tab) => document.getElementById(`tab-${tab}`);
const topTab = (id) => document.querySelector(`${TOP} [data-tab-id="${id}"]`);
const chosenTab = () => document.querySelector(`${TOP} ${TAB}[aria-selected="true"]`);

// Return the inner tab or the radio button that shows a view.
function viewControl(tab, view) {
  return panelOf(tab)?.querySelector(`[data-tab-id="${view}"], .modes input[value="${view}"]`);
}

function viewShown(tab) {
  const panel = panelOf(tab);
  const inner = panel?.querySelector(`${TAB}[aria-selected="true"]`);
  return inner?.dataset.tabId ?? panel?.querySelector(".modes input:checked")?.value ?? "";
}

// -- the address

let isOpening = false; // what the address asked for need not be written into it
const scrolled = new Map(); // tab -> how far the page was scrolled when it was left; on a phone it is

function write(place) {
  const hash = hashOf(place);
  if (!isOpening && place.tab && hash !== location.hash) history.pushState(null, "", hash);
}

// A tab is linked without its view while that is not mounted: write it down before another one is chosen.
function completeAddress() {
  const { tab, view } = placeOf(location.hash);
  const shown = tab && !view ? viewShown(tab) : "";
  if (shown && tab === chosenTab()?.dataset.tabId)
    history.replaceState(null, "", hashOf({ tab, view: shown }));
}

function noteChoice(event) {
  const chosen = event.target.closest?.(TAB);
  if (!chosen) return;
  const outer = chosen.closest('[role="tabpanel"]');
  const id = chosen.dataset.tabId;
  if (outer) write({ tab: outer.id.replace("tab-", ""), view: id });
  else {
    keepScroll(id);
    write({ tab: id, view: viewShown(id) });
  }
  showWhole(chosen);
}

// On a phone the row of tabs scrolls, and the page does too, which shall stay where it is.
function showWhole(tab) {
  const row = tab.closest('[role="tablist"]');
  const [box, room] = [tab.getBoundingClientRect(), row.getBoundingClientRect()];
  row.scrollLeft += Math.max(0, box.right - room.right + FADED) - Math.max(0, room.left + FADED - box.left);
}

let before = ""; // the tab shown before the last choice

// Before anybody else hears of the press: the tab that is left may be gone then, and the page shorter.
function rememberPlace(event) {
  const left = event.target.closest?.(`${TOP} ${TAB}`) && chosenTab();
  if (left) scrolled.set(left.dataset.tabId, window.scrollY);
}

function keepScroll(id) {
  const old = window.scrollY;
  before = id;
  const until = performance.now() + SETTLING;
  requestAnimationFrame(() => scrollBack(id, scrolled.get(id) ?? Math.min(old, barTop()), until));
}

// A tab that was just shown may not have its height yet, and a page scrolls no further than it is tall.
function scrollBack(id, top, until) {
  if (before !== id) return;
  window.scrollTo({ top, behavior: "instant" });
  if (window.scrollY < Math.floor(top) && performance.now() < until)
    requestAnimationFrame(() => scrollBack(id, top, until));
}

const barTop = () => Math.max(0, document.querySelector(TOP).getBoundingClientRect().top + window.scrollY);

function noteMode(event) {
  if (!event.target.matches?.(".modes input")) return;
  const tab = event.target.closest('[role="tabpanel"]')?.id.replace("tab-", "");
  write({ tab, view: event.target.value });
}

function press(control) {
  isOpening = true;
  if (control.getAttribute("aria-selected") !== "true") control.click();
  isOpening = false;
}

function openAddress() {
  const { tab, view } = placeOf(location.hash);
  const first = () => document.querySelector(`${TOP} ${TAB}`);
  soon(() => (tab ? topTab(tab) : first()), press);
  if (view) soon(() => viewControl(tab, view), press);
}

// Call `act` with what `find` returns as soon as it is there. An address that was left meanwhile asks nothing.
function soon(find, act) {
  const { hash } = location;
  const until = performance.now() + PATIENCE;
  const look = () => {
    if (location.hash !== hash || performance.now() > until) return;
    const found = find();
    if (found) act(found);
    else requestAnimationFrame(look);
  };
  look();
}

// -- keys and roles

function moveBetween(event) {
  const tab = event.target.closest?.(TAB);
  if (!tab || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const tabs = [...tab.closest('[role="tablist"]').querySelectorAll(`${TAB}:not([disabled])`)];
  const to = stepTo(event.key, tabs.indexOf(tab), tabs.length);
  if (to === null) return;
  event.preventDefault();
  tabs[to].focus();
  tabs[to].click();
}

function markTabs() {
  for (const tab of document.querySelectorAll(TAB)) {
    tab.tabIndex = tab.getAttribute("aria-selected") === "true" ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls"))?.setAttribute("aria-labelledby", tab.id);
  }
  for (const [bar, label] of LABELS) {
    document.querySelector(`${bar} > .tab-wrapper [role="tablist"]`)?.setAttribute("aria-label", label);
  }
  const chosen = chosenTab();
  before ||= chosen?.dataset.tabId ?? "";
  if (chosen) nameWindow(chosen);
}

// The title says which tab it is, behind the percentage of a running job; see job.js.
function nameWindow(chosen) {
  const [percent = ""] = /^\d+% · /.exec(document.title) ?? [];
  const title = `${percent}${chosen.textContent} · ${NAME}`;
  if (document.title === title) return;
  document.title = title;
  showWhole(chosen);
}

export function listenToTabs() {
  document.addEventListener("click", rememberPlace, true);
  document.addEventListener("click", noteChoice);
  document.addEventListener("change", noteMode);
  document.addEventListener("keydown", moveBetween);
  for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, completeAddress, true);
  window.addEventListener("popstate", openAddress);
  whenMounted(markTabs);
  if (placeOf(location.hash).tab) openAddress();
}
