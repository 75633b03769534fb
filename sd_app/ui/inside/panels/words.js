// What each word did: who owns each place, a map for each word on one scale, a place's bars, and the picture
// without a word or with another in its place.
import { button, node, picture, setPressed } from "../../shared/dom.js";
import { short } from "../../shared/numbers.js";
import { againFigure } from "../again_view.js";
import { bars, drawHeat, drawOwners, mapAt, PlaceMap } from "../cells.js";

const OWNERS = -1; // of the large map: who owns which place, not one word

export async function mount(panel) {
  const answer = await panel.ask("begin");
  if (!answer) return;
  const words = new Words(panel, answer.numbers);
  words.draw();
  panel.box.dataset.ready = "true";
}

class Words {
  constructor({ box, ask, look }, numbers) {
    Object.assign(this, { box, ask, look });
    this.own = numbers; // of the prompt
    this.negative = null;
    this.data = numbers;
    this.word = OWNERS; // that the large map shows
    this.at = null; // row and column of the chosen place
    this.build();
  }

  build() {
    const { shape } = this.data.maps;
    const choose = (row, column) => this.choose(row, column);
    this.picture = new PlaceMap("The picture", shape.slice(1), choose);
    this.picture.root.prepend(picture(this.look.picture, "The picture"));
    this.picture.canvas.remove();
    this.large = new PlaceMap("Who owns this place", shape.slice(1), choose);
    this.largeTitle = node("p", "cells-title");
    this.barTitle = node("p", "cells-title");
    this.bars = node("div", "bars");
    const left = node("div");
    left.append(node("p", "cells-title", "The picture: choose a place"), this.picture.root);
    const middle = node("div");
    middle.append(this.largeTitle, this.large.root);
    const right = node("div", "words-bars");
    right.append(this.barTitle, this.bars);
    const top = node("div", "words-top");
    top.append(left, middle, right);
    this.tiles = node("div", "words-tiles");
    this.notes = node("div");
    this.sides = node("div", "look-choice");
    this.box.replaceChildren(this.sides, top, this.tiles, this.notes, this.experiment());
    this.drawSides();
  }

  // -- the prompt, or the negative one

  drawSides() {
    this.sides.hidden = !this.own.has_negative;
    const side = (label, act, on) => {
      const made = button(label, act);
      setPressed(made, on);
      return made;
    };
    this.sides.replaceChildren(
      side("Prompt", () => this.choosePrompt(), this.data === this.own),
      side("Negative prompt", () => this.chooseNegative(), this.data !== this.own),
    );
  }

  choosePrompt() {
    this.show(this.own);
  }

  async chooseNegative() {
    this.negative ??= (await this.ask("negative"))?.numbers ?? null;
    if (this.negative) this.show(this.negative);
  }

  show(data) {
    this.data = data;
    this.word = OWNERS;
    this.form.hidden = data !== this.own;
    this.drawSides();
    this.draw();
  }

  // -- maps and bars

  choose(row, column) {
    this.at = [row, column];
    this.draw();
  }

  chooseWord(word) {
    this.word = word === this.word ? OWNERS : word;
    if (word !== OWNERS && this.data === this.own) this.select.value = String(word);
    this.draw();
  }

  draw() {
    const { data, word } = this;
    if (word === OWNERS) drawOwners(this.large.canvas, data.owners, data.colors, data.strength);
    else drawHeat(this.large.canvas, mapAt(data.maps, word), data.limit);
    this.largeTitle.textContent =
      word === OWNERS ? "Who owns this place (faint: nobody much)" : `“${data.labels[word]}” alone`;
    for (const map of [this.picture, this.large]) map.show(...(this.at ?? [null, null]));
    this.drawBars();
    this.drawTiles();
    const little = data.little.length ? [`Did almost nothing: ${data.little.join(", ")}.`] : [];
    this.notes.replaceChildren(...[...data.notes, ...little].map((text) => node("p", "look-said", text)));
  }

  values() {
    const { maps, totals } = this.data;
    if (!this.at) return [...totals.data];
    const [, , w] = maps.shape;
    const place = this.at[0] * w + this.at[1];
    return this.data.labels.map((_, word) => mapAt(maps, word).data[place]);
  }

  drawBars() {
    const values = this.values();
    this.barTitle.textContent = this.at
      ? `At row ${this.at[0] + 1}, column ${this.at[1] + 1}: how far each word moved it`
      : "In the whole picture: how far each word moved it";
    const entries = values.map((value, index) => ({
      name: this.data.labels[index],
      value,
      index,
      color: this.data.colors[index],
      words: short(value, 3),
    }));
    entries.sort((a, b) => b.value - a.value);
    this.bars.replaceChildren(...bars(entries, entries[0]?.value ?? 0, (index) => this.chooseWord(index)));
  }

  drawTiles() {
    const { data } = this;
    if (this.drawn !== data) {
      this.drawn = data;
      const made = data.labels.map((label, word) => this.tile(label, word));
      this.tiles.replaceChildren(this.tile("all: who owns", OWNERS), ...made);
    }
    for (const one of this.tiles.children) setPressed(one, Number(one.dataset.word) === this.word);
  }

  tile(label, word) {
    const { data } = this;
    const made = button(null, () => this.chooseWord(word));
    made.dataset.word = word;
    const canvas = node("canvas", "crisp");
    if (word === OWNERS) drawOwners(canvas, data.owners, data.colors, data.strength);
    else drawHeat(canvas, mapAt(data.maps, word), data.limit);
    const words = node("span", "", label);
    if (data.little.includes(label)) words.append(node("em", "", "almost nothing"));
    made.append(canvas, words);
    return made;
  }

  // -- the picture without a word, or with another

  experiment() {
    this.form = node("form", "words-try");
    this.select = node("select");
    this.select.setAttribute("aria-label", "Word");
    const options = this.own.labels.map((label, word) =>
      Object.assign(node("option", "", label), { value: word }),
    );
    this.select.append(...options);
    this.other = Object.assign(node("input"), { type: "text", maxLength: 200, placeholder: "another word" });
    this.other.setAttribute("aria-label", "Another word in its place; empty: without it");
    const go = button("Make the picture", null, { type: "submit", className: "look-go" });
    this.result = node("div");
    this.form.append("The same noise with ", this.select, " left out, or instead of it ", this.other, go);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.tryWord();
    });
    const whole = node("div", "words-experiment");
    whole.append(this.form, this.result);
    return whole;
  }

  async tryWord() {
    const word = this.own.labels[Number(this.select.value)];
    const answer = await this.ask("other", { word, other: this.other.value.trim() });
    if (answer) this.result.prepend(againFigure(this.look.picture, answer));
  }
}
