// What the VAE loses: a picture there and back, ten times the difference, where the loss sits and in what.
import { button, node, picture, setPressed } from "../../shared/dom.js";
import { short } from "../../shared/numbers.js";
import { bars, drawHeat, PlaceMap } from "../cells.js";
import { Figure, figureRow } from "../figures.js";

const NAMES = {
  start: "The picture it began from",
  finished: "The finished picture",
  picture: "The picture",
};
const percent = (share) => `${Math.round(100 * share)} %`;

export async function mount({ box, ask }) {
  const answer = await ask("begin");
  if (!answer) return;
  const shown = node("div");
  const choice = node("div", "look-choice");
  const { losses } = answer.numbers;
  choice.hidden = losses.length < 2;
  const show = (loss) => {
    for (const one of choice.children) setPressed(one, one.value === loss.name);
    shown.replaceChildren(...drawn(loss, answer.pictures));
  };
  for (const loss of losses) {
    const made = button(NAMES[loss.name], () => show(loss));
    made.value = loss.name;
    choice.append(made);
  }
  box.replaceChildren(choice, shown);
  show(losses[0]);
  box.dataset.ready = "true";
}

function drawn(loss, pictures) {
  const url = (what) => pictures[`${loss.name}:${what}`];
  const row = figureRow(
    new Figure("the picture", url("original")),
    new Figure("there and back", url("back")),
    new Figure("the difference × 10", url("times")),
    new Figure("what is there", url("kinds")),
  );
  return [
    meters(loss),
    ...loss.said.map((text) => node("p", "look-said", text)),
    row,
    places(loss, url("original")),
  ];
}

function meters({ psnr, ssim, largest }) {
  const row = node("dl", "loss-meters");
  const meter = (name, value, title) => {
    const one = node("div");
    one.title = title;
    one.append(node("dt", "", name), node("dd", "", value));
    return one;
  };
  row.append(
    meter("PSNR", psnr === null ? "nothing lost" : `${psnr.toFixed(1)} dB`, "Higher is nearer"),
    meter("SSIM", ssim.toFixed(3), "1 is the same"),
    meter("Largest error", `${largest} of 255`, "Of any colour of any pixel"),
  );
  return row;
}

// The map of cells, on which a place is chosen, and the bars of the kinds.
function places(loss, original) {
  const [h, w] = loss.cells.shape;
  const bright = Math.max(...loss.cells.data);
  const words = node(
    "p",
    "cells-title loss-place",
    `Error by cell of 8 × 8, bright: ${short(bright, 2)} of 255`,
  );
  const beside = new PlaceMap("The picture", [h, w], choose);
  beside.root.prepend(picture(original, "The picture"));
  beside.canvas.remove();
  const map = new PlaceMap("Where the loss sits", [h, w], choose);
  drawHeat(map.canvas, { h, w, data: loss.cells.data }, bright);
  function choose(row, column) {
    for (const one of [map, beside]) one.show(row, column);
    const first = (row * w + column) * loss.kinds.length;
    const there = loss.kinds
      .map(({ kind }, k) => [kind, loss.kinds_of_cells.data[first + k]])
      .filter(([, share]) => share > 0)
      .sort((a, b) => b[1] - a[1])
      .map(([kind, share]) => `${percent(share)} ${kind}`);
    words.textContent = `Row ${row + 1}, column ${column + 1}: error ${loss.cells.data[row * w + column].toFixed(2)} of 255; ${there.join(", ")}`;
  }
  const list = loss.kinds.map(({ kind, share, loss_share: lost, error, color }, index) => ({
    name: kind,
    value: lost,
    color,
    index,
    title: `Root mean square error ${short(error, 2)} of 255`,
    words: `${percent(lost)} of the loss, in ${percent(share)} of the pixels`,
  }));
  const kinds = node("div", "bars loss-kinds");
  kinds.append(...bars(list, 1));
  const maps = node("div", "loss-maps");
  maps.append(beside.root, map.root);
  const whole = node("div");
  whole.style.setProperty("--shape", `${w} / ${h}`);
  whole.append(words, maps, kinds);
  return whole;
}
