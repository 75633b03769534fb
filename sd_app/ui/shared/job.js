// What every result block does: it shows a job's phase and progress, and lets one press be one job.
import { button, drawMessage, node, PHONE } from "./dom.js";

const GENERATE = ".go-row:not(.show-numbers) .generate"; // the button that begins a job
const ADD = ".add-to-line"; // the button that puts another into the line meanwhile
const EMPTY = { phase: "empty", images: [] };
const STARTING = { phase: "waiting", text: "Starting", detail: "", fraction: 0, notice: "" };
const UNHEARD = "The studio does not answer. Is it still running? Press again, or reload the page.";
const ADDED = "already running: Add to line puts another behind it";
const STILL = "still running: Stop ends it";
const PATIENCE = 60_000; // milliseconds until an unanswered press may be repeated

export const isBusy = (value) => ["waiting", "running"].includes(value.phase);

// Put the job's percentage before the page's title, or take it away: `percent` is null when none runs.
export function titleWith(percent, title) {
  return (percent === null ? "" : `${percent}% · `) + title.replace(/^\d+% · /, "");
}

export class JobBlock {
  // sendTo: list of [event, label], where else what is shown can go. render: draws the whole block.
  constructor({ element, props, trigger }, sendTo, render) {
    this.render = render;
    this.root = element.querySelector(".result");
    this.props = props;
    this.trigger = trigger;
    this.refused = ""; // why a press did nothing, while the job runs
    this.find("actions")?.append(...sendButtons(sendTo));
    const tab = this.root.closest(".maker");
    tab?.addEventListener("click", (event) => this.refuseSecondPress(event), { capture: true });
    tab?.addEventListener("click", (event) => this.answerPress(event));
  }

  find(name) {
    return this.root.querySelector(`.result-${name}`);
  }

  get value() {
    return this.props.value || EMPTY;
  }

  set value(value) {
    this.props.value = value;
  }

  get busy() {
    return isBusy(this.value);
  }

  setText(name, text) {
    const element = this.find(name);
    if (element.textContent !== text) element.textContent = text || "";
  }

  draw(value) {
    document.title = titleWith(this.busy ? Math.round(100 * value.fraction) : null, document.title);
    this.root.dataset.phase = value.phase;
    this.root.dataset.drawnAt = Date.now(); // so that the line of jobs knows a block that has lost its job
    this.root.closest(".maker")?.setAttribute("data-busy", String(this.busy));
    drawMessage(this.find("message"), value.phase === "error" ? value.text : "");
    this.setText("notice", value.notice);
    this.find("notice").hidden = !value.notice;
    this.find("progress").hidden = !this.busy;
    if (this.busy) this.drawProgress(value);
    else this.refused = "";
  }

  drawProgress(value) {
    this.setText("text", value.text);
    this.setText("detail", [value.detail, this.refused].filter(Boolean).join(" · "));
    this.find("bar").style.width = `${100 * value.fraction}%`;
    this.find("progress").setAttribute("aria-valuenow", Math.round(100 * value.fraction));
    this.find("progress").setAttribute("aria-valuetext", `${value.text} ${value.detail}`);
  }

  // One press, one job: not again while it runs, where another button adds to the line, nor by the second
  // half of a double click.
  refuseSecondPress(event) {
    const again = event.target.closest(GENERATE) && (this.busy || event.detail > 1);
    const twice = event.target.closest(ADD) && event.detail > 1;
    if (again || twice) event.stopImmediatePropagation();
    if (!again || event.detail > 1) return;
    this.refused = this.root.closest(".maker").querySelector(ADD) ? ADDED : STILL;
    this.drawProgress(this.value);
  }

  // Say at once that a press was heard: an old error goes. The server's first word takes the place of this.
  start() {
    this.value = { ...this.value, ...STARTING };
    this.render();
    setTimeout(() => {
      if (this.value.text !== STARTING.text || this.value.phase !== STARTING.phase) return;
      this.value = { ...this.value, phase: "error", text: UNHEARD };
      this.render();
    }, PATIENCE);
  }

  answerPress(event) {
    if (event.target.closest(GENERATE) && !this.busy) this.start();
    if (this.busy && event.target.closest(".stop-run")) this.setText("text", "Stopping…");
    // On a phone the result is below the form: go there.
    if (event.target.closest(GENERATE) && matchMedia(PHONE).matches) {
      this.root.scrollIntoView({ behavior: "smooth", block: "start" });
    }
  }
}

function sendButtons(sendTo) {
  if (!sendTo.length) return [];
  const group = node("span", "result-send");
  const buttons = sendTo.map(([event, label]) => {
    const made = button(label);
    made.dataset.do = event;
    return made;
  });
  group.append("Send to", ...buttons);
  return [group];
}
