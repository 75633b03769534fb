// Makes the token view's table rows: the row itself, and what opens below it.
import { node } from "../shared/dom.js";
import { number, wordOf } from "./token_numbers.js";

const CUT =
  "A single window of 77 rows keeps 75 tokens and cuts this one; here it is read in a window of its own";
const LEARNED = "A vector of a learned word stands here, in place of a token's";
const DIFFERS = "This row differs from the other prompt's";
const NO_NUMBERS = "Press “Show the numbers” for this row's norm, channels and nearest words.";
const COLUMNS = 8;

// Return a row of the table. `unlike`: it differs from the other prompt's; `length` is "" without numbers.
export function rowLine(rows, index, { unlike, length }) {
  const row = rows[index];
  const word = wordOf(rows, index);
  const line = node("tr", unlike ? "unlike" : "");
  Object.assign(line.dataset, { row: index, kind: row.kind });
  line.setAttribute("aria-label", `Row ${index}, ${word}, id ${row.id}`);
  const wide = [row.learned ? "–" : row.id, row.position, row.chunk + 1, number(row.weight)];
  line.append(
    node("td", "", index),
    wordCell(row, word, unlike),
    ...wide.map((text) => node("td", "wide", text)),
    node("td", "tokens-norm", length),
    mapCell(),
  );
  return line;
}

function wordCell(row, word, unlike) {
  const cell = node("td", "tokens-word");
  cell.append(node("span", "", word));
  if (row.cut) cell.append(mark("cut", CUT));
  if (row.learned) cell.append(mark("learned", LEARNED));
  if (unlike) cell.append(mark("differs", DIFFERS));
  return cell;
}

function mark(text, title) {
  return Object.assign(node("i", `tokens-mark ${text}`, text), { title });
}

function mapCell() {
  const cell = node("td", "tokens-map");
  cell.append(Object.assign(node("canvas"), { height: 1 }));
  return cell;
}

// Return the line below an open row. `facts` are null without numbers.
export function detailLine(facts) {
  const line = node("tr", "tokens-detail");
  const box = Object.assign(node("td"), { colSpan: COLUMNS });
  if (facts) box.append(...detailParts(facts));
  else box.textContent = NO_NUMBERS;
  line.append(box);
  return line;
}

function detailParts({ length, largest, isDifference, near, text }) {
  return [
    part("Norm", [[number(length), ""]]),
    part(
      isDifference ? "Largest channels of the difference" : "Largest channels",
      largest.map(([channel, value]) => [channel, number(value)]),
    ),
    part(
      "Nearest words, by cosine",
      near.map(([word, cosine]) => [word, cosine.toFixed(3)]),
      text,
    ),
  ];
}

function part(title, pairs, text = "") {
  const box = node("div");
  const entries = pairs.map(([name, value]) => {
    const entry = node("span");
    entry.append(`${name} `, node("em", "", value));
    return entry;
  });
  box.append(node("b", "", title), ...entries, text);
  return box;
}

// Tell a list of tokens that arrives when the same prompts' numbers are there already, or on their way:
// it was asked for while typing, and must not take them away.
export function isLate(value, drawn) {
  if (!drawn || value.phase !== "table" || value.text || !["waiting", "done"].includes(drawn.phase))
    return false;
  const asked = ({ sides, asked }) => JSON.stringify([sides.map((one) => one.prompt), asked]);
  return asked(value) === asked(drawn);
}
