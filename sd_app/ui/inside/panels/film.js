// The film: every row of it at the clock's step, nine frames of one row in a strip, and what is decided when.
import { button, node, picture, setPressed } from "../../shared/dom.js";

const USUAL = "conditional";
const TOGETHER = 8; // frames that are asked for at once
const SMALL = 256 * 256; // pixels; of smaller pictures all frames of the usual row are fetched ahead

export async function mount(panel) {
  const film = new Film(panel);
  await film.begin();
}

class Film {
  constructor({ box, ask, onScrub, clock, look }) {
    Object.assign(this, { box, ask, onScrub, clock, look });
    this.urls = new Map(); // "row:frame" -> address
    this.absent = new Set(); // "row:frame" of halves that were not run
    this.row = USUAL; // of the strip
    this.asking = false;
  }

  async begin() {
    const answer = await this.ask("begin");
    if (!answer) return;
    this.keep(answer.pictures);
    this.rows = answer.numbers.rows;
    this.first = answer.numbers.first;
    this.build();
    this.onScrub(() => this.draw());
    this.box.dataset.ready = "true";
    this.fetchAhead();
  }

  keep(pictures) {
    for (const [name, url] of Object.entries(pictures)) this.urls.set(name, url);
  }

  build() {
    this.tiles = Object.entries(this.rows).map(([row, title]) => new Tile(row, title));
    this.end = new Tile("end", "The finished picture");
    this.end.show(this.urls.get(`${USUAL}:${this.clock.facts.num_calls}`));
    const now = node("div", "film-now");
    now.append(...[...this.tiles, this.end].map(({ root }) => root));
    this.strip = node("div", "film-strip");
    this.strip.setAttribute("role", "group");
    this.strip.setAttribute("aria-label", "Frames of one row");
    const choice = node("div", "look-choice");
    const choose = (row) => () => this.chooseRow(row);
    this.choices = Object.entries(this.rows).map(([row, title]) => {
      const made = button(title, choose(row));
      made.dataset.row = row;
      return made;
    });
    choice.append("Strip", ...this.choices);
    this.box.replaceChildren(now, choice, this.strip, this.decidedFold());
    this.drawStrip();
  }

  // -- at the clock's step

  draw() {
    const { frame } = this.clock;
    for (const tile of this.tiles) {
      const name = `${tile.row}:${frame}`;
      const isEnd = frame === this.clock.facts.num_calls;
      if (isEnd) tile.show(this.urls.get(`${USUAL}:${frame}`));
      else if (this.absent.has(name)) tile.show(null);
      else tile.show(this.urls.get(name));
    }
    for (const one of this.strip.children) setPressed(one, Number(one.dataset.frame) === frame);
    this.fetchHere();
  }

  // Decode what is missing at the step that is looked at now; the steps passed on the way are left out.
  async fetchHere() {
    if (this.asking) return;
    this.asking = true;
    for (let missing = this.missingHere(); missing; missing = this.missingHere()) {
      if (!(await this.fetch(missing.row, [missing.frame]))) break;
    }
    this.asking = false;
  }

  missingHere() {
    const { frame } = this.clock;
    if (frame === this.clock.facts.num_calls) return null;
    const tile = this.tiles.find(({ row }) => this.lacks(row, frame));
    return tile ? { row: tile.row, frame } : null;
  }

  lacks(row, frame) {
    return !this.urls.has(`${row}:${frame}`) && !this.absent.has(`${row}:${frame}`);
  }

  async fetch(row, frames) {
    const answer = await this.ask("frames", { row, frames });
    if (!answer) return false;
    this.keep(answer.pictures);
    for (const frame of answer.numbers.absent) this.absent.add(`${row}:${frame}`);
    this.draw();
    return true;
  }

  // The usual row's other frames of a small picture, so that it can be played at once.
  async fetchAhead() {
    const { width, height } = this.look.about;
    if (width * height > SMALL) return;
    const left = this.clock.facts.calls.filter((frame) => this.lacks(USUAL, frame));
    for (let at = 0; at < left.length; at += TOGETHER) {
      if (!(await this.fetch(USUAL, left.slice(at, at + TOGETHER)))) return;
    }
  }

  // -- the strip

  async chooseRow(row) {
    this.row = row;
    this.drawStrip();
    const left = this.first.filter((frame) => this.lacks(row, frame));
    if (left.length) await this.fetch(row, left);
    this.drawStrip();
  }

  drawStrip() {
    for (const one of this.choices) setPressed(one, one.dataset.row === this.row);
    const cells = this.first.map((frame) => this.cell(frame)).filter(Boolean);
    this.strip.replaceChildren(...cells);
    for (const one of this.strip.children) setPressed(one, Number(one.dataset.frame) === this.clock.frame);
  }

  cell(frame) {
    const at = this.clock.positionOf(frame);
    const url = this.urls.get(`${this.row}:${frame}`);
    if (this.absent.has(`${this.row}:${frame}`)) return null;
    const isEnd = at === this.clock.last;
    const made = button(null, () => this.clock.moveTo(at));
    made.dataset.frame = frame;
    const words = isEnd ? "finished" : `step ${at + 1}`;
    made.append(url ? picture(url, words) : node("i"), node("span", "", words));
    return made;
  }

  // -- what is decided when

  decidedFold() {
    const fold = node("details", "film-decided");
    const body = node("div");
    fold.append(node("summary", "", "When was it decided?"), body);
    fold.addEventListener("toggle", async () => {
      if (!fold.open || body.childElementCount) return;
      const answer = await this.ask("decided");
      if (answer) body.replaceChildren(...this.decidedRows(answer.numbers));
    });
    return fold;
  }

  decidedRows({ decided, steps, needless }) {
    const rows = decided.map(({ what, step, said }) => this.decidedRow(what, step, steps, said));
    if (needless)
      rows.push(this.decidedRow("your words", needless.step, steps, needless.said, "no longer needed"));
    return rows;
  }

  decidedRow(what, step, steps, said, end = "") {
    const made = button(null, () => this.clock.moveTo((step ?? steps + 1) - 1), { title: said });
    made.className = "decided-row";
    const track = node("span", "decided-track");
    track.style.setProperty("--open", `${(100 * ((step ?? steps + 1) - 1)) / steps}%`);
    const words = step ? `${end ? `${end} from ` : ""}step ${step}` : "needed to the end";
    made.append(node("span", "decided-what", what), track, node("span", "decided-step", words));
    return made;
  }
}

class Tile {
  constructor(row, title) {
    this.row = row;
    this.root = node("figure");
    this.root.dataset.row = row;
    this.image = new Image();
    this.image.alt = title;
    this.image.onload = () => this.image.classList.toggle("crisp", this.image.naturalWidth <= 384);
    this.note = node("em", "", "not run at this step");
    this.root.append(this.image, this.note, node("figcaption", "", title));
    this.note.hidden = true;
  }

  // undefined: it is on its way, and what was shown before stands dimmed; null: there is none.
  show(url) {
    this.root.dataset.waiting = String(url === undefined);
    this.note.hidden = url !== null;
    this.image.hidden = url === null;
    if (url && this.image.src !== url) this.image.src = url;
  }
}
