import assert from "node:assert/strict";
import { test } from "node:test";
import { fitFactor } from "../../sd_app/ui/shared/fit.js";
import { isBusy, titleWith } from "../../sd_app/ui/shared/job.js";
import { viewsOf } from "../../sd_app/ui/shared/views.js";

const ROOM = { width: 900, height: 600 };

test("a small picture is enlarged by whole factors of the screen's own pixels", () => {
  assert.equal(fitFactor(64, 64, ROOM), 9);
  assert.equal(fitFactor(64, 64, ROOM, 2), 9); // 9.375 fits 18 half pixels
  assert.equal(fitFactor(256, 256, ROOM, 2), 2);
  assert.equal(fitFactor(250, 250, ROOM, 4), 2.25);
});

test("a small picture is never reduced, a large one never enlarged", () => {
  assert.equal(fitFactor(384, 384, { width: 100, height: 100 }), 1);
  assert.equal(fitFactor(512, 512, ROOM), 1);
  assert.equal(fitFactor(1200, 600, ROOM), 0.75);
});

test("the page's title shows the percentage of the job, and only one", () => {
  assert.equal(titleWith(40, "Studio"), "40% · Studio");
  assert.equal(titleWith(41, "40% · Studio"), "41% · Studio");
  assert.equal(titleWith(null, "41% · Studio"), "Studio");
});

test("a job is busy while it waits and while it runs", () => {
  const phases = ["empty", "waiting", "running", "done", "stopped", "error"];
  assert.deepEqual(
    phases.filter((phase) => isBusy({ phase })),
    ["waiting", "running"],
  );
});

test("the finished picture is the first view, those of the whole run the last", () => {
  const image = { file: "f", name: "n", views: [{ label: "Raw" }] };
  assert.deepEqual(
    viewsOf(image, [{ label: "Sheet" }]).map((one) => one.label),
    ["Result", "Raw", "Sheet"],
  );
  assert.deepEqual(viewsOf(undefined, [{ label: "Sheet" }]), []);
});
