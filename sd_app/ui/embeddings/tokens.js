// Draws the token view's value (see tokens.py): a table of rows, each with its numbers as a strip of colours.
const root = element.querySelector(".tokens");
const find = (name) => root.querySelector(".tokens-" + name);
const body = root.querySelector("tbody");
const KINDS = { start: "start mark", end: "end mark", padding: "padding" };
// The scale of charts.py; on a dark page nothing is dark instead of white.
const DARK_COLORS = [[190, 228, 255], [84, 160, 222], [30, 78, 140], [24, 27, 30], [142, 42, 44], [230, 112, 88], [255, 210, 196]];

let drawn = null; // the last value without an error
let side = 0, kind = "plain", open = null, pointed = 0;
let near = null; // {row, side, text, near} of the row looked up last
let arrays = []; // Float32Array of each side, (rows * D)
let empty = null, limits = {};

const isDark = () => document.body.classList.contains("dark");
const floats = (text) => text ? new Float32Array(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer) : null;
const here = () => drawn.sides[side];
const channels = () => arrays[side].length / here().rows.length;

function shownValue(row, channel, which = kind) {
  const d = channels();
  const value = arrays[side][row * d + channel];
  if (which === "empty") return value - empty[(row * d + channel) % empty.length];
  if (which === "other") return value - arrays[1 - side][row * d + channel];
  return value;
}

function limitOf(which) {
  const key = which + side;
  if (limits[key] === undefined) {
    let most = 0;
    for (let row = 0; row < rowsFor(which); row++) {
      for (let k = 0; k < channels(); k++) most = Math.max(most, Math.abs(shownValue(row, k, which)));
    }
    limits[key] = most;
  }
  return limits[key];
}

const rowsFor = (which) => which === "other" ? Math.min(...drawn.sides.map((one) => one.rows.length)) : here().rows.length;

function color(place) {
  const stops = isDark() ? DARK_COLORS : HEAT_COLORS;
  const at = (Math.min(1, Math.max(-1, place)) + 1) / 2 * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(at));
  return stops[low].map((from, k) => from + (stops[low + 1][k] - from) * (at - low));
}

const squash = (value) => Math.sign(value) * Math.log1p(Math.abs(value) / LINEAR);

function paint(canvas, placeOf) {
  const ink = canvas.getContext("2d");
  const image = ink.createImageData(canvas.width, 1);
  for (let k = 0; k < canvas.width; k++) image.data.set([...color(placeOf(k)), 255], 4 * k);
  ink.putImageData(image, 0, 0);
}

function paintRows() {
  const ready = Boolean(arrays[side]);
  root.dataset.numbers = String(ready);
  find("legend").hidden = !ready;
  if (!ready) return;
  const full = squash(limitOf(kind)) || 1;
  const d = channels();
  for (const line of body.querySelectorAll("tr[data-row]")) {
    const row = Number(line.dataset.row);
    const canvas = line.querySelector("canvas");
    canvas.hidden = row >= rowsFor(kind);
    if (canvas.hidden) continue;
    canvas.width = d;
    paint(canvas, (k) => squash(shownValue(row, k)) / full);
    canvas.classList.toggle("crisp", d <= canvas.clientWidth);
  }
  const legend = find("legend").querySelector("canvas");
  paint(legend, (k) => k / (legend.width - 1) * 2 - 1);
  find("least").textContent = "−" + short(limitOf(kind));
  find("most").textContent = short(limitOf(kind));
}

const short = (value) => Number(value.toPrecision(3)).toString().replace("-", "−");

function norm(row) {
  let sum = 0;
  for (let k = 0; k < channels(); k++) sum += shownValue(row, k, "plain") ** 2;
  return Math.sqrt(sum);
}

function largest(row) {
  const order = [...Array(channels()).keys()].sort((a, b) => Math.abs(shownValue(row, b)) - Math.abs(shownValue(row, a)));
  return order.slice(0, 8).map((k) => [k, shownValue(row, k)]);
}

function wordOf(rows, index) {
  const row = rows[index];
  if (row.kind !== "text") return KINDS[row.kind];
  if (row.learned) return row.learned + (row.vector || !row.ends_word ? ` ${row.vector + 1}` : "");
  const before = rows[index - 1];
  return (before?.kind === "text" && !before.ends_word ? "…" : "") + row.text + (row.ends_word ? "" : "…");
}

function cell(text, ...names) {
  const node = document.createElement("td");
  node.textContent = text;
  node.className = names.join(" ");
  return node;
}

