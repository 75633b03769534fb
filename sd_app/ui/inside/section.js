// One panel of an open recording: its words, its mark, what it shows, and its files. It is made when it is opened.
import { button, node } from "../shared/dom.js";
import { fileUrl } from "../shared/post.js";
import { ask, Gone } from "./ask.js";

const MARKS = {
  exact: "The numbers themselves, as they passed in the run or come out of it by the formula.",
  measured: "An experiment: something was run or classified, and the outcome is counted.",
  approximate: "An estimate that may be off.",
};
const KINDS = { png: "PNG", csv: "CSV", npz: "NPZ", mp4: "MP4", webp: "WebP" };
const QUICK = 250; // milliseconds in which an answer needs no word of its own

export class Section {
  constructor(look, facts) {
    this.look = look;
    this.facts = facts;
    this.listeners = [];
    this.files = null;
    this.running = 0; // answers that are waited for
    this.build();
  }

  build() {
    const { facts } = this;
    this.root = node("section", "look-panel");
    this.root.dataset.panel = facts.name;
    this.root.dataset.open = "false";
    this.root.id = `look-${facts.name}`;
    this.head = button(null, () => this.toggle(), { className: "look-head" });
    this.head.setAttribute("aria-expanded", "false");
    const mark = node("span", `look-mark ${facts.exactness}`, facts.exactness);
    mark.title = MARKS[facts.exactness] ?? "";
    this.head.append(node("span", "look-title", facts.title), mark);
    const title = node("h3");
    title.append(this.head);
    this.body = node("div", "look-body");
    this.body.hidden = true;
    this.root.append(title, this.body);
  }

  toggle(open = this.body.hidden) {
    this.body.hidden = !open;
    this.root.dataset.open = String(open);
    this.head.setAttribute("aria-expanded", String(open));
    this.look.marked?.();
    if (!open) return;
    if (!this.box) this.fill();
    for (const listen of this.listeners) listen(this.look.clock);
  }

  fill() {
    const { facts } = this;
    this.box = node("div", "look-box");
    this.state = node("div", "look-state");
    this.state.hidden = true;
    this.words = node("span");
    this.words.setAttribute("role", "status");
    this.stopper = button("Stop", () => this.stop?.());
    this.state.append(this.words, this.stopper);
    const formula = node("details", "look-formula");
    formula.append(node("summary", "", "Formula"), node("p", "", facts.formula));
    this.body.append(node("p", "look-seen", facts.seen), this.state);
    if (facts.why_not) {
      this.body.append(node("p", "look-why", facts.why_not), formula);
      return;
    }
    this.body.append(this.box, node("p", "look-unseen", facts.not_shown), formula, this.saving());
    this.mount();
  }

  async mount() {
    const { facts } = this;
    const script = facts.script ? `./panels/${facts.name}.js` : "./files_panel.js";
    try {
      const { mount } = await import(new URL(script, import.meta.url));
      const more = await mount(this.handle());
      for (const kind of more?.kinds ?? []) this.offer(kind);
    } catch (error) {
      this.failed(error);
    }
  }

  // What a panel's script works with; see the head of look.js.
  handle() {
    return {
      box: this.box,
      panel: this.facts,
      look: this.look,
      clock: this.look.clock,
      ask: (action, given) => this.ask(action, given),
      onScrub: (listen) => this.onScrub(listen),
      say: (text) => this.say(text),
    };
  }

  onScrub(listen) {
    this.listeners.push(listen);
    if (!this.body.hidden && this.look.clock) listen(this.look.clock);
  }

  scrubbed(clock) {
    if (this.body.hidden) return;
    for (const listen of this.listeners) listen(clock);
  }

  say(text, { isError = false, fraction = null, stop = null } = {}) {
    this.state.hidden = !text;
    this.state.dataset.error = String(isError);
    this.words.textContent = text;
    this.state.style.setProperty("--done", `${100 * (fraction ?? 0)}%`);
    this.stop = stop;
    this.stopper.hidden = !stop;
  }

  failed(error) {
    if (error instanceof Gone) this.look.gone(error);
    this.say(error.message, { isError: true });
  }

  // Ask the panel's Python something; null if that failed, which is said here.
  async ask(action, given = {}) {
    const began = performance.now();
    this.running++;
    this.root.dataset.busy = "true";
    try {
      const answer = await ask(this.look.key, this.facts.name, action, given, (progress) => {
        if (performance.now() - began > QUICK) this.say(progress.text, progress);
      });
      if (this.running === 1) this.say("");
      return answer;
    } catch (error) {
      this.failed(error);
      return null;
    } finally {
      this.running--;
      this.root.dataset.busy = String(this.running > 0);
    }
  }

  // -- files

  saving() {
    this.saved = node("div", "look-save");
    this.saved.append(node("span", "", "Save"), ...["png", "csv", "npz"].map((kind) => this.saver(kind)));
    this.links = node("div", "look-links");
    const whole = node("div");
    whole.append(this.saved, this.links);
    return whole;
  }

  saver(kind) {
    const made = button(KINDS[kind], () => this.save(kind));
    made.dataset.save = kind;
    return made;
  }

  // Make the panel's files, once; null if that failed.
  async makeFiles() {
    if (this.files) return this.files;
    const answer = await this.ask("files");
    if (answer?.numbers.why_not) {
      this.say(answer.numbers.why_not, { isError: true });
      return null;
    }
    this.files = answer?.numbers ?? null;
    if (this.files) this.offerMore();
    return this.files;
  }

  // Kinds that only some panels have, as films.
  offerMore() {
    const kinds = new Set(this.files.files.map(({ name }) => name.split(".").pop()));
    for (const kind of kinds) this.offer(kind);
  }

  offer(kind) {
    if (!this.saved.querySelector(`[data-save="${kind}"]`) && KINDS[kind])
      this.saved.append(this.saver(kind));
  }

  async save(kind) {
    const made = await this.makeFiles();
    if (!made) return;
    const files = made.files.filter(({ name }) => name.endsWith(`.${kind}`));
    if (!files.length) this.say(`This panel has no ${KINDS[kind]}.`);
    const links = files.map(({ name, path }) =>
      Object.assign(node("a", "", name), { href: fileUrl(path), download: name }),
    );
    this.links.replaceChildren(...links);
    if (links.length === 1) links[0].click();
  }
}
