// How a person works on the canvas: pointers, buttons, keys, colours, files.
import { brushOutline, pinchOf, pixelAt } from "./canvas_geometry.js";
import { button, node, pointerAt, setPressed } from "./dom.js";

const COLORS = [
  "#000000",
  "#ffffff",
  "#d62828",
  "#f08a24",
  "#f5d423",
  "#3a9d4f",
  "#2f6fd0",
  "#7b4fc9",
  "#e78bb6",
  "#7a4a21",
];
const WHITE = "#ffffff";
const MORE = {
  mask: "Then paint over what should be redrawn.",
  sketch: "Or draw one on a blank canvas.",
  view: "",
};
const LEGEND = "What you paint is white in the mask: white is redrawn, the rest is kept exactly as it is.";
const PAINTING = ["blank", "brush", "eraser", "fill", "clear"]; // what a picture to look at has not

// Return the brush's width after [ or ].
export function brushAfter(key, width) {
  return key === "[" ? Math.round(width / 1.25) : Math.ceil(width * 1.25);
}

export class CanvasTools {
  constructor(canvas) {
    this.canvas = canvas;
    this.tool = "brush";
    this.color = COLORS[0];
    this.pointers = new Map();
    this.pinch = null; // two fingers as they were
    this.actions = this.makeActions();
    this.fitKind();
    this.setTool("brush");
    this.listenToPointers();
    this.listenToButtons();
    this.listenToFiles();
  }

  get isMask() {
    return this.canvas.kind === "mask";
  }

  get brush() {
    return Number(this.canvas.find("size").value);
  }

  // What a stroke or a fill paints with.
  get paint() {
    if (!this.isMask) return { color: this.color, white: 1 };
    return { color: WHITE, white: Number(this.canvas.find("white").value) / 100 };
  }

  // -- what this kind of canvas has

  fitKind() {
    const { canvas } = this;
    canvas.find("more").textContent = MORE[canvas.kind];
    canvas.find("legend").textContent = this.isMask ? LEGEND : "";
    canvas.find("legend").hidden = !this.isMask;
    if (this.isMask) {
      canvas.action("blank").remove();
      canvas.find("colors").remove();
      return;
    }
    canvas.action("mask").hidden = true;
    canvas.find("grey").hidden = true;
    if (canvas.kind === "view") this.hidePainting();
    else this.addColors();
  }

  hidePainting() {
    const { canvas } = this;
    const painting = PAINTING.map((name) => canvas.action(name));
    for (const one of [...painting, canvas.find("size").parentElement, canvas.find("colors")])
      one.hidden = true;
    canvas.room.setAttribute("aria-label", "Enlarged picture");
    canvas.action("large").title = "Show in the full window (F); Esc closes it";
  }

  addColors() {
    const colors = this.canvas.find("colors");
    const custom = Object.assign(node("input"), { type: "color", title: "Custom colour" });
    custom.setAttribute("aria-label", "Custom colour");
    custom.addEventListener("input", () => this.setColor(custom.value));
    const buttons = COLORS.map((color) => {
      const made = button(null, () => this.setColor(color), { title: color });
      made.dataset.color = color;
      made.style.background = color;
      made.setAttribute("aria-label", `Colour ${color}`);
      return made;
    });
    colors.append(...buttons, custom);
    this.setColor(COLORS[0]);
  }

  setColor(color) {
    this.color = color;
    for (const one of this.canvas.find("colors").children) {
      setPressed(one, (one.dataset.color ?? one.value) === color);
    }
    this.setTool("brush");
  }

  setTool(name) {
    this.tool = name;
    for (const one of ["brush", "eraser"]) setPressed(this.canvas.action(one), one === name);
  }

  // -- pointers

