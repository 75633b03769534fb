// The line that tells what was put into the form, with a way back (see controls.py).

export function mount({ element, props, trigger, watch }) {
  const line = element.querySelector(".notice");
  const undo = line.querySelector("button");
  const draw = () => {
    const { text = "", before = null } = props.value ?? {};
    line.querySelector("span").textContent = text;
    undo.hidden = !before;
    line.hidden = !text;
  };
  undo.addEventListener("click", () => trigger("undo"));
  watch("value", draw);
  draw();
}
