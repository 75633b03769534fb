// The latents: the four channels at the clock's step; a cell is chosen, one of its numbers moved, and the decoder
// asked what that changes.
import { button, node, setPressed } from "../../shared/dom.js";
import { withMinus } from "../../shared/numbers.js";
import { mapAt, PlaceMap } from "../cells.js";
import { Figure, figureRow } from "../figures.js";
import { drawSigned } from "../signed_cells.js";

const ROWS = { conditional: "What the words ask for", noisy: "The noisy x_t" };
const fixed = (value) => withMinus(value.toFixed(2));
const ROOM = 1.5; // times the largest number: how far the slider reaches

export async function mount(panel) {
  const latents = new Latents(panel);
  await latents.begin();
}

class Latents {
  constructor({ box, ask, onScrub, clock, look }) {
    Object.assign(this, { box, ask, onScrub, clock, look });
    this.row = "conditional";
    this.channel = 0;
    this.known = new Map(); // "row:frame" -> its numbers
    this.moving = false;
  }

  async begin() {
    const first = await this.numbers();
    if (!first) return;
    this.at = first.cell;
    this.build(first);
    this.onScrub(() => this.draw());
    await this.draw();
    this.box.dataset.ready = "true";
  }

  get name() {
    return `${this.row}:${this.clock.frame}`;
  }

  async numbers() {
    const { name } = this;
    if (!this.known.has(name)) {
      const answer = await this.ask("step", { row: this.row, frame: this.clock.frame });
      if (!answer) return null;
      this.known.set(name, answer.numbers);
    }
    return this.known.get(name);
  }

  build({ channels, limit, reduction }) {
    const [count, h, w] = channels.shape;
    this.maps = [...Array(count).keys()].map((channel) => {
      const choose = (row, column) => this.choose(channel, row, column);
      const map = new PlaceMap(`Channel ${channel + 1}`, [h, w], choose);
      const figure = node("figure");
      figure.dataset.channel = channel;
      map.words = node("figcaption");
      figure.append(map.root, map.words);
      return Object.assign(map, { figure });
    });
    const maps = node("div", "figure-row latents-channels");
    maps.append(...this.maps.map(({ figure }) => figure));
    this.rows = node("div", "look-choice");
    const chooseRow = (row) => () => {
      this.row = row;
      this.draw();
    };
    this.rows.append(
      "Show",
      ...Object.entries(ROWS).map(([row, title]) =>
        Object.assign(button(title, chooseRow(row)), { value: row }),
      ),
    );
    const legend = node(
      "p",
      "look-hint",
      `Blue is below 0, red above; full at ±${limit.toFixed(1)}. Choose a cell.`,
    );
    this.box.replaceChildren(node("p", "look-said", reduction), this.rows, maps, legend, this.mover());
  }

  mover() {
    this.place = node("b");
    this.slider = Object.assign(node("input"), { type: "range", step: 0.01 });
    this.slider.setAttribute("aria-label", "New value of the number");
    this.value = node("output");
    this.slider.addEventListener("input", () => {
      this.value.textContent = fixed(Number(this.slider.value));
    });
    this.slider.addEventListener("change", () => this.move());
    this.back = button("As it was", () => this.reset());
    const line = node("div", "latents-mover");
    line.append(this.place, this.slider, this.value, this.back);
    this.said = node("p", "look-said latents-said");
    this.before = new Figure("before");
    this.after = new Figure("after");
    this.difference = new Figure("the difference");
    this.moved = figureRow(this.before, this.after, this.difference);
    this.moved.hidden = this.said.hidden = true;
    const whole = node("div");
    whole.append(line, this.said, this.moved);
    return whole;
  }

  // -- the channels

  async draw() {
    const { name } = this;
    for (const one of this.rows.children) setPressed(one, one.value === this.row);
    const numbers = await this.numbers();
    if (!numbers || name !== this.name) return; // the clock is elsewhere by now
    this.shown = numbers;
    const end = this.clock.frame === this.clock.facts.num_calls;
    this.box.dataset.shown = name;
    for (const [channel, map] of this.maps.entries()) {
      drawSigned(map.canvas, mapAt(numbers.channels, channel), numbers.limit);
      const { least, largest, mean, spread } = numbers.ranges[channel];
      map.words.textContent = `Channel ${channel + 1}${end ? "" : ` at step ${this.clock.at + 1}`}: ${fixed(least)} to ${fixed(largest)}, mean ${fixed(mean)}, spread ${fixed(spread)}`;
    }
    this.hideMoved();
    this.drawPlace();
  }

  choose(channel, row, column) {
    this.channel = channel;
    this.at = [row, column];
    this.hideMoved();
    this.drawPlace();
  }

  get number() {
    const [row, column] = this.at;
    const { data, w } = mapAt(this.shown.channels, this.channel);
    return data[row * w + column];
  }

  drawPlace() {
    const [row, column] = this.at;
    for (const [channel, map] of this.maps.entries()) {
      map.show(row, column);
      map.figure.dataset.chosen = String(channel === this.channel);
    }
    const { number } = this;
    const reach = Math.max(this.shown.limit * ROOM, Math.abs(number));
    Object.assign(this.slider, { min: -reach, max: reach });
    this.slider.value = number;
    this.value.textContent = fixed(number);
    this.place.textContent = `Row ${row + 1}, column ${column + 1}, channel ${this.channel + 1}: ${fixed(number)} →`;
  }

  // -- a cell moved

  hideMoved() {
    this.moved.hidden = this.said.hidden = true;
    this.box.dataset.moved = "";
  }

  reset() {
    this.hideMoved();
    this.drawPlace();
  }

  // The newest wish is asked when the answer before it is here.
  async move() {
    this.wanted = true;
    if (this.moving) return;
    this.moving = true;
    while (this.wanted) {
      this.wanted = false;
      const place = { at_row: this.at[0], at_column: this.at[1], channel: this.channel };
      const given = {
        ...place,
        row: this.row,
        frame: this.clock.frame,
        value: Number(this.slider.value),
      };
      const asked = JSON.stringify(given);
      const answer = await this.ask("move", given);
      if (answer && !this.wanted && this.isHere(given)) this.drawMoved(answer, asked);
    }
    this.moving = false;
  }

  isHere({ at_row: row, at_column: column, channel, frame }) {
    return (
      row === this.at[0] && column === this.at[1] && channel === this.channel && frame === this.clock.frame
    );
  }

  drawMoved({ numbers, pictures }, asked) {
    this.moved.hidden = this.said.hidden = false;
    this.said.textContent = numbers.said;
    this.before.show(pictures.before);
    this.after.show(pictures.after, "after: the cell, and the box of what changed clearly");
    this.after.mark([
      ["clear", numbers.clear],
      ["cell", numbers.cell],
    ]);
    this.difference.show(
      pictures.difference,
      `the difference, at most ${numbers.largest} of 255 (bright from ${numbers.bright} on)`,
    );
    this.box.dataset.moved = asked;
  }
}
