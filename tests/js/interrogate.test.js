import assert from "node:assert/strict";
import { test } from "node:test";
import { cellMarks, percent, signed } from "../../sd_app/ui/interrogate/match.js";
import { aboutMode } from "../../sd_app/ui/interrogate/search_form.js";
import { asPrompt, promptWithout, toggled } from "../../sd_app/ui/interrogate/words.js";
import { curvePoints } from "../../sd_app/ui/interrogate/words_curve.js";

test("copied words are read as words in a prompt, as the server would send them", () => {
  for (const [words, prompt] of [
    ["a red cat, café", "a red cat, café"],
    ["smile :) [x] {y|z} \\", "smile \\:\\) \\[x\\] \\{y\\|z\\} \\\\"],
    ["rock AND roll BREAK ANDY éAND", "rock and roll break ANDY éAND"],
    ["<lora:x:1> a < b", "<\\lora\\:x\\:1> a < b"],
  ])
    assert.equal(asPrompt(words), prompt);
});

test("a cosine has three places and a true minus, and what rounds to zero no sign", () => {
  assert.deepEqual([0.21555, -0.1, -0.0001, 0].map(signed), ["0.216", "−0.100", "0.000", "0.000"]);
});

test("shares are told as far as they mean something", () => {
  assert.deepEqual([0, 0.0004, 0.123, 0.9951, 1].map(percent), ["0 %", "<0.1 %", "12.3 %", "100 %", "100 %"]);
});

test("cells are coloured from the least cosine to the most, chances from 0 to 1", () => {
  const cosines = cellMarks(
    [
      [0.1, 0.3],
      [0.2, 0.1],
    ],
    true,
  );
  assert.deepEqual(
    cosines[0].map((one) => one.rowBest),
    [false, true],
  );
  assert.deepEqual(
    cosines[1].map((one) => one.rowBest),
    [true, false],
  );
  assert.deepEqual(
    cosines.map((row) => row[0].columnBest),
    [false, true],
  );
  assert.equal(cosines[0][0].share, 0);
  assert.equal(cosines[0][1].share, 1);
  assert.equal(cellMarks([[0.25, 0.75]], false)[0][0].share, 0.25);
  assert.equal(cellMarks([[0.2]], true)[0][0].share, 0); // one cell alone divides by nothing
});

test("phrases that are off are left out of the prompt, the caption stays", () => {
  const value = { caption: { text: "a cat" }, steps: [{ phrases: ["red", "big"] }, { phrases: ["oil"] }] };
  assert.equal(promptWithout(value, []), "a cat, red, big, oil");
  assert.equal(promptWithout(value, [1]), "a cat, red, oil");
  assert.equal(promptWithout({ ...value, caption: { text: "" } }, [0, 2]), "big");
});

test("a press on a phrase switches it, and a second one back", () => {
  assert.deepEqual(toggled([1], 2), [1, 2]);
  assert.deepEqual(toggled(toggled([1], 2), 2), [1]);
});

test("the curve fills its box, and a level one lies at the bottom", () => {
  assert.deepEqual(curvePoints([0.1, 0.3, 0.2]), [
    [30, 84],
    [200, 28],
    [370, 56],
  ]);
  assert.deepEqual(curvePoints([0.1, 0.1]), [
    [30, 84],
    [370, 84],
  ]);
});

test("an unknown mode is explained by nothing", () => {
  assert.equal(aboutMode({ best: "All." }, "best"), "<span>All.</span>");
  assert.equal(aboutMode({ best: "All." }, "worst"), "<span></span>");
});
