// Draws what was found (see words.py). All words are people's or lists': they are set as text only.
import { node, setPressed } from "../shared/dom.js";
import { JobBlock } from "../shared/job.js";
import { drawDrawn, drawGroups } from "./words_below.js";
import { drawCurve } from "./words_curve.js";

const LOWERS =
  "These words lower CLIP's similarity to your picture. That is not the probability that a model leaves something out.";
const BEATS =
  "These are the words that this CLIP finds more likely than the rest of their lists. It can be wrong, above all about pictures unlike those it was trained on.";
const TIMES =
  "Each phrase shows how many times as likely it is, to this CLIP, as the rest of its list: that is not the chance that it is true. Press one to switch it on or off.";
const PATIENCE = 3000; // milliseconds until an unanswered press is asked once more
const TOLD = 1500; // milliseconds that "Copied" stands

export function mount(component, { sendTo }) {
  const words = new Words(component, sendTo);
  component.watch("value", () => words.render());
  words.render();
}

// Return the prompt with the phrases of these places left out.
export function promptWithout(value, off) {
  const phrases = value.steps.flatMap((step) => step.phrases);
  const on = phrases.filter((_, index) => !off.includes(index));
  return [...(value.caption.text ? [value.caption.text] : []), ...on].join(", ");
}

// Return the prompt that is read as these words: expressions/escaping.py says how.
export function asPrompt(words) {
  const literal = words.replace(/[\\()[\]{}|:]/g, "\\$&");
  const small = literal.replace(/(?<![\p{L}\p{N}_])(?:AND|BREAK)(?![\p{L}\p{N}_])/gu, (order) =>
    order.toLowerCase(),
  );
  return small.replace(/<(?=[\p{L}\p{N}_])/gu, "<\\");
}

export function toggled(off, index) {
  return off.includes(index) ? off.filter((one) => one !== index) : [...off, index];
}

class Words {
  constructor(component, sendTo) {
    this.job = new JobBlock(component, sendTo, () => this.render());
    this.raises = this.job.find("caveat").textContent;
    this.gains = this.job.find("chip-hint").textContent;
    this.kept = null; // the last words: they stay when a job ends without any
    this.turn = 0; // presses on phrases; an answer to an earlier one must not undo a later one
    this.wanted = null; // the phrases that are off, while the server has not answered yet
    this.asking = 0; // the timer of asking once more
    this.listen();
  }

  // -- drawing

  render() {
    this.keepWords();
    const { value, busy } = this.job;
    if (this.wanted && (value.turn === this.turn || busy)) this.wanted = null;
    this.job.draw(value);
    const some = Boolean(value.prompt || value.steps?.length || value.caption?.text);
    this.hideParts(value, some);
    this.job.setText("summary", value.phase === "error" ? "" : value.text);
    this.job.setText("note", value.note);
    this.job.setText("caveat", { negative: LOWERS, true: BEATS }[value.mode] ?? this.raises);
    this.job.setText("chip-hint", value.mode === "true" ? TIMES : this.gains);
    drawDrawn(this.job, value.drawn ?? null);
    drawGroups(this.job.find("groups"), value.groups ?? []);
    if (some) this.drawFound(value);
  }

  keepWords() {
    const value = this.job.value;
    if (this.job.busy) return;
    if (value.prompt || value.steps?.length) {
      const { phase, text, detail, fraction, notice, asked, turn, ...words } = value;
      this.kept = words;
    } else if (this.kept && value.phase !== "empty") this.job.value = { ...value, ...this.kept };
  }

  hideParts(value, some) {
    const { busy } = this.job;
    this.job.find("nothing").hidden = some || busy;
    this.job.find("found").hidden = !some;
    this.job.find("foot").hidden = !busy && !some && !value.text;
    this.job.find("after").hidden = busy;
    this.job.find("actions").hidden = !some;
    this.job.find("note").hidden = !value.note;
  }

  drawFound(value) {
    this.job.setText("prompt", this.wanted ? promptWithout(value, this.wanted) : value.prompt);
    this.job.find("chip-hint").hidden = this.job.busy || !value.steps.length;
    this.drawChips(value);
    for (const name of ["cosine", "rank", "chance"]) {
      const text = this.wanted ? "…" : value.score[name];
      this.job.setText(name, text);
      this.job.find(name).parentElement.hidden = !text;
    }
    drawCurve(this.job.find("curve"), value.curve);
    this.job.root.querySelector('[data-do="check"]').hidden = value.mode === "negative";
  }

  drawChips(value) {
    const box = this.job.find("chips");
    const shape = JSON.stringify([value.caption, value.steps]);
    if (box.dataset.shape !== shape) {
      box.dataset.shape = shape;
      const [chips, against] = chipsOf(value);
      box.replaceChildren(...chips);
      this.job.find("against-chips").replaceChildren(...against);
      this.job.find("against").hidden = !against.length;
    }
    const off = this.wanted ?? value.off;
    for (const chip of this.job.root.querySelectorAll("button.chip")) {
      setPressed(chip, !off.includes(Number(chip.dataset.index)));
      chip.disabled = this.job.busy;
    }
  }

  // -- asking

  press(index) {
    this.wanted = toggled(this.wanted ?? this.job.value.off, index);
    this.turn += 1;
    this.ask(true);
  }

  // Of quick presses Gradio can lose the last one: what is not answered soon is asked once more.
  ask(again) {
    this.job.value = { ...this.job.value, asked: this.wanted, turn: -this.turn };
    this.render();
    this.job.trigger("toggle");
    clearTimeout(this.asking);
    const repeat = () => this.wanted && !this.job.busy && this.ask(false);
    if (again) this.asking = setTimeout(repeat, PATIENCE);
  }

  async copy() {
    const text = asPrompt(this.job.find("prompt").textContent);
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyByHand(text, this.job.root);
    }
    this.job.setText("copy", "Copied");
    setTimeout(() => this.job.setText("copy", "Copy"), TOLD);
  }

  listen() {
    for (const box of ["chips", "against-chips"])
      this.job.find(box).addEventListener("click", (event) => {
        const chip = event.target.closest("button");
        if (chip && !this.job.busy) this.press(Number(chip.dataset.index));
      });
    this.job.find("actions").addEventListener("click", (event) => {
      const action = event.target.closest("button")?.dataset.do;
      if (!action || this.job.busy) return;
      if (action === "check") this.job.start();
      this.job.trigger(action);
    });
    this.job.find("copy").addEventListener("click", () => this.copy());
  }
}

// Where the clipboard is not allowed: plain http on another machine's address.
function copyByHand(text, root) {
  const area = node("textarea", "", text);
  root.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

// Return the chips of caption and phrases, and apart those that say something else than the caption.
function chipsOf(value) {
  const chips = value.caption.text ? [captionChip(value.caption)] : [];
  const against = [];
  let index = 0;
  for (const step of value.steps) {
    const group = Object.assign(node("span", "chip-step"), { title: step.title });
    for (const phrase of step.phrases) group.append(phraseChip(phrase, index++));
    group.append(node("span", "chip-gain", step.gain));
    if (step.against) group.append(node("span", "chip-gain", `CLIP reads the caption as: ${step.against}`));
    (step.against ? against : chips).push(group);
  }
  return [chips, against];
}

function captionChip({ text, title }) {
  return Object.assign(node("span", "chip-caption", text), { title });
}

function phraseChip(phrase, index) {
  const chip = Object.assign(node("button", "chip", phrase), { type: "button" });
  chip.dataset.index = index;
  return chip;
}
