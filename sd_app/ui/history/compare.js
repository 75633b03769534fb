// Two pictures, one over the other with a slider between them, and the parameters that differ.
import { isSmall, tableRow } from "../shared/dom.js";
import { fileUrl } from "../shared/post.js";

export class Compare {
  constructor(root) {
    this.root = root;
    this.slider = root.querySelector("input");
    this.stack = root.querySelector(".compare-stack");
    this.slider.addEventListener("input", () => this.divide());
    root.addEventListener("click", (event) => {
      if (event.target === root || event.target.closest('[data-view="close"]')) root.close();
    });
    this.stack.addEventListener("pointerdown", (event) => {
      this.stack.setPointerCapture(event.pointerId);
      this.dragTo(event);
    });
    this.stack.addEventListener("pointermove", (event) => event.buttons && this.dragTo(event));
  }

  // The first one lies on the left of the line, the second one on its right, both as large as the larger one.
  open(pictures, differences) {
    const [first, second] = pictures;
    for (const [name, one] of [
      ["first", first],
      ["second", second],
    ]) {
      const image = this.stack.querySelector(`.compare-${name}`);
      Object.assign(image, {
        src: fileUrl((one.shown ?? one.image.file).path),
        alt: one.prompt || one.title,
      });
      image.classList.toggle("crisp", isSmall(one.width, one.height));
    }
    const [width, height] =
      first.width * first.height < second.width * second.height
        ? [second.width, second.height]
        : [first.width, first.height];
    this.stack.style.setProperty("--ratio", width / height);
    const names = this.root.querySelectorAll(".compare-names p");
    pictures.forEach((one, at) => {
      names[at].textContent = `${["Left", "Right"][at]}: ${one.title}, ${one.made}`;
    });
    const rows = differences.map(([key, one, other]) => tableRow(key, [one || "—", other || "—"]));
    const table = this.root.querySelector(".compare-table");
    table.querySelector("tbody").replaceChildren(...rows);
    table.hidden = rows.length === 0;
    const same = this.root.querySelector(".compare-same");
    same.hidden = rows.length > 0;
    same.textContent = pictures.some((one) => one.infotext)
      ? "Both have the same parameters."
      : "Neither file holds parameters that can be read.";
    this.slider.value = 50;
    this.divide();
    this.root.showModal();
    this.slider.focus();
  }

  dragTo(event) {
    const box = this.stack.getBoundingClientRect();
    this.slider.value = (100 * (event.clientX - box.left)) / box.width;
    this.divide();
  }

  divide() {
    this.stack.style.setProperty("--part", `${this.slider.value}%`);
    this.slider.setAttribute("aria-valuetext", `${Math.round(this.slider.value)} % of the first picture`);
  }
}
