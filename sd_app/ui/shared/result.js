// Draws the stage's value (see stage.py). The markup of stage.html never changes, so nothing flickers.
const picture = find("picture");
const dialog = find("dialog");
const SMALL = 384; // pixels of the longer side; what is smaller is enlarged by whole factors, without blur

let viewLabel = "Result"; // see views.js
let comparing = false;
const current = () => state().images[state().selected];

// A preview takes the place and size of the picture to come; w and h are that picture's.
function fit(image, room, w, h, crisp) {
  if (!w || !h) return;
  const scale = Math.min(room.width / w, room.height / h);
  const dots = window.devicePixelRatio || 1; // whole factors count in the screen's own pixels
  const small = Math.max(w, h) <= SMALL;
  const factor = small ? Math.max(1, Math.floor(scale * dots) / dots) : Math.min(1, scale);
  image.style.width = w * factor + "px";
  image.style.height = h * factor + "px";
  image.classList.toggle("crisp", crisp && small);
}

function roomOf() {
  const room = find("room");
  const style = getComputedStyle(room);
  return {
    width: room.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight),
    height: room.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom),
  };
}

function fitPicture() {
  const preview = root.dataset.shows === "preview";
  const [w, h] = (preview && state().size) || [picture.naturalWidth, picture.naturalHeight];
  fit(picture, roomOf(), w, h, !preview);
}

function show(url, kind, label) {
  root.dataset.shows = url ? kind : "";
  if (!url) return picture.removeAttribute("src");
  if (picture.getAttribute("src") !== url) picture.src = url;
  picture.alt = label;
  if (picture.complete) fitPicture();
}

function drawStrip(images, selected) {
  const strip = find("strip");
  const urls = images.map((image) => image.file.url + image.caption).join("\n");
  if (strip.dataset.urls !== urls) {
    strip.dataset.urls = urls;
    strip.replaceChildren(...images.map((image, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.index = index;
      button.setAttribute("aria-label", "Picture " + (index + 1) + ", seed " + image.seed + (image.caption ? ", " + image.caption : ""));
      const thumb = new Image();
      thumb.src = image.file.url;
      thumb.alt = "";
      thumb.onload = () => thumb.classList.toggle("crisp", thumb.naturalWidth <= SMALL);
      button.append(thumb);
      if (image.caption) {
        const words = document.createElement("span");
        words.textContent = image.caption.replace("t = ", "");
        button.append(words);
      }
      return button;
    }));
  }
  [...strip.children].forEach((button, index) => {
    button.setAttribute("aria-pressed", String(index === selected && !busy()));
  });
  strip.hidden = images.length < (busy() ? 1 : 2);
}

function drawActions(image) {
  const seed = image.seed === "" || image.seed == null ? "" : "Seed " + image.seed;
  setText("seed", [seed, image.caption].filter(Boolean).join(" · "));
  find("infotext").querySelector("pre").textContent = image.infotext;
  find("infotext").hidden = !image.infotext;
  const link = find("download");
  const shown = shownView(image);
  link.href = shown.file.url;
  link.download = shown.name;
}

let kept = null; // the last pictures: they stay when a run ends without any

function keepPictures() {
  const value = state();
  if (busy()) return;
  if (value.images.length) {
    kept = { images: value.images, selected: value.selected, start: value.start, shown: value.shown, note: value.note, frames: value.frames };
  }
  else if (kept) props.value = { ...value, ...kept };
}

function render() {
  keepPictures();
  const value = state();
  const images = value.images || [];
  const image = images[value.selected];
  drawJob(value);
  if (busy()) {
    if (value.preview) show(value.preview, "preview", "Preview of the picture being made");
    else if (image) show(image.file.url, "image", "Finished picture, seed " + image.seed);
    else if (value.phase === "waiting" || value.fraction === 0) show("", "", "");
  } else {
    const shown = shownView(image);
    show(shown?.file.url ?? "", "image", image ? `${shown.label === "Result" ? "Picture" : shown.label} with seed ${image.seed}` : "");
  }
  find("empty").hidden = busy() || Boolean(image);
  find("open").hidden = !root.dataset.shows;
  find("open").disabled = busy();
  find("after").hidden = busy();
  find("foot").hidden = !busy() && !image && (value.phase === "error" || !value.text);
  find("actions").hidden = !image;
  drawViews(image);
  drawCompare(image);
  drawDrift(image);
  drawStart();
  drawStrip(images, value.selected);
  drawFrames();
  setText("summary", value.phase === "error" ? "" : value.text);
  setText("note", value.note);
  find("note").hidden = !value.note;
  if (image && !busy()) drawActions(image);
  else {
    setText("seed", "");
    find("infotext").hidden = true;
  }
}

function select(index) {
  const count = state().images.length;
  if (!count || busy()) return;
  props.value = { ...state(), selected: (index + count) % count };
  if (state().frames?.views?.some((one) => one.label === viewLabel)) viewLabel = "Result";
  setView(viewLabel);
  find("strip").children[state().selected]?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function openDialog() {
  if (!current() || busy()) return;
  const large = dialog.querySelector("img");
  large.alt = "Picture with seed " + current().seed;
  large.onload = () => {
    const room = { width: window.innerWidth - 32, height: window.innerHeight - 32 };
    fit(large, room, large.naturalWidth, large.naturalHeight, true);
  };
  large.src = shownView(current()).file.url;
  if (!dialog.open) dialog.showModal();
}

picture.addEventListener("load", fitPicture);
new ResizeObserver(() => fitPicture()).observe(find("room"));
find("open").addEventListener("click", openDialog);
dialog.addEventListener("click", () => dialog.close());
find("strip").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) select(Number(button.dataset.index));
});
root.addEventListener("keydown", (event) => {
  const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!move || event.target.closest("pre, input, video, .plot-chart")) return;
  event.preventDefault();
  select(state().selected + move);
  if (dialog.open) openDialog();
  else root.querySelector(`:is(.stage-strip, .stage-grid):not([hidden]) [data-index="${state().selected}"]`)?.focus();
});
find("actions").addEventListener("click", (event) => {
  const action = event.target.closest("button")?.dataset.do;
  if (action === "reuse") trigger("reuse");
  else if (action === "use_seed") trigger("use_seed");
  else if (action) trigger(action);
});
find("actions").append(...sendButtons());
