// The tab "Look inside" (see tab.py): one recording, its clock, and its panels.
import { button, PHONE, setPressed } from "../shared/dom.js";
import { JobBlock } from "../shared/job.js";
import { Clock } from "./clock.js";
import { Section } from "./section.js";

const OPEN_FIRST = "film";
// What the picker calls a panel; others go by their titles.
const SHORT = {
  film: "Film",
  steps: "Fewer steps",
  latents: "Latents",
  poke: "Poke a cell",
  vae: "VAE loss",
  words: "Words",
  without: "Without a word",
  attention: "Attention",
  kept: "Where meaning is",
  guidance: "Guidance",
  sweep: "Scales",
  unet: "U-Net",
  cuts: "Cuts",
  parting: "Two ways",
  encoder: "Text encoder",
  start: "Start picture",
  putback: "Kept area",
};
const TYPED_IN =
  "input:not(.clock-range), textarea, select, [role=tab], [contenteditable], .canvas, dialog, audio, video";

export function mount(component, { sendTo }) {
  const inside = new Inside(component, sendTo);
  component.watch("value", () => inside.render());
  inside.render();
}

class Inside {
  constructor({ element, props, trigger }, sendTo) {
    this.job = new JobBlock({ element, props, trigger }, sendTo, () => this.render());
    this.root = this.job.root;
    this.trigger = trigger;
    this.look = null;
    this.sections = [];
    this.find("stop").addEventListener("click", () => trigger("stop"));
    document.addEventListener("keydown", (event) => this.pressKey(event));
  }

  find(name) {
    return this.root.querySelector(`.inside-${name}`);
  }

  render() {
    const { value } = this.job;
    this.job.draw(value);
    const begins = this.job.busy && this.find("work").hidden;
    this.find("work").hidden = !this.job.busy;
    // On a phone what can be opened stands above: go to what is made of it.
    if (begins && matchMedia(PHONE).matches) this.root.scrollIntoView({ block: "start" });
    if (value.phase === "stopped" && !value.key) this.job.setText("notice", value.text);
    this.job.find("notice").hidden = !this.job.find("notice").textContent;
    if (value.phase === "kept") this.reopen(value.name);
    if (value.key && value.key !== this.look?.key) this.open(value);
    this.find("empty").hidden = Boolean(this.look) || this.job.busy;
    this.find("open").hidden = !this.look;
    this.find("open").inert = this.job.busy;
  }

  // What was open before the page was loaded again, or was put away by the studio meanwhile.
  reopen(name) {
    if (!name || this.reopening === name) return;
    this.reopening = name;
    this.trigger("open_recording", { name });
  }

  open(value) {
    this.reopening = null;
    this.look?.clock?.stop();
    const open = new Set(this.sections.filter(({ body }) => !body.hidden).map(({ facts }) => facts.name));
    this.drawAbout(value);
    const box = this.find("clock");
    const hasSteps = Boolean(value.clock?.calls?.length);
    box.hidden = !hasSteps;
    this.look = {
      key: value.key,
      about: value.about,
      facts: value.clock,
      picture: value.picture,
      clock: hasSteps ? new Clock(box, value.clock) : null,
      gone: () => this.reopen(value.name),
      marked: () => this.mark(),
    };
    const { width = 1, height = 1 } = value.about ?? {};
    this.root.dataset.key = value.key;
    this.root.style.setProperty("--shape", `${width} / ${height}`);
    this.sections = value.panels.map((panel) => new Section(this.look, panel));
    this.look.sections = Object.fromEntries(this.sections.map((one) => [one.facts.name, one]));
    this.find("panels").replaceChildren(...this.sections.map(({ root }) => root));
    this.drawPicker();
    this.look.clock?.subscribe((clock) => {
      for (const section of this.sections) section.scrubbed(clock);
    });
    const known = this.sections.filter(({ facts }) => open.has(facts.name) && !facts.makes_pictures);
    const first = this.sections.find(({ facts }) => facts.name === OPEN_FIRST && !facts.why_not);
    const usual = first ?? this.sections.find(({ facts }) => !facts.why_not);
    for (const section of known.length ? known : [usual]) section?.toggle(true);
    this.trigger("noted");
  }

  drawAbout({ picture, sentence, identical, about = {} }) {
    const image = this.find("picture");
    image.src = picture;
    image.onload = () => image.classList.toggle("crisp", image.naturalWidth <= 384);
    this.find("words").textContent = about.prompt ?? "";
    this.find("sentence").textContent = sentence;
    this.find("sentence").dataset.identical = String(identical);
    this.find("model").textContent = about.model
      ? `${about.model} · ${about.sampler}, ${about.steps} steps · guidance ${about.guidance_scale} · seed ${about.seed} · ${about.width} × ${about.height}`
      : "";
  }

  drawPicker() {
    const chips = this.sections.map((section) => {
      const { name, title } = section.facts;
      const show = () => {
        section.toggle();
        if (!section.body.hidden) section.root.scrollIntoView({ block: "start", behavior: "smooth" });
      };
      const made = button(SHORT[name] ?? title, show, { title });
      made.dataset.panel = section.facts.name;
      return made;
    });
    this.find("picker").replaceChildren(...chips);
    this.mark();
  }

  mark() {
    for (const chip of this.find("picker").children) {
      const section = this.look.sections[chip.dataset.panel];
      setPressed(chip, !section.body.hidden);
      chip.classList.toggle("cannot", Boolean(section.facts.why_not));
    }
  }

  pressKey(event) {
    const { clock } = this.look ?? {};
    if (!clock || !this.root.offsetParent || this.job.busy || event.defaultPrevented) return;
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest?.(TYPED_IN) || document.querySelector("dialog[open]")) return;
    if (event.key === " " && event.target.closest?.("button, a, summary, [tabindex]")) return;
    if (clock.press(event.key)) event.preventDefault();
  }
}
