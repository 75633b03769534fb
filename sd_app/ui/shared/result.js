// Draws a result's value (see result.py). The markup of result.html never changes, so nothing flickers.

import { StepsFilm } from "../inside/steps_film.js";
import { button, picture as imageOf, node, setPressed } from "./dom.js";
import { fit } from "./fit.js";
import { Frames } from "./frames.js";
import { JobBlock } from "./job.js";
import { Views } from "./views.js";

export function mount(component, { sendTo }) {
  const result = new Result(component, sendTo);
  component.watch("value", () => result.render());
  result.render();
}

class Result {
  constructor(component, sendTo) {
    this.job = new JobBlock(component, sendTo, () => this.render());
    this.picture = this.job.find("picture");
    this.dialog = this.job.find("dialog");
    this.kept = null; // the last pictures: they stay when a run ends without any
    this.views = new Views(this);
    this.frames = new Frames(this);
    this.steps = new StepsFilm(this.job.find("steps"), () => this.showImage(this.current));
    this.listen();
  }

  get current() {
    return this.job.value.images[this.job.value.selected];
  }

  // The inside of the frame in pixels, into which pictures are fitted.
  get room() {
    const room = this.job.find("room");
    const style = getComputedStyle(room);
    return {
      width: room.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight),
      height: room.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom),
    };
  }

  // -- drawing

  render() {
    this.keepPictures();
    const value = this.job.value;
    const images = value.images || [];
    const image = images[value.selected];
    this.job.draw(value);
    if (this.job.busy) this.showProgress(value, image);
    else this.showImage(image);
    this.hideParts(value, image);
    this.views.draw(image);
    this.drawStart();
    this.drawStrip(images, value.selected);
    this.frames.draw();
    this.job.setText("summary", value.phase === "error" ? "" : value.text);
    this.job.setText("note", value.note);
    this.job.find("note").hidden = !value.note;
    this.drawFacts(this.job.busy ? null : image);
  }

  keepPictures() {
    const value = this.job.value;
    if (this.job.busy) return;
    if (value.images.length) {
      const { images, selected, start, shown, note, frames } = value;
      this.kept = { images, selected, start, shown, note, frames };
    } else if (this.kept) this.job.value = { ...value, ...this.kept };
  }

  showProgress(value, image) {
    this.steps.draw(null);
    if (value.preview) this.show(value.preview, "preview", "Preview of the picture being made");
    else if (image) this.show(image.file.url, "image", `Finished picture, seed ${image.seed}`);
    else if (value.phase === "waiting" || value.fraction === 0) this.show("", "", "");
  }

  showImage(image) {
    const shown = this.views.shown(image);
    const what = shown?.label === "Result" ? "Picture" : shown?.label;
    this.steps.draw(shown?.label === "Result" ? image : null);
    this.show(
      this.steps.url ?? shown?.file.url ?? "",
      "image",
      image ? `${what} with seed ${image.seed}` : "",
    );
  }

  show(url, kind, label) {
    const { picture } = this;
    this.job.root.dataset.shows = url ? kind : "";
    if (!url) {
      picture.removeAttribute("src");
      return;
    }
    if (picture.getAttribute("src") !== url) picture.src = url;
    picture.alt = label;
    if (picture.complete) this.fitPicture();
  }

  // A preview takes the place and size of the picture to come.
  fitPicture() {
    const preview = this.job.root.dataset.shows === "preview";
    const own = [this.picture.naturalWidth, this.picture.naturalHeight];
    const [width, height] = (preview && this.job.value.size) || own;
    fit(this.picture, this.room, width, height, !preview);
  }

  hideParts(value, image) {
    const { busy } = this.job;
    this.job.find("empty").hidden = busy || Boolean(image);
    this.job.find("open").hidden = !this.job.root.dataset.shows;
    this.job.find("open").disabled = busy;
    this.job.find("after").hidden = busy;
    this.job.find("foot").hidden = !busy && !image && (value.phase === "error" || !value.text);
    this.job.find("actions").hidden = !image;
  }

  drawStrip(images, selected) {
    const strip = this.job.find("strip");
    const urls = images.map((image) => image.file.url + image.caption).join("\n");
    if (strip.dataset.urls !== urls) {
      strip.dataset.urls = urls;
      strip.replaceChildren(...images.map(stripButton));
    }
    [...strip.children].forEach((one, index) => {
      setPressed(one, index === selected && !this.job.busy);
    });
    strip.hidden = images.length < (this.job.busy ? 1 : 2);
  }

  drawFacts(image) {
    const seed = !image || image.seed === "" || (image.seed ?? null) === null ? "" : `Seed ${image.seed}`;
    this.job.setText("seed", [seed, image?.caption].filter(Boolean).join(" · "));
    this.job.find("infotext").hidden = !image?.infotext;
    if (!image) return;
    this.job.find("infotext").querySelector("pre").textContent = image.infotext;
    const link = this.job.find("download");
    const { file, name } = this.views.shown(image);
    Object.assign(link, { href: file.url, download: name });
  }

  drawStart() {
    const start = this.job.busy ? [] : this.job.value.start || [];
    const box = this.job.find("start");
    box.hidden = !start.length;
    const urls = start.map((one) => one.file.url).join("\n");
    if (box.dataset.urls === urls) return;
    box.dataset.urls = urls;
    const figures = start.map((one) => {
      const figure = node("figure");
      figure.append(imageOf(one.file.url, one.label), node("figcaption", "", one.label));
      return figure;
    });
    box.querySelector("div").replaceChildren(...figures);
  }

  // -- choosing

  select(index) {
    const { value, busy } = this.job;
    const count = value.images.length;
    if (!count || busy) return;
    this.job.value = { ...value, selected: (index + count) % count };
    this.views.keepOrReset();
    const chosen = this.job.find("strip").children[this.job.value.selected];
    chosen?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  openDialog() {
    if (!this.current || this.job.busy) return;
    const large = this.dialog.querySelector("img");
    large.alt = `Picture with seed ${this.current.seed}`;
    large.onload = () => {
      const room = { width: window.innerWidth - 32, height: window.innerHeight - 32 };
      fit(large, room, large.naturalWidth, large.naturalHeight, true);
    };
    large.src = this.views.shown(this.current).file.url;
    if (!this.dialog.open) this.dialog.showModal();
  }

  listen() {
    this.picture.addEventListener("load", () => this.fitPicture());
    new ResizeObserver(() => this.fitPicture()).observe(this.job.find("room"));
    this.job.find("open").addEventListener("click", () => this.openDialog());
    this.dialog.addEventListener("click", () => this.dialog.close());
    this.job.find("strip").addEventListener("click", (event) => {
      const pressed = event.target.closest("button");
      if (pressed) this.select(Number(pressed.dataset.index));
    });
    this.job.root.addEventListener("keydown", (event) => this.step(event));
    this.job.find("actions").addEventListener("click", (event) => {
      const action = event.target.closest("button")?.dataset.do;
      if (action) this.job.trigger(action);
    });
  }

  step(event) {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move || event.target.closest("pre, input, video, .plot-chart")) return;
    event.preventDefault();
    this.select(this.job.value.selected + move);
    const chosen = `[data-index="${this.job.value.selected}"]`;
    if (this.dialog.open) this.openDialog();
    else this.job.root.querySelector(`:is(.result-strip, .result-grid):not([hidden]) ${chosen}`)?.focus();
  }
}

function stripButton(image, index) {
  const made = button();
  const caption = image.caption ? `, ${image.caption}` : "";
  made.dataset.index = index;
  made.setAttribute("aria-label", `Picture ${index + 1}, seed ${image.seed}${caption}`);
  made.append(imageOf(image.file.url));
  if (image.caption) made.append(node("span", "", image.caption.replace("t = ", "")));
  return made;
}
