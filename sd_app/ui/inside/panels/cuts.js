// The picture with parts of the U-Net cut out: six by name, the others behind a fold; what was cut stays listed.
import { button, node, setPressed } from "../../shared/dom.js";
import { CutView } from "../cut_view.js";

export async function mount(panel) {
  await new Cuts(panel).begin();
}

class Cuts {
  constructor({ box, ask, look }) {
    Object.assign(this, { box, ask, look });
    this.made = new Map(); // name -> answer
  }

  async begin() {
    const answer = await this.ask("begin");
    if (!answer) return;
    const { cuts } = answer.numbers;
    this.rows = cuts.map((cut) => this.row(cut));
    const list = node("div", "cut-list");
    list.append(...this.rows.filter(({ dataset }) => dataset.named === "true"));
    const more = node("details", "cut-more");
    const others = node("div", "cut-list");
    others.append(...this.rows.filter(({ dataset }) => dataset.named !== "true"));
    more.append(node("summary", "", `More: ${others.childElementCount} other parts`), others);
    this.view = new CutView(this.look);
    this.box.replaceChildren(list, more, this.view.root);
    this.box.dataset.ready = "true";
  }

  row({ name, where, named }) {
    const made = button(null, () => this.cut(name));
    made.className = "cut-choice";
    made.dataset.cut = name;
    made.dataset.named = String(named);
    const verdict = node("span", "cut-verdict", "cut it out");
    made.append(node("b", "", name), node("span", "cut-where", where), verdict);
    return made;
  }

  async cut(name) {
    if (!this.made.has(name)) {
      const answer = await this.ask("cut", { name });
      if (!answer) return;
      this.made.set(name, answer);
    }
    const answer = this.made.get(name);
    for (const row of this.rows) {
      setPressed(row, row.dataset.cut === name);
      if (row.dataset.cut === name) this.judge(row, answer.numbers);
    }
    this.view.show(name, answer);
  }

  judge(row, { changed, nothing }) {
    row.dataset.nothing = String(nothing);
    const share = `${Math.round(100 * changed)} % changed`;
    row.querySelector(".cut-verdict").textContent = nothing ? `next to nothing: ${share}` : share;
  }
}
