// One picture of the history, with all that its file says, and what can be done with it.
import { button, drawMessage, node, setPressed } from "../shared/dom.js";
import { fit } from "../shared/fit.js";
import { fileUrl } from "../shared/post.js";
import { ask } from "./ask.js";
import { markOfKey } from "./words.js";

const LABELS = {
  raw: "The model's own picture",
  roundtrip: "Through the VAE and back",
  film: "Film",
  strip: "Strip",
  sheet: "Sheet",
  plot: "Plot",
};
const DRAWN = /\.(png|jpe?g|webp|gif|avif)$/i;

export class Viewer {
  constructor(root, history, sendTo) {
    Object.assign(this, { root, history, opened: 0, one: null });
    this.find(".viewer-send").append(
      ...sendTo.map(([event, label]) => button(label, () => this.send(event))),
    );
    root.addEventListener("click", (event) => {
      if (event.target === root) root.close();
      const { view, mark } = event.target.closest("button")?.dataset ?? {};
      if (view) this.act(view);
      if (mark) this.toggle(mark);
    });
    root.addEventListener("keydown", (event) => this.pressKey(event));
    root.addEventListener("close", () => this.one && history.grid.focus(this.one.name));
    const room = this.find(".viewer-room");
    new ResizeObserver(() => this.fit()).observe(room);
    this.find(".viewer-picture").addEventListener("load", () => this.fit());
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  tell(text) {
    drawMessage(this.find(".history-message"), this.root.open ? text : "");
  }

  async open(name) {
    this.opened += 1;
    const { opened } = this;
    try {
      const one = await ask("open", { name });
      if (opened === this.opened) this.draw(one);
    } catch (error) {
      this.history.tell(error);
    }
  }

  draw(one) {
    this.one = one;
    if (!this.root.open) this.root.showModal();
    this.tell("");
    this.find(".viewer-name").textContent = one.title;
    this.show(one.shown ?? one.image.file, one.prompt || one.title);
    this.drawMark();
    this.drawFacts(one);
    Object.assign(this.find(".viewer-download"), {
      href: fileUrl(one.image.file.path),
      download: one.image.name,
    });
    const hasParameters = Boolean(one.infotext);
    this.find('[data-view="reuse"]').disabled = !hasParameters || !one.kind;
    this.find('[data-view="look"]').disabled = !hasParameters;
    this.find('[data-view="trash"]').textContent = this.history.trashed ? "Put back" : "Move to trash";
    this.drawChoice();
    this.find('[data-view="before"]').disabled = !this.history.grid.nameBeside(one.name, -1);
    this.find('[data-view="after"]').disabled = !this.history.grid.nameBeside(one.name, 1);
    this.find(".viewer-infotext").hidden = !hasParameters;
    this.find(".viewer-infotext pre").textContent = one.infotext;
    this.drawBeside(one);
  }

  show(file, alt) {
    Object.assign(this.find(".viewer-picture"), { src: fileUrl(file.path), alt });
  }

  fit() {
    const image = this.find(".viewer-picture");
    const room = this.find(".viewer-room");
    fit(
      image,
      { width: room.clientWidth, height: room.clientHeight },
      image.naturalWidth,
      image.naturalHeight,
      true,
    );
  }

  drawFacts(one) {
    const rows = [
      ["Prompt", one.prompt],
      ["Model", one.model],
      ["Seed", one.seed],
      ["Size", `${one.width} × ${one.height}`],
      ["Made", one.made],
      ["Made by", one.program],
    ];
    const shown = rows
      .filter(([, value]) => value)
      .map(([name, value]) => {
        const row = node("div");
        row.append(node("dt", "", name), node("dd", "", value));
        return row;
      });
    if (!one.infotext)
      shown.push(node("p", "viewer-hint", "This file holds no parameters that can be read."));
    this.find(".viewer-list").replaceChildren(...shown);
  }

  drawBeside(one) {
    const whole = [{ label: "The picture", file: one.shown ?? one.image.file }, ...one.views];
    const made = whole.map(({ label, file }) => {
      const text = LABELS[label] ?? label;
      if (DRAWN.test(file.path)) return button(text, () => this.show(file, text));
      return Object.assign(node("a", "", text), { href: fileUrl(file.path), download: file.orig_name ?? "" });
    });
    this.find(".viewer-beside").replaceChildren(...(one.views.length ? made : []));
  }

  drawMark() {
    for (const made of this.root.querySelectorAll("[data-mark]")) {
      setPressed(made, made.dataset.mark === this.one.mark);
      made.disabled = this.history.trashed;
    }
  }

  drawChoice() {
    const isChosen = this.history.grid.chosen.has(this.one.name);
    const choice = this.find('[data-view="choose"]');
    choice.textContent = isChosen ? "Selected" : "Select";
    setPressed(choice, isChosen);
  }

  setMark(names, mark) {
    if (!this.one || !names.includes(this.one.name)) return;
    this.one.mark = mark;
    this.drawMark();
  }

  toggle(mark) {
    this.history.mark([this.one.name], this.one.mark === mark ? null : mark);
  }

  act(name) {
    const { one, history } = this;
    if (name === "close") this.root.close();
    else if (name === "before" || name === "after") this.step(name === "after" ? 1 : -1);
    else if (name === "reuse") this.send(`reuse_${one.kind}`);
    else if (name === "look") this.send("look");
    else if (name === "choose") {
      history.grid.choose(one.name);
      this.drawChoice();
    } else this.throwAway();
  }

  step(by) {
    const next = this.history.grid.nameBeside(this.one.name, by);
    if (next) this.open(next);
  }

  // The one beside it is shown then, if there is one.
  async throwAway() {
    const { one, history } = this;
    const next = history.grid.nameBeside(one.name, 1) ?? history.grid.nameBeside(one.name, -1);
    await (history.trashed ? history.putBack([one.name]) : history.throwAway([one.name]));
    if (next) await this.open(next);
    else this.root.close();
  }

  send(event) {
    this.root.close();
    this.history.send(event, this.one.image);
  }

  pressKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.one || event.target.closest("pre")) return;
    const mark = markOfKey(event.key, this.one.mark);
    if (event.key === "ArrowRight") this.step(1);
    else if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "Delete" && !this.history.trashed) this.throwAway();
    else if (mark !== undefined && !this.history.trashed) this.history.mark([this.one.name], mark);
    else return;
    event.preventDefault();
  }
}
