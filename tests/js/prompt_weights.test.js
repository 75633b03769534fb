// Ctrl+Up and Ctrl+Down in a prompt. "¦" is the caret; two of them hold a selection.
import assert from "node:assert/strict";
import { test } from "node:test";
import { weigh } from "../../sd_app/ui/shared/prompt_weights.js";

function weighed(marked, change) {
  const [before, inside, after] = marked.split("¦");
  const text = marked.replaceAll("¦", "");
  const start = before.length;
  const end = after === undefined ? start : start + inside.length;
  const changed = weigh(text, start, end, change);
  if (!changed) return null;
  const now = text.slice(0, changed.start) + changed.text + text.slice(changed.end);
  return [now, now.slice(...changed.selection)];
}

for (const [marked, change, expected, selected] of [
  ["a r¦ed house", 0.1, "a (red:1.1) house", "red"],
  ["a ¦red¦ house", 0.1, "a (red:1.1) house", "red"],
  ["a¦ red house ¦", 0.1, "a (red house:1.1) ", "red house"],
  ["a (r¦ed:1.1) house", 0.1, "a (red:1.2) house", "red"],
  ["a (¦red¦:1.1) house", -0.1, "a red house", "red"],
  ["a ¦(red:1.1)¦ house", 0.1, "a (red:1.2) house", "red"],
  ["a (red:1.¦1) house", 0.1, "a (red:1.2) house", "red"],
  ["a (red house:¦1.9) b", 0.1, "a (red house:2) b", "red house"],
  ["a (¦red:1.1¦) house", 0.1, "a (red:1.2) house", "red"],
  ["(a r¦ed house:1.5)", 0.1, "(a (red:1.1) house:1.5)", "red"],
  ["<lora:a¦bc:0.8>", 0.1, "<lora:abc:0.85>"],
  ["<lora:a¦bc>", -0.1, "<lora:abc:0.95>"],
  ["<lyco:abc:0.8:0.¦5> x", 0.1, "<lyco:abc:0.85:0.55> x"],
  ["<lora:abc:te=0.8:unet=1>¦", 0.1, "<lora:abc:te=0.85:unet=1.05>"],
  ["<lora:abc:te=0.8:u¦net=1>", 0.1, "<lora:abc:te=0.85:unet=1.05>"],
  ["<hypernet:a¦bc:0.8>", 0.1, null],
  ["<tab¦by> cat", 0.1, "(<tabby>:1.1) cat"],
  ["at 12:¦30 b", 0.1, "at (12:30:1.1) b", "12:30"],
  ["¦red", -0.1, "(red:0.9)", "red"],
  ["red¦, blue", 0.1, "(red:1.1), blue", "red"],
  ["((c¦at))", 0.1, "((cat:1.2))"],
  ["(c¦at)", -0.1, "cat"],
  ["(c¦at)", 0.1, "(cat:1.2)"],
  ["[c¦at]", 0.1, "cat"],
  ["[c¦at]", -0.1, "(cat:0.8)"],
  ["(cat:1.¦15)", 0.1, "(cat:1.25)"],
  ["(cat:2.5¦)", -0.1, "(cat:2.4)"],
  ["(cat:2.5¦)", 0.1, null],
  ["{cat - d¦og}", 0.1, "{cat - 1.1*dog}"],
  ["{cat - d¦og}", -0.1, "{cat - 0.9*dog}"],
  ["{c¦at + 0.43*dog}", 0.1, "{1.1*cat + 0.43*dog}"],
  ["{cat + 0.43*d¦og}", 0.1, "{cat + 0.53*dog}"],
  ["{cat + 0.4¦3*dog}", -0.1, "{cat + 0.33*dog}"],
  ["{1.1*c¦at}", -0.1, "{cat}"],
  ["{cat * ¦0.9}", 0.1, "{cat * 1}"],
  ["{row: orange c¦at}", 0.1, "{row: 1.1*orange cat}"],
  ["{ro¦w: cat}", 0.1, null],
  ["{lerp(cat, dog, 0.¦5)}", 0.1, "{lerp(cat, dog, 0.6)}"],
  ["{le¦rp(cat, dog, 0.5)}", 0.1, "{1.1*lerp(cat, dog, 0.5)}"],
  ['{"a dog, a¦sleep" + cat}', 0.1, '{1.1*"a dog, asleep" + cat}'],
  ["[c¦at:dog:0.5]", 0.1, "[(cat:1.1):dog:0.5]"],
  ["[cat:d¦og:0.5]", 0.1, "[cat:(dog:1.1):0.5]"],
  ["[cat:dog:0.¦5]", 0.1, "[cat:dog:0.55]"],
  ["[cat:dog:¦8]", -0.1, "[cat:dog:7]"],
  ["[cat:dog:0.95¦]", 0.1, "[cat:dog:1.0]"],
  ["[cat|d¦og]", 0.1, "[cat|(dog:1.1)]"],
  ["[(c¦at:1.1):dog:0.5]", 0.1, "[(cat:1.2):dog:0.5]"],
  ["a cat AND a dog:0.¦7", 0.1, "a cat AND a dog:0.8"],
  ["a cat:0.¦7 AND dog", 0.1, "a cat:0.8 AND dog"],
  // What is weighed keeps its sign in its place: no weight, colon or bar of something around it goes inside.
  ["a cat AND d¦og:0.5", 0.1, "a cat AND (dog:1.1):0.5", "dog"],
  ["a cat AND ¦big dog:0.5¦", 0.1, "a cat AND (big dog:1.1):0.5", "big dog"],
  ["a c¦at:1 AND dog", -0.1, "a (cat:0.9):1 AND dog", "cat"],
  ["{cat - dog} AND ¦x:-0.5¦", 0.1, "{cat - dog} AND (x:1.1):-0.5", "x"],
  ["[cat:¦dog:0.5¦]", 0.1, "([cat:dog:0.5]:1.1)", "[cat:dog:0.5]"],
  ["[¦cat:dog¦:0.5]", 0.1, "([cat:dog:0.5]:1.1)", "[cat:dog:0.5]"],
  ["a [cat|¦dog|fish¦]", 0.1, "a ([cat|dog|fish]:1.1)", "[cat|dog|fish]"],
  ["(a ¦b:1.2¦)", 0.1, "(a (b:1.1):1.2)", "b"],
  ["{row: cat AND} d¦og:0.5", 0.1, "{row: cat AND} (dog:0.5:1.1)", "dog:0.5"],
  ["a A¦ND b", 0.1, null],
  ["a BRE¦AK b", 0.1, null],
  [String.raw`cat \(ani¦mal\)`, 0.1, String.raw`cat (\(animal\):1.1)`],
  [String.raw`(cat \(a\)¦:1.1)`, 0.1, String.raw`(cat (\(a\):1.1):1.1)`],
  ["(¦red) and b¦lue", 0.1, "((red) and b:1.1)lue"],
  ["ü¦ber 猫", 0.1, "(über:1.1) 猫"],
  ["über 猫¦", 0.1, "über (猫:1.1)"],
  ["🐈¦ cat", 0.1, "(🐈:1.1) cat"],
  ["one\ntw¦o\nthree", 0.1, "one\n(two:1.1)\nthree"],
  ["a¦\nb¦ c", 0.1, "a\n(b:1.1) c"],
  ["((cat:1.2) d¦og:1.1)", 0.1, "((cat:1.2) (dog:1.1):1.1)"],
  ["((c¦at:1.2) dog:1.1)", 0.1, "((cat:1.3) dog:1.1)"],
  ["a {cat} ¦dog", 0.1, "a {cat} (dog:1.1)"],
  ["(unclosed c¦at", 0.1, "(unclosed (cat:1.1)"],
  ["¦(cat)¦", 0.1, "(cat:1.2)"],
  ["a | b¦", 0.1, "a | (b:1.1)"],
  ["a ¦  b", 0.1, null],
  ["¦", 0.1, null],
  ["(r¦ed:2)", 0.1, null],
  ["(r¦ed:0.1)", -0.1, null],
  ["¦a {cat + dog} b¦", 0.1, "(a {cat + dog} b:1.1)"],
]) {
  test(`${marked} by ${change} becomes ${expected}`, () => {
    const found = weighed(marked, change);
    assert.equal(found?.[0] ?? null, expected);
    if (selected) assert.equal(found[1], selected);
  });
}

