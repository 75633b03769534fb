// What the token view works out: rows in words, numbers, colours. Nothing here touches the page.
import { clamp, short, withMinus } from "../shared/numbers.js";

const KINDS = { start: "start token", end: "end token", padding: "padding" };
const WINDOW = 77; // rows the model reads at once
const MOST_LARGEST = 8;
// The scale of charts.py; on a dark page nothing is dark instead of white.
export const DARK_COLORS = [
  [190, 228, 255],
  [84, 160, 222],
  [30, 78, 140],
  [24, 27, 30],
  [142, 42, 44],
  [230, 112, 88],
  [255, 210, 196],
];

export const number = (value) => withMinus(short(value, 3));

// Return the [r, g, b] of a place between -1 and 1 among evenly spaced colours.
export function colorAt(place, stops) {
  const at = ((clamp(place, -1, 1) + 1) / 2) * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(at));
  return stops[low].map((from, k) => from + (stops[low + 1][k] - from) * (at - low));
}

// The symmetric logarithm of charts.py: straight near zero, up to about `linear`.
export function squash(value, linear) {
  return Math.sign(value) * Math.log1p(Math.abs(value) / linear);
}

// Read little-endian float32 values from base64; null without any.
export function floats(text) {
  if (!text) return null;
  return new Float32Array(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer);
}

// Name a row: its token, "…" where the word goes on in the row before or after.
export function wordOf(rows, index) {
  const row = rows[index];
  if (row.kind !== "text") return KINDS[row.kind];
  if (row.learned) return row.learned + (row.vector || !row.ends_word ? ` ${row.vector + 1}` : "");
  const before = rows[index - 1];
  const begins = !(before?.kind === "text" && !before.ends_word);
  return (begins ? "" : "…") + row.text + (row.ends_word ? "" : "…");
}

// Write row numbers as spans: 3, 5–9.
export function spans(rows) {
  const parts = [];
  for (const row of rows) {
    if (parts.at(-1)?.[1] === row - 1) parts.at(-1)[1] = row;
    else parts.push([row, row]);
  }
  return parts.map(([a, b]) => (a === b ? a : `${a}–${b}`)).join(", ");
}

// Say how many tokens a prompt has, and how many windows they take.
export function countWords({ count, kept, num_chunks: chunks, rows }) {
  let text = `${count} token${count === 1 ? "" : "s"}, ${rows.length} rows`;
  if (chunks > 1) {
    text += `. A single window would keep ${kept} and cut ${count - kept};`;
    text += ` here they are read in ${chunks} windows of ${WINDOW} rows`;
  }
  if (rows.length < WINDOW * chunks) text += `, of which the first ${rows.length / WINDOW} are shown`;
  return `${text}.`;
}

// Say in which rows two prompts differ, and why there. `unlike` is null for one prompt.
export function pairWords(unlike, sides) {
  if (!unlike) return "";
  if (!unlike.length) return "No row differs: to the model, the two prompts are the same.";
  const [a, b] = sides.map((one) => one.rows);
  const same = (row, other) =>
    row.id === other?.id && row.learned === other.learned && row.weight === other.weight;
  const changed = a.findIndex((row, index) => !same(row, b[index]));
  const why =
    unlike[0] < changed
      ? "Weights rescale the whole window, so rows before the changed word differ too."
      : "The encoder is causal: a row knows only the rows before it. So rows before the first changed token are identical to the bit, and every later one differs, including the end token and the padding.";
  return `Rows that differ: ${spans(unlike)}. ${why}`;
}

// The numbers of one side: (rows, channels), plain or minus those of another prompt.
export class RowNumbers {
  // `arrays` are Float32Arrays of each side, null before they are there; `empty` is the empty prompt's window.
  constructor(sides, arrays, empty) {
    this.sides = sides;
    this.arrays = arrays;
    this.empty = empty;
    this.limits = new Map();
  }

  has(side) {
    return Boolean(this.arrays[side]);
  }

  channels(side) {
    return this.arrays[side].length / this.sides[side].rows.length;
  }

  // How many rows can be shown: a difference has those that both prompts have.
  rows(side, kind) {
    const counts = this.sides.map((one) => one.rows.length);
    return kind === "other" ? Math.min(...counts) : counts[side];
  }

  value(side, kind, row, channel) {
    const at = row * this.channels(side) + channel;
    const value = this.arrays[side][at];
    if (kind === "empty") return value - this.empty[at % this.empty.length];
    if (kind === "other") return value - this.arrays[1 - side][at];
    return value;
  }

  // The largest absolute value, which the colours are scaled by.
  limit(side, kind) {
    const key = kind + side;
    if (!this.limits.has(key)) {
      let most = 0;
      for (let row = 0; row < this.rows(side, kind); row++) {
        for (let k = 0; k < this.channels(side); k++) {
          most = Math.max(most, Math.abs(this.value(side, kind, row, k)));
        }
      }
      this.limits.set(key, most);
    }
    return this.limits.get(key);
  }

  length(side, row) {
    let sum = 0;
    for (let k = 0; k < this.channels(side); k++) sum += this.value(side, "plain", row, k) ** 2;
    return Math.sqrt(sum);
  }

  // Return [channel, value] of the largest channels of a row.
  largest(side, kind, row) {
    const pairs = [...Array(this.channels(side)).keys()].map((k) => [k, this.value(side, kind, row, k)]);
    return pairs.sort(([, a], [, b]) => Math.abs(b) - Math.abs(a)).slice(0, MOST_LARGEST);
  }
}
