// Pictures with a line of words below them, and boxes drawn over one.
import { node, picture } from "../shared/dom.js";

// A figure that shows another picture later by show(url, words).
export class Figure {
  constructor(words, url = null) {
    this.root = node("figure");
    this.frame = node("div", "figure-frame");
    this.words = node("figcaption", "", words);
    this.root.append(this.frame, this.words);
    if (url) this.show(url);
  }

  show(url, words = this.words.textContent) {
    this.root.dataset.waiting = String(!url);
    this.words.textContent = words;
    if (url) this.frame.replaceChildren(picture(url, words));
  }

  // boxes: [className, [left, top, width, height] as shares of the picture]
  mark(boxes) {
    for (const [name, box] of boxes) {
      if (!box) continue;
      const made = node("i", `figure-box ${name}`);
      const [left, top, width, height] = box.map((share) => `${100 * share}%`);
      Object.assign(made.style, { left, top, width, height });
      this.frame.append(made);
    }
  }
}

// A row of figures of one kind.
export function figureRow(...figures) {
  const row = node("div", "figure-row");
  row.append(...figures.map(({ root }) => root));
  return row;
}
