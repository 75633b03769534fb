// Where the meaning is kept: the picture with rows of the text closed to it, a press each.
import { button, node, setPressed } from "../../shared/dom.js";
import { againFigure } from "../again_view.js";

const GROUPS = ["all words closed", "all padding closed", "all but words closed", "all but padding closed"];

export async function mount({ box, ask, look }) {
  const shown = node("div");
  const made = new Map();
  const all = button("All four", async () => {
    for (const which of GROUPS) if (!(await show(which))) return;
  });
  const show = async (which) => {
    if (!made.has(which)) {
      const answer = await ask("close", { which });
      if (!answer) return false;
      made.set(which, againFigure(look.picture, answer));
      shown.append(made.get(which));
    }
    setPressed(buttons[GROUPS.indexOf(which)], true);
    return true;
  };
  const buttons = GROUPS.map((which) => button(which, () => show(which)));
  const bar = node("div", "look-choice");
  bar.append(...buttons, all);
  box.append(bar, shown);
  box.dataset.ready = "true";
}
