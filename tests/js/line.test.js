// What the line of jobs works out, without a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { stepOf } from "../../sd_app/ui/line/dragging.js";
import { countWords, isLost, noteAt } from "../../sd_app/ui/line/line.js";

const waiting = { state: "waiting" };
const running = { state: "running" };

test("the line is said in a few words", () => {
  assert.equal(countWords({ jobs: [] }), "");
  assert.equal(countWords({ jobs: [running] }), "1 running");
  assert.equal(countWords({ jobs: [running, waiting, waiting], more: 3 }), "1 running, 5 waiting");
  assert.equal(countWords({ jobs: [waiting], paused: true }), "1 waiting, paused");
});

test("a block has lost its job when the line has news and it has none", () => {
  const at = { busy: true, drawnAt: 10_000, job: running, newsAt: 20_000, now: 20_500 };
  assert.equal(isLost(at), true);
  assert.equal(isLost({ ...at, busy: false }), false);
  assert.equal(isLost({ ...at, newsAt: 10_500 }), false); // a slow step: the line has no news either
  assert.equal(isLost({ ...at, drawnAt: 19_000 }), false);
  assert.equal(isLost({ ...at, job: undefined, newsAt: 10_000 }), true); // it has ended
  assert.equal(isLost({ ...at, job: undefined, drawnAt: 19_000 }), false); // and its end is on the way
});

test("a dragged row changes places when the pointer has passed the middle of its neighbour", () => {
  const before = { top: 0, height: 40 };
  const after = { top: 80, height: 40 };
  assert.equal(stepOf(60, before, after), 0);
  assert.equal(stepOf(21, before, after), 0);
  assert.equal(stepOf(19, before, after), -1);
  assert.equal(stepOf(99, before, after), 0);
  assert.equal(stepOf(101, before, after), 1);
  assert.equal(stepOf(-500, null, after), 0); // the first of the list
  assert.equal(stepOf(500, before, null), 0); // and the last
});

test("a note stands beside news of the line until it can have been read", () => {
  const none = noteAt("", { text: "", at: 0 }, 50_000);
  assert.equal(none.text, "");
  const said = noteAt("Removed.", none, 60_000);
  assert.deepEqual(said, { text: "Removed.", at: 60_000 });
  assert.equal(noteAt("", said, 61_500).text, "Removed.");
  assert.equal(noteAt("", noteAt("", said, 61_500), 69_000).text, "");
  assert.deepEqual(noteAt("Moved up.", said, 62_000), { text: "Moved up.", at: 62_000 });
});
