// Draws what was found (see words.py). All words are people's or lists': they are set as text only.
let kept = null; // the last words: they stay when a job ends without any
let turn = 0; // presses on phrases; an answer to an earlier one must not undo a later one
let wanted = null; // the phrases that are off, while the server has not answered yet

const RAISES = find("caveat").textContent;
const LOWERS = "These words lower CLIP's similarity to your picture. That is not the probability that a model leaves something out.";
const phrasesOf = (value) => value.steps.flatMap((step) => step.phrases);

function node(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text != null) made.textContent = text;
  return made;
}

function keepWords() {
  const value = state();
  if (busy()) return;
  if (value.prompt || value.steps?.length) {
    const { phase, text, detail, fraction, notice, asked, turn: answered, ...words } = value;
    kept = words;
  } else if (kept && value.phase !== "empty") props.value = { ...value, ...kept };
}

function offNow(value) {
  return wanted ?? value.off;
}

function promptNow(value) {
  if (!wanted) return value.prompt;
  const on = phrasesOf(value).filter((_, index) => !wanted.includes(index));
  return [...(value.caption.text ? [value.caption.text] : []), ...on].join(", ");
}

function drawChips(value) {
  const box = find("chips");
  const off = offNow(value);
  const shape = JSON.stringify([value.caption, value.steps]);
  if (box.dataset.shape !== shape) {
    box.dataset.shape = shape;
    let index = 0;
    const chips = value.caption.text ? [captionChip(value.caption)] : [];
    for (const step of value.steps) {
      const group = node("span", "chip-step");
      group.title = step.title;
      for (const phrase of step.phrases) group.append(phraseChip(phrase, index++));
      group.append(node("span", "chip-gain", step.gain));
      chips.push(group);
    }
    box.replaceChildren(...chips);
  }
  for (const chip of box.querySelectorAll("button")) {
    chip.setAttribute("aria-pressed", String(!off.includes(Number(chip.dataset.index))));
    chip.disabled = busy();
  }
}

function captionChip(caption) {
  const chip = node("span", "chip-caption", caption.text);
  chip.title = caption.title;
  return chip;
}

function phraseChip(phrase, index) {
  const chip = node("button", "chip", phrase);
  chip.type = "button";
  chip.dataset.index = index;
  return chip;
}

function svg(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text != null) made.textContent = text;
  return made;
}

function drawCurve(curve) {
  const box = find("curve");
  box.hidden = curve.length < 2;
  const picture = box.querySelector("svg");
  const shape = curve.join();
  if (box.hidden || picture.dataset.shape === shape) return;
  picture.dataset.shape = shape;
  const low = Math.min(...curve), high = Math.max(...curve);
  const at = curve.map((cosine, index) => [
    30 + 340 * index / (curve.length - 1), 84 - 56 * (cosine - low) / (high - low || 1),
  ]);
  const label = (index, anchor) => svg("text", {
    x: at[index][0], y: at[index][1] - 9, "text-anchor": anchor,
  }, curve[index].toFixed(2).replace("-", "−"));
  const dots = at.map(([x, y], index) => {
    const dot = svg("circle", { cx: x, cy: y, r: 3 });
    dot.append(svg("title", {}, (index ? "after step " + index + ": " : "start: ") + curve[index].toFixed(4)));
    return dot;
  });
  picture.replaceChildren(
    svg("line", { x1: 30, x2: 370, y1: 98, y2: 98, class: "axis" }),
    svg("polyline", { points: at.map((point) => point.join()).join(" ") }),
    ...dots, label(0, "middle"), label(curve.length - 1, "middle"),
  );
  picture.setAttribute("aria-label", `Cosine from ${curve[0].toFixed(2)} to ${curve.at(-1).toFixed(2)}`);
}

