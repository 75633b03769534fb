// Keys and drops of the whole page: Ctrl+Enter generates, or adds to the line while a job runs, Esc stops,
// Ctrl+Up/Down weighs words.
import { listenToFields } from "./fields.js";
import { isInfotext } from "./infotext.js";
import { watchPage } from "./mounted.js";
import { weigh } from "./prompt_weights.js";
import { listenToTabs } from "./tabs.js";

const ADDS = ".add-to-line"; // shown while a job of the tab runs or waits

const shown = (selector) => [...document.querySelectorAll(selector)].find((one) => one.offsetParent);

function press(selector) {
  const found = shown(selector);
  (found?.matches("button") ? found : found?.querySelector("button"))?.click();
}

// -- what is kept in the browser

// The canvas and the uploads had other names once; what lies under those takes the room of what is kept now.
function forgetOldNames() {
  try {
    const old = Object.keys(localStorage).filter((key) => /^sd_app\.\w+\.(easel|album)$/.test(key));
    for (const key of old) localStorage.removeItem(key);
  } catch {
    // A browser that keeps nothing has nothing to forget.
  }
}

forgetOldNames();

// -- keys

function weighIn(area, change) {
  const changed = weigh(area.value, area.selectionStart, area.selectionEnd, change);
  if (!changed) return;
  // Typed for the user, so that the browser's own undo takes it back; setRangeText would empty its list.
  area.setSelectionRange(changed.start, changed.end);
  if (!document.execCommand("insertText", false, changed.text)) {
    area.setRangeText(changed.text, changed.start, changed.end, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }
  area.setSelectionRange(...changed.selection);
}

function isOpen(target) {
  return (
    document.querySelector("dialog[open], .canvas.large") ||
    target.getAttribute?.("aria-expanded") === "true" ||
    target.closest?.(".line-panel")
  );
}

function generateOrAdd() {
  press(shown(ADDS) ? ADDS : ".generate");
}

function pressKey(event) {
  const control = event.ctrlKey || event.metaKey;
  if (control && event.key === "Enter") {
    event.preventDefault();
    if (!event.repeat) generateOrAdd();
  } else if (event.key === "Escape" && !isOpen(event.target)) {
    press(".stop-run");
  } else if (control && ["ArrowUp", "ArrowDown"].includes(event.key)) {
    const area = event.target.closest?.(".prompt-box")?.querySelector("textarea");
    if (!area) return;
    event.preventDefault();
    weighIn(area, event.key === "ArrowUp" ? 0.1 : -0.1);
  }
}

document.addEventListener("keydown", pressKey, true);

// -- tabs, menus and names

listenToTabs();
listenToFields();
watchPage();

// -- pictures dropped or pasted anywhere go to the open tab's canvas or uploads, else to its drop place

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

function handOver(files) {
  const place = shown(".canvas, .uploads, .inside-drop, .info-drop");
  if (!place || !files.length) return false;
  place.dispatchEvent(new CustomEvent("pictures", { detail: files }));
  return true;
}

function drop(event) {
  document.body.classList.remove("dropping");
  if (!hasFiles(event) || event.target.closest?.(".drop-picture")) return;
  event.preventDefault();
  if (handOver([...event.dataTransfer.files])) return;
  const input = shown(".drop-picture")?.querySelector("input[type=file]");
  if (!input) return;
  input.files = event.dataTransfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

document.addEventListener("drop", drop);
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
for (const name of ["dragleave", "dragend"]) {
  document.addEventListener(name, (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
}
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])].filter((one) => one.type.startsWith("image/"));
  if (handOver(files) || handOverSettings(event)) event.preventDefault();
});

// Settings pasted into a prompt fill the whole form, as the picture they come from would.
function handOverSettings(event) {
  const text = event.clipboardData?.getData("text/plain") ?? "";
  const line = event.target.closest?.(".ask:has(.drop-picture)")?.querySelector(".notice");
  if (!line || !event.target.closest(".prompt-box") || !isInfotext(text)) return false;
  line.dispatchEvent(new CustomEvent("settings", { detail: text }));
  return true;
}
