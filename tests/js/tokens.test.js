import assert from "node:assert/strict";
import { test } from "node:test";
import {
  colorAt,
  countWords,
  DARK_COLORS,
  floats,
  number,
  pairWords,
  RowNumbers,
  spans,
  squash,
  wordOf,
} from "../../sd_app/ui/embeddings/token_numbers.js";
import { isLate } from "../../sd_app/ui/embeddings/token_rows.js";

const STOPS = [
  [0, 0, 0],
  [100, 100, 100],
  [200, 0, 0],
];
const text = (word, more = {}) => ({ kind: "text", text: word, ends_word: true, id: 1, weight: 1, ...more });
const base64 = (...values) => Buffer.from(Float32Array.from(values).buffer).toString("base64");

test("colours lie between the stops, and what is beyond the ends has the ends' colour", () => {
  assert.deepEqual(colorAt(-1, STOPS), [0, 0, 0]);
  assert.deepEqual(colorAt(0, STOPS), [100, 100, 100]);
  assert.deepEqual(colorAt(0.5, STOPS), [150, 50, 50]);
  assert.deepEqual(colorAt(7, STOPS), [200, 0, 0]);
  assert.equal(DARK_COLORS.length % 2, 1); // zero has a colour of its own
});

test("the scale is odd, straight near zero, and grows slowly beyond", () => {
  assert.equal(squash(0, 0.5), 0);
  assert.equal(squash(-3, 0.5), -squash(3, 0.5));
  assert.ok(Math.abs(squash(1e-6, 0.5) - 2e-6) < 1e-9);
  assert.ok(squash(30, 0.5) < 2 * squash(4, 0.5));
});

test("floats arrive bit by bit", () => {
  assert.deepEqual([...floats(base64(1, -0.5, 3e-7))], [...Float32Array.from([1, -0.5, 3e-7])]);
  assert.equal(floats(null), null);
});

test("numbers have three digits that count and a true minus", () => {
  assert.deepEqual([-28.123, 0.000123, 1].map(number), ["−28.1", "0.000123", "1"]);
});

test("a word over several rows shows where it goes on", () => {
  const rows = [
    { kind: "start" },
    text("bo", { ends_word: false }),
    text("zu", { ends_word: false }),
    text("man"),
    text("cat"),
    { kind: "end" },
  ];
  const words = rows.map((_, index) => wordOf(rows, index));
  assert.deepEqual(words, ["start token", "bo…", "…zu…", "…man", "cat", "end token"]);
});

test("a learned word of several vectors counts them", () => {
  const rows = [
    text("", { learned: "<cat>", vector: 0, ends_word: false }),
    text("", { learned: "<cat>", vector: 1 }),
    text("", { learned: "<dog>", vector: 0 }),
  ];
  assert.deepEqual(
    rows.map((_, index) => wordOf(rows, index)),
    ["<cat> 1", "<cat> 2", "<dog>"],
  );
});

test("neighbouring rows are one span", () => {
  assert.equal(spans([3, 5, 6, 7, 9]), "3, 5–7, 9");
  assert.equal(spans([]), "");
});

test("the count says how many windows a prompt takes", () => {
  const rows = (count) => Array(count).fill({});
  assert.equal(countWords({ count: 1, kept: 1, num_chunks: 1, rows: rows(77) }), "1 token, 77 rows.");
  const long = countWords({ count: 80, kept: 75, num_chunks: 3, rows: rows(154) });
  assert.match(
    long,
    /^80 tokens, 154 rows\. .* keep 75 and cut 5; .* 3 windows of 77 rows, .* first 2 are shown\.$/,
  );
});

test("why rows differ is told by where the first one stands", () => {
  const sides = (a, b) => [{ rows: a }, { rows: b }];
  const [red, cat] = [text("red"), text("cat", { id: 2 })];
  assert.equal(pairWords(null, sides([red], [red])), "");
  assert.match(pairWords([], sides([red], [red])), /the two prompts are the same/);
  assert.match(
    pairWords([1, 2], sides([red, red, red], [red, cat, red])),
    /differ: 1–2\. The encoder is causal/,
  );
  const heavy = { ...red, weight: 1.5 };
  assert.match(pairWords([0, 1], sides([red, red], [red, heavy])), /differ: 0–1\. Weights rescale/);
});

test("numbers are shown plain, minus the empty prompt, and minus the other one", () => {
  const sides = [{ rows: [{}, {}] }, { rows: [{}] }];
  const arrays = [Float32Array.from([3, 4, -6, 8]), Float32Array.from([1, 1])];
  const numbers = new RowNumbers(sides, arrays, Float32Array.from([1, 0]));
  assert.equal(numbers.channels(0), 2);
  assert.equal(numbers.value(0, "plain", 1, 0), -6);
  assert.equal(numbers.value(0, "empty", 1, 0), -7);
  assert.equal(numbers.value(0, "other", 0, 1), 3);
  assert.equal(numbers.rows(0, "other"), 1);
  assert.equal(numbers.limit(0, "plain"), 8);
  assert.equal(numbers.limit(0, "other"), 3);
  assert.equal(numbers.length(0, 0), 5);
  assert.deepEqual(numbers.largest(0, "plain", 1), [
    [1, 8],
    [0, -6],
  ]);
  assert.equal(new RowNumbers(sides, [null, null], null).has(0), false);
});

test("a list asked for while typing takes no numbers away that came before it", () => {
  const of = (phase, { prompts = ["a cat", "a dog"], asked = ["tiny-sd", 1], text = "" } = {}) => ({
    phase,
    text,
    asked,
    sides: prompts.map((prompt) => ({ prompt })),
  });
  assert.equal(isLate(of("table"), of("done")), true);
  assert.equal(isLate(of("table"), of("waiting", { text: "Reading the prompt…" })), true);
  assert.equal(isLate(of("table"), of("table")), false);
  assert.equal(isLate(of("table"), null), false);
  assert.equal(isLate(of("done"), of("waiting")), false);
  assert.equal(isLate(of("table", { text: "Stopped" }), of("waiting")), false);
  assert.equal(isLate(of("table", { prompts: ["a cat"] }), of("done")), false);
  assert.equal(isLate(of("table", { asked: ["tiny-sd", 2] }), of("done")), false);
});
