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
    "a cat\nsteps: 20, sampler: Euler a, cfg scale: 7, seed: 42",
    "a cat\nSampler: Euler a, CFG scale: 7, Seed: 42, Steps: 20",
    "a cat\nSteps: 20.0, Sampler: Euler, Size: 512x512",
    "**Prompt:** a cat\n**Steps:** 20, **Sampler:** Euler a, **CFG scale:** 7",
    "a cat\nSteps：20，Sampler：Euler a，CFG scale：7，Seed：42",
    "a cat\nSteps: 20; Sampler: Euler a; CFG scale: 7; Seed: 42",
    "a cat\nWidth: 512\nHeight: 768\nSeed: 42\nSteps: 20\nGuidance Scale: 7\nSampler: euler_a",
    '"a cat [bad]" -s 20 -S 42 -W 512 -H 768 -C 7.0 -A k_euler_a',
    '{"Prompt": "a cat", "Resolution": "(896, 1152)", "Seed": "42"}',
    '\ufeff[{"prompt": "a cat", "num_inference_steps": 20}]',
    '{"text_prompts": [{"text": "a cat"}], "steps": 20}',
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
    '{"prompt": "a cat"}',
    "a photo, steps: 3 of them, seed: pumpkin, size: large",
    '"a cat" -s 20',
    "[a cat:a dog:20]",
    `a cat\n${LINE}${"x".repeat(4_000_000)}`,
  ];
  for (const text of texts) assert.ok(!isInfotext(text), text.slice(0, 40));
});