function drawGroups(groups) {
  const box = find("groups");
  box.hidden = !groups.length;
  const shape = JSON.stringify(groups);
  if (box.dataset.shape === shape) return;
  box.dataset.shape = shape;
  const HEADS = [
    ["Cosine", "Cosine of picture and phrase"], ["Above", "Share of random phrases that fit this picture less well"],
    ["Chance", "Chance that a random direction is as close"],
  ];
  box.querySelector("div").replaceChildren(...groups.map((group) => {
    const table = node("table"), head = node("tr");
    const name = node("th", "", group.name);
    name.scope = "col";
    head.append(name, ...HEADS.map(([text, title]) => Object.assign(node("th", "", text), { title, scope: "col" })));
    const body = node("tbody");
    for (const [phrase, ...numbers] of group.rows) {
      const row = node("tr");
      const first = node("th", "", phrase);
      first.scope = "row";
      row.append(first, ...numbers.map((text) => node("td", "", text)));
      body.append(row);
    }
    const top = node("thead");
    top.append(head);
    table.append(top, body);
    return table;
  }));
}

function drawDrawn(drawn) {
  find("drawn").hidden = !drawn;
  if (!drawn) return;
  setText("drawn-text", drawn.text);
  const box = find("drawn-images");
  const entries = drawn.preview ? [...drawn.images, { url: drawn.preview, label: "" }] : drawn.images;
  const shape = entries.map((one) => (one.url ?? one.file.url) + one.label).join("\n");
  if (box.dataset.shape === shape) return;
  box.dataset.shape = shape;
  box.replaceChildren(...entries.map((one) => {
    const figure = node("figure", one.url ? "preview" : "");
    const image = new Image();
    image.alt = one.label || "Preview";
    image.onload = () => image.classList.toggle("crisp", !one.url && Math.max(image.naturalWidth, image.naturalHeight) <= 384);
    image.src = one.url ?? one.file.url;
    figure.append(image, node("figcaption", "", one.label));
    return figure;
  }));
}

function render() {
  keepWords();
  const value = state();
  if (wanted && (value.turn === turn || busy())) wanted = null;
  drawJob(value);
  const some = Boolean(value.prompt || value.steps?.length || value.caption?.text);
  find("nothing").hidden = some || busy();
  find("found").hidden = !some;
  find("foot").hidden = !busy() && !some && !value.text;
  find("after").hidden = busy();
  find("actions").hidden = !some;
  setText("summary", value.phase === "error" ? "" : value.text);
  setText("note", value.note);
  setText("caveat", value.mode === "negative" ? LOWERS : RAISES);
  find("note").hidden = !value.note;
  drawDrawn(value.drawn ?? null);
  drawGroups(value.groups ?? []);
  if (!some) return;
  setText("prompt", promptNow(value));
  find("chip-hint").hidden = busy() || !value.steps.length;
  drawChips(value);
  for (const name of ["cosine", "rank", "chance"]) {
    const text = wanted ? "…" : value.score[name];
    setText(name, text);
    find(name).parentElement.hidden = !text;
  }
  drawCurve(value.curve);
  root.querySelector('[data-do="check"]').hidden = value.mode === "negative";
}

find("chips").addEventListener("click", (event) => {
  const chip = event.target.closest("button");
  if (!chip || busy()) return;
  const index = Number(chip.dataset.index), off = offNow(state());
  wanted = off.includes(index) ? off.filter((one) => one !== index) : [...off, index];
  turn += 1;
  ask(true);
});

// Of quick presses Gradio can lose the last one: what is not answered soon is asked once more.
let asking = 0;
function ask(again) {
  props.value = { ...state(), asked: wanted, turn: -turn };
  render();
  trigger("toggle");
  clearTimeout(asking);
  if (again) asking = setTimeout(() => wanted && !busy() && ask(false), 3000);
}
find("actions").addEventListener("click", (event) => {
  const action = event.target.closest("button")?.dataset.do;
  if (action && !busy()) action === "check" ? trigger("check") : trigger(action);
});
find("copy").addEventListener("click", async () => {
  const text = find("prompt").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not allowed here: plain http on another machine's address
    const area = node("textarea", "", text);
    root.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  setText("copy", "Copied");
  setTimeout(() => setText("copy", "Copy"), 1500);
});
find("actions").append(...sendButtons());
