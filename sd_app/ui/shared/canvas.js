// A picture to draw on (see canvas.py). The value is what the server knows: {picture, blank, paint, text}.
// The painted layer has the picture's own pixels; as a mask, its opacity says how white a pixel is.
const root = element.querySelector(".easel");
const find = (name) => root.querySelector(".easel-" + name);
const isMask = KIND === "mask", isView = KIND === "view"; // else a sketch
root.dataset.kind = KIND;
const room = find("room"), sheet = find("sheet"), picture = find("picture"), ring = find("ring");
const canvas = find("paint"), ink = canvas.getContext("2d", { willReadFrequently: true });
const COLORS = ["#000000", "#ffffff", "#d62828", "#f08a24", "#f5d423", "#3a9d4f", "#2f6fd0", "#7b4fc9", "#e78bb6", "#7a4a21"];
const CRISP = 384; // pixels; smaller pictures are enlarged without blur
const PLAIN = { picture: null, blank: null, base: null, strokes: [] };

let scene = PLAIN; // what is drawn: a picture or a blank sheet, a painted layer to begin with, strokes
let past = [], future = [];
let tool = "brush", color = COLORS[0], zoom = 1;
let stroke = null, under = null; // the stroke being drawn, and the layer below it
let known = { picture: undefined, paint: undefined }; // as last sent or received
const bases = new Map(); // data URL -> loaded image

const pictureKey = (value) => JSON.stringify([value?.picture?.file?.path ?? null, value?.blank ?? null]);
const pixels = () => scene.picture ? [scene.picture.width, scene.picture.height] : scene.blank ? scene.blank.slice(0, 2) : null;

function strokeWidth() { return Number(find("size").value); }

function drawStroke(one) {
  ink.save();
  ink.globalCompositeOperation = one.tool === "eraser" ? "destination-out" : "source-over";
  ink.globalAlpha = one.tool === "eraser" ? 1 : one.white;
  ink.strokeStyle = ink.fillStyle = one.color;
  if (one.tool === "fill") ink.fillRect(0, 0, canvas.width, canvas.height);
  else {
    const [first, ...rest] = one.points;
    ink.lineWidth = one.width;
    ink.lineCap = ink.lineJoin = "round";
    ink.beginPath();
    ink.moveTo(...first);
    for (const point of rest.length ? rest : [first]) ink.lineTo(...point);
    ink.stroke();
  }
  ink.restore();
}

async function redraw() {
  const size = pixels();
  const drawn = scene;
  root.dataset.empty = String(!size);
  if (size && scene.base && !bases.has(scene.base)) {
    const image = new Image();
    image.src = scene.base;
    await image.decode().catch(() => {});
    bases.set(scene.base, image);
    if (scene !== drawn) return;
  }
  if (size) [canvas.width, canvas.height] = size;
  if (size && scene.base) ink.drawImage(bases.get(scene.base), 0, 0);
  scene.strokes.forEach(drawStroke);
  const url = scene.picture?.file?.url;
  if (url) { if (picture.getAttribute("src") !== url) picture.src = url; }
  else picture.removeAttribute("src");
  picture.hidden = !url;
  sheet.style.background = scene.blank && !scene.picture ? scene.blank[2] : "";
  layout();
  for (const [name, list] of [["undo", past], ["redo", future]]) root.querySelector(`[data-do=${name}]`).disabled = !list.length;
  root.querySelector("[data-do=mask]").disabled = !size;
}

function layout() {
  const size = pixels();
  if (!size) return;
  const [width, height] = size;
  const style = getComputedStyle(room);
  const large = root.classList.contains("large");
  const space = [room.clientWidth, large ? room.clientHeight : parseFloat(style.maxHeight)];
  let scale = Math.min(space[0] / width, space[1] / height);
  const small = Math.max(width, height) <= CRISP;
  if (small && scale > 1) scale = Math.floor(scale);
  scale *= zoom;
  sheet.style.width = width * scale + "px";
  sheet.style.height = height * scale + "px";
  sheet.classList.toggle("crisp", small && scale >= 1);
  find("percent").textContent = Math.round(100 * scale) + " %";
}

function zoomTo(next, at) {
  const old = zoom;
  zoom = Math.min(16, Math.max(1, next));
  if (zoom === old) return;
  const box = room.getBoundingClientRect();
  const [x, y] = at ? [at[0] - box.left, at[1] - box.top] : [box.width / 2, box.height / 2];
  const sheetBox = sheet.getBoundingClientRect();
  const inside = [box.left + x - sheetBox.left, box.top + y - sheetBox.top];
  layout();
  room.scrollLeft += inside[0] * (zoom / old - 1);
  room.scrollTop += inside[1] * (zoom / old - 1);
}

