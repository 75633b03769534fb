// A picture made again with one thing changed: as it was, as it is now, and the difference.
import { node, picture } from "../shared/dom.js";

export function againFigure(original, { numbers, pictures }) {
  const box = node("div", "again");
  const part = (url, words) => {
    const figure = node("figure");
    figure.append(picture(url, words), node("figcaption", "", words));
    return figure;
  };
  const row = node("div", "again-row");
  row.append(
    part(original, "as it was"),
    part(pictures.picture, numbers.label),
    part(pictures.difference, "the difference"),
  );
  box.append(node("p", "look-said", numbers.said), row);
  return box;
}
