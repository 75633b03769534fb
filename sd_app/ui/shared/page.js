// Keys and drops of the whole page: Ctrl+Enter generates, Esc stops, Ctrl+Up/Down weighs words.
(() => {
  if (window.studioTheme !== "system") {
    const dark = window.studioTheme === "dark";
    new MutationObserver(() => {
      if (document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
    }).observe(document.documentElement, { attributes: true, subtree: true, attributeFilter: ["class"] });
    document.addEventListener("DOMContentLoaded", () => document.body.classList.toggle("dark", dark));
  }

  const shown = (selector) => [...document.querySelectorAll(selector)].find((node) => node.offsetParent);
  const press = (selector) => {
    const node = shown(selector);
    (node?.matches("button") ? node : node?.querySelector("button"))?.click();
  };

  // (words:1.1) around the selection or the word at the caret; a weight that is there is changed.
  function weigh(area, change) {
    const text = area.value;
    let { selectionStart: start, selectionEnd: end } = area;
    if (start === end) {
      while (start > 0 && !/[\s,()\[\]]/.test(text[start - 1])) start--;
      while (end < text.length && !/[\s,()\[\]]/.test(text[end])) end++;
    }
    while (start < end && /\s/.test(text[start])) start++;
    while (end > start && /\s/.test(text[end - 1])) end--;
    if (start === end) return;
    let words = text.slice(start, end);
    let weight = 1;
    const inside = /^\(([\s\S]*):([\d.]+)\)$/.exec(words);
    const after = /^:([\d.]+)\)/.exec(text.slice(end));
    if (inside) {
      words = inside[1];
      weight = parseFloat(inside[2]);
    } else if (after && text[start - 1] === "(") {
      weight = parseFloat(after[1]);
      start -= 1;
      end += after[0].length;
    } else if (/^[\d.]+$/.test(words) && text[end] === ")" && /\([^()]*:$/.test(text.slice(0, start))) {
      // The caret is in the number itself.
      const open = text.lastIndexOf("(", start);
      weight = parseFloat(words);
      words = text.slice(open + 1, start - 1);
      start = open;
      end += 1;
    }
    weight = Math.round((weight + change) * 10) / 10;
    if (weight < 0.1 || weight > 2) return;
    const written = weight === 1 ? words : `(${words}:${weight})`;
    area.setRangeText(written, start, end, "end");
    const from = weight === 1 ? start : start + 1;
    area.setSelectionRange(from, from + words.length);
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  document.addEventListener("keydown", (event) => {
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key === "Enter") {
      event.preventDefault();
      if (!event.repeat) press(".generate");
    } else if (event.key === "Escape" && !document.querySelector("dialog[open]")
        && event.target.getAttribute?.("aria-expanded") !== "true") {
      press(".stop-run");
    } else if (control && ["ArrowUp", "ArrowDown"].includes(event.key)) {
      const area = event.target.closest?.(".prompt-box")?.querySelector("textarea");
      if (!area) return;
      event.preventDefault();
      weigh(area, event.key === "ArrowUp" ? 0.1 : -0.1);
    }
  }, true);

  // On a phone the row of tabs scrolls; the chosen one shall be seen.
  document.addEventListener("click", (event) => {
    event.target.closest?.('[role="tab"]')?.scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  // Pictures dropped or pasted anywhere go to the open tab's canvas or uploads, else to its drop place.
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const toEasel = (files) => {
    const easel = shown(".easel, .album");
    if (easel && files.length) easel.dispatchEvent(new CustomEvent("pictures", { detail: files }));
    return Boolean(easel && files.length);
  };
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
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!hasFiles(event) || event.target.closest?.(".drop-picture")) return;
    event.preventDefault();
    if (toEasel([...event.dataTransfer.files])) return;
    const input = shown(".drop-picture")?.querySelector("input[type=file]");
    if (!input) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter((one) => one.type.startsWith("image/"));
    if (toEasel(files)) event.preventDefault();
  });
})();
