// What guidance pushed: its size over the steps, where it pushed at the clock's step, and the prompt taken away.
import { button, node, picture, setPressed, svg } from "../../shared/dom.js";
import { short } from "../../shared/numbers.js";
import { againFigure } from "../again_view.js";
import { drawHeat } from "../cells.js";

const USUAL_WIDTH = 640;
const HEIGHT = 230;
const EDGE = { left: 46, right: 12, top: 10, bottom: 34 };

export async function mount(panel) {
  const answer = await panel.ask("begin");
  if (!answer) return;
  new Guidance(panel, answer.numbers);
  panel.box.dataset.ready = "true";
}

// The powers of ten that hold all sizes, as exponents [least, most].
export function decades(sizes) {
  const known = sizes.filter((size) => size > 0);
  if (!known.length) return [-1, 1];
  const [least, most] = [
    Math.floor(Math.log10(Math.min(...known))),
    Math.ceil(Math.log10(Math.max(...known))),
  ];
  return [least, Math.max(most, least + 1)];
}

class Guidance {
  constructor({ box, ask, onScrub, clock, look }, numbers) {
    Object.assign(this, { box, ask, clock, look, numbers });
    this.curves = { prompt: numbers };
    this.what = "prompt";
    this.maps = new Map(); // "what:call" -> the map's answer
    this.build();
    onScrub(() => this.draw());
  }

  build() {
    const { numbers } = this;
    this.chart = node("div", "push-chart");
    this.chart.addEventListener("click", (event) => this.jump(event));
    this.map = node("canvas", "crisp");
    this.mapWords = node("figcaption");
    const where = node("figure");
    where.append(this.map, this.mapWords);
    const original = node("figure");
    original.append(picture(this.look.picture, "The picture"), node("figcaption", "", "the picture"));
    const maps = node("div", "again-row push-maps");
    maps.append(original, where);
    const row = node("div", "push-row");
    row.append(this.chart, maps);
    this.choice = node("div", "look-choice");
    this.choice.hidden = !numbers.has_negative;
    this.sides = ["prompt", "negative"].map((what) => {
      const made = button(what === "prompt" ? "Prompt" : "Negative prompt", () => this.choose(what));
      made.dataset.what = what;
      return made;
    });
    this.choice.append(...this.sides);
    this.away = button("", () => this.takeAway(), { className: "look-go" });
    this.result = node("div");
    this.box.replaceChildren(
      this.choice,
      row,
      node("p", "look-said", numbers.needless.said),
      this.away,
      this.result,
    );
  }

  async choose(what) {
    if (!this.curves[what]) {
      const answer = await this.ask("negative");
      if (!answer) return;
      this.curves[what] = answer.numbers;
    }
    this.what = what;
    this.draw();
  }

  // The step that the clock shows, or the last one.
  get at() {
    return Math.min(this.clock.at, this.clock.last - 1);
  }

  draw() {
    for (const one of this.sides) setPressed(one, one.dataset.what === this.what);
    this.drawChart();
    this.drawMap();
    this.away.textContent = `Take the prompt away from step ${this.at + 1} on`;
    this.away.disabled = this.at < 1;
  }

  // Letters are as large as elsewhere on the page, however wide the chart is.
  get width() {
    return Math.max(280, this.chart.clientWidth || USUAL_WIDTH);
  }

  place(step, size) {
    const { left, right, top, bottom } = EDGE;
    const all = Object.values(this.curves).flatMap(({ sizes }) => sizes);
    const [least, most] = decades([...all, this.numbers.limit]);
    const share = (Math.log10(size) - least) / (most - least);
    const x = left + ((this.width - left - right) * step) / Math.max(1, this.clock.last - 1);
    return [x, HEIGHT - bottom - (HEIGHT - top - bottom) * share];
  }

  drawChart() {
    const { left, right, top, bottom } = EDGE;
    const all = Object.values(this.curves).flatMap(({ sizes }) => sizes);
    const [least, most] = decades([...all, this.numbers.limit]);
    const text = (x, y, words, anchor) =>
      svg("text", { x, y, "text-anchor": anchor, class: "plot-text" }, words);
    const parts = [];
    for (let power = least; power <= most; power++) {
      const [, y] = this.place(0, 10 ** power);
      parts.push(svg("line", { x1: left, x2: this.width - right, y1: y, y2: y, class: "plot-line" }));
      parts.push(text(left - 6, y + 4, short(10 ** power, 3), "end"));
    }
    if (this.numbers.limit > 0) {
      const [, y] = this.place(0, this.numbers.limit);
      parts.push(svg("line", { x1: left, x2: this.width - right, y1: y, y2: y, class: "plot-threshold" }));
      parts.push(text(this.width - right, y - 4, "below: your words are not needed", "end"));
    }
    for (const [what, { sizes }] of Object.entries(this.curves)) {
      const points = sizes
        .map((size, step) => (size > 0 ? this.place(step, size).join(",") : ""))
        .filter(Boolean);
      parts.push(svg("polyline", { points: points.join(" "), class: `push-line ${what}` }));
    }
    const size = this.curves[this.what].sizes[this.at];
    const [x] = this.place(this.at, 1);
    parts.push(svg("line", { x1: x, x2: x, y1: top, y2: HEIGHT - bottom, class: "push-here" }));
    if (size > 0) {
      const [, y] = this.place(this.at, size);
      parts.push(svg("circle", { cx: x, cy: y, r: 5, class: "push-dot" }));
    }
    parts.push(text((left + this.width - right) / 2, HEIGHT - 4, "step", "middle"));
    parts.push(
      text(left, HEIGHT - bottom + 16, "1", "middle"),
      text(this.width - right, HEIGHT - bottom + 16, `${this.clock.last}`, "end"),
    );
    const title = "Size of the push over the steps, on a logarithmic axis";
    this.chart.replaceChildren(
      svg("svg", { viewBox: `0 0 ${this.width} ${HEIGHT}`, role: "img", "aria-label": title }, ...parts),
    );
  }

  jump(event) {
    const box = this.chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * this.width;
    const share = (x - EDGE.left) / (this.width - EDGE.left - EDGE.right);
    this.clock.stop();
    this.clock.moveTo(share * (this.clock.last - 1));
  }

  async drawMap() {
    const { what } = this;
    const call = this.clock.facts.calls[this.at];
    const name = `${what}:${call}`;
    if (!this.maps.has(name)) {
      const answer = await this.ask("map", { what, call });
      if (!answer) return;
      this.maps.set(name, answer.numbers);
      if (name !== `${this.what}:${this.clock.facts.calls[this.at]}`) return;
    }
    const { map, size, limit } = this.maps.get(name);
    this.map.dataset.call = call;
    this.map.hidden = !map;
    const step = this.at + 1;
    if (!map) {
      this.mapWords.textContent = `Step ${step}: nothing was pushed`;
      return;
    }
    const [h, w] = map.shape;
    drawHeat(this.map, { h, w, data: map.data }, limit);
    this.mapWords.textContent = `Step ${step}: pushed by ${short(size, 3)}, brightest ${short(limit, 3)}`;
  }

  async takeAway() {
    const answer = await this.ask("away", { step: this.at + 1 });
    if (answer) this.result.prepend(againFigure(this.look.picture, answer));
  }
}
