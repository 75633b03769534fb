// A picture with a part cut out, beside the one as it was and their difference.
import { node, picture } from "../shared/dom.js";

export class CutView {
  constructor(look) {
    this.look = look;
    this.root = node("div", "cut-view");
    this.root.hidden = true;
  }

  show(name, { numbers, pictures }) {
    const tiles = [
      ["as it was", this.look.picture],
      [`without: ${name}`, pictures.picture],
      ["the difference", pictures.difference],
    ].map(([words, url]) => {
      const tile = node("figure");
      tile.append(picture(url, words), node("figcaption", "", words));
      return tile;
    });
    const row = node("div", "cut-row");
    row.append(...tiles);
    const said = node("p", "look-said", numbers.said);
    if (numbers.nothing) said.append(" ", node("b", "", "This cut did next to nothing."));
    this.root.replaceChildren(row, said);
    this.root.dataset.cut = name;
    this.root.hidden = false;
  }
}
