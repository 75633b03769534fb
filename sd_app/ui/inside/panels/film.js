// The film: every row of it at the clock's step, nine frames of one row in a strip, and what is decided when.
import { button, node, picture, setPressed } from "../../shared/dom.js";
import { FilmFrames, USUAL } from "../film_frames.js";

export async function mount(panel) {
  const film = new Film(panel);
  film.begin(); // goes on to fetch what is not looked at yet
  return { kinds: ["mp4", "webp"] };
}

class Film {
  constructor({ box, ask, onScrub, clock, look }) {
    Object.assign(this, { box, ask, onScrub, clock, look });
    this.frames = new FilmFrames(ask);
    this.row = USUAL; // of the strip
    this.asking = false;
  }

  async begin() {
    const begun = await this.frames.begin();
    if (!begun) return;
    this.rows = begun.rows;
    this.first = begun.first;
    this.build();
    this.onScrub(() => this.draw());
    this.box.dataset.ready = "true";
    const { width, height } = this.look.about;
    await this.frames.fetchAhead(width * height, () => this.draw());
  }

  build() {
    this.tiles = Object.entries(this.rows).map(([row, title]) => new Tile(row, title));
    this.end = new Tile("end", "The finished picture");
    this.end.show(this.look.picture);
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
      tile.show(frame === this.clock.facts.num_calls ? this.look.picture : this.frames.url(tile.row, frame));
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
    const tile = this.tiles.find(({ row }) => this.frames.lacks(row, frame));
    return tile ? { row: tile.row, frame } : null;
  }

  async fetch(row, frames) {
    const done = await this.frames.fetch(row, frames);
    if (done) this.draw();
    return done;
  }

  // -- the strip

  async chooseRow(row) {
    this.row = row;
    this.drawStrip();
    const left = this.first.filter((frame) => this.frames.lacks(row, frame));
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
    const url = this.frames.url(this.row, frame);
    if (url === null) return null;
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
