// The arithmetic of the plot "Where it jumps": bounds, scales and ticks. Nothing here touches the page.

// Return [least, most] of the distance axis: what curves and threshold need, within four powers of ten.
export function bounds(curves, threshold) {
  const values = curves.flat().filter((value) => value !== null);
  const most = Math.max(threshold * 1.2, ...values);
  const smallest = Math.min(...values.filter((value) => value > 0), most);
  return [Math.min(threshold / 2, Math.max(most / 1e4, smallest)), most];
}

// Return how high a value stands: 0 is the axis, 1 the top. What is below the least is drawn there.
export function share(value, [least, most], scale) {
  if (scale !== "log") return value / most;
  return Math.log(Math.max(value, least) / least) / Math.log(most / least);
}

export function ticks([least, most], scale) {
  return scale === "log" ? logTicks(least, most) : linearTicks(most);
}

// 1, 2 and 5 of each power of ten; if those are many, the powers alone.
function logTicks(least, most) {
  const values = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most); power++) {
    values.push(...[1, 2, 5].map((one) => one * 10 ** power));
  }
  const inside = values.filter((value) => value >= least && value <= most);
  const isPower = (value) => Number.isInteger(Math.round(1e6 * Math.log10(value)) / 1e6);
  return inside.length > 7 ? inside.filter(isPower) : inside;
}

// Round steps, about four of them, from zero on.
function linearTicks(most) {
  const rough = most / 4;
  const base = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((factor) => factor * base).find((one) => one >= rough);
  return [...Array(Math.floor(most / size) + 1).keys()].map((k) => k * size);
}

// Which steps get a number below the plot: the first, and so many that each has 60 pixels.
export function stepTicks(steps, width) {
  const every = Math.ceil(steps / Math.floor(width / 60));
  return [...Array(steps).keys()].map((k) => k + 1).filter((step) => step === 1 || step % every === 0);
}

// From violet for the first pair to yellow for the last.
export function hue(k, count) {
  return `hsl(${Math.round(265 - (225 * k) / Math.max(count - 1, 1))} 60% 52%)`;
}
