// What a walk or a plane shows besides the picture: scrubber, film, grid, where it jumps (see frames.py).
const SVG = "http://www.w3.org/2000/svg";
const framesOf = () => busy() ? null : state().frames;
let scale = "linear"; // of the plot
let pair = null; // the pair of frames that is looked at

function drawFrames() {
  const frames = framesOf();
  drawScrub(frames);
  drawFilm(frames?.film);
  drawGrid(frames);
  drawPlot(frames?.plot, frames?.ts, frames?.jump);
  drawJump(frames?.jump);
}

// -- the way from a to b, by hand

function drawScrub(frames) {
  const on = (frames?.ts?.length ?? 0) > 1;
  find("scrub").hidden = !on;
  if (!on) return;
  const range = find("scrub").querySelector("input");
  const [from, to] = find("scrub").querySelectorAll("span");
  [from.textContent, to.textContent] = frames.ends;
  range.max = frames.ts.length - 1;
  if (state().selected < frames.ts.length) range.value = state().selected;
  range.setAttribute("aria-valuetext", current()?.caption || "");
}

function drawFilm(film) {
  const box = find("film");
  box.hidden = !film;
  if (!film) return;
  const url = film.file.url;
  if (box.dataset.url === url) return;
  box.dataset.url = url;
  const moves = film.name.endsWith(".mp4");
  const node = document.createElement(moves ? "video" : "img");
  if (moves) Object.assign(node, { controls: true, loop: true, muted: true, playsInline: true, autoplay: !matchMedia("(prefers-reduced-motion: reduce)").matches });
  else { node.alt = "Film of the walk"; node.onload = () => node.classList.toggle("crisp", node.naturalWidth <= SMALL); }
  node.src = url;
  const link = box.querySelector("a");
  link.href = url;
  link.download = film.name;
  box.querySelector(".film-screen").replaceChildren(node);
}

// -- a plane

function drawGrid(frames) {
  const box = find("grid");
  const on = Boolean(frames?.rows);
  box.hidden = !on;
  root.dataset.plane = String(on);
  if (!on) return;
  const images = state().images;
  const key = images.map((image) => image.file.url).join("\n");
  if (box.dataset.key !== key) {
    box.dataset.key = key;
    const head = (text) => Object.assign(document.createElement("span"), { textContent: text, title: text });
    const corner = head("× " + frames.direction);
    const cells = images.map((image, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.index = index;
      button.setAttribute("aria-label", image.caption);
      button.title = image.caption;
      const thumb = new Image();
      thumb.src = image.file.url;
      thumb.alt = "";
      thumb.onload = () => thumb.classList.toggle("crisp", thumb.naturalWidth <= SMALL);
      button.append(thumb);
      return button;
    });
    const wide = frames.columns.length;
    const rows = frames.rows.flatMap((label, row) => {
      const line = cells.slice(row * wide, (row + 1) * wide);
      return line.length ? [head(label), ...line] : [];
    });
    box.style.setProperty("--columns", wide);
    box.replaceChildren(corner, ...frames.columns.map(head), ...rows);
  }
  for (const button of box.querySelectorAll("button")) button.setAttribute("aria-pressed", String(Number(button.dataset.index) === state().selected));
}

// -- where it jumps

