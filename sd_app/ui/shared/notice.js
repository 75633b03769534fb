// The line that tells what was put into the form, with a way back, and the tabs that make such pictures (see
// controls.py). The page gives it settings that were pasted into a prompt.
import { button, node } from "./dom.js";

export function mount({ element, props, trigger, watch }) {
  const line = element.querySelector(".notice");
  const undo = line.querySelector(".notice-undo");
  const offer = ([name, label]) => {
    const made = button(`Open in ${label}`, () => trigger(`move_${name}`));
    made.className = "notice-offer";
    return made;
  };
  const draw = () => {
    const { text = "", before = null, offers = [] } = props.value ?? {};
    line.querySelector("span").replaceChildren(...text.split("\n").map((words) => node("span", "", words)));
    for (const old of line.querySelectorAll(".notice-offer")) old.remove();
    undo.before(...offers.map(offer));
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
