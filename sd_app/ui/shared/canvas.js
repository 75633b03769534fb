// A picture to draw on (see canvas.py). The value is what the server knows: {picture, blank, paint, text}.
// The painted layer has the picture's own pixels, over a photo fewer; as a mask, its opacity says how white
// a pixel is.

import { brushRange, clampZoom, displayScale } from "./canvas_geometry.js";
import { Scenes, sceneOf, sheetKey, sizeOf } from "./canvas_scene.js";
import { copyOf, drawStroke } from "./canvas_strokes.js";
import { CanvasTools } from "./canvas_tools.js";

export function mount(component, { kind }) {
  const canvas = new Canvas(component, kind);
  component.watch("value", () => canvas.receive());
  canvas.receive();
  canvas.redraw();
}

class Canvas {
  // kind: "sketch" paints colours, "mask" white, "view" nothing.
  constructor({ element, props, trigger, upload }, kind) {
    this.root = element.querySelector(".canvas");
    this.root.dataset.kind = kind;
    Object.assign(this, { kind, props, trigger, upload });
    for (const name of ["room", "sheet", "picture", "paint"]) this[name] = this.find(name);
    this.ink = this.paint.getContext("2d", { willReadFrequently: true });
    this.scenes = new Scenes();
    this.zoom = 1;
    this.stroke = null; // the one being drawn
    this.under = null; // the layer below it
    this.known = { sheet: undefined, paint: undefined }; // as last sent or received
    this.layers = new Map(); // data URL -> loaded image
    this.tools = new CanvasTools(this);
    new ResizeObserver(() => this.layout()).observe(this.room);
  }

  find(name) {
    return this.root.querySelector(`.canvas-${name}`);
  }

  action(name) {
    return this.root.querySelector(`[data-do=${name}]`);
  }

  get size() {
    return sizeOf(this.scenes.now);
  }

  // -- drawing

  async redraw() {
    const scene = this.scenes.now;
    const { size } = this;
    this.root.dataset.empty = String(!size);
    if (size && scene.base && !this.layers.has(scene.base)) {
      await this.load(scene.base);
      if (this.scenes.now !== scene) return;
    }
    if (size) [this.paint.width, this.paint.height] = size;
    if (size && scene.base) this.ink.drawImage(this.layers.get(scene.base), 0, 0, ...size);
    for (const stroke of scene.strokes) drawStroke(this.ink, stroke);
    this.showPicture(scene);
    this.layout();
    this.enableActions();
  }

  async load(url) {
    const image = new Image();
    image.src = url;
    await image.decode().catch(() => {});
    this.layers.set(url, image);
  }

  showPicture({ picture, blank }) {
    const url = picture?.file?.url;
    if (!url) this.picture.removeAttribute("src");
    else if (this.picture.getAttribute("src") !== url) this.picture.src = url;
    this.picture.hidden = !url;
    this.sheet.style.background = blank && !picture ? blank[2] : "";
  }

  enableActions() {
    this.action("undo").disabled = !this.scenes.past.length;
    this.action("redo").disabled = !this.scenes.future.length;
    this.action("mask").disabled = !this.size;
  }

  layout() {
    const { size, room, sheet } = this;
    if (!size) return;
    const large = this.root.classList.contains("large");
    const height = large ? room.clientHeight : parseFloat(getComputedStyle(room).maxHeight);
    const { scale, crisp } = displayScale(size, [room.clientWidth, height], this.zoom);
    sheet.style.width = `${size[0] * scale}px`;
    sheet.style.height = `${size[1] * scale}px`;
    sheet.classList.toggle("crisp", crisp);
    this.find("percent").textContent = `${Math.round(100 * scale)} %`;
  }

  // Enlarge or reduce; the point `at` of the screen, else the middle, stays where it is.
  zoomTo(zoom, at = null) {
    const old = this.zoom;
    this.zoom = clampZoom(zoom);
    if (this.zoom === old) return;
    const room = this.room.getBoundingClientRect();
    const sheet = this.sheet.getBoundingClientRect();
    const [x, y] = at ?? [room.left + room.width / 2, room.top + room.height / 2];
    this.layout();
    this.room.scrollLeft += (x - sheet.left) * (this.zoom / old - 1);
    this.room.scrollTop += (y - sheet.top) * (this.zoom / old - 1);
  }

  setLarge(large) {
    this.root.classList.toggle("large", large);
    this.zoom = 1;
    this.layout();
    // A window of its own: it holds the focus, and gives it back.
    if (large) this.room.focus();
    else this.action("large").focus();
  }

  // -- what the server knows

  publish() {
    const { picture, blank, base, strokes } = this.scenes.now;
    const paint = strokes.length ? this.paint.toDataURL("image/png") : base;
    this.known = { sheet: sheetKey(this.scenes.now), paint };
    this.props.value = { picture, blank, paint, text: "" };
    this.trigger("painted");
  }

  receive() {
    const value = this.props.value || {};
    this.say(value.text || value.remark || "", !value.text);
    const sheet = sheetKey(value);
    const paint = value.paint ?? null;
    const first = this.known.sheet === undefined;
    const other = sheet !== this.known.sheet;
    if (!other && paint === this.known.paint) return;
    const next = sceneOf(value);
    if (first) this.scenes.now = next;
    else this.scenes.change(next);
    if (other) this.beginSheet();
    this.known = { sheet, paint };
    this.redraw();
    this.trigger("painted");
  }

  beginSheet() {
    this.zoom = 1;
    if (!this.size) return;
    const { most, first } = brushRange(this.size, this.kind === "mask");
    Object.assign(this.find("size"), { max: most, value: first });
  }

  // Say what went wrong or, calmly, what should be known.
  say(text, calm = false) {
    const message = this.find("message");
    message.classList.toggle("calm", calm);
    message.textContent = text;
    message.hidden = !text;
  }

  async take(file, event) {
    this.say("");
    this.root.dataset.busy = "true";
    try {
      const { path } = await this.upload(file);
      this.trigger(event, { path, name: file.name });
    } catch (error) {
      this.say(`The picture could not be uploaded: ${error.message || error}`);
    } finally {
      delete this.root.dataset.busy;
    }
  }

  // -- changes

  startStroke(stroke) {
    this.stroke = stroke;
    this.under = copyOf(this.paint);
    drawStroke(this.ink, stroke);
  }

  growStroke(points) {
    this.stroke.points.push(...points);
    this.restoreUnder();
    drawStroke(this.ink, this.stroke);
  }

  endStroke(keep) {
    const done = this.stroke;
    if (!done) return;
    this.stroke = null;
    this.restoreUnder();
    if (!keep) return;
    this.scenes.add(done);
    drawStroke(this.ink, done);
    this.publish();
    this.enableActions();
  }

  restoreUnder() {
    this.ink.clearRect(0, 0, this.paint.width, this.paint.height);
    this.ink.drawImage(this.under, 0, 0);
  }

  async fill(stroke) {
    if (!this.size) return;
    this.scenes.add(stroke);
    await this.redraw();
    this.publish();
  }

  async clear() {
    const { base, strokes } = this.scenes.now;
    if (!base && !strokes.length) return;
    this.scenes.change({ ...this.scenes.now, base: null, strokes: [] });
    await this.redraw();
    this.publish();
  }

  async undo() {
    await this.go(() => this.scenes.undo());
  }

  async redo() {
    await this.go(() => this.scenes.redo());
  }

  async go(step) {
    const before = sheetKey(this.scenes.now);
    if (!step()) return;
    await this.redraw();
    this.publish();
    if (sheetKey(this.scenes.now) !== before) this.trigger("resized");
  }
}
