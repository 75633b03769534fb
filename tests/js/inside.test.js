import assert from "node:assert/strict";
import { test } from "node:test";
import { decoded } from "../../sd_app/ui/inside/ask.js";
import { heatColor, mapAt } from "../../sd_app/ui/inside/cells.js";
import { clockWords, place } from "../../sd_app/ui/inside/clock.js";
import { FilmFrames } from "../../sd_app/ui/inside/film_frames.js";
import { decades } from "../../sd_app/ui/inside/panels/guidance.js";
import { sizeText } from "../../sd_app/ui/inside/source.js";

const CLOCK = {
  calls: [0, 1],
  num_calls: 2,
  timesteps: [981, 1],
  sigmas: [12.3456, 0.04],
  training_steps: 1000,
};
const base64 = (values) => Buffer.from(new Float32Array(values).buffer).toString("base64");

test("arrays are read wherever they stand in an answer, and all else stays as it is", () => {
  const answer = {
    a: { shape: [1, 2], f4: base64([0.5, -1]) },
    b: [{ c: { shape: [1], f4: base64([3]) } }],
    d: null,
  };
  const read = decoded(answer);
  assert.deepEqual([...read.a.data], [0.5, -1]);
  assert.deepEqual(read.a.shape, [1, 2]);
  assert.deepEqual([...read.b[0].c.data], [3]);
  assert.equal(read.d, null);
});

test("a position says its step, its level of training and its noise", () => {
  assert.deepEqual(clockWords(CLOCK, 0), [
    "Step 1 of 2",
    "noise level 981 of 1000 · noise 12.3 times the signal",
  ]);
  assert.deepEqual(clockWords(CLOCK, 1), ["Step 2 of 2", "noise level 1 of 1000 · noise 4 % of the signal"]);
  assert.deepEqual(clockWords(CLOCK, 2), ["Finished picture", "no noise left"]);
});

test("the line of training steps goes from only noise to the picture", () => {
  assert.equal(place(CLOCK, 999), 0);
  assert.equal(place(CLOCK, -1), 1);
});

test("a map is one of several, and its colours go from black to bright within the scale", () => {
  const maps = { shape: [2, 1, 2], data: new Float32Array([1, 2, 3, 4]) };
  assert.deepEqual([...mapAt(maps, 1).data], [3, 4]);
  assert.deepEqual(heatColor(0, 1), [0, 0, 4]);
  assert.deepEqual(heatColor(1, 1), [252, 255, 164]);
  assert.deepEqual(heatColor(9, 1), heatColor(1, 1));
  assert.deepEqual(heatColor(1, 0), [0, 0, 4]);
  assert.deepEqual(heatColor(Number.NaN, 1), [128, 128, 128]);
  const light = [...Array(50).keys()].map((k) => heatColor(k / 49, 1).reduce((sum, one) => sum + one));
  assert.deepEqual(
    light,
    light.toSorted((a, b) => a - b),
  );
});

test("the axis of a push holds every size, and at least one decade", () => {
  assert.deepEqual(decades([4, 0.02, null]), [-2, 1]);
  assert.deepEqual(decades([1]), [0, 1]);
  assert.deepEqual(decades([null, 0]), [-1, 1]);
});

test("a film keeps what was decoded, knows what was not run, and shows the nearest frame until then", async () => {
  const asked = [];
  const frames = new FilmFrames(async (action, given) => {
    asked.push([action, given]);
    if (action === "begin")
      return {
        numbers: { clock: { calls: [0, 1, 2, 3] } },
        pictures: { "conditional:0": "a", "conditional:3": "d" },
      };
    const kept = given.frames.filter((frame) => frame !== 2);
    const pictures = Object.fromEntries(kept.map((frame) => [`${given.row}:${frame}`, `${frame}`]));
    return { numbers: { absent: given.frames.filter((frame) => frame === 2) }, pictures };
  });
  await frames.begin();
  assert.equal(frames.nearest("conditional", 1), "a");
  assert.equal(frames.url("conditional", 1), undefined);
  let drawn = 0;
  await frames.fetchAhead(128 * 128, () => drawn++);
  assert.deepEqual(asked.at(-1), ["frames", { row: "conditional", frames: [1, 2] }]);
  assert.equal(frames.url("conditional", 1), "1");
  assert.equal(frames.url("conditional", 2), null);
  assert.equal(drawn, 1);
  await frames.fetchAhead(1024 * 1024, () => drawn++);
  assert.equal(asked.length, 2);
});

test("sizes are said as people do", () => {
  assert.deepEqual([900, 40_000, 1_340_000].map(sizeText), ["1 KB", "40 KB", "1.3 MB"]);
});