// -- what the server knows

function publish() {
  const paint = scene.strokes.length ? canvas.toDataURL("image/png") : scene.base;
  known = { picture: pictureKey(scene), paint };
  props.value = { picture: scene.picture, blank: scene.blank, paint, text: "" };
  trigger("painted");
}

function change(next) {
  past = [...past.slice(-99), scene];
  future = [];
  scene = next;
}

async function move(from, to) {
  const next = from.pop();
  if (!next) return;
  const before = pictureKey(scene);
  to.push(scene);
  scene = next;
  await redraw();
  publish();
  if (pictureKey(scene) !== before) trigger("resized");
}

function receive() {
  const value = props.value || {};
  const message = find("message");
  message.textContent = value.text || "";
  message.hidden = !value.text;
  const key = pictureKey(value);
  if (key === known.picture && (value.paint ?? null) === known.paint) return;
  if (key !== known.picture) zoom = 1;
  const next = { picture: value.picture ?? null, blank: value.blank ?? null, base: value.paint ?? null, strokes: [] };
  if (known.picture === undefined) scene = next; else change(next);
  if (key !== known.picture) setBrush(next);
  known = { picture: key, paint: value.paint ?? null };
  redraw();
  trigger("painted");
}

function setBrush(next) {
  const size = next.picture ? [next.picture.width, next.picture.height] : next.blank;
  if (!size) return;
  const longer = Math.max(size[0], size[1]);
  find("size").max = Math.max(16, Math.round(longer / 2));
  find("size").value = Math.max(1, Math.round(longer / (isMask ? 10 : 24)));
}

async function take(file, event) {
  find("message").hidden = true;
  root.dataset.busy = "true";
  try {
    const { path } = await upload(file);
    trigger(event, { path, name: file.name });
  } catch (error) {
    find("message").textContent = "The picture could not be uploaded: " + (error.message || error);
    find("message").hidden = false;
  } finally {
    delete root.dataset.busy;
  }
}

// -- drawing

const pointers = new Map();
let pinch = null;

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
}

function showRing(event) {
  const box = canvas.getBoundingClientRect();
  const side = strokeWidth() * box.width / canvas.width;
  ring.style.cssText = `width:${side}px;height:${side}px;left:${event.clientX - box.left - side / 2}px;top:${event.clientY - box.top - side / 2}px`;
}

function startStroke(event) {
  const white = isMask ? Number(find("white").value) / 100 : 1;
  stroke = { tool, color: isMask ? "#ffffff" : color, white, width: strokeWidth(), points: [place(event)] };
  under = document.createElement("canvas");
  [under.width, under.height] = [canvas.width, canvas.height];
  under.getContext("2d").drawImage(canvas, 0, 0);
  drawStroke(stroke);
}

function restoreUnder() {
  ink.clearRect(0, 0, canvas.width, canvas.height);
  ink.drawImage(under, 0, 0);
}

function endStroke(keep) {
  if (!stroke) return;
  const done = stroke;
  stroke = null;
  if (!keep) return restoreUnder();
  change({ ...scene, strokes: [...scene.strokes, done] });
  restoreUnder();
  drawStroke(done);
  publish();
  for (const [name, list] of [["undo", past], ["redo", future]]) root.querySelector(`[data-do=${name}]`).disabled = !list.length;
}

const span = () => {
  const [a, b] = [...pointers.values()];
  return { distance: Math.hypot(a[0] - b[0], a[1] - b[1]), center: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] };
};

canvas.addEventListener("pointerdown", (event) => {
  if (event.button > 1) return;
  event.preventDefault();
  room.focus({ preventScroll: true });
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (pointers.size === 2) {
    endStroke(false); // two fingers move the sheet, one draws
    pinch = { ...span(), zoom };
  } else if (pointers.size === 1 && event.button === 0 && !isView) startStroke(event);
});
canvas.addEventListener("pointermove", (event) => {
  showRing(event);
  if (!pointers.has(event.pointerId)) return;
  const last = pointers.get(event.pointerId);
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (pinch && pointers.size === 2) {
    const now = span();
    room.scrollLeft -= now.center[0] - pinch.center[0];
    room.scrollTop -= now.center[1] - pinch.center[1];
    pinch.center = now.center;
    zoomTo(pinch.zoom * now.distance / pinch.distance, now.center);
  } else if (stroke) {
    for (const one of event.getCoalescedEvents?.() ?? [event]) stroke.points.push(place(one));
    if (!event.getCoalescedEvents?.().length) stroke.points.push(place(event));
    restoreUnder();
    drawStroke(stroke);
  } else { // the middle button, or nothing to draw with
    room.scrollLeft -= event.clientX - last[0];
    room.scrollTop -= event.clientY - last[1];
  }
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (pointers.size < 2) pinch = null;
    endStroke(name === "pointerup");
  });
}
room.addEventListener("wheel", (event) => {
  if (!event.ctrlKey || !pixels()) return;
  event.preventDefault();
  zoomTo(zoom * Math.exp(-event.deltaY / 300), [event.clientX, event.clientY]);
}, { passive: false });