test("up and down again gives the prompt back", () => {
  assert.deepEqual(weighed("a (¦red¦:1.1) b", -0.1), ["a red b", "red"]);
  assert.deepEqual(weighed("{cat - ¦1.1*dog}", -0.1), ["{cat - dog}", "dog"]);
  assert.deepEqual(weighed("<lora:x:0.8¦5>", -0.1)[0], "<lora:x:0.8>");
});

test("a selection over AND is left alone, since a bracket around AND would be cut", () => {
  for (const marked of ["¦cat AND dog¦", "a ¦cat AND¦ dog", "a c¦at AND dog:0.¦5"])
    assert.equal(weighed(marked, 0.1), null);
});

test("no prompt, however odd, is broken: what is not weighed stays", () => {
  const odd = [
    "(((",
    "]]]",
    "<lora:",
    '{"',
    "{cat",
    "\\",
    "[a:b:",
    "(a:1.1",
    "a:0.5 AND",
    "(:1.1)",
    "[|]",
    "{}",
    "<:>",
  ];
  const places = (text) => [...Array(text.length + 1).keys()];
  const ranges = (text) => places(text).flatMap((start) => places(text).map((end) => [start, end]));
  for (const text of odd) {
    const found = ranges(text).filter(([start, end]) => start <= end);
    const changes = found.flatMap(([start, end]) =>
      [0.1, -0.1].map((change) => weigh(text, start, end, change)),
    );
    const wrong = changes.filter(
      (one) => one && !(one.start >= 0 && one.start <= one.end && one.end <= text.length),
    );
    assert.deepEqual(wrong, []);
  }
});