function drawn(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const hue = (k, count) => `hsl(${Math.round(265 - 225 * k / Math.max(count - 1, 1))} 60% 52%)`;
const place = (t) => Number(t.toPrecision(4)).toString();

function drawPlot(plot, ts, jump) {
  const box = find("plot");
  box.hidden = !plot;
  if (!plot) return;
  if (pair === null || pair >= plot.curves.length) pair = plot.largest;
  for (const button of box.querySelectorAll("[data-scale]")) button.setAttribute("aria-pressed", String(button.dataset.scale === scale));
  const chart = box.querySelector(".plot-chart");
  const width = Math.max(280, chart.clientWidth || 640), height = width < 480 ? 220 : 280;
  const left = 44, right = 10, top = 10, bottom = 34;
  const curves = jump ? [...plot.curves, jump.curve] : plot.curves;
  const values = curves.flat().filter((value) => value !== null);
  const most = Math.max(plot.threshold * 1.2, ...values);
  const least = Math.min(plot.threshold / 2, Math.max(most / 1e4, Math.min(...values.filter((value) => value > 0), most)));
  const steps = curves[0].length;
  const x = (step) => left + (width - left - right) * (steps > 1 ? (step - 1) / (steps - 1) : 0.5);
  const y = (value) => {
    const share = scale === "log" ? Math.log(Math.max(value, least) / least) / Math.log(most / least) : value / most;
    return height - bottom - (height - top - bottom) * share;
  };
  const points = (curve) => curve.map((value, k) => value === null ? null : `${x(k + 1).toFixed(1)},${y(value).toFixed(1)}`).filter(Boolean).join(" ");
  const lines = plot.curves.map((curve, k) => drawn("polyline", { points: points(curve), fill: "none", stroke: hue(k, plot.curves.length), "stroke-width": k === pair ? 3 : 1.3, "data-pair": k, opacity: k === pair ? 1 : 0.75 }));
  const dots = plot.curves.flatMap((curve, k) => plot.parted[k] && (plot.curves.length <= 60 || k === pair)
    ? [drawn("circle", { cx: x(plot.parted[k]), cy: y(curve[plot.parted[k] - 1]), r: k === pair ? 5.5 : 3.5, fill: hue(k, plot.curves.length), class: "plot-parted" })] : []);
  const axes = [...ticks(most, least).map((value) => drawn("g", {}, drawn("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "plot-line" }), text(left - 6, y(value) + 4, place(value), "end"))),
    ...stepTicks(steps, width).map((step) => text(x(step), height - bottom + 16, step, "middle")),
    text((left + width - right) / 2, height - 2, "step", "middle"),
    drawn("line", { x1: left, x2: width - right, y1: y(plot.threshold), y2: y(plot.threshold), class: "plot-threshold" }),
    text(width - right, y(plot.threshold) - 4, `parted: ${plot.threshold}`, "end")];
  const narrowed = jump ? [drawn("polyline", { points: points(jump.curve), fill: "none", class: "plot-jump" })] : [];
  // The line looked at comes last, on top.
  const order = [...lines.filter((_, k) => k !== pair), lines[pair]];
  chart.replaceChildren(drawn("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" }, ...axes, ...order, ...narrowed, ...dots));
  chart.setAttribute("aria-valuemax", plot.curves.length - 1);
  chart.setAttribute("aria-valuenow", pair);
  const words = pairWords(plot, ts, pair);
  chart.setAttribute("aria-valuetext", words);
  box.querySelector(".plot-pair").textContent = words;
  box.querySelector(".plot-kind").textContent = plot.kinds[pair];
  box.querySelector(".plot-meaning").textContent = plot.meanings[plot.kinds[pair]];
  box.querySelector(".plot-swatch").style.background = hue(pair, plot.curves.length);
}

function text(at, height, words, anchor) {
  const node = drawn("text", { x: at, y: height, "text-anchor": anchor, class: "plot-text" });
  node.textContent = words;
  return node;
}

function pairWords(plot, ts, k) {
  const end = plot.curves[k].at(-1);
  const parted = plot.parted[k] ? `parted from step ${plot.parted[k]} on` : "never parted";
  return `${k === plot.largest ? "Largest: " : ""}t ${place(ts[k])} – ${place(ts[k + 1])}, ${parted}, ${end === null ? "no number" : place(end)} apart at the end`;
}

function ticks(most, least) {
  if (scale === "log") {
    const powers = [];
    for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most); power++) powers.push(...[1, 2, 5].map((one) => one * 10 ** power));
    const inside = powers.filter((value) => value >= least && value <= most);
    return inside.length > 7 ? inside.filter((value) => Number.isInteger(Math.round(1e6 * Math.log10(value)) / 1e6)) : inside;
  }
  const rough = most / 4, base = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((factor) => factor * base).find((one) => one >= rough);
  return [...Array(Math.floor(most / size) + 1).keys()].map((k) => k * size);
}

function stepTicks(steps, width) {
  const every = Math.ceil(steps / Math.floor(width / 60));
  return [...Array(steps).keys()].map((k) => k + 1).filter((step) => step === 1 || step % every === 0);
}

function lookAt(k, chosen) {
  const { plot, ts, jump } = framesOf();
  pair = Math.min(plot.curves.length - 1, Math.max(0, k));
  drawPlot(plot, ts, jump);
  if (chosen) select(pair);
}

function nearestPair(event) {
  const box = find("plot").querySelector(".plot-chart").getBoundingClientRect();
  const [px, py] = [event.clientX - box.left, event.clientY - box.top];
  let best = [Infinity, pair];
  for (const line of find("plot").querySelectorAll("[data-pair]")) {
    for (const one of line.points) {
      const distance = (one.x - px) ** 2 + (one.y - py) ** 2;
      if (distance < best[0]) best = [distance, Number(line.dataset.pair)];
    }
  }
  return best[1];
}

function drawJump(jump) {
  const box = find("jump");
  box.hidden = !jump;
  if (!jump) return;
  box.querySelector(".jump-kind").textContent = jump.kind;
  box.querySelector(".jump-meaning").textContent = jump.meaning;
  box.querySelector(".jump-width").textContent = `Narrowed to a width of ${jump.width > 0 ? "1/" + Math.round(1 / jump.width) : 0}, in ${jump.history.length - 1} halvings.`;
  const key = jump.places.join() + state().images.at(-1)?.file.url;
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.querySelector(".jump-sides").replaceChildren(...jump.pictures.map((index, k) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Show it above";
    const image = new Image();
    image.src = state().images[index]?.file.url || "";
    image.alt = k ? "Right of the jump" : "Left of the jump";
    image.onload = () => image.classList.toggle("crisp", image.naturalWidth <= SMALL);
    const words = document.createElement("span");
    words.textContent = `t = ${Number(jump.places[k].toPrecision(6))}`;
    button.append(image, words);
    button.addEventListener("click", () => select(index));
    return button;
  }));
  fillRows(box.querySelector("tbody"), jump.history.map(([left, right, distance]) => [place6(left), place6(right), "1/" + Math.round(1 / (right - left)), distance === null ? "–" : place(distance)]));
}

const place6 = (t) => Number(t.toPrecision(6)).toString();

find("scrub").querySelector("input").addEventListener("input", (event) => select(Number(event.target.value)));
find("grid").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) select(Number(button.dataset.index));
});
find("plot").addEventListener("click", (event) => {
  const button = event.target.closest("[data-scale]");
  if (!button) return;
  scale = button.dataset.scale;
  lookAt(pair);
});
{
  const chart = find("plot").querySelector(".plot-chart");
  chart.addEventListener("pointermove", (event) => {
    const k = nearestPair(event);
    if (k !== pair) lookAt(k);
  });
  chart.addEventListener("click", (event) => lookAt(nearestPair(event), true));
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    lookAt(pair + step, true);
  });
  let width = 0;
  new ResizeObserver(() => {
    if (framesOf()?.plot && chart.clientWidth && chart.clientWidth !== width) lookAt(pair);
    width = chart.clientWidth;
  }).observe(chart);
}
