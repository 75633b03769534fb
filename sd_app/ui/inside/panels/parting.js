// Where two ways part: another run is chosen; its distance from this one over the steps, and both films.
import { button, node, setPressed, svg } from "../../shared/dom.js";

const WAYS = { prompt: "other words", seed: "another seed", kept: "a kept recording" };
const WIDTH = 640;
const HEIGHT = 220;
const EDGE = 28; // of the drawing, for what is written beside the axes
const MOST = 1.1; // share that the axis reaches at least
const TOGETHER = 16; // frames that are asked for at once

export async function mount(panel) {
  await new Parting(panel).begin();
}

class Parting {
  constructor({ box, ask, onScrub, clock, look, say }) {
    Object.assign(this, { box, ask, onScrub, clock, look, say });
    this.way = "prompt";
    this.facts = null;
    this.urls = new Map(); // "side:frame" -> address
    this.asking = false;
  }

  async begin() {
    const answer = await this.ask("kept");
    if (!answer) return;
    this.build(answer.numbers.kept);
    this.onScrub(() => this.drawStep());
    this.box.dataset.ready = "true";
  }

  build(kept) {
    const choice = node("div", "look-choice");
    this.ways = Object.entries(WAYS).map(([way, words]) => {
      const made = button(words, () => this.chooseWay(way));
      made.dataset.way = way;
      return made;
    });
    choice.append("Compare with", ...this.ways);
    this.fields = {
      prompt: this.field(
        "input",
        { type: "text", value: this.look.about.prompt },
        "The words of the other run",
      ),
      seed: this.field(
        "input",
        { type: "number", min: 0, step: 1, value: this.look.about.seed + 1 },
        "The seed of the other run",
      ),
      kept: this.field("select", {}, "The recording to compare with"),
    };
    this.fields.kept.append(
      ...kept.map(({ name, prompt, seed }) =>
        Object.assign(node("option", "", `${prompt || "(no words)"} · seed ${seed}`), { value: name }),
      ),
    );
    this.go = button("Compare", () => this.compare(), { className: "look-go" });
    const row = node("div", "parting-row");
    row.append(...Object.values(this.fields), this.go);
    this.none = node("p", "look-said", "Nothing is kept yet: look inside another picture first.");
    this.result = node("div", "parting-result");
    this.result.hidden = true;
    this.box.replaceChildren(choice, row, this.none, this.result);
    this.chooseWay("prompt");
  }

  field(tag, more, label) {
    const made = Object.assign(node(tag), more);
    made.setAttribute("aria-label", label);
    made.addEventListener("keydown", (event) => {
      event.stopPropagation(); // the clock hears keys too
      if (event.key === "Enter") this.compare();
    });
    return made;
  }

  chooseWay(way) {
    this.way = way;
    for (const one of this.ways) setPressed(one, one.dataset.way === way);
    for (const [name, field] of Object.entries(this.fields)) field.hidden = name !== way;
    const isEmpty = way === "kept" && !this.fields.kept.childElementCount;
    this.none.hidden = !isEmpty;
    this.fields.kept.hidden = way !== "kept" || isEmpty;
    this.go.disabled = isEmpty;
  }

  async compare() {
    const { way } = this;
    const { value } = this.fields[way];
    this.go.disabled = true;
    const answer = await this.ask("compare", { with: way, [way]: way === "seed" ? Number(value) : value });
    this.go.disabled = false;
    if (!answer) return;
    this.facts = answer.numbers;
    this.urls.clear();
    this.urls.set(`a:${this.clock.facts.num_calls}`, answer.pictures.a);
    this.urls.set(`b:${this.facts.other_calls}`, answer.pictures.b);
    this.draw();
  }

  draw() {
    const { facts } = this;
    this.tiles = ["a", "b"].map((side) => {
      const tile = node("figure");
      tile.dataset.side = side;
      const image = Object.assign(new Image(), { alt: side === "a" ? "This run" : "The other run" });
      image.hidden = true;
      image.onload = () => image.classList.toggle("crisp", image.naturalWidth <= 384);
      tile.append(image, node("figcaption"));
      return tile;
    });
    const films = node("div", "parting-films");
    films.append(...this.tiles);
    this.chart = node("div", "parting-chart");
    const key = node("div", "parting-key");
    key.append(...facts.curves.map((curve) => this.keyOf(curve)));
    const both = node("div", "parting-both");
    both.append(...(facts.curves.length ? [this.chart] : []), films);
    this.result.replaceChildren(
      node("p", "parting-said", facts.said),
      ...facts.notes.map((note) => node("p", "look-said", note)),
      ...(facts.curves.length ? [key] : []),
      both,
    );
    this.result.hidden = false;
    this.drawStep();
  }

