// The line of jobs (see line.py): a button in the header, and behind it what runs, waits and is done.
import { button, node } from "../shared/dom.js";
import { Dragging } from "./dragging.js";

const NOTED = 8000; // milliseconds that a note stands beside news of the line
const QUIET = 4000; // milliseconds without news after which a block that is busy may have lost its connection
// Where a tab's jobs are shown.
const BLOCKS = { match: "#view-match .result", interrogate: "#view-words .result" };
const OPENERS = {
  match: ["tab-interrogate-button", "view-match-button"],
  interrogate: ["tab-interrogate-button", "view-words-button"],
};

export function mount(component) {
  const line = new Line(component);
  component.watch("value", () => line.draw());
  line.draw();
}

// Say in a few words what the line holds.
export function countWords({ jobs = [], more = 0, paused = false }) {
  const running = jobs.filter((job) => job.state === "running").length;
  const waiting = jobs.length - running + more;
  const parts = [];
  if (running) parts.push(`${running} running`);
  if (waiting) parts.push(`${waiting} waiting`);
  if (paused) parts.push("paused");
  return parts.join(", ");
}

// Return the note to show: a new one, or the last one for as long as it takes to read it.
export function noteAt(note, last, now) {
  if (note) return note === last.text ? last : { text: note, at: now };
  return now - last.at < NOTED ? last : { text: "", at: 0 };
}

// Tell whether a block that shows a job has lost it: the line has news of it, the block had none for a while.
export function isLost({ busy, drawnAt, job, newsAt, now }) {
  if (!busy) return false;
  const silent = now - drawnAt > QUIET;
  return silent && (!job || newsAt - drawnAt > QUIET);
}

class Line {
  constructor({ element, props, trigger }) {
    this.root = element.querySelector(".line");
    this.props = props;
    this.trigger = trigger;
    this.news = {}; // tab -> what the line said of its job last, and since when
    this.noted = { text: "", at: 0 }; // what became of the last press, and when it was said
    this.asked = {}; // tab -> when its job was asked for again
    this.find("open").addEventListener("click", () => this.open(this.find("panel").hidden));
    this.find("panel").addEventListener("click", (event) => this.press(event.target.closest("button")));
    document.addEventListener("pointerdown", (event) => {
      if (!this.root.contains(event.target)) this.open(false);
    });
    this.root.addEventListener("keydown", (event) => this.closeByKey(event));
    this.dragging = new Dragging(this.find("jobs"), {
      rows: "li[data-state=waiting]",
      grip: ".line-grip",
      scroller: this.find("panel"),
      drop: (row) => this.place(row),
      end: (moved) => moved || this.draw(),
    });
  }

  // Tell which job a dragged one stands after now; what comes back is drawn in the new order.
  place(row) {
    const after = row.previousElementSibling?.dataset.id ?? null;
    this.trigger("act", { do: "place", id: row.dataset.id, after });
  }

  find(name) {
    return this.root.querySelector(`.line-${name}`);
  }

  open(shown) {
    this.find("panel").hidden = !shown;
    this.find("open").setAttribute("aria-expanded", String(shown));
  }

  closeByKey(event) {
    if (event.key !== "Escape" || this.find("panel").hidden) return;
    event.stopPropagation();
    this.open(false);
    this.find("open").focus();
  }

  press(pressed) {
    if (!pressed) return;
    const id = pressed.closest("li")?.dataset.id;
    if (pressed.dataset.do === "show") this.show(pressed.dataset.tab, id);
    else this.trigger("act", { do: pressed.dataset.do, id });
  }

  show(tab, id) {
    for (const opener of OPENERS[tab] ?? [`tab-${tab}-button`]) document.getElementById(opener)?.click();
    this.open(false);
    this.trigger(`show_${tab}`, { id });
  }

  draw() {
    if (this.dragging.active) return; // drawn when the row is let go
    const value = this.props.value ?? {};
    const { jobs = [], more = 0, ended = [], paused, own_line: ownLine, note } = value;
    const words = countWords(value);
    const count = jobs.length + more;
    this.find("count").textContent = count || "";
    this.find("count").hidden = !count;
    this.find("open").setAttribute("aria-label", words ? `Jobs: ${words}` : "Jobs");
    this.root.classList.toggle("is-paused", Boolean(paused));
    const focused = this.focused();
    this.drawRows(this.find("jobs"), jobs, liveRow);
    if (more) this.find("jobs").append(node("li", "line-more", `and ${more} more`));
    this.drawRows(this.find("ended"), ended, endedRow);
    this.focus(focused);
    this.find("none").hidden = count > 0;
    this.find("past").hidden = !ended.length;
    this.noted = noteAt(note, this.noted, Date.now());
    this.find("note").textContent = this.noted.text;
    this.find("warning").textContent = value.warning ?? "";
    this.find("warning").hidden = !value.warning;
    const waiting = jobs.some((job) => job.state === "waiting");
    for (const [action, shown] of [
      ["pause", !paused && (ownLine || waiting)],
      ["resume", paused],
    ]) {
      const words = PAUSES[action][ownLine ? 0 : 1];
      this.button(action).hidden = !shown;
      this.button(action).textContent = words.label;
      this.button(action).title = words.title;
    }
    this.button("clear").hidden = !waiting;
    this.findLost(jobs);
  }