// -- buttons and keys

function choose(event) {
  const input = find("file");
  input.dataset.event = event;
  input.value = "";
  input.click();
}

function setTool(name) {
  tool = name;
  for (const one of ["brush", "eraser"]) root.querySelector(`[data-do=${one}]`).setAttribute("aria-pressed", String(one === name));
}

function setLarge(large) {
  root.classList.toggle("large", large);
  zoom = 1;
  layout();
  if (large) room.focus();
}

const actions = {
  open: () => choose("picked"),
  mask: () => choose("mask_picked"),
  blank: () => trigger("blank"),
  large: () => setLarge(!root.classList.contains("large")),
  brush: () => setTool("brush"),
  eraser: () => setTool("eraser"),
  undo: () => move(past, future),
  redo: () => move(future, past),
  fill: () => add({ tool: "fill", color: isMask ? "#ffffff" : color, white: isMask ? Number(find("white").value) / 100 : 1 }),
  clear: async () => {
    if (!scene.base && !scene.strokes.length) return;
    change({ ...scene, base: null, strokes: [] });
    await redraw();
    publish();
  },
  out: () => zoomTo(zoom / 1.5),
  in: () => zoomTo(zoom * 1.5),
  fit: () => zoomTo(1),
};

async function add(one) {
  if (!pixels()) return;
  change({ ...scene, strokes: [...scene.strokes, one] });
  await redraw();
  publish();
}

root.addEventListener("click", (event) => {
  const name = event.target.closest("button")?.dataset.do;
  if (name && actions[name]) actions[name]();
});
room.addEventListener("keydown", (event) => {
  const size = find("size");
  const control = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  if (control && key === "z") (event.shiftKey ? actions.redo : actions.undo)();
  else if (control && key === "y") actions.redo();
  else if (control || event.altKey) return;
  else if (key === "b") setTool("brush");
  else if (key === "e") setTool("eraser");
  else if (key === "f") actions.large();
  else if (key === "[") size.value = Math.round(Number(size.value) / 1.25);
  else if (key === "]") size.value = Math.ceil(Number(size.value) * 1.25);
  else if (key === "+") actions.in();
  else if (key === "-") actions.out();
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !root.classList.contains("large")) return;
  event.stopImmediatePropagation();
  setLarge(false);
}, true);
find("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) take(file, event.target.dataset.event || "picked");
});
// Pasted and dropped files come from page.js.
root.addEventListener("pictures", (event) => take(event.detail[0], "picked"));
new ResizeObserver(layout).observe(room);

if (isMask) for (const node of [root.querySelector("[data-do=blank]"), find("colors")]) node.remove();
else for (const node of [root.querySelector("[data-do=mask]"), find("grey")]) node.hidden = true;
if (isView) {
  const drawing = ["blank", "brush", "eraser", "fill", "clear"].map((name) => root.querySelector(`[data-do=${name}]`));
  for (const node of [...drawing, find("size").parentElement, find("colors")]) node.hidden = true;
  room.setAttribute("aria-label", "Picture, large");
  root.querySelector("[data-do=large]").title = "Show on the whole window (F); Esc ends it";
}
if (!isMask && !isView) {
  const custom = document.createElement("input");
  custom.type = "color";
  custom.title = "Another colour";
  custom.setAttribute("aria-label", "Another colour");
  const pick = (value) => {
    color = value;
    for (const one of find("colors").children) one.setAttribute("aria-pressed", String((one.dataset.color ?? one.value) === value));
    setTool("brush");
  };
  find("colors").append(...COLORS.map((value) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.color = value;
    button.style.background = value;
    button.title = value;
    button.setAttribute("aria-label", "Colour " + value);
    button.addEventListener("click", () => pick(value));
    return button;
  }), custom);
  custom.addEventListener("input", () => pick(custom.value));
  pick(COLORS[0]);
}
const MORE = { mask: "Then paint over what shall be made anew.", sketch: "Or draw one on a blank canvas.", view: "" };
find("more").textContent = MORE[KIND];
find("legend").textContent = isMask ? "What you paint is white in the mask: white is repainted, the rest is kept to the pixel." : "";
find("legend").hidden = !isMask;
setTool("brush");
watch("value", receive);
receive();
redraw();
