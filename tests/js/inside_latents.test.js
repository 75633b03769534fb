// How the latents are coloured, and which powers of ten a chart of distances has.
import assert from "node:assert/strict";
import { test } from "node:test";
import { powers } from "../../sd_app/ui/inside/log_chart.js";
import { signedColor } from "../../sd_app/ui/inside/signed_cells.js";

test("zero is white, below it is blue and above it red, and beyond the limit the colour stays", () => {
  assert.deepEqual(signedColor(0, 3), [255, 255, 255]);
  assert.deepEqual(signedColor(3, 3), [70, 0, 18]);
  assert.deepEqual(signedColor(-3, 3), [8, 29, 88]);
  assert.deepEqual(signedColor(9, 3), signedColor(3, 3));
  const [red, , blue] = signedColor(-1, 3);
  assert.ok(blue > red);
  assert.deepEqual(signedColor(0, 0), [255, 255, 255]);
});

test("a chart has the powers of ten that hold what is drawn", () => {
  assert.deepEqual(powers([3, 0.5, 40]), [-1, 2]);
  assert.deepEqual(powers([2, 3]), [0, 1]);
  assert.deepEqual(powers([1]), [0, 1]);
  assert.deepEqual(powers([0, 0]), [-1, 0]);
});
