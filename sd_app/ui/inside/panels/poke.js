// A cell poked on the way: chosen on the picture, poked at the clock's step, and the run continued from there.
import { button, node, picture } from "../../shared/dom.js";
import { short } from "../../shared/numbers.js";
import { drawHeat, PlaceMap } from "../cells.js";
import { Figure, figureRow } from "../figures.js";
import { logChart } from "../log_chart.js";

export async function mount(panel) {
  const answer = await panel.ask("begin");
  if (!answer) return;
  new Poke(panel, answer.numbers);
  panel.box.dataset.ready = "true";
}

class Poke {
  constructor({ box, ask, onScrub, clock, look }, { cell }) {
    Object.assign(this, { box, ask, clock, look });
    this.cells = look.about.cells;
    this.map = new PlaceMap("The picture", this.cells, (row, column) => this.choose(row, column));
    this.map.root.prepend(picture(look.picture, "The picture"));
    this.map.canvas.remove();
    this.build();
    this.choose(...cell);
    onScrub(() => this.draw());
  }

  build() {
    this.place = node("p", "cells-title");
    this.amount = Object.assign(node("input"), {
      type: "number",
      min: -20,
      max: 20,
      step: 0.5,
      value: 3,
    });
    this.go = button("", () => this.poke(), { className: "look-go" });
    const label = node("label");
    label.append("by ", this.amount, " spreads of x_t");
    const form = node("div", "poke-form");
    form.append(label, this.go);
    const left = node("div");
    left.append(this.place, this.map.root);
    const top = node("div", "poke-top");
    top.append(left, form);
    this.results = node("div");
    this.box.replaceChildren(top, this.results);
  }

  choose(row, column) {
    this.at = [row, column];
    this.map.show(row, column);
    this.place.textContent = `Row ${row + 1}, column ${column + 1}: choose another cell`;
  }

  // The step that the clock shows; at the finished picture the one in the middle.
  get step() {
    const { at, last } = this.clock;
    return at < last ? at + 1 : Math.ceil(last / 2);
  }

  draw() {
    this.go.textContent = `Poke at step ${this.step} of ${this.clock.last}`;
  }

  async poke() {
    const [row, column] = this.at;
    const given = { at_row: row, at_column: column, step: this.step, amount: Number(this.amount.value) };
    const answer = await this.ask("poke", given);
    if (answer) this.results.prepend(this.result(answer));
  }

  result({ numbers, pictures }) {
    const cells = new Figure(`what is left in the latents, bright: ${short(numbers.limit, 2)}`);
    const canvas = node("canvas", "crisp");
    const [h, w] = numbers.cells.shape;
    drawHeat(canvas, { h, w, data: numbers.cells.data }, numbers.limit);
    cells.frame.append(canvas);
    const chart = logChart({
      title: "How far the poked run is from the recorded one, over the steps, on a logarithmic axis",
      xs: numbers.steps,
      last: this.clock.last + 1,
      lines: [
        { name: "ignored", values: numbers.ignored, words: "if the U-Net ignored it" },
        { name: "real", values: numbers.distances, words: "distance" },
      ],
    });
    const row = figureRow(
      new Figure("as it was", this.look.picture),
      new Figure(`poked at step ${numbers.step}`, pictures.picture),
      new Figure("the difference", pictures.difference),
      cells,
    );
    const box = node("div", "poke-result");
    box.dataset.step = numbers.step;
    box.dataset.verdict = numbers.verdict;
    box.append(node("p", "look-said", numbers.said), row, chart);
    return box;
  }
}
