// The plot "Where it jumps": a line for each pair of neighbouring frames; one pair is looked at.
import { setPressed, svg } from "./dom.js";
import { clamp, short } from "./numbers.js";
import { bounds, hue, share, stepTicks, ticks } from "./plot_scales.js";

const MARGIN = { left: 44, right: 10, top: 10, bottom: 34 };
const MANY = 60; // pairs; of more than these only the one looked at gets its dot

// Say what a pair is: where it stands, from which step on it is parted, how far at the end.
export function pairWords(plot, ts, k) {
  const place = (value) => short(value, 4);
  const end = plot.curves[k].at(-1);
  const parted = plot.parted[k] ? `apart since step ${plot.parted[k]}` : "never apart";
  const distance = end === null ? "unknown at the end" : `${place(end)} apart at the end`;
  const largest = k === plot.largest ? "Largest: " : "";
  return `${largest}t ${place(ts[k])} – ${place(ts[k + 1])}, ${parted}, ${distance}`;
}

export class Plot {
  // choose(k) is called when the person settles on pair k.
  constructor(box, choose) {
    this.box = box;
    this.chart = box.querySelector(".plot-chart");
    this.choose = choose;
    this.scale = "linear";
    this.pair = null; // the pair of frames that is looked at
    this.frames = null;
    this.listen();
  }

  draw(frames) {
    const plot = frames?.plot;
    this.frames = plot ? frames : null;
    this.box.hidden = !plot;
    if (!plot) return;
    if (this.pair === null || this.pair >= plot.curves.length) this.pair = plot.largest;
    for (const one of this.box.querySelectorAll("[data-scale]")) {
      setPressed(one, one.dataset.scale === this.scale);
    }
    this.drawChart(plot, frames.jump);
    this.drawWords(plot, frames.ts);
  }

  drawWords(plot, ts) {
    const { pair, chart, box } = this;
    const words = pairWords(plot, ts, pair);
    chart.setAttribute("aria-valuemax", plot.curves.length - 1);
    chart.setAttribute("aria-valuenow", pair);
    chart.setAttribute("aria-valuetext", words);
    box.querySelector(".plot-pair").textContent = words;
    box.querySelector(".plot-kind").textContent = plot.kinds[pair];
    box.querySelector(".plot-meaning").textContent = plot.meanings[plot.kinds[pair]];
    box.querySelector(".plot-swatch").style.background = hue(pair, plot.curves.length);
  }

  drawChart(plot, jump) {
    const width = Math.max(280, this.chart.clientWidth || 640);
    const height = width < 480 ? 220 : 280;
    const { left, right, top, bottom } = MARGIN;
    const steps = plot.curves[0].length;
    const limits = bounds(jump ? [...plot.curves, jump.curve] : plot.curves, plot.threshold);
    const at = {
      x: (step) => left + (width - left - right) * (steps > 1 ? (step - 1) / (steps - 1) : 0.5),
      y: (value) => height - bottom - (height - top - bottom) * share(value, limits, this.scale),
    };
    const lines = plot.curves.map((curve, k) => this.line(curve, k, plot, at));
    const marks = [
      ...axes({ width, height, steps, values: ticks(limits, this.scale) }, at),
      ...threshold(plot.threshold, width, at),
      // The line looked at comes last, on top.
      ...lines.filter((_, k) => k !== this.pair),
      lines[this.pair],
      ...(jump
        ? [svg("polyline", { points: points(jump.curve, at), fill: "none", class: "plot-jump" })]
        : []),
      ...plot.curves.flatMap((curve, k) => this.dot(curve, k, plot, at)),
    ];
    const size = { viewBox: `0 0 ${width} ${height}`, width, height };
    this.chart.replaceChildren(svg("svg", { ...size, "aria-hidden": "true" }, ...marks));
  }

  line(curve, k, plot, at) {
    const looked = k === this.pair;
    return svg("polyline", {
      points: points(curve, at),
      fill: "none",
      stroke: hue(k, plot.curves.length),
      "stroke-width": looked ? 3 : 1.3,
      "data-pair": k,
      opacity: looked ? 1 : 0.75,
    });
  }

  // The dot where a pair parts.
  dot(curve, k, plot, at) {
    const step = plot.parted[k];
    if (!step || (plot.curves.length > MANY && k !== this.pair)) return [];
    const place = { cx: at.x(step), cy: at.y(curve[step - 1]), r: k === this.pair ? 5.5 : 3.5 };
    return [svg("circle", { ...place, fill: hue(k, plot.curves.length), class: "plot-parted" })];
  }

  lookAt(k, chosen = false) {
    this.pair = clamp(k, 0, this.frames.plot.curves.length - 1);
    this.draw(this.frames);
    if (chosen) this.choose(this.pair);
  }

  nearestPair(event) {
    const box = this.chart.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let best = [Infinity, this.pair];
    for (const line of this.box.querySelectorAll("[data-pair]")) {
      for (const one of line.points) {
        const distance = (one.x - px) ** 2 + (one.y - py) ** 2;
        if (distance < best[0]) best = [distance, Number(line.dataset.pair)];
      }
    }
    return best[1];
  }

  listen() {
    const { chart } = this;
    this.box.addEventListener("click", (event) => {
      const pressed = event.target.closest("[data-scale]");
      if (!pressed) return;
      this.scale = pressed.dataset.scale;
      this.lookAt(this.pair);
    });
    chart.addEventListener("pointermove", (event) => {
      const k = this.nearestPair(event);
      if (k !== this.pair) this.lookAt(k);
    });
    chart.addEventListener("click", (event) => this.lookAt(this.nearestPair(event), true));
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.lookAt(this.pair + step, true);
    });
    let width = 0;
    new ResizeObserver(() => {
      if (this.frames && chart.clientWidth && chart.clientWidth !== width) this.lookAt(this.pair);
      width = chart.clientWidth;
    }).observe(chart);
  }
}

function points(curve, at) {
  const known = curve.map((value, k) =>
    value === null ? "" : `${at.x(k + 1).toFixed(1)},${at.y(value).toFixed(1)}`,
  );
  return known.filter(Boolean).join(" ");
}

function axes({ width, height, steps, values }, at) {
  const { left, right, bottom } = MARGIN;
  const levels = values.map((value) => {
    const y = at.y(value);
    const line = svg("line", { x1: left, x2: width - right, y1: y, y2: y, class: "plot-line" });
    return svg("g", {}, line, label(left - 6, y + 4, short(value, 4), "end"));
  });
  const below = stepTicks(steps, width).map((step) =>
    label(at.x(step), height - bottom + 16, step, "middle"),
  );
  return [...levels, ...below, label((left + width - right) / 2, height - 2, "step", "middle")];
}

function threshold(value, width, at) {
  const { left, right } = MARGIN;
  const y = at.y(value);
  const line = svg("line", { x1: left, x2: width - right, y1: y, y2: y, class: "plot-threshold" });
  return [line, label(width - right, y - 4, `apart: ${value}`, "end")];
}

function label(x, y, words, anchor) {
  return svg("text", { x, y, "text-anchor": anchor, class: "plot-text" }, String(words));
}
