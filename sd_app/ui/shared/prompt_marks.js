// The brackets, tags and slots of a prompt, by their places in its text: {kind, start, end}, end exclusive.
// Kinds: "(" and "[" groups, "<" tags such as <lora:name:0.8>, "{" slots. What is escaped is text.

const TAG = /<(\w+):([^<>]*)>/y;
const QUOTED = /"(?:\\.|[^"\\])*"/y;
const CLOSES = { ")": "(", "]": "[" };

function matchAt(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

// Return where a slot ends that begins at `at`; -1 if it is not closed.
function slotEnd(text, at) {
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === "}") return i + 1;
    const quoted = text[i] === '"' && matchAt(QUOTED, text, i);
    if (quoted) i += quoted[0].length - 1;
  }
  return -1;
}

// Return the tag or slot that begins at a place; undefined if none does.
function wholeMarkAt(text, at) {
  if (text[at] === "<") {
    const tag = matchAt(TAG, text, at);
    return tag ? { kind: "<", start: at, end: at + tag[0].length } : undefined;
  }
  const end = text[at] === "{" ? slotEnd(text, at) : -1;
  return end < 0 ? undefined : { kind: "{", start: at, end };
}

// Return the group that a closing bracket ends, and forget what was opened in it; undefined if it ends none.
function closedGroup(open, char, at) {
  const index = open.findLastIndex((one) => one.kind === CLOSES[char]);
  if (index < 0) return undefined;
  const group = { ...open[index], end: at + 1 };
  open.length = index;
  return group;
}

// Return all marks, inner ones before those around them. Brackets without a partner are none.
export function marksOf(text) {
  const found = [];
  const open = [];
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "\\") i++;
    else if (char === "(" || char === "[") open.push({ kind: char, start: i });
    else {
      const mark = char in CLOSES ? closedGroup(open, char, i) : wholeMarkAt(text, i);
      if (!mark) continue;
      found.push(mark);
      i = mark.end - 1;
    }
  }
  return found;
}

// Return the places of an unescaped character in start..end that stand in no mark inside it.
export function placesOf(text, chars, start, end, marks) {
  const inside = marks.filter((mark) => mark.start >= start && mark.end <= end);
  const found = [];
  for (let i = start; i < end; i++) {
    const mark = inside.find((one) => one.start === i);
    if (mark) i = inside.reduce((last, one) => (one.start <= i ? Math.max(last, one.end) : last), i) - 1;
    else if (text[i] === "\\") i++;
    else if (chars.includes(text[i])) found.push(i);
  }
  return found;
}
