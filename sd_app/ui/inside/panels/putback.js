// How the kept area is put back: the blend at the clock's step, and what the decoder then does to the kept pixels.
import { node } from "../../shared/dom.js";
import { short } from "../../shared/numbers.js";
import { bars } from "../cells.js";
import { Figure, figureRow } from "../figures.js";

export async function mount(panel) {
  const answer = await panel.ask("begin");
  if (!answer) return;
  const putBack = new PutBack(panel, answer);
  await putBack.begin();
  panel.box.dataset.ready = "true";
}

class PutBack {
  constructor({ box, ask, onScrub, clock }, { numbers, pictures }) {
    Object.assign(this, { box, ask, onScrub, clock, numbers });
    this.known = new Map(); // call -> the blend's answer
    this.asking = false;
    const parts = numbers.reads_masks ? [] : this.blend();
    this.box.replaceChildren(...parts, ...this.decoder(pictures));
  }

  async begin() {
    if (this.numbers.reads_masks) return;
    this.onScrub(() => this.draw());
    await this.draw();
  }

  // -- in latent space

  blend() {
    this.title = node("h4");
    this.made = new Figure("as the sampler made it");
    this.kept = new Figure("what is put back; grey is repainted");
    this.joined = new Figure("what the next step reads");
    this.said = node("p", "look-said");
    return [this.title, this.said, figureRow(this.made, this.kept, this.joined)];
  }

  // The step that the clock shows, or the last one; with two calls a step its last call.
  get at() {
    return Math.min(this.clock.at, this.clock.last - 1);
  }

  get call() {
    const { calls, num_calls: count } = this.clock.facts;
    return (this.at + 1 < calls.length ? calls[this.at + 1] : count) - 1;
  }

  async draw() {
    const { call } = this;
    this.title.textContent = `After step ${this.at + 1} of ${this.clock.last}`;
    if (!this.known.has(call)) {
      for (const one of [this.made, this.kept, this.joined]) one.root.dataset.waiting = "true";
      if (this.asking) return;
      this.asking = true;
      const answer = await this.ask("blend", { call });
      this.asking = false;
      if (!answer) return;
      this.known.set(call, answer);
      if (call !== this.call) {
        await this.draw(); // the clock has moved meanwhile
        return;
      }
    }
    const { numbers, pictures } = this.known.get(call);
    this.made.show(pictures.made);
    this.kept.show(pictures.put_back);
    this.joined.show(pictures.joined);
    const { kept_cells: kept, cells, strayed } = numbers;
    this.said.textContent = `${kept} of ${cells} cells are kept; they had strayed by ${short(strayed, 3)} (root mean square) and are put back.`;
    this.box.dataset.call = call;
  }

  // -- after decoding

  decoder(pictures) {
    const { said, means, belts, scale } = this.numbers;
    const [total, vae, spill] = means.map((value) => value.toFixed(2));
    const title = node("h4", "", "What the decoder does to it");
    const row = figureRow(
      new Figure("the original", pictures.original),
      new Figure("the frame as decoded", pictures.frame),
      new Figure(`outside the mask: ${total} of 255`, pictures.total),
      new Figure(`the VAE alone: ${vae}`, pictures.vae),
      new Figure(`the frame less the VAE alone: ${spill}`, pictures.spill),
    );
    const legend = node("p", "putback-scale");
    legend.append(
      "Difference of 255: ",
      ...scale.map(([words, color]) => {
        const key = node("span", "", words);
        key.style.setProperty("--color", `rgb(${color.join(" ")})`);
        return key;
      }),
    );
    const list = belts.map(({ least, most, spill: value }, index) => ({
      name: most ? `${Math.round(least)} to ${Math.round(most)} pixels` : "repainted cells",
      value,
      index,
      words: `${value.toFixed(2)} of 255`,
    }));
    const rows = node("div", "bars loss-kinds");
    rows.append(...bars(list, Math.max(...list.map(({ value }) => value))));
    const heading = node(
      "p",
      "cells-title",
      "The frame less the VAE alone, by distance from the repainted cells",
    );
    return [title, ...said.map((text) => node("p", "look-said", text)), row, legend, heading, rows];
  }
}
