import assert from "node:assert/strict";
import { test } from "node:test";
import { append } from "../../sd_app/ui/shared/addon_picker.js";
import { asText, byName } from "../../sd_app/ui/shared/browser_state.js";
import { same, stepsRun, swap } from "../../sd_app/ui/shared/controls.js";
import { blankCanvas, heldBefore, infotextOf, seedOf, sentImage } from "../../sd_app/ui/shared/send_to.js";

const RESULT = {
  selected: 1,
  shown: null,
  images: [
    { seed: 1, infotext: "a" },
    { seed: 2, infotext: "b" },
  ],
};

test("the steps run are those the server runs", () => {
  assert.equal(stepsRun(50, 0.6), "<span>Runs 30 of 50 steps</span>");
  assert.equal(stepsRun(100, 0.29), "<span>Runs 29 of 100 steps</span>"); // 28.999… in floats
  assert.equal(stepsRun(10, 1), "<span>Runs 10 of 10 steps</span>");
  assert.equal(stepsRun(undefined, 0.5), "");
});

test("words are put at a prompt's end, with one blank between", () => {
  assert.equal(append("<lora:a:1>", "a cat  "), "a cat <lora:a:1>");
  assert.equal(append("<lora:a:1>", null), "<lora:a:1>");
  assert.equal(append(null, "a cat "), "a cat ");
});

test("a form is kept by its fields' names, and what is too long is not kept", () => {
  assert.deepEqual(byName(["seed", "steps"], -1, 20), { seed: -1, steps: 20 });
  assert.equal(asText(10, [1, 2]), "[1,2]");
  assert.equal(asText(5, [1, 2]), null);
});

test("sides are swapped, a value is handed on", () => {
  assert.deepEqual(swap(512, 768), [768, 512]);
  assert.equal(same(-1), -1);
});

test("what the chosen picture holds goes to the form, and without a picture the form stays", () => {
  assert.deepEqual(infotextOf(RESULT, 1, 2), ["b", 1, 2]);
  assert.deepEqual(infotextOf(null, 1), ["", 1]);
  assert.equal(seedOf(RESULT, 9), 2);
  assert.equal(seedOf({ images: [], selected: 0 }, 9), 9);
});

test("a picture is sent with the file of the view that is shown", () => {
  assert.deepEqual(sentImage(RESULT, 5), [{ seed: 2, infotext: "b" }, 5]);
  const viewed = { ...RESULT, shown: { file: "raw", name: "raw.png" } };
  assert.equal(sentImage(viewed)[0].file, "raw");
  assert.deepEqual(sentImage({ images: [], selected: 0 }, 5), [undefined, 5]);
});

test("undo gives back what a field held, and leaves what is not known", () => {
  const held = heldBefore(["seed", "steps"], { before: { seed: 3 } }, 7, 20);
  assert.deepEqual(held, [3, 20, { text: "", before: null }]);
});

test("a blank canvas has the form's size, or the usual one", () => {
  assert.deepEqual(blankCanvas(null, 640, 383.6).blank, [640, 384, "#ffffff"]);
  assert.deepEqual(blankCanvas(null, null, undefined).blank, [512, 512, "#ffffff"]);
});