function drawRows() {
  const rows = here().rows;
  const unlike = new Set(drawn.unlike || []);
  body.replaceChildren(...rows.map((row, index) => {
    const line = document.createElement("tr");
    line.dataset.row = index;
    line.dataset.kind = row.kind;
    line.tabIndex = index === pointed ? 0 : -1;
    line.classList.toggle("unlike", unlike.has(index));
    const word = wordOf(rows, index);
    const token = cell("", "tokens-word");
    const chip = document.createElement("span");
    chip.textContent = word;
    token.append(chip);
    if (row.cut) token.append(mark("cut", "A single window of 77 rows keeps 75 tokens and cuts this one; here it is read in a window of its own"));
    if (row.learned) token.append(mark("learned", "A vector of a learned word stands here, in place of a token's"));
    if (unlike.has(index)) token.append(mark("differs", "This row differs from the other prompt's"));
    const map = document.createElement("td");
    map.className = "tokens-map";
    const canvas = document.createElement("canvas");
    canvas.height = 1;
    map.append(canvas);
    const length = arrays[side] ? norm(index).toFixed(2) : "";
    line.setAttribute("aria-label", `Row ${index}, ${word}, id ${row.id}`);
    line.append(cell(index), token, cell(row.learned ? "–" : row.id, "wide"), cell(row.position, "wide"), cell(row.chunk + 1, "wide"), cell(short(row.weight), "wide"), cell(length, "tokens-norm"), map);
    return line;
  }));
  if (open !== null && open < rows.length) drawDetail();
}

function mark(text, title) {
  const node = document.createElement("i");
  node.className = "tokens-mark " + text;
  node.textContent = text;
  node.title = title;
  return node;
}

// -- one row

function drawDetail() {
  body.querySelector(".tokens-detail")?.remove();
  for (const line of body.querySelectorAll("tr[data-row]")) line.setAttribute("aria-expanded", String(Number(line.dataset.row) === open));
  if (open === null) return;
  const line = document.createElement("tr");
  line.className = "tokens-detail";
  const box = document.createElement("td");
  box.colSpan = 8;
  if (!arrays[side]) box.textContent = "Press “Show the numbers” for this row's length, channels and nearest words.";
  else {
    const known = near?.row === open && near?.side === side ? near : { text: "Reading the vocabulary…", near: [] };
    box.append(
      part("Length", [[short(norm(open)), ""]]),
      part(kind === "plain" ? "Largest channels" : "Largest channels of the difference", largest(open).map(([k, value]) => [k, short(value)])),
      part("Nearest words, by cosine", known.near.map(([word, cosine]) => [word, cosine.toFixed(3)]), known.text),
    );
  }
  line.append(box);
  body.querySelector(`tr[data-row="${open}"]`).after(line);
}

function part(title, pairs, text = "") {
  const node = document.createElement("div");
  const head = document.createElement("b");
  head.textContent = title;
  node.append(head, ...pairs.map(([name, value]) => {
    const one = document.createElement("span");
    const number = document.createElement("em");
    one.append(name + " ", number);
    number.textContent = value;
    return one;
  }), text);
  return node;
}

function openRow(row) {
  open = open === row ? null : row;
  drawDetail();
  if (open === null || !arrays[side] || (near?.row === row && near?.side === side && near.near.length)) return;
  near = null;
  trigger("look_up", { row, side, prompt: here().prompt, model: drawn.model, clip_skip: drawn.clip_skip });
}

function point(row, channel) {
  const word = wordOf(here().rows, row);
  let text = `Row ${row} · ${word}`;
  if (arrays[side]) text += ` · length ${norm(row).toFixed(2)}`;
  if (channel !== undefined && row < rowsFor(kind)) text += ` · channel ${channel}: ${short(shownValue(row, channel))}`;
  find("point").textContent = text;
}

function focusRow(row) {
  const lines = body.querySelectorAll("tr[data-row]");
  pointed = Math.min(lines.length - 1, Math.max(0, row));
  lines.forEach((line, index) => { line.tabIndex = index === pointed ? 0 : -1; });
  lines[pointed].focus();
  point(pointed);
}

// -- the choices above the table

function choice(box, pairs, chosen, pick) {
  box.hidden = pairs.length < 2;
  box.replaceChildren(...pairs.map(([name, label]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.setAttribute("aria-pressed", String(name === chosen));
    button.addEventListener("click", () => { pick(name); draw(); box.querySelector("[aria-pressed=true]")?.focus(); });
    return button;
  }));
}

