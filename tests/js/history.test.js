import assert from "node:assert/strict";
import { test } from "node:test";

import {
  countText,
  dayText,
  fieldOf,
  markOfKey,
  noneText,
  placeAfter,
  withField,
} from "../../sd_app/ui/history/words.js";

test("a menu stands in the search as a field, once, and is taken out again", () => {
  assert.equal(withField("", "kind", "inpaint"), "kind:inpaint");
  assert.equal(withField("orange cat", "is", "like"), "orange cat is:like");
  assert.equal(withField("is:like orange  cat", "is", "favourite"), "is:favourite orange cat");
  assert.equal(withField("orange is:like cat", "is", ""), "orange cat");
  assert.equal(withField("cat", "kind", ""), "cat");
  assert.equal(withField("basis:7", "is", "like"), "basis:7 is:like");
});

test("a menu shows what the search says", () => {
  assert.equal(fieldOf("cat Kind:Inpaint", "kind"), "inpaint");
  assert.equal(fieldOf("cat -is:like", "is"), "");
  assert.equal(fieldOf("cat", "date"), "");
});

test("arrows go through the rows, and stop at the ends", () => {
  assert.equal(placeAfter("ArrowDown", 1, 10, 4), 5);
  assert.equal(placeAfter("ArrowUp", 1, 10, 4), 0);
  assert.equal(placeAfter("ArrowRight", 9, 10, 4), 9);
  assert.equal(placeAfter("End", 0, 10, 4), 9);
  assert.equal(placeAfter("x", 0, 10, 4), null);
});

test("a key marks, the same key takes the mark away, and other keys do nothing", () => {
  assert.equal(markOfKey("f", null), "favourite");
  assert.equal(markOfKey("f", "favourite"), null);
  assert.equal(markOfKey("-", "like"), "dislike");
  assert.equal(markOfKey("0", "like"), null);
  assert.equal(markOfKey("x", "like"), undefined);
  assert.equal(markOfKey("constructor", null), undefined);
});

test("what is there is said in words", () => {
  assert.equal(countText(1, false, ""), "1 picture");
  assert.equal(countText(50000, false, "cat"), "50,000 pictures found");
  assert.equal(countText(2, true, ""), "2 pictures in the trash");
  assert.equal(noneText(true, ""), "The trash is empty.");
  assert.match(dayText("2026-11-27"), /^Friday,? 27 November 2026$/);
  assert.equal(dayText("x"), "x");
});
