// What controls do to each other in the browser alone.

export const same = (value) => value;

export const swap = (a, b) => [b, a];

// Say how many of the steps a strength runs; nothing while a field is empty.
export function stepsRun(steps, strength) {
  const run = Math.min(steps, Math.floor(steps * strength + 1e-9));
  return Number.isFinite(run) ? `<span>Runs ${run} of ${steps} steps</span>` : "";
}
