import assert from "node:assert/strict";
import { test } from "node:test";
import { asFraction, clamp, short, withMinus } from "../../sd_app/ui/shared/numbers.js";
import { pairWords } from "../../sd_app/ui/shared/plot.js";
import { bounds, hue, share, stepTicks, ticks } from "../../sd_app/ui/shared/plot_scales.js";

test("the axis holds all curves and the threshold, and spans four powers of ten at most", () => {
  assert.deepEqual(bounds([[0.1, 2, null]], 0.5), [0.1, 2]);
  assert.deepEqual(bounds([[0.01, 0.02]], 0.5), [0.01, 0.6]);
  assert.deepEqual(bounds([[1e-9, 10]], 0.5), [1e-3, 10]);
  assert.deepEqual(bounds([[0, 0]], 0.5), [0.25, 0.6]);
});

test("the least stands at the axis and the most at the top, on both scales", () => {
  const limits = [0.01, 1];
  assert.equal(share(1, limits, "linear"), 1);
  assert.equal(share(0, limits, "linear"), 0);
  assert.equal(share(1, limits, "log"), 1);
  assert.equal(share(0.01, limits, "log"), 0);
  assert.equal(share(0, limits, "log"), 0);
  assert.ok(Math.abs(share(0.1, limits, "log") - 0.5) < 1e-12);
});

test("ticks are round numbers inside the axis", () => {
  assert.deepEqual(ticks([0.1, 2], "linear"), [0, 0.5, 1, 1.5, 2]);
  assert.deepEqual(ticks([0.1, 2], "log"), [0.1, 0.2, 0.5, 1, 2]);
  assert.deepEqual(
    ticks([0.001, 10], "log").map((value) => short(value, 4)),
    ["0.001", "0.01", "0.1", "1", "10"],
  );
});

test("step numbers have room: the first, and as many as fit", () => {
  assert.deepEqual(stepTicks(6, 640), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(stepTicks(50, 640), [1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]);
});

test("colours go from violet to yellow, and one curve alone has one", () => {
  assert.equal(hue(0, 5), "hsl(265 60% 52%)");
  assert.equal(hue(4, 5), "hsl(40 60% 52%)");
  assert.equal(hue(0, 1), "hsl(265 60% 52%)");
});

test("a pair is told in words", () => {
  const plot = {
    curves: [
      [0.1, 0.2],
      [0.1, 1.25],
      [null, null],
    ],
    parted: [null, 2, null],
    largest: 1,
  };
  const ts = [0, 1 / 3, 2 / 3, 1];
  assert.equal(pairWords(plot, ts, 0), "t 0 – 0.3333, never apart, 0.2 apart at the end");
  assert.equal(
    pairWords(plot, ts, 1),
    "Largest: t 0.3333 – 0.6667, apart since step 2, 1.25 apart at the end",
  );
  assert.equal(pairWords(plot, ts, 2), "t 0.6667 – 1, never apart, unknown at the end");
});

test("numbers are short, with a true minus; widths are fractions", () => {
  assert.equal(short(0.250001, 4), "0.25");
  assert.equal(short(1234.56, 3), "1230");
  assert.equal(withMinus("-0.5"), "−0.5");
  assert.equal(asFraction(1 / 32), "1/32");
  assert.equal(asFraction(0), "0");
  assert.deepEqual([clamp(-1, 0, 2), clamp(1, 0, 2), clamp(3, 0, 2)], [0, 1, 2]);
});
