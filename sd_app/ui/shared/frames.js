// What a walk or a plane shows besides the picture: scrubber, film, grid, where it jumps (see frames.py).
import { button, node, picture, setPressed, tableRow } from "./dom.js";
import { asFraction, short } from "./numbers.js";
import { Plot } from "./plot.js";

export class Frames {
  constructor(result) {
    this.result = result;
    this.job = result.job;
    this.plot = new Plot(this.job.find("plot"), (pair) => result.select(pair));
    const scrub = this.job.find("scrub").querySelector("input");
    scrub.addEventListener("input", () => result.select(Number(scrub.value)));
    this.job.find("grid").addEventListener("click", (event) => {
      const pressed = event.target.closest("button");
      if (pressed) result.select(Number(pressed.dataset.index));
    });
  }

  draw() {
    const frames = this.job.busy ? null : this.job.value.frames;
    this.drawScrub(frames);
    this.drawFilm(frames?.film);
    this.drawGrid(frames);
    this.plot.draw(frames);
    this.drawJump(frames?.jump);
  }

  // The way from a to b, by hand.
  drawScrub(frames) {
    const box = this.job.find("scrub");
    box.hidden = (frames?.ts?.length ?? 0) < 2;
    if (box.hidden) return;
    const range = box.querySelector("input");
    const [from, to] = box.querySelectorAll("span");
    [from.textContent, to.textContent] = frames.ends;
    const last = frames.ts.length - 1;
    const { selected } = this.job.value;
    range.max = last;
    if (selected <= last) range.value = selected;
    range.setAttribute("aria-valuetext", this.result.current?.caption || "");
  }

  drawFilm(film) {
    const box = this.job.find("film");
    box.hidden = !film;
    if (!film) return;
    const { url } = film.file;
    if (box.dataset.url === url) return;
    box.dataset.url = url;
    Object.assign(box.querySelector("a"), { href: url, download: film.name });
    box
      .querySelector(".film-screen")
      .replaceChildren(film.name.endsWith(".mp4") ? video(url) : picture(url, "Film of the walk"));
  }

  drawGrid(frames) {
    const box = this.job.find("grid");
    const on = Boolean(frames?.rows);
    box.hidden = !on;
    this.job.root.dataset.plane = String(on);
    if (!on) return;
    const { images, selected } = this.job.value;
    const key = images.map((image) => image.file.url).join("\n");
    if (box.dataset.key !== key) {
      box.dataset.key = key;
      box.style.setProperty("--columns", frames.columns.length);
      box.replaceChildren(...gridCells(frames, images));
    }
    for (const one of box.querySelectorAll("button")) setPressed(one, Number(one.dataset.index) === selected);
  }

  drawJump(jump) {
    const box = this.job.find("jump");
    box.hidden = !jump;
    if (!jump) return;
    const halvings = jump.history.length - 1;
    box.querySelector(".jump-kind").textContent = jump.kind;
    box.querySelector(".jump-meaning").textContent = jump.meaning;
    box.querySelector(".jump-width").textContent =
      `Narrowed to a width of ${asFraction(jump.width)}, in ${halvings} halvings.`;
    const { images } = this.job.value;
    const key = jump.places.join() + images.at(-1)?.file.url;
    if (box.dataset.key === key) return;
    box.dataset.key = key;
    const sides = jump.pictures.map((index, k) => this.jumpSide(images[index], index, jump.places[k], k));
    box.querySelector(".jump-sides").replaceChildren(...sides);
    box.querySelector("tbody").replaceChildren(...jump.history.map(historyRow));
  }

  jumpSide(image, index, place, k) {
    const made = button(null, () => this.result.select(index), { title: "Show it above" });
    const side = picture(image?.file.url || "", k ? "Right of the jump" : "Left of the jump");
    made.append(side, node("span", "", `t = ${short(place, 6)}`));
    return made;
  }
}

function video(url) {
  const autoplay = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  const usual = { controls: true, loop: true, muted: true, playsInline: true };
  return Object.assign(node("video"), { ...usual, autoplay, src: url });
}

function gridCells(frames, images) {
  const head = (text) => Object.assign(node("span", "", text), { title: text });
  const wide = frames.columns.length;
  const cells = images.map(gridButton);
  const rows = frames.rows.flatMap((label, row) => {
    const line = cells.slice(row * wide, (row + 1) * wide);
    return line.length ? [head(label), ...line] : [];
  });
  return [head(`× ${frames.direction}`), ...frames.columns.map(head), ...rows];
}

function gridButton(image, index) {
  const made = button(null, null, { title: image.caption });
  made.dataset.index = index;
  made.setAttribute("aria-label", image.caption);
  made.append(picture(image.file.url));
  return made;
}

function historyRow([left, right, distance]) {
  const cells = [short(right, 6), asFraction(right - left), distance === null ? "–" : short(distance, 4)];
  return tableRow(short(left, 6), cells);
}