function drawChoices() {
  const two = drawn.sides.length > 1;
  choice(find("sides"), drawn.sides.map((one, index) => [index, index ? "Second prompt" : "First prompt"]), side, (name) => { side = name; });
  const kinds = [["plain", "As it is"], ["empty", "Minus the empty prompt"], ...(two ? [["other", "Minus the other prompt"]] : [])];
  choice(find("kinds"), arrays[side] ? kinds : [], kind, (name) => { kind = name; });
}

function spans(rows) {
  const parts = [];
  for (const row of rows) {
    if (parts.at(-1)?.[1] === row - 1) parts.at(-1)[1] = row;
    else parts.push([row, row]);
  }
  return parts.map(([a, b]) => a === b ? a : `${a}–${b}`).join(", ");
}

function pairWords() {
  if (!drawn.unlike) return "";
  if (!drawn.unlike.length) return "No row differs: to the model the two prompts are the same.";
  const [a, b] = drawn.sides.map((one) => one.rows);
  const changed = a.findIndex((row, index) => row.id !== b[index]?.id || row.learned !== b[index].learned || row.weight !== b[index]?.weight);
  const first = drawn.unlike[0];
  const causal = first < changed
    ? "Weights rescale the whole window, so rows before the changed word differ too."
    : "The encoder is causal: a row knows only the rows before it. So rows before the first changed token are the same to the bit, and every later one differs, end mark and padding too.";
  return `Rows that differ: ${spans(drawn.unlike)}. ${causal}`;
}

function countWords() {
  const { count, kept, num_chunks: chunks, rows } = here();
  let text = `${count} token${count === 1 ? "" : "s"}, ${rows.length} rows`;
  if (chunks > 1) text += `. A single window would keep ${kept} and cut ${count - kept}; here they are read in ${chunks} windows of 77 rows`;
  if (rows.length < 77 * chunks) text += `, of which the first ${rows.length / 77} are shown`;
  return text + ".";
}

function draw() {
  drawChoices();
  find("count").textContent = countWords();
  find("pair").textContent = pairWords();
  find("pair").hidden = !drawn.unlike;
  drawRows();
  paintRows();
}

function receive() {
  const value = props.value || {};
  const message = root.querySelector(".stage-message");
  const failed = value.phase === "error";
  drawMessage(message, failed ? value.text : "");
  if (failed) {
    find("state").textContent = "";
    return;
  }
  root.dataset.phase = value.phase;
  find("state").textContent = value.text || "";
  drawn = value.sides?.length ? value : null;
  find("hint").hidden = Boolean(drawn);
  find("body").hidden = !drawn;
  if (!drawn) return;
  arrays = drawn.sides.map((one) => floats(one.values));
  empty = floats(drawn.empty);
  limits = {};
  near = null;
  side = Math.min(side, drawn.sides.length - 1);
  if (kind === "other" && drawn.sides.length < 2) kind = "plain";
  if (open >= here().rows.length || value.phase !== "done") open = null;
  pointed = Math.min(pointed, here().rows.length - 1);
  draw();
}

body.addEventListener("click", (event) => {
  const line = event.target.closest("tr[data-row]");
  if (!line) return;
  focusRow(Number(line.dataset.row));
  openRow(pointed);
});
body.addEventListener("pointermove", (event) => {
  const line = event.target.closest("tr[data-row]");
  if (!line) return;
  const row = Number(line.dataset.row);
  if (event.target.tagName !== "CANVAS") return point(row);
  const box = event.target.getBoundingClientRect();
  point(row, Math.min(channels() - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * channels()))));
});
body.addEventListener("keydown", (event) => {
  const line = event.target.closest("tr[data-row]");
  if (!line) return;
  pointed = Number(line.dataset.row);
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e6, End: 1e6 }[event.key];
  if (step) focusRow(pointed + step);
  else if (event.key === "Enter" || event.key === " ") openRow(pointed);
  else return;
  event.preventDefault();
});
root.addEventListener("tokens:near", (event) => {
  near = event.detail?.row === null ? null : event.detail;
  if (open !== null && near?.row === open) drawDetail();
});
root.closest(".maker")?.addEventListener("click", (event) => {
  // On a phone the result is below the form: go there.
  if (event.target.closest(".show-numbers .generate") && matchMedia("(max-width: 860px)").matches) {
    root.scrollIntoView({ behavior: "smooth", block: "start" });
  }
});
new MutationObserver(() => drawn && paintRows()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", receive);
receive();
