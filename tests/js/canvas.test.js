import assert from "node:assert/strict";
import { test } from "node:test";
import {
  brushOutline,
  brushRange,
  clampZoom,
  displayScale,
  pinchOf,
  pixelAt,
} from "../../sd_app/ui/shared/canvas_geometry.js";
import { NOTHING, Scenes, sceneOf, sheetKey, sizeOf } from "../../sd_app/ui/shared/canvas_scene.js";
import { brushAfter } from "../../sd_app/ui/shared/canvas_tools.js";

const STROKE = { tool: "brush", points: [[1, 1]] };

test("a small picture is enlarged by whole factors without blur, a large one just fits", () => {
  assert.deepEqual(displayScale([64, 64], [370, 300], 1), { scale: 4, crisp: true });
  assert.deepEqual(displayScale([384, 128], [370, 300], 1), { scale: 370 / 384, crisp: false });
  assert.deepEqual(displayScale([512, 512], [370, 300], 1), { scale: 300 / 512, crisp: false });
  assert.deepEqual(displayScale([64, 64], [370, 300], 1.5), { scale: 6, crisp: true });
});

test("zoom stays between the whole picture and sixteen times", () => {
  assert.deepEqual([0.2, 3, 40].map(clampZoom), [1, 3, 16]);
});

test("the brush fits the picture, and a mask's is wider", () => {
  assert.deepEqual(brushRange([512, 256], true), { most: 256, first: 51 });
  assert.deepEqual(brushRange([512, 256], false), { most: 256, first: 21 });
  assert.deepEqual(brushRange([8, 8], false), { most: 16, first: 1 });
});

test("a brush can always grow, and shrinks to nothing less than the slider's own least", () => {
  for (let width = 1; width < 200; width++) assert.ok(brushAfter("]", width) > width);
  for (let width = 3; width < 200; width++) assert.ok(brushAfter("[", width) < width);
});

test("a point of the screen is the pixel below it, at any scale", () => {
  const box = { left: 10, top: 20, width: 256, height: 128 };
  assert.deepEqual(pixelAt([10, 20], box, [64, 32]), [0, 0]);
  assert.deepEqual(pixelAt([138, 84], box, [64, 32]), [32, 16]);
  assert.deepEqual(pixelAt([266, 148], box, [64, 32]), [64, 32]);
});

test("the brush's outline lies around the pointer", () => {
  const box = { left: 10, top: 20, width: 256, height: 256 };
  assert.deepEqual(brushOutline([110, 120], 4, box, 64), { side: 16, left: 92, top: 92 });
});

test("two fingers have a distance and a middle", () => {
  assert.deepEqual(
    pinchOf([
      [0, 0],
      [6, 8],
    ]),
    { distance: 10, center: [3, 4] },
  );
});

test("a scene is what a value shows, and the same sheet has the same key whatever is painted", () => {
  const picture = { file: { path: "a.png" }, width: 4, height: 2 };
  assert.deepEqual(sceneOf(null), NOTHING);
  assert.deepEqual(sceneOf({ picture, paint: "data:x", text: "" }), { ...NOTHING, picture, base: "data:x" });
  assert.equal(sheetKey({ picture }), sheetKey({ picture, paint: "data:x", text: "no" }));
  assert.notEqual(sheetKey({ picture }), sheetKey(null));
  assert.equal(sheetKey(NOTHING), sheetKey({}));
  assert.deepEqual(sizeOf({ picture, blank: null }), [4, 2]);
  assert.deepEqual(sizeOf({ picture: null, blank: [8, 16, "#fff"] }), [8, 16]);
  assert.equal(sizeOf(NOTHING), null);
});

test("undo and redo go back and forth, and a change forgets what was undone", () => {
  const scenes = new Scenes();
  scenes.add(STROKE);
  const one = scenes.now;
  scenes.add(STROKE);
  assert.equal(scenes.undo(), true);
  assert.equal(scenes.now, one);
  assert.equal(scenes.redo(), true);
  assert.equal(scenes.now.strokes.length, 2);
  scenes.undo();
  scenes.add(STROKE);
  assert.equal(scenes.redo(), false);
  assert.equal(NOTHING.strokes.length, 0);
});

test("a hundred steps can be taken back, not more", () => {
  const scenes = new Scenes();
  for (let k = 0; k < 130; k++) scenes.add(STROKE);
  let undone = 0;
  while (scenes.undo()) undone++;
  assert.equal(undone, 100);
  assert.equal(scenes.now.strokes.length, 30);
});
