// A panel without a script of its own: its pictures and what was found, made on a press if that takes long.
import { button, node, picture } from "../shared/dom.js";
import { fileUrl } from "../shared/post.js";

export async function mount({ box, panel, ask }) {
  const make = async () => {
    start.disabled = true;
    const answer = await ask("files");
    start.disabled = false;
    if (answer) draw(box, answer.numbers);
  };
  const start = button("Show", make, { className: "look-go" });
  if (panel.makes_pictures) {
    start.textContent = "Make the pictures";
    box.append(start);
  } else await make();
}

function draw(box, { files, said, why_not: whyNot }) {
  const pictures = files.filter(({ name }) => name.endsWith(".png"));
  const figures = pictures.map(({ name, path }) => {
    const figure = node("figure", "look-sheet");
    figure.append(picture(fileUrl(path), name));
    return figure;
  });
  box.replaceChildren(
    ...[whyNot, ...said].filter(Boolean).map((text) => node("p", "look-said", text)),
    ...figures,
  );
}
