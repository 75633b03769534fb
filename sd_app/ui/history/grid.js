// The pictures that a search found, day by day: one of them is in the Tab order, arrows go on.
import { button, isSmall, node } from "../shared/dom.js";
import { thumbnailUrl } from "./ask.js";
import { dayText, markOfKey, placeAfter } from "./words.js";

const SIGNS = { favourite: "★", like: "+", dislike: "−" };
const NAMES = { favourite: "favourite", like: "liked", dislike: "disliked" };

export class Grid {
  constructor(root, history) {
    Object.assign(this, { root, history, pictures: [], chosen: new Map() });
    root.addEventListener("click", (event) => {
      const cell = event.target.closest(".history-cell");
      if (!cell) return;
      if (event.target.closest(".history-tick") || event.ctrlKey || event.metaKey)
        this.choose(cell.dataset.name);
      else this.open(cell.dataset.name);
    });
    root.addEventListener("focusin", (event) => this.holdFocus(event.target.closest(".history-open")));
  }

  get cells() {
    return [...this.root.querySelectorAll(".history-cell")];
  }

  cellOf(name) {
    return this.cells.find((cell) => cell.dataset.name === name);
  }

  draw(pictures) {
    this.pictures = []; // what was chosen stays so, whatever is searched for
    this.root.replaceChildren();
    this.add(pictures);
  }

  add(pictures) {
    for (const one of pictures) {
      if (this.pictures.at(-1)?.day !== one.day) {
        this.root.append(node("h3", "history-day", dayText(one.day)));
      }
      this.pictures.push(one);
      this.root.append(this.cell(one));
    }
    this.keepOneInTabOrder();
  }

  // Draw the first page anew, with what was unfolded behind it; the focus stays where it was.
  refresh(pictures) {
    const held = document.activeElement?.closest?.(".history-cell")?.dataset.name;
    const last = pictures.at(-1);
    const known = new Set(pictures.map((one) => one.name));
    const at = last ? this.pictures.findIndex((one) => one.name === last.name) : -1;
    const rest = at < 0 ? [] : this.pictures.slice(at + 1).filter((one) => !known.has(one.name));
    this.draw([...pictures, ...rest]);
    if (held) this.focus(held);
  }

  cell(one) {
    const cell = node("div", "history-cell");
    cell.classList.toggle("history-picked", this.chosen.has(one.name));
    cell.dataset.name = one.name;
    const open = button(null, null, { className: "history-open", title: one.prompt || one.title });
    open.setAttribute("aria-label", labelOf(one));
    const image = new Image();
    image.loading = "lazy";
    image.alt = "";
    image.classList.toggle("crisp", isSmall(one.width, one.height));
    image.onerror = () => cell.classList.add("history-broken");
    image.src = thumbnailUrl(one);
    open.append(image);
    const tick = button("✓", null, { className: "history-tick", title: "Select" });
    tick.setAttribute("aria-label", "Select this picture");
    tick.setAttribute("aria-pressed", String(this.chosen.has(one.name)));
    tick.tabIndex = -1;
    cell.append(open, tick, node("span", "history-mark", SIGNS[one.mark] ?? ""));
    if (one.companions.length) {
      const beside = node("span", "history-beside", `+${one.companions.length}`);
      beside.title = `With it: ${one.companions.join(", ")}`;
      cell.append(beside);
    }
    return cell;
  }

  // -- choosing and marking

  choose(name) {
    this.mark(name, !this.chosen.has(name));
    this.history.drawChosen();
  }

  mark(name, on) {
    const one = this.pictures.find((picture) => picture.name === name);
    if (on && one) this.chosen.set(name, one);
    else this.chosen.delete(name);
    const cell = this.cellOf(name);
    cell?.classList.toggle("history-picked", on);
    cell?.querySelector(".history-tick").setAttribute("aria-pressed", String(on));
  }

  chooseNone() {
    for (const name of [...this.chosen.keys()]) this.mark(name, false);
    this.history.drawChosen();
  }

  // The chosen ones' names, the oldest first.
  chosenNames() {
    const found = [...this.chosen.values()].sort((one, other) => (one.made < other.made ? -1 : 1));
    return found.map((one) => one.name);
  }

  setMarks(names, mark) {
    for (const one of this.pictures) {
      if (!names.includes(one.name)) continue;
      one.mark = mark;
      const cell = this.cellOf(one.name);
      cell.querySelector(".history-mark").textContent = SIGNS[mark] ?? "";
      cell.querySelector(".history-open").setAttribute("aria-label", labelOf(one));
    }
  }

  remove(names) {
    const cells = this.cells;
    const first = cells.findIndex((cell) => names.includes(cell.dataset.name));
    const held = names.includes(document.activeElement?.closest?.(".history-cell")?.dataset.name);
    this.pictures = this.pictures.filter((one) => !names.includes(one.name));
    for (const cell of cells) if (names.includes(cell.dataset.name)) cell.remove();
    for (const name of names) this.chosen.delete(name);
    this.history.drawChosen();
    this.keepOneInTabOrder();
    if (held) this.cells[Math.min(first, this.cells.length - 1)]?.querySelector(".history-open").focus();
  }

  // -- opening and keys

  open(name) {
    this.focus(name);
    this.history.viewer.open(name);
  }

  focus(name) {
    this.cellOf(name)?.querySelector(".history-open").focus({ preventScroll: true });
  }

  nameBeside(name, step) {
    const at = this.pictures.findIndex((one) => one.name === name);
    return at < 0 ? undefined : this.pictures[at + step]?.name;
  }

  holdFocus(open) {
    if (!open) return;
    for (const other of this.root.querySelectorAll('.history-open[tabindex="0"]')) other.tabIndex = -1;
    open.tabIndex = 0;
  }

  keepOneInTabOrder() {
    const all = [...this.root.querySelectorAll(".history-open")];
    const held = all.find((open) => open.tabIndex === 0 && open.getAttribute("tabindex") === "0") ?? all[0];
    for (const open of all) open.tabIndex = open === held ? 0 : -1;
  }

  // Return whether the key meant something here.
  pressKey(event) {
    const cells = this.cells;
    const at = cells.indexOf(event.target.closest(".history-cell"));
    if (at < 0) return false;
    const { name } = cells[at].dataset;
    const one = this.pictures[at];
    const to = placeAfter(event.key, at, cells.length, this.columns(cells));
    const mark = markOfKey(event.key, one.mark);
    if (to !== null) {
      const next = cells[to].querySelector(".history-open");
      next.focus({ preventScroll: true });
      next.scrollIntoView({ block: "nearest" });
    } else if (event.key === " ") this.choose(name);
    else if (event.key === "Delete" && !this.history.trashed) this.history.throwAway(this.meant(name));
    else if (event.key.toLowerCase() === "c" && this.chosen.size === 2) this.history.compareTwo();
    else if (mark !== undefined) this.history.mark(this.meant(name), mark);
    else return false;
    return true;
  }

  // A key on a chosen picture means all that are chosen.
  meant(name) {
    return this.chosen.has(name) ? this.chosenNames() : [name];
  }

  columns(cells) {
    const { top } = cells[0].getBoundingClientRect();
    const next = cells.findIndex((cell) => cell.getBoundingClientRect().top > top + 1);
    const width = cells[0].offsetWidth || 1;
    return next < 0 ? cells.length : Math.max(1, Math.floor((this.root.clientWidth + 8) / (width + 8)));
  }
}

function labelOf(one) {
  const mark = one.mark ? `, ${NAMES[one.mark]}` : "";
  return `${one.prompt.slice(0, 120) || one.title}, ${one.made}${mark}`;
}
