// What runs where (see badge.py): a line in the header, more on a press.
import { node } from "../shared/dom.js";

export function mount(component) {
  const badge = new Badge(component);
  component.watch("value", () => badge.draw());
  badge.draw();
}

class Badge {
  constructor({ element, props, trigger }) {
    this.root = element.querySelector(".badge");
    this.props = props;
    this.find("open").addEventListener("click", () => this.open(this.find("panel").hidden));
    this.find("unload").addEventListener("click", () => {
      this.props.value = { ...this.props.value, waiting: true, note: "Freeing memory…" };
      this.draw();
      trigger("free");
    });
    document.addEventListener("pointerdown", (event) => {
      if (!this.root.contains(event.target)) this.open(false);
    });
    this.root.addEventListener("focusout", ({ relatedTarget }) => {
      if (relatedTarget && !this.root.contains(relatedTarget)) this.open(false);
    });
    this.root.addEventListener("keydown", (event) => this.closeByKey(event));
  }

  find(name) {
    return this.root.querySelector(`.badge-${name}`);
  }

  draw() {
    const { facts = [], words, loaded = [], can_unload: canUnload, waiting, note } = this.props.value ?? {};
    const starting = !facts.length;
    this.root.querySelector(".dot").classList.toggle("starting", starting);
    const shown = starting ? ["Starting…"] : words;
    this.find("open").ariaLabel = `What runs where: ${shown.join(", ")}`;
    this.find("words").replaceChildren(...shown.map((word) => node("span", "", word)));
    const lines = facts.flatMap(([name, text]) => [node("dt", "", name), node("dd", "", text)]);
    this.root.querySelector("dl").replaceChildren(...lines);
    this.root.querySelector("tbody").replaceChildren(...loaded.map(modelRow));
    this.find("none").hidden = loaded.length > 0;
    this.find("foot").hidden = !canUnload;
    this.find("unload").disabled = Boolean(waiting) || !loaded.length;
    this.find("note").textContent = note ?? "";
  }

  open(shown) {
    this.find("panel").hidden = !shown;
    this.find("open").setAttribute("aria-expanded", String(shown));
  }

  closeByKey(event) {
    if (event.key !== "Escape" || this.find("panel").hidden) return;
    event.stopPropagation();
    this.open(false);
    this.find("open").focus();
  }
}

function modelRow([name, size]) {
  const row = node("tr");
  row.append(node("td", "", name), node("td", "", size));
  return row;
}
