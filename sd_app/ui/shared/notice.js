// The line that tells what was put into the form, with a way back (see controls.py). The page gives it
// settings that were pasted into a prompt.

function paragraph(text) {
  const sentence = document.createElement("span");
  sentence.textContent = text;
  return sentence;
}

export function mount({ element, props, trigger, watch }) {
  const line = element.querySelector(".notice");
  const undo = line.querySelector("button");
  const draw = () => {
    const { text = "", before = null } = props.value ?? {};
    line.querySelector("span").replaceChildren(...text.split("\n").map(paragraph));
    undo.hidden = !before;
    line.hidden = !text;
    // The drop place is far below.
    if (text) line.scrollIntoView({ block: "nearest" });
  };
  undo.addEventListener("click", () => trigger("undo"));
  line.addEventListener("settings", (event) => trigger("pasted", { text: event.detail }));
  watch("value", draw);
  draw();
}