  keyOf({ what, color, step }) {
    const words = step ? `${what}: parts at step ${step}` : `${what}: never by half`;
    const made = button(words, () => step && this.clock.moveTo(step - 1), { className: "parting-curve" });
    made.style.setProperty("--curve", color);
    made.dataset.what = what;
    made.dataset.step = step ?? "";
    return made;
  }

  // -- the curves

  drawChart() {
    const { curves, steps, num_steps: count } = this.facts;
    if (!curves.length) return;
    const most = Math.max(MOST, ...curves.flatMap(({ shares }) => shares));
    const x = (step) => EDGE + ((step - 1) / Math.max(count - 1, 1)) * (WIDTH - 2 * EDGE);
    const y = (share) => HEIGHT - EDGE - (share / most) * (HEIGHT - EDGE - 8);
    const lines = curves.map(({ shares, color, what }) =>
      svg("polyline", {
        points: shares.map((share, at) => `${x(steps[at]).toFixed(1)},${y(share).toFixed(1)}`).join(" "),
        fill: "none",
        stroke: color,
        "stroke-width": 2,
        "data-what": what,
      }),
    );
    const marks = curves
      .filter(({ step }) => step)
      .map(({ step, color }) =>
        svg("line", {
          x1: x(step),
          x2: x(step),
          y1: y(0),
          y2: y(0.5),
          stroke: color,
          "stroke-dasharray": "3 3",
        }),
      );
    const here = Math.min(this.clock.at + 1, count);
    const now = svg("line", { x1: x(here), x2: x(here), y1: 4, y2: y(0), class: "parting-here" });
    const half = svg("line", { x1: EDGE, x2: WIDTH - EDGE, y1: y(0.5), y2: y(0.5), class: "parting-half" });
    const base = svg("line", { x1: EDGE, x2: WIDTH - EDGE, y1: y(0), y2: y(0), class: "parting-half" });
    const write = (text, left, top, anchor) =>
      Object.assign(svg("text", { x: left, y: top, "text-anchor": anchor, class: "parting-text" }), {
        textContent: text,
      });
    const texts = [
      write("½", EDGE - 6, y(0.5) + 4, "end"),
      write("1", EDGE - 6, y(1) + 4, "end"),
      write("0", EDGE - 6, y(0) + 4, "end"),
      write("step 1", EDGE, HEIGHT - 8, "start"),
      write(`step ${count}`, WIDTH - EDGE, HEIGHT - 8, "end"),
    ];
    const size = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": this.facts.said };
    this.chart.replaceChildren(svg("svg", size, half, base, now, ...marks, ...lines, ...texts));
  }

  // -- both films at the clock's step

  drawStep() {
    if (!this.facts) return;
    this.drawChart();
    for (const tile of this.tiles) {
      const { side } = tile.dataset;
      const frame = this.frameOf(side);
      const url = this.urls.get(`${side}:${frame}`);
      tile.dataset.waiting = String(!url);
      tile.dataset.frame = frame;
      const image = tile.querySelector("img");
      if (url) Object.assign(image, { src: url, hidden: false });
      const words = side === "a" ? this.look.about.prompt : this.facts.with;
      tile.querySelector("figcaption").textContent = `${this.stepWords(side, frame)} · ${words}`;
    }
    this.fetchHere();
  }

  frameOf(side) {
    if (side === "a") return this.clock.frame;
    return this.clock.at >= this.clock.last ? this.facts.other_calls : this.facts.others[this.clock.at];
  }

  stepWords(side, frame) {
    const [end, order, at] =
      side === "a"
        ? [this.clock.facts.num_calls, 1, this.clock.positionOf(frame)]
        : [this.facts.other_calls, this.facts.order, frame / this.facts.order];
    return frame === end ? "finished" : `step ${side === "a" ? at + 1 : Math.floor(frame / order) + 1}`;
  }

  async fetchHere() {
    if (this.asking) return;
    this.asking = true;
    for (let missing = this.missing(); missing; missing = this.missing()) {
      const { side, frame } = missing;
      const ahead = side === "a" ? this.clock.facts.calls : this.facts.others;
      const from = Math.max(ahead.indexOf(frame), 0);
      const frames = [...new Set([frame, ...ahead.slice(from, from + TOGETHER)])]
        .filter((one) => !this.urls.has(`${side}:${one}`))
        .slice(0, this.isSmall() ? TOGETHER : 1);
      const answer = await this.ask("frames", { key: this.facts.key, side, frames });
      if (!answer) break;
      for (const [name, url] of Object.entries(answer.pictures)) this.urls.set(name, url);
      this.drawStep();
    }
    this.asking = false;
  }

  missing() {
    for (const side of ["a", "b"]) {
      const frame = this.frameOf(side);
      if (!this.urls.has(`${side}:${frame}`)) return { side, frame };
    }
    return null;
  }

  isSmall() {
    return this.look.about.width * this.look.about.height <= 256 * 256;
  }
}
