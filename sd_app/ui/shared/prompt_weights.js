// Weights of words in a prompt, (words:1.1), as Ctrl+Up and Ctrl+Down change them.
import { marksOf, placesOf } from "./prompt_marks.js";

const LEAST = 0.1;
const MOST = 2;
const BRACKET = 1.1;
const WEAK = 0.9; // what [words] weigh, to the nearest step
const STEP = 0.1;
const TAG_STEP = 0.05; // of a LoRA's scale, and of a share of the steps
const MOST_SCALE = 10;
const WEIGHT = /:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*$/;
const NUMBER = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*$/;
const ORDERS = ["AND", "BREAK"];

// Return {start, end, text, selection} that changes what is selected, or what stands at the caret; null if
// there is nothing, or it is at its end. Replace start..end by text, then select. `change` is up (> 0) or down.
export function weigh(text, selectionStart, selectionEnd, change) {
  const sign = Math.sign(change);
  const marks = marksOf(text);
  const at = { start: selectionStart, end: selectionEnd };
  const around = (kind) => marks.find((mark) => mark.kind === kind && holds(mark, at));
  const tag = around("<");
  if (tag) return scaleTag(text, tag, sign);
  const slot = around("{");
  if (slot && !isWhole(slot, at)) return weighInSlot(text, slot, at, sign);
  return numberAt(text, marks, at, sign) ?? weighWords(text, marks, at, sign);
}

const holds = (mark, at) =>
  mark.start < at.end && at.start < mark.end && mark.start <= at.start && at.end <= mark.end;

// A slot that is selected as a whole is weighed as words are.
const isWhole = (slot, at) => at.start <= slot.start && at.end >= slot.end;

const rounded = (number) => Number.parseFloat(number.toFixed(4));

function moved(number, step, sign, least, most) {
  const next = rounded(number + sign * step);
  return (next > most && sign > 0) || (next < least && sign < 0) ? null : next;
}

function replaced(start, end, text, from = 0, to = text.length) {
  return { start, end, text, selection: [start + from, start + to] };
}

// -- tags

function scaleTag(text, tag, sign) {
  const [kind, name, ...scales] = text.slice(tag.start + 1, tag.end - 1).split(":");
  if (!["lora", "lyco"].includes(kind.toLowerCase())) return null;
  if (!scales.length) scales.push("1");
  const next = scales.map((scale) => {
    const [, key, number] = /^(\s*(?:\w+\s*=)?\s*)(.*)$/.exec(scale);
    const value = NUMBER.test(number)
      ? moved(Number.parseFloat(number), TAG_STEP, sign, -MOST_SCALE, MOST_SCALE)
      : null;
    return value === null ? scale : `${key}${value}`;
  });
  if (next.join() === scales.join() && !(scales.join() === "1" && scales.length === 1)) return null;
  return replaced(tag.start, tag.end, `<${[kind, name, ...next].join(":")}>`);
}

// -- slots: numbers scale words

