// The curve of the cosine, phrase by phrase.
import { svg } from "../shared/dom.js";
import { withMinus } from "../shared/numbers.js";

// Return the points of a curve in a box of 400 x 110, the lowest value at the bottom.
export function curvePoints(curve) {
  const low = Math.min(...curve);
  const high = Math.max(...curve);
  return curve.map((cosine, index) => [
    30 + (340 * index) / (curve.length - 1),
    84 - (56 * (cosine - low)) / (high - low || 1),
  ]);
}

export function drawCurve(box, curve) {
  box.hidden = curve.length < 2;
  const picture = box.querySelector("svg");
  const shape = curve.join();
  if (box.hidden || picture.dataset.shape === shape) return;
  picture.dataset.shape = shape;
  const at = curvePoints(curve);
  picture.replaceChildren(
    svg("line", { x1: 30, x2: 370, y1: 98, y2: 98, class: "axis" }),
    svg("polyline", { points: at.map((point) => point.join()).join(" ") }),
    ...at.map((point, index) => dot(point, curve[index], index)),
    label(at[0], curve[0]),
    label(at.at(-1), curve.at(-1)),
  );
  picture.setAttribute("aria-label", `Cosine from ${curve[0].toFixed(2)} to ${curve.at(-1).toFixed(2)}`);
}

function dot([cx, cy], cosine, step) {
  const when = step ? `after step ${step}` : "start";
  return svg("circle", { cx, cy, r: 3 }, svg("title", {}, `${when}: ${cosine.toFixed(4)}`));
}

function label([x, y], cosine) {
  return svg("text", { x, y: y - 9, "text-anchor": "middle" }, withMinus(cosine.toFixed(2)));
}
