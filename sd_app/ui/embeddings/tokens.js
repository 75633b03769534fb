// Draws the token view's value (see tokens.py): a table of rows, each with its numbers as a strip of colours.
import { button, drawMessage, PHONE, setPressed } from "../shared/dom.js";
import { clamp } from "../shared/numbers.js";
import {
  colorAt,
  countWords,
  DARK_COLORS,
  floats,
  number,
  pairWords,
  RowNumbers,
  squash,
  wordOf,
} from "./token_numbers.js";
import { detailLine, isLate, rowLine } from "./token_rows.js";

const ROW = "tr[data-row]";
const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e6, End: 1e6 };
const READING = { text: "Reading the vocabulary…", near: [] };

export function mount(component, { heatColors, linear }) {
  const view = new TokenView(component, heatColors, linear);
  component.watch("value", () => view.receive());
  view.receive();
}

class TokenView {
  // heatColors, linear: the colour scale of charts.py.
  constructor({ element, props, trigger }, heatColors, linear) {
    this.root = element.querySelector(".tokens");
    this.body = this.root.querySelector("tbody");
    Object.assign(this, { props, trigger, heatColors, linear });
    this.drawn = null; // the last value without an error
    this.numbers = null;
    this.side = 0;
    this.kind = "plain"; // or the difference to the empty prompt, or to the other one
    this.open = null; // the row with details below it
    this.pointed = 0; // the row that Tab reaches
    this.near = null; // {row, side, text, near} of the row looked up last
    this.listen();
  }

  find(name) {
    return this.root.querySelector(`.tokens-${name}`);
  }

  get shown() {
    return this.drawn.sides[this.side];
  }

  get ready() {
    return this.numbers.has(this.side);
  }

  value(row, channel) {
    return this.numbers.value(this.side, this.kind, row, channel);
  }

  receive() {
    const value = this.props.value || {};
    if (isLate(value, this.drawn)) return;
    const failed = value.phase === "error";
    drawMessage(this.root.querySelector(".result-message"), failed ? value.text : "");
    this.find("state").textContent = failed ? "" : value.text || "";
    if (failed) return;
    this.root.dataset.phase = value.phase;
    this.drawn = value.sides?.length ? value : null;
    this.find("hint").hidden = Boolean(this.drawn);
    this.find("body").hidden = !this.drawn;
    if (!this.drawn) return;
    const arrays = value.sides.map((one) => floats(one.values));
    this.numbers = new RowNumbers(value.sides, arrays, floats(value.empty));
    this.near = null;
    this.keepWithin(value);
    this.draw();
  }

  // What was chosen before may not be there any more.
  keepWithin({ sides, phase }) {
    this.side = Math.min(this.side, sides.length - 1);
    if (this.kind === "other" && sides.length < 2) this.kind = "plain";
    if (this.open >= this.shown.rows.length || phase !== "done") this.open = null;
    this.pointed = Math.min(this.pointed, this.shown.rows.length - 1);
  }

  // -- drawing

  draw() {
    this.drawChoices();
    this.find("count").textContent = countWords(this.shown);
    this.find("pair").textContent = pairWords(this.drawn.unlike, this.drawn.sides);
    this.find("pair").hidden = !this.drawn.unlike;
    this.drawRows();
    this.paintRows();
  }

  drawRows() {
    const { rows } = this.shown;
    const unlike = new Set(this.drawn.unlike || []);
    const lines = rows.map((_, index) => {
      const length = this.ready ? this.numbers.length(this.side, index).toFixed(2) : "";
      const line = rowLine(rows, index, { unlike: unlike.has(index), length });
      line.tabIndex = index === this.pointed ? 0 : -1;
      return line;
    });
    this.body.replaceChildren(...lines);
    if (this.open !== null && this.open < rows.length) this.drawDetail();
  }

  paintRows() {
    const { ready, side, kind } = this;
    this.root.dataset.numbers = String(ready);
    this.find("legend").hidden = !ready;
    if (!ready) return;
    const limit = this.numbers.limit(side, kind);
    const full = squash(limit, this.linear) || 1;
    const channels = this.numbers.channels(side);
    for (const line of this.body.querySelectorAll(ROW)) {
      const row = Number(line.dataset.row);
      const canvas = line.querySelector("canvas");
      canvas.hidden = row >= this.numbers.rows(side, kind);
      if (canvas.hidden) continue;
      canvas.width = channels;
      this.paint(canvas, (k) => squash(this.value(row, k), this.linear) / full);
      canvas.classList.toggle("crisp", channels <= canvas.clientWidth);
    }
    this.paintLegend(limit);
  }

  paintLegend(limit) {
    const legend = this.find("legend").querySelector("canvas");
    this.paint(legend, (k) => (k / (legend.width - 1)) * 2 - 1);
    this.find("least").textContent = `−${number(limit)}`;
    this.find("most").textContent = number(limit);
  }

