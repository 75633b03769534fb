import assert from "node:assert/strict";
import { test } from "node:test";

import { hashOf, placeOf, stepTo } from "../../sd_app/ui/shared/tabs.js";

test("a place survives the way through the address, and nonsense names none", () => {
  for (const place of [
    { tab: "inpaint", view: "" },
    { tab: "embeddings", view: "walk" },
  ]) {
    assert.deepEqual(placeOf(hashOf(place)), place);
  }
  for (const hash of ["", "#", "#a/b/c", '#"],body', "#/walk", "#a b"]) {
    assert.deepEqual(placeOf(hash), { tab: "", view: "" });
  }
});

test("arrows go round, Home and End to the ends, other keys nowhere", () => {
  assert.equal(stepTo("ArrowRight", 4, 5), 0);
  assert.equal(stepTo("ArrowLeft", 0, 5), 4);
  assert.equal(stepTo("Home", 3, 5), 0);
  assert.equal(stepTo("End", 0, 5), 4);
  assert.equal(stepTo("ArrowDown", 0, 5), null);
});
