// The U-Net: its drawing; a part that is chosen shows what it gives at the clock's step, and can be cut out.
import { button, node, picture } from "../../shared/dom.js";
import { CutView } from "../cut_view.js";

export async function mount(panel) {
  await new Network(panel).begin();
}

class Network {
  constructor({ box, ask, onScrub, clock, look }) {
    Object.assign(this, { box, ask, onScrub, clock, look });
    this.given = new Map(); // part -> what it gives
    this.chosen = "";
  }

  async begin() {
    const answer = await this.ask("begin");
    if (!answer) return;
    this.facts = answer.numbers;
    this.build();
    this.onScrub(() => this.drawStep());
    this.box.dataset.ready = "true";
  }

  build() {
    const holder = node("div", "unet-drawing");
    const parsed = new DOMParser().parseFromString(this.facts.svg, "image/svg+xml");
    this.drawing = document.importNode(parsed.documentElement, true);
    holder.append(this.drawing);
    for (const part of this.parts()) {
      const choose = () => this.choose(part.dataset.part);
      part.addEventListener("click", choose);
      part.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        event.stopPropagation(); // the clock plays on a space
        choose();
      });
    }
    this.detail = node("div", "unet-detail");
    this.detail.hidden = true;
    const key = node("div", "unet-key");
    key.append(
      ...["resnet", "attention", "convolution", "halve", "double"].map((kind) => {
        const one = node("span", "", kind);
        one.dataset.kind = kind;
        return one;
      }),
      node("span", "unet-hint", "The number in a box is its channels. Choose a box to see what it gives."),
    );
    this.box.replaceChildren(node("p", "unet-title", `${this.facts.title}.`), holder, key, this.detail);
  }

  parts() {
    return this.drawing.querySelectorAll("[data-part]");
  }

  async choose(name) {
    this.chosen = name;
    const facts = this.facts.parts[name];
    for (const part of this.parts()) {
      part.setAttribute("aria-pressed", String(part.dataset.part === name));
    }
    for (const line of this.drawing.querySelectorAll("[data-skip]")) {
      line.classList.toggle("chosen", line.dataset.skip === name || this.targetOf(line) === name);
    }
    this.detail.hidden = false;
    this.detail.dataset.part = name;
    this.detail.dataset.ready = "false";
    this.image = picture("", `What ${name} gives`);
    this.image.hidden = true;
    this.step = node("figcaption");
    const figure = node("figure", facts.seen ? "unet-colors" : "unet-bars");
    figure.append(this.image, this.step);
    this.said = node("p", "look-said");
    const beside = node("div", "unet-beside");
    beside.append(this.said, ...this.cutters(facts));
    const row = node("div", facts.seen ? "unet-row" : "");
    row.append(figure, beside);
    this.detail.replaceChildren(node("p", "unet-part", facts.said), row);
    if (!this.given.has(name)) {
      const answer = await this.ask("part", { part: name });
      if (!answer) return;
      this.given.set(name, answer);
    }
    if (this.chosen !== name) return; // another one was chosen while this was on its way
    this.said.textContent = this.given.get(name).numbers.said;
    this.drawStep();
    this.detail.dataset.ready = "true";
  }

  targetOf(line) {
    return this.facts.skips.find(({ source }) => source === line.dataset.skip)?.target;
  }

  // The step of the clock, or the one before it that was asked for; at the finished picture the last one.
  drawStep() {
    const given = this.given.get(this.chosen);
    if (!given) return;
    const { calls } = given.numbers;
    const call = calls.findLast((one) => one <= this.clock.frame) ?? calls[0];
    this.image.src = given.pictures[call];
    this.image.hidden = false;
    this.image.dataset.call = call;
    this.step.textContent = `step ${this.clock.positionOf(call) + 1}`;
  }

  cutters({ cuts }) {
    if (!cuts.length) return [];
    const row = node("div", "look-choice");
    const view = new CutView(this.look);
    const cut = (name) => async () => {
      const answer = await this.ask("cut", { name });
      if (answer) view.show(name, answer);
    };
    row.append("Cut here", ...cuts.map((name) => button(name, cut(name))));
    return [row, view.root];
  }
}