  paint(canvas, placeOf) {
    const stops = document.body.classList.contains("dark") ? DARK_COLORS : this.heatColors;
    const ink = canvas.getContext("2d");
    const image = ink.createImageData(canvas.width, 1);
    for (let k = 0; k < canvas.width; k++) image.data.set([...colorAt(placeOf(k), stops), 255], 4 * k);
    ink.putImageData(image, 0, 0);
  }

  // -- the choices above the table

  drawChoices() {
    const two = this.drawn.sides.length > 1;
    const sides = this.drawn.sides.map((_, index) => [index, index ? "Second prompt" : "First prompt"]);
    const kinds = [
      ["plain", "As it is"],
      ["empty", "Minus the empty prompt"],
      ...(two ? [["other", "Minus the other prompt"]] : []),
    ];
    this.drawChoice("side", "sides", sides);
    this.drawChoice("kind", "kinds", this.ready ? kinds : []);
  }

  drawChoice(property, name, pairs) {
    const box = this.find(name);
    const choose = (value) => {
      this[property] = value;
      this.draw();
      box.querySelector("[aria-pressed=true]")?.focus();
    };
    const buttons = pairs.map(([value, label]) => {
      const made = button(label, () => choose(value));
      setPressed(made, value === this[property]);
      return made;
    });
    box.hidden = pairs.length < 2;
    box.replaceChildren(...buttons);
  }

  // -- one row

  drawDetail() {
    this.body.querySelector(".tokens-detail")?.remove();
    for (const line of this.body.querySelectorAll(ROW)) {
      line.setAttribute("aria-expanded", String(Number(line.dataset.row) === this.open));
    }
    if (this.open === null) return;
    const line = detailLine(this.ready ? this.facts() : null);
    this.body.querySelector(`tr[data-row="${this.open}"]`).after(line);
  }

  facts() {
    const { open, side, kind, near } = this;
    const known = near?.row === open && near?.side === side ? near : READING;
    return {
      length: this.numbers.length(side, open),
      largest: this.numbers.largest(side, kind, open),
      isDifference: kind !== "plain",
      near: known.near,
      text: known.text,
    };
  }

  openRow(row) {
    const { side, drawn } = this;
    this.open = this.open === row ? null : row;
    this.drawDetail();
    const known = this.near?.row === row && this.near?.side === side && this.near.near.length;
    if (this.open === null || !this.ready || known) return;
    this.near = null;
    const { model, clip_skip } = drawn;
    this.trigger("look_up", { row, side, prompt: this.shown.prompt, model, clip_skip });
  }

  takeNear(near) {
    this.near = near?.row === null ? null : near;
    if (this.open !== null && this.near?.row === this.open) this.drawDetail();
  }

  point(row, channel = null) {
    let text = `Row ${row} · ${wordOf(this.shown.rows, row)}`;
    if (this.ready) text += ` · norm ${this.numbers.length(this.side, row).toFixed(2)}`;
    if (channel !== null && row < this.numbers.rows(this.side, this.kind)) {
      text += ` · channel ${channel}: ${number(this.value(row, channel))}`;
    }
    this.find("point").textContent = text;
  }

  focusRow(row) {
    const lines = this.body.querySelectorAll(ROW);
    this.pointed = clamp(row, 0, lines.length - 1);
    lines.forEach((line, index) => {
      line.tabIndex = index === this.pointed ? 0 : -1;
    });
    lines[this.pointed].focus();
    this.point(this.pointed);
  }

  // -- events

  listen() {
    for (const [name, act] of [
      ["click", this.click],
      ["pointermove", this.move],
      ["keydown", this.press],
    ]) {
      this.body.addEventListener(name, (event) => {
        const line = event.target.closest(ROW);
        if (line) act.call(this, event, Number(line.dataset.row));
      });
    }
    this.root.addEventListener("tokens:near", (event) => this.takeNear(event.detail));
    this.root.closest(".maker")?.addEventListener("click", (event) => {
      if (!event.target.closest(".show-numbers .generate")) return;
      drawMessage(this.root.querySelector(".result-message"), "");
      this.find("state").textContent = "Starting";
      // On a phone the result is below the form: go there.
      if (matchMedia(PHONE).matches) this.root.scrollIntoView({ behavior: "smooth", block: "start" });
    });
    const themed = new MutationObserver(() => this.drawn && this.paintRows());
    themed.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  click(_, row) {
    this.focusRow(row);
    this.openRow(this.pointed);
  }

  move(event, row) {
    if (event.target.tagName !== "CANVAS") {
      this.point(row);
      return;
    }
    const box = event.target.getBoundingClientRect();
    const channels = this.numbers.channels(this.side);
    const at = Math.floor(((event.clientX - box.left) / box.width) * channels);
    this.point(row, clamp(at, 0, channels - 1));
  }

  press(event, row) {
    this.pointed = row;
    const step = STEPS[event.key];
    if (step) this.focusRow(row + step);
    else if (event.key === "Enter" || event.key === " ") this.openRow(row);
    else return;
    event.preventDefault();
  }
}
