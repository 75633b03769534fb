// What Gradio's fields lack: menus that open when they are asked to and close when they are left, and names
// that tell one button from the next.
import { whenMounted } from "./mounted.js";

const MENU = 'input[role="combobox"]';
// Keys that say nothing to a menu. Gradio opens its list at any key, Tab too, just after the focus has gone.
const SILENT = new Set(["Tab", "Shift", "Control", "Alt", "AltGraph", "Meta", "CapsLock", "ContextMenu"]);
const OPENING = new Set(["ArrowDown", "ArrowUp", "Enter", " "]);

let byKeyboard = false; // whether the focus moves because of a key
const held = new Map(); // a menu's label -> what it showed when it got the focus
let isComingBack = false; // whether the focus is given back to a menu after a choice

const isMenu = (target) => target instanceof HTMLElement && target.matches(MENU);
const isClosed = (menu) => menu.getAttribute("aria-expanded") !== "true";

// Gradio opens a menu's list when it hears of the focus, and at nothing else that chooses no entry.
const openList = (menu) => menu.dispatchEvent(new FocusEvent("focus"));

// Return the value of the event `input` of the menu of this label, null if it is the one that was there before:
// Gradio sends the event also when a menu is only left, and what follows a choice must not follow that.
export function ifChosen(label, value, ...rest) {
  return [value === held.get(label) ? null : value, ...rest];
}

function pressKey(event) {
  byKeyboard = true;
  if (!isMenu(event.target)) return;
  const menu = event.target;
  if (SILENT.has(event.key) || event.ctrlKey || event.metaKey) event.stopPropagation();
  else if (isClosed(menu) && OPENING.has(event.key)) {
    event.preventDefault();
    event.stopPropagation();
    openList(menu);
  } else if (isClosed(menu) && event.key.length === 1) openList(menu);
  // Gradio takes the focus away at Enter: whoever works with keys goes on from here.
  else if (event.key === "Enter") setTimeout(() => comeBack(menu));
}

function comeBack(menu) {
  isComingBack = true;
  menu.focus();
  isComingBack = false;
}

function takeFocus(event) {
  if (!isMenu(event.target)) return;
  if (!isComingBack) held.set(event.target.ariaLabel, event.target.value);
  if (event.isTrusted && byKeyboard) event.stopPropagation();
}

function listenToMenus() {
  document.addEventListener("keydown", pressKey, true);
  document.addEventListener("pointerdown", () => (byKeyboard = false), true);
  document.addEventListener("focus", takeFocus, true);
  document.addEventListener("click", ({ target }) => isMenu(target) && isClosed(target) && openList(target));
}

// -- names and roles

const NAMELESS_RESET = '.reset-button[aria-label="Reset to default value"]';
const NAMELESS_DROP = '.drop-picture button[aria-label="Click to upload or drop files"]';

function nameParts() {
  for (const reset of document.querySelectorAll(NAMELESS_RESET)) {
    const label = labelOf(reset.closest(".block"));
    if (label) Object.assign(reset, { ariaLabel: `Reset ${label}`, title: `Reset ${label}` });
  }
  for (const place of document.querySelectorAll(NAMELESS_DROP)) {
    place.ariaLabel = place.closest(".drop-picture").querySelector("label").textContent.trim();
  }
  for (const group of document.querySelectorAll("fieldset:has(input[type=radio])")) joinRadios(group);
  markFolds();
}

const labelOf = (block) => block?.querySelector('[data-testid="block-info"]')?.textContent.trim();

// Gradio gives each button of a group a name of its own: for the browser, and its keys, they are no group then.
function joinRadios(group) {
  const radios = group.querySelectorAll("input[type=radio]");
  for (const radio of radios) if (radio.name !== radios[0].name) radio.name = radios[0].name;
  if (group.role === "radiogroup") return;
  group.role = "radiogroup";
  group.ariaLabel = labelOf(group) ?? group.closest(".panel")?.querySelector("h3")?.textContent ?? "";
}

function markFolds() {
  for (const head of document.querySelectorAll(".gr-accordion > button.label-wrap")) {
    head.ariaExpanded = String(head.classList.contains("open"));
  }
}

export function listenToFields() {
  listenToMenus();
  whenMounted(nameParts);
  document.addEventListener("click", ({ target }) => {
    if (target.closest?.("button.label-wrap")) setTimeout(markFolds);
  });
}
