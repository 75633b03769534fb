// The one clock of an open recording: a scrubber over the steps taken, which moves every panel. A position is a
// step from 0 on; the last one is the finished picture.
import { button, node, svg } from "../shared/dom.js";
import { clamp, short } from "../shared/numbers.js";

const FRAME = 140; // milliseconds of a step while it plays
const PLAY = "Play";
const PAUSE = "Pause";

// Say where a position stands.
export function clockWords(clock, at) {
  const steps = clock.calls.length;
  if (at >= steps) return ["Finished picture", "no noise left"];
  const sigma = clock.sigmas[at];
  const noise =
    sigma >= 0.995
      ? `noise ${short(sigma, 3)} times the signal`
      : `noise ${Math.round(100 * sigma)} % of the signal`;
  return [
    `Step ${at + 1} of ${steps}`,
    `noise level ${Math.round(clock.timesteps[at])} of ${clock.training_steps} · ${noise}`,
  ];
}

// Where a noise level stands on the line of the training steps, 0 (only noise) to 1 (the picture).
export const place = (clock, timestep) => 1 - (timestep + 1) / clock.training_steps;

export class Clock {
  constructor(box, facts) {
    this.facts = facts;
    this.last = facts.calls.length; // the position of the finished picture
    this.at = this.last;
    this.listeners = new Set();
    this.timer = null;
    this.box = box;
    this.build();
    this.draw();
  }

  // The frame that a position shows: a call of the U-Net, or their number for the finished picture.
  get frame() {
    return this.at >= this.last ? this.facts.num_calls : this.facts.calls[this.at];
  }

  // The position that shows a frame.
  positionOf(frame) {
    const at = this.facts.calls.indexOf(frame);
    return at < 0 ? this.last : at;
  }

  // listen(clock) is called now and whenever the position changes; what comes back ends that.
  subscribe(listen) {
    this.listeners.add(listen);
    listen(this);
    return () => this.listeners.delete(listen);
  }

  moveTo(at) {
    const next = clamp(Math.round(at), 0, this.last);
    if (next === this.at) return;
    this.at = next;
    this.draw();
    for (const listen of this.listeners) listen(this);
  }

  toggle() {
    if (this.timer) {
      this.stop();
      return;
    }
    if (this.at === this.last) this.moveTo(0);
    this.timer = setInterval(() => {
      if (this.at === this.last) this.stop();
      else this.moveTo(this.at + 1);
    }, FRAME);
    this.play.textContent = PAUSE;
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.textContent = PLAY;
  }

  // Return whether a key was meant for the clock.
  press(key) {
    const to = { ArrowRight: this.at + 1, ArrowLeft: this.at - 1, Home: 0, End: this.last }[key];
    if (to === undefined && key !== " ") return false;
    if (key === " ") this.toggle();
    else {
      this.stop();
      this.moveTo(to);
    }
    return true;
  }

  build() {
    this.play = button(PLAY, () => this.toggle(), { className: "clock-play" });
    this.range = Object.assign(node("input", "clock-range"), {
      type: "range",
      min: 0,
      max: this.last,
      step: 1,
    });
    this.range.setAttribute("aria-label", "Step: moves all panels");
    this.range.addEventListener("input", () => {
      this.stop();
      this.moveTo(Number(this.range.value));
    });
    this.step = node("b", "clock-step");
    this.level = node("span", "clock-level");
    const words = node("div", "clock-words");
    words.append(this.play, this.step, this.level);
    this.line = node("div", "clock-line");
    this.line.title =
      "The steps of training, from only noise to the picture; a mark is a step that this run took";
    this.line.addEventListener("click", (event) => this.jump(event));
    const ends = node("div", "clock-ends");
    ends.append(
      node("span", "", "only noise"),
      node("span", "", `${this.facts.training_steps} training steps, ${this.last} taken`),
      node("span", "", "the picture"),
    );
    this.box.replaceChildren(words, this.range, this.line, ends);
  }

  jump(event) {
    const box = this.line.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const places = [...this.facts.timesteps.map((one) => place(this.facts, one)), 1];
    const distances = places.map((one) => Math.abs(one - share));
    this.stop();
    this.moveTo(distances.indexOf(Math.min(...distances)));
  }

  draw() {
    const [step, level] = clockWords(this.facts, this.at);
    this.step.textContent = step;
    this.level.textContent = level;
    this.range.value = this.at;
    this.range.setAttribute("aria-valuetext", `${step}, ${level}`);
    const marks = this.facts.timesteps.map((timestep, number) => {
      const x = 1000 * place(this.facts, timestep);
      return svg("line", {
        x1: x,
        x2: x,
        y1: 3,
        y2: 13,
        class: number === this.at ? "clock-here" : "clock-taken",
      });
    });
    const now = this.at === this.last ? 1000 : 1000 * place(this.facts, this.facts.timesteps[this.at]);
    const size = { viewBox: "0 0 1000 16", preserveAspectRatio: "none", "aria-hidden": "true" };
    const base = svg("line", { x1: 0, x2: 1000, y1: 8, y2: 8, class: "clock-base" });
    const gone = svg("line", { x1: 0, x2: now, y1: 8, y2: 8, class: "clock-gone" });
    this.line.replaceChildren(svg("svg", size, base, gone, ...marks));
  }
}
