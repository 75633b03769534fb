// The frames of a film, decoded by the studio when they are looked at, and kept by the page.

export const USUAL = "conditional"; // the row that is shown first: what the words alone ask for
const TOGETHER = 8; // frames that are asked for at once
const SMALL = 256 * 256; // pixels; of smaller pictures all frames of the usual row are fetched ahead

export class FilmFrames {
  // ask(action, given) returns {numbers, pictures}, or null if that failed.
  constructor(ask) {
    this.ask = ask;
    this.urls = new Map(); // "row:frame" -> address; null of a half that was not run
    this.calls = [];
  }

  // Fetch the first nine frames; return the rows, which frames these are, and the clock; null if that failed.
  async begin() {
    const answer = await this.ask("begin");
    if (!answer) return null;
    this.keep(answer.pictures);
    this.calls = answer.numbers.clock.calls;
    return answer.numbers;
  }

  keep(pictures) {
    for (const [name, url] of Object.entries(pictures)) this.urls.set(name, url);
  }

  // Return a frame's address; undefined before it was fetched, null if there is none.
  url(row, frame) {
    return this.urls.get(`${row}:${frame}`);
  }

  lacks(row, frame) {
    return !this.urls.has(`${row}:${frame}`);
  }

  // Return the known frame nearest to one.
  nearest(row, frame) {
    const known = this.calls.filter((one) => this.url(row, one));
    known.sort((a, b) => Math.abs(a - frame) - Math.abs(b - frame));
    return this.url(row, known[0]);
  }

  async fetch(row, frames) {
    const answer = await this.ask("frames", { row, frames });
    if (!answer) return false;
    this.keep(answer.pictures);
    for (const frame of answer.numbers.absent) this.urls.set(`${row}:${frame}`, null);
    return true;
  }

  // Fetch the usual row's other frames of a small picture, so that it can be played at once.
  async fetchAhead(pixels, fetched) {
    if (pixels > SMALL) return;
    const left = this.calls.filter((frame) => this.lacks(USUAL, frame));
    for (let at = 0; at < left.length; at += TOGETHER) {
      if (!(await this.fetch(USUAL, left.slice(at, at + TOGETHER)))) return;
      fetched();
    }
  }
}
