// A small chart over the steps with a logarithmic axis.
import { node, svg } from "../shared/dom.js";
import { short } from "../shared/numbers.js";

const WIDTH = 640;
const HEIGHT = 200;
const EDGE = { left: 46, right: 12, top: 12, bottom: 32 };

// Return the exponents [least, most] of the powers of ten that hold all values above 0.
export function powers(values) {
  const known = values.filter((value) => value > 0);
  if (!known.length) return [-1, 0];
  const least = Math.floor(Math.log10(Math.min(...known)));
  return [least, Math.max(Math.ceil(Math.log10(Math.max(...known))), least + 1)];
}

// lines: {name, values, words}; values of 0 are left out. xs are steps, 1 to last.
export function logChart({ title, xs, last, lines }) {
  const { left, right, top, bottom } = EDGE;
  const [least, most] = powers(lines.flatMap(({ values }) => values));
  const x = (step) => left + ((WIDTH - left - right) * (step - 1)) / Math.max(1, last - 1);
  const y = (value) =>
    HEIGHT - bottom - ((HEIGHT - top - bottom) * (Math.log10(value) - least)) / (most - least);
  const text = (at, words, anchor) =>
    svg("text", { ...at, "text-anchor": anchor, class: "plot-text" }, words);
  const parts = [];
  for (let power = least; power <= most; power++) {
    const height = y(10 ** power);
    parts.push(svg("line", { x1: left, x2: WIDTH - right, y1: height, y2: height, class: "plot-line" }));
    parts.push(text({ x: left - 6, y: height + 4 }, short(10 ** power, 3), "end"));
  }
  for (const { name, values } of lines) {
    const points = values.flatMap((value, k) => (value > 0 ? [[x(xs[k]), y(value)]] : []));
    parts.push(
      svg("polyline", { points: points.map((one) => one.join(",")).join(" "), class: `chart-line ${name}` }),
    );
    if (name === "real")
      parts.push(...points.map(([cx, cy]) => svg("circle", { cx, cy, r: 2.5, class: "chart-dot" })));
  }
  parts.push(text({ x: left, y: HEIGHT - bottom + 16 }, "step 1", "start"));
  parts.push(text({ x: WIDTH - right, y: HEIGHT - bottom + 16 }, "the end", "end"));
  const chart = node("figure", "log-chart");
  const words = lines.map(({ name, words: text }) => node("span", `chart-key ${name}`, text));
  const keys = node("figcaption");
  keys.append(...words);
  chart.append(
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title }, ...parts),
    keys,
  );
  return chart;
}
