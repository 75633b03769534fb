// What img2img and inpaint begin from: the encoded picture, and the start under noise at any strength.
import { button, node } from "../../shared/dom.js";
import { Figure, figureRow } from "../figures.js";

export async function mount({ box, ask }) {
  const answer = await ask("begin");
  if (!answer) return;
  const { numbers, pictures } = answer;
  const row = figureRow(
    new Figure("given", pictures.given),
    new Figure("encoded, and decoded again", pictures.encoded),
    new Figure("its low-pass: what is coarse in it", pictures.low),
  );
  const starts = node("div", "start-list");
  const shown = new Map(); // strength -> what is shown of it
  const add = (answer) => {
    for (const start of answer.numbers.starts) {
      shown.set(start.strength, drawn(start, answer.pictures, start.strength === numbers.own));
    }
    const sorted = [...shown].sort(([a], [b]) => a - b).map(([, made]) => made);
    starts.replaceChildren(...sorted);
    notes.replaceChildren(...answer.numbers.said.map((text) => node("p", "look-said", text)));
  };
  const notes = node("div");
  box.replaceChildren(row, form(ask, add), notes, starts);
  add(answer);
  box.dataset.ready = "true";
}

function drawn({ strength, likeness, said }, pictures, isOwn) {
  const made = node("div", "start-one");
  made.dataset.strength = strength;
  made.append(
    node("h4", "", `Strength ${strength}${isOwn ? ", this picture's own" : ""}`),
    node("p", "look-said", said),
    figureRow(
      new Figure("x_t at the start", pictures[`x_t:${strength}`]),
      new Figure(`its low-pass: correlation ${likeness.toFixed(2)}`, pictures[`low:${strength}`]),
    ),
  );
  return made;
}

function form(ask, add) {
  const strength = Object.assign(node("input"), { type: "range", min: 0.05, max: 1, step: 0.05, value: 0.5 });
  strength.setAttribute("aria-label", "Another strength");
  const value = node("output", "", "0.5");
  strength.addEventListener("input", () => {
    value.textContent = strength.value;
  });
  const show = button("Show this strength", async () => {
    const answer = await ask("strength", { strength: Number(strength.value) });
    if (answer) add(answer);
  });
  show.className = "look-go";
  const line = node("div", "latents-mover");
  line.append(node("b", "", "Another strength"), strength, value, show);
  return line;
}
