// The text encoder, layer by layer: a tile for each layer, made one after the other on a press.
import { button, node, picture } from "../../shared/dom.js";

export async function mount(panel) {
  await new Layers(panel).begin();
}

class Layers {
  constructor({ box, ask, look }) {
    Object.assign(this, { box, ask, look });
  }

  async begin() {
    const answer = await this.ask("begin");
    if (!answer) return;
    const { layers, said } = answer.numbers;
    this.start = button(`Make the ${layers.length} pictures`, () => this.makeAll(), { className: "look-go" });
    this.tiles = layers.map((layer, number) => this.tile(layer, number));
    const grid = node("div", "layer-grid");
    grid.append(...this.tiles);
    this.box.replaceChildren(...(said ? [node("p", "look-said", said)] : []), this.start, grid);
    this.box.dataset.ready = "true";
  }

  tile({ label, is_read: isRead }, number) {
    const made = node("figure", "layer-tile");
    made.dataset.number = number;
    made.dataset.made = "false";
    const words = node("figcaption");
    words.append(node("b", "", label), node("span", "layer-said", isRead ? "the one that is read" : ""));
    made.append(
      button("Make", () => this.make(number)),
      words,
    );
    return made;
  }

  async makeAll() {
    this.start.disabled = true;
    for (let number = 0; number < this.tiles.length; number++) {
      if (!(await this.make(number))) break;
    }
    this.start.disabled = this.tiles.every(({ dataset }) => dataset.made === "true");
  }

  async make(number) {
    const tile = this.tiles[number];
    if (tile.dataset.made === "true") return true;
    const answer = await this.ask("layer", { number });
    if (!answer) return false;
    const { numbers, pictures } = answer;
    tile.querySelector("button").replaceWith(picture(pictures.picture, tile.querySelector("b").textContent));
    const shows = Object.values(numbers.shows).join(", ");
    const said = numbers.is_identical
      ? "the same to the byte"
      : `${Math.round(100 * numbers.changed)} % differs`;
    tile.querySelector(".layer-said").textContent = said;
    if (shows) tile.querySelector("figcaption").append(node("span", "layer-shows", `read as: ${shows}`));
    tile.title = numbers.said;
    tile.dataset.made = "true";
    return true;
  }
}
