// Latents drawn as cells: blue below 0, white at 0, red above, as in the heat map of a prompt's tensor.
import { clamp } from "../shared/numbers.js";
import { paint } from "./cells.js";

const COLORS = [
  [8, 29, 88],
  [33, 102, 172],
  [146, 197, 222],
  [255, 255, 255],
  [244, 165, 130],
  [178, 24, 43],
  [70, 0, 18],
];

// Return the colour of a number, -limit to limit, as [r, g, b]; symmetric-logarithmic as in Python's heat_map.
export function signedColor(value, limit) {
  const scaled = Math.sign(value) * Math.log1p(Math.abs(value));
  const full = Math.log1p(limit) || 1;
  const at = ((clamp(scaled / full, -1, 1) + 1) / 2) * (COLORS.length - 1);
  const low = Math.min(Math.floor(at), COLORS.length - 2);
  return COLORS[low].map((one, k) => Math.round(one + (COLORS[low + 1][k] - one) * (at - low)));
}

export function drawSigned(canvas, { h, w, data }, limit) {
  paint(canvas, h, w, (index) => signedColor(data[index], limit));
}
