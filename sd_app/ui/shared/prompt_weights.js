// Weights of words in a prompt, (words:1.1), as Ctrl+Up and Ctrl+Down change them.

const LEAST = 0.1;
const MOST = 2;
const BETWEEN_WORDS = /[\s,()[\]]/;

// Return {start, end, text, selection} that changes the weight of the words selected, or of the word at the
// caret; null if there is none, or the weight is at its end. Replace start..end by text, then select.
export function weigh(text, selectionStart, selectionEnd, change) {
  const [start, end] = wordsAt(text, selectionStart, selectionEnd);
  if (start === end) return null;
  const found = weighted(text, start, end);
  const weight = Math.round((found.weight + change) * 10) / 10;
  if (weight < LEAST || weight > MOST) return null;
  const plain = weight === 1;
  const from = plain ? found.start : found.start + 1;
  return {
    start: found.start,
    end: found.end,
    text: plain ? found.words : `(${found.words}:${weight})`,
    selection: [from, from + found.words.length],
  };
}

// Return [start, end] of the selection without blanks around it, or of the word at the caret.
function wordsAt(text, selectionStart, selectionEnd) {
  let [start, end] = [selectionStart, selectionEnd];
  if (start === end) {
    while (start > 0 && !BETWEEN_WORDS.test(text[start - 1])) start--;
    while (end < text.length && !BETWEEN_WORDS.test(text[end])) end++;
  }
  while (start < end && /\s/.test(text[start])) start++;
  while (end > start && /\s/.test(text[end - 1])) end--;
  return [start, end];
}

// Return {words, weight, start, end} of what stands there, brackets and number included.
function weighted(text, start, end) {
  const words = text.slice(start, end);
  const inside = /^\(([\s\S]*):([\d.]+)\)$/.exec(words);
  if (inside) return { words: inside[1], weight: parseFloat(inside[2]), start, end };
  const after = /^:([\d.]+)\)/.exec(text.slice(end));
  if (after && text[start - 1] === "(") {
    return { words, weight: parseFloat(after[1]), start: start - 1, end: end + after[0].length };
  }
  // The caret is in the number, or in the word before it.
  const open = text.lastIndexOf("(", start);
  const group = /^\(([^()]*):([\d.]+)\)$/.exec(text.slice(open, end + 1));
  if (open < 0 || !group) return { words, weight: 1, start, end };
  return { words: group[1], weight: parseFloat(group[2]), start: open, end: end + 1 };
}