const PARTS =
  /(\d+\.?\d*|\.\d+)(?![\w.])|("(?:\\.|[^"\\])*"|<[^<>{}\s"]+>|[\p{L}\p{N}_][\p{L}\p{N}_'’]*)|[^\s]/gu;

function weighInSlot(text, slot, at, sign) {
  let begin = slot.start + 1;
  const space = /^\s*\w+\s*:/.exec(text.slice(begin, slot.end));
  if (space) begin += space[0].length;
  const parts = phrasesOf(text.slice(begin, slot.end - 1), begin);
  const index = parts.findIndex((part) => part.kind && part.start <= at.start && at.end <= part.end);
  if (index < 0) return null;
  if (parts[index].kind === "number") return changeFactor(parts, index, sign);
  const before = factorBefore(parts, index);
  if (before >= 0) return changeFactor(parts, before, sign);
  if (parts[index + 1]?.text === "*" && parts[index + 2]?.kind === "number")
    return changeFactor(parts, index + 2, sign);
  const { start, end, text: words } = parts[index];
  const factor = rounded(1 + sign * STEP);
  return replaced(start, end, `${factor}*${words}`, `${factor}*`.length);
}

// Return numbers, phrases (words side by side) and single characters.
function phrasesOf(inside, begin) {
  const parts = [];
  for (const match of inside.matchAll(PARTS)) {
    const kind = match[1] ? "number" : match[2] ? "words" : "";
    const [start, end] = [begin + match.index, begin + match.index + match[0].length];
    const last = parts.at(-1);
    if (kind === "words" && last?.kind === "words") {
      last.text = inside.slice(last.start - begin, end - begin);
      last.end = end;
    } else parts.push({ kind, start, end, text: match[0] });
  }
  return parts;
}

function factorBefore(parts, index) {
  return parts[index - 1]?.text === "*" && parts[index - 2]?.kind === "number" ? index - 2 : -1;
}

// A factor that becomes 1 goes; one that is no factor, as the way in lerp(a, b, 0.5), stays from 0 to 1.
function changeFactor(parts, index, sign) {
  const { start, end, text } = parts[index];
  const [, times, words] = parts.slice(index, index + 3);
  const scales = times?.text === "*" || parts[index - 1]?.text === "*";
  const value = moved(Number.parseFloat(text), STEP, sign, 0, scales ? 1000 : 1);
  if (value === null) return null;
  if (value === 1 && times?.text === "*" && words?.kind === "words")
    return replaced(start, words.end, words.text);
  return replaced(start, end, `${value}`);
}

// -- numbers outside slots: the step of [from:to:when], the weight of a prompt of AND

function numberAt(text, marks, at, sign) {
  const group = marks.find((mark) => mark.kind === "[" && holds(mark, at));
  if (group) return moveSwitch(text, marks, group, at, sign);
  if (marks.some((mark) => holds(mark, at))) return null;
  const weight = weightOfPart(text, marks, at.end);
  if (!weight || at.start <= weight.index) return null;
  const value = rounded(Number.parseFloat(weight[1]) + sign * STEP);
  const from = weight.index + weight[0].indexOf(weight[1]);
  return replaced(from, from + weight[1].length, `${value}`);
}

// Return the places of every AND that joins prompts: in tags and slots it is none.
function joinsOf(text, marks) {
  const hidden = (at) => marks.some(({ kind, start, end }) => "<{".includes(kind) && start < at && at < end);
  return [...text.matchAll(/\bAND\b/g)].map((match) => match.index).filter((at) => !hidden(at));
}

// Return the weight, as WEIGHT finds it, of the prompt of AND that a place stands in; null if it has none.
function weightOfPart(text, marks, place) {
  const joins = joinsOf(text, marks);
  const end = joins.find((at) => at >= place) ?? text.length;
  return joins.length ? WEIGHT.exec(text.slice(0, end).trimEnd()) : null;
}

// A share of the steps moves by 0.05, a number of steps by 1; null if the caret is in no such number.
function moveSwitch(text, marks, group, at, sign) {
  const colon = placesOf(text, ":", group.start + 1, group.end - 1, marks).at(-1) ?? -1;
  const when = text.slice(colon + 1, group.end - 1);
  if (colon < 0 || !NUMBER.test(when) || at.start <= colon) return null;
  const [step, most] = when.includes(".") ? [TAG_STEP, 1] : [1, 1000];
  const value = moved(Number.parseFloat(when), step, sign, 0, most) ?? Number.parseFloat(when);
  const shown = step < 1 && Number.isInteger(value) ? value.toFixed(1) : `${value}`;
  return replaced(colon + 1, group.end - 1, shown);
}

// -- words and groups

function weighWords(text, marks, at, sign) {
  const range = at.start === at.end ? wordAt(text, marks, at.start) : wordsOf(text, marks, at);
  if (joinsOf(text, marks).some((join) => range.start <= join && join < range.end)) return null;
  const tag = marks.find((mark) => mark.kind === "<" && mark.start === range.start && mark.end === range.end);
  if (tag) return scaleTag(text, tag, sign);
  if (range.start === range.end || ORDERS.includes(text.slice(range.start, range.end))) return null;
  const group = groupOf(text, marks, range);
  const { words, weight, start, end } = group ?? {
    ...range,
    words: text.slice(range.start, range.end),
    weight: 1,
  };
  const next = moved(weight, STEP, sign, LEAST, MOST);
  if (next === null) return null;
  return next === 1
    ? replaced(start, end, words)
    : replaced(start, end, `(${words}:${next})`, 1, 1 + words.length);
}

// Return the word at the caret, or the group whose weight it is in. Colons and bars part words where brackets
// change the prompt on the way, and a colon where a weight follows.
function wordAt(text, marks, caret) {
  const group = marks.find((mark) => mark.kind === "(" && mark.start < caret && caret < mark.end);
  const weight = group && WEIGHT.exec(text.slice(group.start + 1, group.end - 1));
  const colon = weight ? group.start + 1 + weight.index : -1;
  if (weight && caret > colon) return { start: group.start, end: group.end };
  const inBrackets = marks.find((mark) => mark.kind === "[" && mark.start < caret && caret < mark.end);
  const parts = inBrackets ? placesOf(text, ":|", inBrackets.start + 1, inBrackets.end - 1, marks) : [];
  const weightAt = weightOfPart(text, marks, caret)?.index;
  const parting = (i) =>
    i === colon || i === weightAt || parts.includes(i) || (/[\s,()[\]]/.test(text[i]) && !isEscaped(text, i));
  const word = { start: caret, end: caret };
  while (word.start > 0 && !parting(word.start - 1)) word.start--;
  while (word.end < text.length && !parting(word.end)) word.end++;
  return word;
}

// Return what of a selection can be weighed: the whole bracket where it holds a sign that parts one, no weight
// that is already there, and brackets with their partners.
function wordsOf(text, marks, at) {
  let range = trimmed(text, at);
  const inside = (mark) => mark.start < range.start && range.end < mark.end;
  const parts = (mark) => placesOf(text, ":|", mark.start + 1, mark.end - 1, marks);
  const cut = (mark) => parts(mark).some((place) => range.start <= place && place < range.end);
  const whole = marks.find((mark) => mark.kind === "[" && inside(mark) && cut(mark));
  if (whole) range = { start: whole.start, end: whole.end };
  const group = marks.find((mark) => mark.kind === "(" && inside(mark));
  const weight = group ? WEIGHT.exec(text.slice(0, group.end - 1)) : weightOfPart(text, marks, range.end);
  if (weight && range.start < weight.index && weight.index < range.end)
    range = trimmed(text, { start: range.start, end: weight.index });
  return balanced(range, marks);
}

function isEscaped(text, at) {
  let count = 0;
  while (text[at - 1 - count] === "\\") count++;
  return count % 2 === 1;
}

function trimmed(text, { start, end }) {
  while (start < end && /\s/.test(text[start])) start++;
  while (end > start && /\s/.test(text[end - 1])) end--;
  return { start, end };
}

// Return the range, made as large as it takes to hold every mark that it cuts, weights of its own left alone.
function balanced(range, marks) {
  let { start, end } = range;
  for (const mark of marks) {
    const cut = start < mark.end && mark.start < end && !(mark.start >= start && mark.end <= end);
    const inside = mark.start < start && end < mark.end;
    if (cut && !inside) [start, end] = [Math.min(start, mark.start), Math.max(end, mark.end)];
  }
  return { start, end };
}

// Return {words, weight, start, end} of the group that a range is, or is all the words of; null if it is none.
function groupOf(text, marks, range) {
  for (const mark of marks) {
    const group = "([".includes(mark.kind) && weighedGroup(text, marks, mark);
    if (group && isGroup(text, range, group)) return group;
  }
  return null;
}

// Return a bracket's words and weight; undefined for square ones that change the prompt on the way.
function weighedGroup(text, marks, { kind, start, end }) {
  const inside = text.slice(start + 1, end - 1);
  if (kind === "[") {
    const parted = placesOf(text, ":|", start + 1, end - 1, marks).length > 0;
    return parted ? undefined : { words: inside, weight: WEAK, start, end };
  }
  const explicit = WEIGHT.exec(inside);
  const words = explicit ? inside.slice(0, explicit.index) : inside;
  return { words, weight: explicit ? Number.parseFloat(explicit[1]) : BRACKET, start, end };
}

function isGroup(text, range, { words, start, end }) {
  if (range.start === start && range.end === end) return true;
  const wordsEnd = start + 1 + words.length;
  const isInside = start < range.start && range.end <= end;
  return isInside && text.slice(range.start, Math.min(range.end, wordsEnd)).trim() === words.trim();
}
