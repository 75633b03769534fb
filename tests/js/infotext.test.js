import assert from "node:assert/strict";
import { test } from "node:test";
import { isInfotext } from "../../sd_app/ui/shared/infotext.js";

const LINE = "Steps: 22, Sampler: Euler a, CFG scale: 6.5, Seed: 5, Size: 512x768";

test("the parameters of a picture are told from words", () => {
  const texts = [
    `a cat\nNegative prompt: bad\n${LINE}`,
    LINE,
    `a cat Negative prompt: bad ${LINE}`,
    `a cat\n${LINE.replaceAll(", ", "\n")}`,
    ' {"3": {"class_type": "KSampler", "inputs": {}}}\n',
    '{"sui_image_params": {"prompt": "a cat"}}',
    '{"app_version": "5", "positive_prompt": "a cat"}',
  ];
  for (const text of texts) assert.ok(isInfotext(text), text);
});

test("words are pasted as words", () => {
  const texts = [
    "",
    "a cat",
    "Steps: 20",
    "Steps: many, and a cat: orange",
    "cats on steps: 20, style: oil",
    "a {cat + dog}",
    '{"a": 1}',
    `a cat\n${LINE}${"x".repeat(4_000_000)}`,
  ];
  for (const text of texts) assert.ok(!isInfotext(text), text.slice(0, 40));
});
