// How the words were cut: each text as its pieces, window by window; a press on one says all of it.
import { button, node, setPressed } from "../../shared/dom.js";

const HINT = "Choose a piece to read what it is.";

export async function mount({ box, ask }) {
  const answer = await ask("begin");
  if (!answer) return;
  const { texts, said } = answer.numbers;
  const about = node("p", "cut-about", HINT);
  about.setAttribute("aria-live", "polite");
  const choose = (row, made) => {
    for (const one of box.querySelectorAll(".cut-piece")) setPressed(one, one === made);
    about.textContent = row.about;
  };
  const [first, ...rest] = said;
  box.replaceChildren(
    node("p", "look-said cut-by", first),
    about,
    ...texts.map((text) => drawn(text, choose)),
    ...rest.map((words) => node("p", "look-said", words)),
  );
  box.dataset.ready = "true";
}

function drawn({ title, count, windows, more }, choose) {
  const section = node("section", "cut-text");
  section.append(node("h4", "", title), node("p", "look-hint", count[0].toUpperCase() + count.slice(1)));
  windows.forEach((rows, number) => {
    if (windows.length > 1) section.append(node("p", "look-hint cut-window", `Window ${number + 1}`));
    const strip = node("div", "cut-pieces");
    strip.append(...rows.map((row) => piece(row, choose)));
    section.append(strip);
  });
  if (more) section.append(node("p", "look-hint", more));
  return section;
}

function piece(row, choose) {
  const made = button("", () => choose(row, made), { className: "cut-piece", title: row.about });
  Object.assign(made.dataset, {
    kind: row.kind,
    tint: row.word % 2,
    begins: row.begins,
    learned: row.learned,
    slot: row.slot,
  });
  const name = node("span", "", row.piece);
  if (row.weight !== 1) name.append(node("b", "", `×${Number(row.weight.toPrecision(4))}`));
  made.append(name, node("i", "", row.number ?? "–"));
  setPressed(made, false);
  return made;
}
