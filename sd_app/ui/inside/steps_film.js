// The film under a result: a scrubber over the steps by which the picture that is shown was made. Nothing is
// fetched before it is touched, and nothing is run again.
import { ask, Gone } from "./ask.js";
import { FilmFrames, USUAL } from "./film_frames.js";

const UNKNOWN = 1000; // the range's end before the number of steps is known
const MOST = 8; // films that the page keeps
const READING = "Reading the film…";

export class StepsFilm {
  // changed() is called when another frame is to be shown: `url`, null for the picture itself.
  constructor(box, changed) {
    this.box = box;
    this.changed = changed;
    this.films = new Map(); // token -> {frames, clock}
    this.token = null;
    this.at = null; // the step that is shown, from 0; null: the finished picture
    this.range = box.querySelector("input");
    this.words = box.querySelector(".steps-words");
    this.range.addEventListener("input", () => this.move());
    for (const name of ["pointerdown", "focus"]) this.range.addEventListener(name, () => this.load());
  }

  get film() {
    return this.films.get(this.token);
  }

  get url() {
    if (this.at === null || !this.film?.clock) return null;
    const frame = this.film.clock.calls[this.at];
    return this.film.frames.url(USUAL, frame) ?? this.film.frames.nearest(USUAL, frame) ?? null;
  }

  // Show the scrubber of an image of the result; null hides it.
  draw(image) {
    const token = image?.look || null;
    this.box.hidden = !token;
    if (token === this.token) return;
    this.token = token;
    this.reset();
  }

  reset() {
    this.at = null;
    this.range.max = this.film?.clock?.calls.length ?? UNKNOWN;
    this.range.value = this.range.max;
    this.range.disabled = false;
    this.say("");
  }

  say(text) {
    this.words.textContent = text;
    this.range.setAttribute("aria-valuetext", text || "Finished picture");
  }

  async load() {
    const { token } = this;
    if (!token || this.films.has(token)) return;
    const film = { frames: new FilmFrames((action, given) => this.ask(token, action, given)), clock: null };
    this.films.set(token, film);
    if (this.films.size > MOST) this.films.delete(this.films.keys().next().value);
    this.say(READING);
    const begun = await film.frames.begin();
    if (!begun) {
      this.films.delete(token);
      return;
    }
    film.clock = begun.clock;
    if (token !== this.token) return;
    const steps = film.clock.calls.length;
    const share = Number(this.range.value) / Number(this.range.max);
    this.range.max = steps;
    this.range.value = Math.round(share * steps);
    this.move();
    const small = new Image();
    small.onload = () =>
      film.frames.fetchAhead(
        small.naturalWidth * small.naturalHeight,
        () => token === this.token && this.show(),
      );
    small.src = film.frames.url(USUAL, film.clock.calls[0]);
  }

  async ask(token, action, given) {
    try {
      return await ask(
        token,
        "film",
        action,
        given,
        ({ text }) => action === "begin" && token === this.token && this.say(text),
      );
    } catch (error) {
      if (token === this.token) this.say(error.message);
      this.range.disabled = token === this.token && error instanceof Gone;
      return null;
    }
  }

  move() {
    const { clock } = this.film ?? {};
    if (!clock) {
      this.load();
      return;
    }
    const steps = clock.calls.length;
    const at = Number(this.range.value);
    this.at = at >= steps ? null : at;
    this.show();
    this.fetchHere();
  }

  // Until the step is read, the nearest one that was is shown: that is said.
  show() {
    const { calls } = this.film.clock;
    if (this.at === null) {
      this.say("Finished picture");
    } else {
      const waits = this.film.frames.lacks(USUAL, calls[this.at]);
      this.say(
        `Step ${this.at + 1} of ${calls.length}: ${waits ? "reading it…" : "what the words ask for now"}`,
      );
    }
    this.changed();
  }

  // Decode the step that is looked at now; those passed on the way are left out.
  async fetchHere() {
    const { film, token } = this;
    if (film.asking) return;
    film.asking = true;
    while (this.token === token && this.at !== null) {
      const frame = film.clock.calls[this.at];
      if (!film.frames.lacks(USUAL, frame) || !(await film.frames.fetch(USUAL, [frame]))) break;
      if (this.token === token) this.move();
    }
    film.asking = false;
  }
}