  listenToPointers() {
    const { paint, room } = this.canvas;
    paint.addEventListener("pointerdown", (event) => this.press(event));
    paint.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      paint.addEventListener(name, (event) => this.release(event));
    }
    const wheel = (event) => {
      if (!event.ctrlKey || !this.canvas.size) return;
      event.preventDefault();
      this.canvas.zoomTo(this.canvas.zoom * Math.exp(-event.deltaY / 300), pointerAt(event));
    };
    room.addEventListener("wheel", wheel, { passive: false });
  }

  pixel(event) {
    const { paint } = this.canvas;
    return pixelAt(pointerAt(event), paint.getBoundingClientRect(), [paint.width, paint.height]);
  }

  press(event) {
    const { canvas, pointers } = this;
    if (event.button > 1) return;
    event.preventDefault();
    canvas.room.focus({ preventScroll: true });
    canvas.paint.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, pointerAt(event));
    if (pointers.size === 2) {
      canvas.endStroke(false); // two fingers move the sheet, one draws
      this.pinch = { ...pinchOf([...pointers.values()]), zoom: canvas.zoom };
    } else if (pointers.size === 1 && event.button === 0 && canvas.kind !== "view") {
      canvas.startStroke({ tool: this.tool, ...this.paint, width: this.brush, points: [this.pixel(event)] });
    }
  }

  move(event) {
    this.showBrush(event);
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const now = pointerAt(event);
    this.pointers.set(event.pointerId, now);
    if (this.pinch && this.pointers.size === 2) this.movePinch();
    else if (this.canvas.stroke) this.drawTo(event);
    // The middle button, or nothing to draw with.
    else this.scrollBy(last, now);
  }

  movePinch() {
    const now = pinchOf([...this.pointers.values()]);
    this.scrollBy(this.pinch.center, now.center);
    this.pinch.center = now.center;
    this.canvas.zoomTo((this.pinch.zoom * now.distance) / this.pinch.distance, now.center);
  }

  drawTo(event) {
    const events = event.getCoalescedEvents?.() ?? [];
    this.canvas.growStroke((events.length ? events : [event]).map((one) => this.pixel(one)));
  }

  scrollBy(from, to) {
    this.canvas.room.scrollLeft -= to[0] - from[0];
    this.canvas.room.scrollTop -= to[1] - from[1];
  }

  release(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.pointers.size < 2) this.pinch = null;
    this.canvas.endStroke(event.type === "pointerup");
  }

  showBrush(event) {
    const { paint } = this.canvas;
    const box = paint.getBoundingClientRect();
    const { side, left, top } = brushOutline(pointerAt(event), this.brush, box, paint.width);
    this.canvas.find("ring").style.cssText = `width:${side}px;height:${side}px;left:${left}px;top:${top}px`;
  }

  // -- buttons and keys

  makeActions() {
    const { canvas } = this;
    return {
      open: () => this.chooseFile("picked"),
      mask: () => this.chooseFile("mask_picked"),
      blank: () => canvas.trigger("blank"),
      large: () => canvas.setLarge(!canvas.root.classList.contains("large")),
      brush: () => this.setTool("brush"),
      eraser: () => this.setTool("eraser"),
      undo: () => canvas.undo(),
      redo: () => canvas.redo(),
      fill: () => canvas.fill({ tool: "fill", ...this.paint }),
      clear: () => canvas.clear(),
      out: () => canvas.zoomTo(canvas.zoom / 1.5),
      in: () => canvas.zoomTo(canvas.zoom * 1.5),
      fit: () => canvas.zoomTo(1),
    };
  }

  listenToButtons() {
    const { root, room } = this.canvas;
    root.addEventListener("click", (event) => this.actions[event.target.closest("button")?.dataset.do]?.());
    room.addEventListener("keydown", (event) => this.pressKey(event));
    const leaveLarge = (event) => {
      if (!root.classList.contains("large")) return;
      if (event.key === "Tab") keepInside(root, event);
      if (event.key !== "Escape") return;
      event.stopImmediatePropagation();
      this.canvas.setLarge(false);
    };
    document.addEventListener("keydown", leaveLarge, true);
  }

  pressKey(event) {
    const act = this.actionOf(event);
    if (!act) return;
    act();
    event.preventDefault();
  }

  actionOf(event) {
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key === "z") return event.shiftKey ? this.actions.redo : this.actions.undo;
      return key === "y" ? this.actions.redo : null;
    }
    if (event.altKey) return null;
    if (key === "[" || key === "]") return () => this.resizeBrush(key);
    const names = { b: "brush", e: "eraser", f: "large", "+": "in", "-": "out" };
    return this.actions[names[key]];
  }

  resizeBrush(key) {
    this.canvas.find("size").value = brushAfter(key, this.brush);
  }

  // -- files

  chooseFile(event) {
    const input = this.canvas.find("file");
    input.dataset.event = event;
    input.value = "";
    input.click();
  }

  listenToFiles() {
    const input = this.canvas.find("file");
    input.addEventListener("change", () => {
      const [file] = input.files;
      if (file) this.canvas.take(file, input.dataset.event || "picked");
    });
    // Pasted and dropped files come from page.js.
    this.canvas.root.addEventListener("pictures", (event) => this.canvas.take(event.detail[0], "picked"));
  }
}

// From the last control go on with the first, and back.
function keepInside(root, event) {
  const all = [...root.querySelectorAll("button, input, [tabindex]")].filter(
    (one) => one.checkVisibility() && one.tabIndex >= 0 && !one.disabled,
  );
  const [from, to] = event.shiftKey ? [all[0], all.at(-1)] : [all.at(-1), all[0]];
  if (root.contains(event.target) && event.target !== from) return;
  event.preventDefault();
  to.focus();
}
