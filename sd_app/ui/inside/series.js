// A series of pictures that are made one after the other on a press, each with what is said of it.
import { button, node, picture } from "../shared/dom.js";

// make(number) returns {url, words, title} of a picture, {words} if there is none, null if it failed.
export function series(box, { label, count, make, done = () => {} }) {
  const row = node("div", "series");
  const go = button(label, async () => {
    go.disabled = true;
    row.replaceChildren();
    for (let number = 0; number < count; number++) {
      const made = await make(number);
      if (!made) break;
      const figure = node("figure");
      if (made.url) figure.append(picture(made.url, made.title));
      figure.append(node("b", "", made.title), ...made.words.map((text) => node("figcaption", "", text)));
      row.append(figure);
      if (number === count - 1) done();
    }
    go.disabled = false;
  });
  go.className = "look-go";
  box.append(go, row);
  box.dataset.ready = "true";
}
