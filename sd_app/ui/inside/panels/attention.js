// Attention: how much each place reads of each word, mark and padding; and how far that agrees with the experiment.
import { button, node, picture, setPressed } from "../../shared/dom.js";
import { drawHeat, drawOwners, mapAt, PlaceMap } from "../cells.js";

const USUAL = -1; // the last 60 % of the steps
const LATER = "Later words have read the earlier ones: attention to “on” is attention to “… cat on”.";

export async function mount(panel) {
  const answer = await panel.ask("begin");
  if (!answer) return;
  new View(panel, answer.numbers);
  panel.box.dataset.ready = "true";
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

class View {
  constructor({ box, ask, onScrub, clock, look }, numbers) {
    Object.assign(this, { box, ask, clock, look });
    this.known = numbers; // what can be chosen
    this.data = numbers; // what is shown
    this.module = numbers.finest;
    this.text = 0;
    this.follows = false; // the clock: else the usual steps
    this.build();
    onScrub(() => this.follows && this.update());
  }

  build() {
    const select = (label, options, chosen, act) => {
      const made = node("select");
      made.setAttribute("aria-label", label);
      made.append(...options.map(([value, text]) => Object.assign(node("option", "", text), { value })));
      made.value = chosen;
      made.addEventListener("change", () => act(made.value));
      return made;
    };
    const { modules, finest, texts, thirds } = this.known;
    const names = modules.map(([name, h, w]) => [
      name,
      `${name}, ${h} × ${w}${name === finest ? " (finest on the way up)" : ""}`,
    ]);
    this.usual = button("The last 60 % of the steps", () => this.follow(false));
    this.here = button("The step of the clock", () => this.follow(true));
    const bar = node("div", "look-choice");
    bar.append(
      this.usual,
      this.here,
      select("Module", names, finest, (name) => {
        this.module = name;
        this.offerHeads();
        this.update();
      }),
    );
    this.heads = node("select");
    this.heads.setAttribute("aria-label", "Heads");
    this.heads.addEventListener("change", () => this.update());
    bar.append(this.heads);
    if (texts.length > 1) {
      const all = texts.map((text, number) => [number, `Text ${number + 1}: ${text.slice(0, 60)}`]);
      bar.append(
        select("Text", all, 0, (number) => {
          this.text = Number(number);
          this.update();
        }),
      );
    }
    this.thirds = thirds;
    this.offerHeads();
    this.tiles = node("div", "words-tiles");
    this.point = node("p", "look-said");
    this.meetingBox = node("div", "attention-meeting");
    const meet = button("Compare with what the words did", () => this.meet(), { className: "look-go" });
    this.meetingBox.append(meet);
    this.box.replaceChildren(node("p", "look-said", LATER), bar, this.tiles, this.point, this.meetingBox);
    this.draw();
  }

  offerHeads() {
    const count = this.known.heads[this.module];
    const each = this.thirds.flatMap((third) =>
      Array.from({ length: count }, (_, head) => [`${third}:${head}`, `head ${head + 1}, ${third} third`]),
    );
    const options = [["", "mean of all heads"], ...each].map(([value, text]) =>
      Object.assign(node("option", "", text), { value }),
    );
    this.heads.replaceChildren(...options);
  }

  follow(on) {
    this.follows = on;
    this.heads.value = "";
    this.update();
  }

  // Ask for what is chosen now; what is chosen meanwhile is asked for after it.
  async update() {
    if (this.asking) {
      this.again = true;
      return;
    }
    this.asking = true;
    do {
      this.again = false;
      const [third, head] = this.heads.value.split(":");
      const { module, text } = this;
      const atEnd = !this.clock || this.clock.at === this.clock.last;
      const last = this.clock?.facts.calls.at(-1) ?? USUAL;
      const call = this.follows ? (atEnd ? last : this.clock.frame) : USUAL;
      const answer = await (head === undefined
        ? this.ask("maps", { module, text, call })
        : this.ask("head", { module, text, third, head: Number(head) }));
      if (answer) this.data = answer.numbers;
    } while (this.again);
    this.asking = false;
    this.draw();
  }

  draw() {
    setPressed(this.usual, !this.follows);
    setPressed(this.here, this.follows);
    this.point.textContent = this.data.said ?? "";
    const tiles = this.data.labels.map((label, word) => {
      const figure = node("figure");
      const canvas = node("canvas", "crisp");
      drawHeat(canvas, mapAt(this.data.maps, word), this.data.limit);
      const words = node("figcaption", "", label);
      words.append(node("em", "", percent(this.data.shares.data[word])));
      figure.append(canvas, words);
      return figure;
    });
    const original = node("figure");
    original.append(picture(this.look.picture, "The picture"), node("figcaption", "", "the picture"));
    this.tiles.replaceChildren(original, ...tiles);
  }

  // -- the meeting with the experiment

  async meet() {
    const answer = await this.ask("meeting");
    if (!answer) return;
    const {
      said,
      chance,
      places,
      by_effect: effect,
      by_attention: attention,
      labels,
      colors,
    } = answer.numbers;
    const words = node("p", "look-said", said);
    words.append(` By chance it would be about ${Math.round(chance * places)}.`);
    const point = node("p", "cells-title", "Choose a place.");
    const maps = [];
    const choose = (row, column) => {
      for (const map of maps) map.show(row, column);
      const [a, b] = [labels[effect[row][column]], labels[attention[row][column]]];
      point.textContent = a === b ? `Both say “${a}”.` : `The experiment says “${a}”, attention “${b}”.`;
    };
    const part = (title, owners) => {
      const map = new PlaceMap(title, [owners.length, owners[0].length], choose);
      drawOwners(map.canvas, owners, colors);
      maps.push(map);
      const figure = node("figure");
      figure.append(map.root, node("figcaption", "", title));
      return figure;
    };
    const same = effect.map((row, y) => row.map((one, x) => Number(one === attention[y][x])));
    const row = node("div", "again-row");
    row.append(
      part("Who moved each place, by the experiment", effect),
      part("What each place reads most", attention),
    );
    const third = new PlaceMap("Where both agree", [same.length, same[0].length], choose);
    drawOwners(third.canvas, same, [
      [225, 225, 225],
      [15, 118, 110],
    ]);
    maps.push(third);
    const figure = node("figure");
    figure.append(third.root, node("figcaption", "", "Where both say the same word"));
    row.append(figure);
    this.meetingBox.replaceChildren(words, row, point, legend(labels, colors));
  }
}

function legend(labels, colors) {
  const box = node("p", "cells-legend");
  labels.forEach((label, word) => {
    const one = node("span", "", label);
    one.style.setProperty("--color", `rgb(${colors[word].join(" ")})`);
    box.append(one);
  });
  return box;
}