  button(action) {
    return this.root.querySelector(`.line-foot [data-do=${action}]`);
  }

  // Rows are kept, so that a press never meets a button that has just been replaced.
  drawRows(list, jobs, fill) {
    const old = new Map([...list.children].map((row) => [row.dataset.id, row]));
    const rows = jobs.map((job) => {
      const row = old.get(job.id) ?? Object.assign(node("li"), { tabIndex: -1 });
      row.dataset.id = job.id;
      fill(row, job);
      return row;
    });
    const changed = rows.length !== list.children.length || rows.some((row, k) => row !== list.children[k]);
    if (changed) list.replaceChildren(...rows);
  }

  focused() {
    const active = document.activeElement;
    if (!this.root.contains(active)) return null;
    const row = active.closest("li");
    if (!row) return null;
    return {
      id: row.dataset.id,
      action: active.dataset.do,
      place: [...row.parentNode.children].indexOf(row),
    };
  }

  // Who moved or removed a job by key stays where they were, or beside it.
  focus(before) {
    if (!before) return;
    const rows = [...this.root.querySelectorAll(".line-jobs li")];
    const row = rows.find((one) => one.dataset.id === before.id) ?? rows[before.place] ?? rows.at(-1);
    const buttons = [...(row?.querySelectorAll("button:not(:disabled)") ?? [])];
    const target = buttons.find((one) => one.dataset.do === before.action) ?? buttons[0] ?? this.find("open");
    if (target !== document.activeElement) target.focus();
  }

  // A phone that slept, or a network that broke, leaves a block waiting for news that never come.
  findLost(jobs) {
    const now = Date.now();
    for (const tab of new Set([...Object.keys(this.news), ...jobs.map((job) => job.tab)])) {
      if (!tab) continue;
      const job = jobs.find((one) => one.tab === tab);
      const text = job ? `${job.id} ${job.text} ${job.fraction}` : "";
      if (this.news[tab]?.text !== text) this.news[tab] = { text, at: now };
      const block = document.querySelector(BLOCKS[tab] ?? `#tab-${tab} .result`);
      const busy = ["waiting", "running"].includes(block?.dataset.phase);
      const drawnAt = Math.max(Number(block?.dataset.drawnAt ?? 0), this.asked[tab] ?? 0);
      if (!isLost({ busy, drawnAt, job, newsAt: this.news[tab].at, now })) continue;
      this.asked[tab] = now;
      this.trigger(`show_${tab}`, { id: job?.id ?? null });
    }
  }
}

// By button: on one's own machine, and where others are let in.
const PAUSES = {
  pause: [
    { label: "Pause", title: "Pictures that are being made together are finished; nothing new begins" },
    {
      label: "Hold mine",
      title: "Yours that wait let others go first, for an hour at most; what runs is finished",
    },
  ],
  resume: [
    { label: "Resume", title: "Go on where the line stopped" },
    { label: "Resume mine", title: "Yours take their turns again" },
  ],
};
const ICONS = { up: "↑", down: "↓", remove: "✕" };

function act(action, label, job) {
  const made = button(ICONS[action] ?? label);
  made.dataset.do = action;
  made.dataset.tab = job.tab;
  made.setAttribute("aria-label", `${label}: ${job.title || job.what}`);
  made.title = label;
  return made;
}

// What a waiting row is dragged by; keys have the buttons.
function grip() {
  const made = Object.assign(node("span", "line-grip", "⠿"), { title: "Drag to another place" });
  made.setAttribute("aria-hidden", "true");
  return made;
}

// A row with its words and its buttons; what changes while it stands is set by the two below.
function base(row, job, actions) {
  const names = [job.state, ...actions.map(([action, label]) => `${action} ${label}`)].join();
  if (row.dataset.actions !== names) {
    row.dataset.actions = names;
    const words = node("div", "line-words");
    words.append(node("b", "line-what"), node("span", "line-title"), node("span", "line-text"));
    const buttons = node("div", "line-buttons");
    buttons.append(...actions.map(([action, label]) => act(action, label, job)));
    row.replaceChildren(...(job.state === "waiting" ? [grip()] : []), words, buttons);
  }
  row.dataset.state = job.state;
  for (const [name, text] of Object.entries({ what: job.what, title: job.title, text: job.text })) {
    const element = row.querySelector(`.line-${name}`);
    if (element.textContent !== text) element.textContent = text;
  }
}

function liveRow(row, job) {
  const show = job.tab ? [["show", "Show"]] : [];
  if (job.state === "running") {
    base(row, job, [...show, ["remove", "Stop"]]);
    row.style.setProperty("--fraction", job.fraction);
    return;
  }
  base(row, job, [...show, ["up", "Move up"], ["down", "Move down"], ["remove", "Remove"]]);
  row.style.removeProperty("--fraction");
  row.querySelector("[data-do=up]").disabled = job.first;
  row.querySelector("[data-do=down]").disabled = job.last;
  row.querySelector(".line-grip").hidden = job.first && job.last;
}

function endedRow(row, job) {
  base(row, job, job.tab ? [["show", "Show"]] : []);
}
