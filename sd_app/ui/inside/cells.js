// Maps of places, drawn as cells: never smoothed, since a cell is all there is.
import { node } from "../shared/dom.js";
import { clamp } from "../shared/numbers.js";

// From nothing to most: black, violet, orange, pale yellow.
const HEAT = [
  [0, 0, 4],
  [31, 12, 72],
  [85, 15, 109],
  [136, 34, 106],
  [186, 54, 85],
  [227, 89, 51],
  [249, 140, 10],
  [249, 201, 50],
  [252, 255, 164],
];
const MIDDLE = 128; // what is not known is grey

// Return the colour of a number, 0 to `limit`, as [r, g, b].
export function heatColor(value, limit) {
  if (Number.isNaN(value)) return [MIDDLE, MIDDLE, MIDDLE];
  const at = limit > 0 ? clamp(value / limit, 0, 1) * (HEAT.length - 1) : 0;
  const low = Math.min(Math.floor(at), HEAT.length - 2);
  return HEAT[low].map((one, k) => Math.round(one + (HEAT[low + 1][k] - one) * (at - low)));
}

// Return one of several maps, {shape: [n, h, w], data}, as {h, w, data}.
export function mapAt({ shape, data }, number) {
  const [h, w] = shape.slice(-2);
  return { h, w, data: data.subarray(number * h * w, (number + 1) * h * w) };
}

// Draw cells into a canvas; color(index) returns [r, g, b].
export function paint(canvas, h, w, color) {
  canvas.width = w;
  canvas.height = h;
  const context = canvas.getContext("2d");
  const image = context.createImageData(w, h);
  for (let index = 0; index < h * w; index++) image.data.set([...color(index), 255], 4 * index);
  context.putImageData(image, 0, 0);
}

export function drawHeat(canvas, { h, w, data }, limit) {
  paint(canvas, h, w, (index) => heatColor(data[index], limit));
}

// Who owns each place: rows of numbers of words, each in its colour, fainter where it is weak.
export function drawOwners(canvas, owners, colors, strength = null) {
  const w = owners[0].length;
  paint(canvas, owners.length, w, (index) => {
    const color = colors[owners[Math.floor(index / w)][index % w]];
    const alpha = strength ? 0.12 + 0.88 * strength.data[index] : 1;
    return color.map((one) => Math.round(one * alpha + 255 * (1 - alpha)));
  });
}

// A map that a place can be chosen on, by pointer and by arrow keys. choose(row, column) is called then.
export class PlaceMap {
  constructor(label, [rows, columns], choose) {
    Object.assign(this, { rows, columns, choose, row: null, column: null });
    this.root = node("div", "cells");
    this.root.tabIndex = 0;
    this.root.setAttribute("role", "application");
    this.root.setAttribute("aria-label", `${label}. Arrow keys choose a place.`);
    this.canvas = node("canvas", "crisp");
    this.mark = node("i", "cells-mark");
    this.mark.hidden = true;
    this.root.append(this.canvas, this.mark);
    this.root.addEventListener("click", (event) => this.point(event));
    this.root.addEventListener("keydown", (event) => this.press(event));
  }

  show(row, column) {
    Object.assign(this, { row, column });
    this.mark.hidden = row === null;
    if (row === null) return;
    Object.assign(this.mark.style, {
      left: `${(100 * column) / this.columns}%`,
      top: `${(100 * row) / this.rows}%`,
      width: `${100 / this.columns}%`,
      height: `${100 / this.rows}%`,
    });
  }

  pick(row, column) {
    this.choose(clamp(row, 0, this.rows - 1), clamp(column, 0, this.columns - 1));
  }

  point(event) {
    const box = this.root.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    this.pick(Math.floor(y * this.rows), Math.floor(x * this.columns));
  }

  press(event) {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!by) return;
    event.preventDefault();
    if (this.row === null) this.pick(Math.floor(this.rows / 2), Math.floor(this.columns / 2));
    else this.pick(this.row + by[0], this.column + by[1]);
  }
}

// Rows of a name, a bar and a number. chosen(index) is called on a press, if it is given.
export function bars(entries, largest, chosen = null) {
  return entries.map(({ name, value, color, title = "", words, index }) => {
    const row = node(chosen ? "button" : "div", "bar-row");
    if (chosen) {
      row.type = "button";
      row.addEventListener("click", () => chosen(index));
    }
    row.title = title;
    const bar = node("span", "bar-track");
    const filled = node("i");
    filled.style.width = `${largest > 0 ? (100 * value) / largest : 0}%`;
    if (color) filled.style.background = `rgb(${color.join(" ")})`;
    bar.append(filled);
    row.append(node("span", "bar-name", name), bar, node("span", "bar-value", words));
    return row;
  });
}
