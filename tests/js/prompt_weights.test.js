// Ctrl+Up and Ctrl+Down in a prompt. "|" is the caret; two of them hold a selection.
import assert from "node:assert/strict";
import { test } from "node:test";
import { weigh } from "../../sd_app/ui/shared/prompt_weights.js";

function weighed(marked, change) {
  const [before, inside, after] = marked.split("|").length === 3 ? marked.split("|") : [];
  const text = marked.replaceAll("|", "");
  const start = marked.indexOf("|");
  const end = after === undefined ? start : before.length + inside.length;
  const changed = weigh(text, start, end, change);
  if (!changed) return null;
  const now = text.slice(0, changed.start) + changed.text + text.slice(changed.end);
  return [now, now.slice(...changed.selection)];
}

for (const [marked, change, expected, selected] of [
  ["a r|ed house", 0.1, "a (red:1.1) house", "red"],
  ["a |red| house", 0.1, "a (red:1.1) house", "red"],
  ["a| red house |", 0.1, "a (red house:1.1) ", "red house"],
  ["a (r|ed:1.1) house", 0.1, "a (red:1.2) house", "red"],
  ["a (|red|:1.1) house", -0.1, "a red house", "red"],
  ["a |(red:1.1)| house", 0.1, "a (red:1.2) house", "red"],
  ["a (red:1.|1) house", 0.1, "a (red:1.2) house", "red"],
  ["a (red house:|1.9) b", 0.1, "a (red house:2) b", "red house"],
  ["a (|red:1.1|) house", 0.1, "a (red:1.2) house", "red"],
  ["(a r|ed house:1.5)", 0.1, "(a (red:1.1) house:1.5)", "red"],
  ["<lora:a|bc:0.8>", 0.1, "(<lora:abc:0.8>:1.1)", "<lora:abc:0.8>"],
  ["at 12:|30 b", 0.1, "at (12:30:1.1) b", "12:30"],
  ["|red", -0.1, "(red:0.9)", "red"],
  ["red|, blue", 0.1, "(red:1.1), blue", "red"],
]) {
  test(`${marked} by ${change} becomes ${expected}`, () => {
    assert.deepEqual(weighed(marked, change), [expected, selected]);
  });
}

test("where there is no word, nothing is weighed", () => {
  assert.equal(weighed("a |  | b", 0.1), null);
  assert.equal(weighed("|", 0.1), null);
});

test("a weight stays between 0.1 and 2", () => {
  assert.equal(weighed("(r|ed:2)", 0.1), null);
  assert.equal(weighed("(r|ed:0.1)", -0.1), null);
});

test("up and down again gives the prompt back", () => {
  assert.deepEqual(weighed(`a (|red|:1.1) b`, -0.1), ["a red b", "red"]);
});
