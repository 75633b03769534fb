// A series of pictures that are made one after the other on a press, each with what is said of it.
import { button, node, picture } from "../shared/dom.js";

const STOP = "Stop after this one";

// make(number) returns {url, words, title} of a picture, {words, title} if there is none, null if it failed.
export function series(box, { label, count, make }) {
  const row = node("div", "series");
  let running = false;
  const run = async () => {
    if (running) {
      running = false; // the second press
      return;
    }
    running = true;
    go.textContent = STOP;
    row.replaceChildren();
    for (let number = 0; number < count && running; number++) {
      const made = await make(number);
      if (!made) break;
      row.append(figureOf(made));
    }
    running = false;
    go.textContent = label;
  };
  const go = button(label, run, { className: "look-go" });
  box.append(go, row);
  box.dataset.ready = "true";
}

function figureOf({ url, title, words }) {
  const figure = node("figure");
  if (url) figure.append(picture(url, title));
  figure.append(node("b", "", title), ...words.map((text) => node("figcaption", "", text)));
  return figure;
}
