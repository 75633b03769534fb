// A row of texts to take over by a press (see controls.py).
import { button } from "./dom.js";

export function mount({ element, props, trigger, watch }) {
  const row = element.querySelector(".examples");
  const draw = () => {
    const chips = (props.value || []).map((text) =>
      button(text, () => trigger("pick", { text }), { title: text }),
    );
    row.replaceChildren(...chips);
    row.parentElement.hidden = !chips.length;
  };
  row.addEventListener("wheel", (event) => {
    if (!event.deltaY || row.scrollWidth <= row.clientWidth) return;
    event.preventDefault();
    row.scrollLeft += event.deltaY;
  });
  watch("value", draw);
  draw();
}
