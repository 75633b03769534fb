// Other views of the shown picture: raw, input, drift; and the slider between before and after.
import { button, node, setPressed, tableRow } from "./dom.js";
import { fit } from "./fit.js";

const COMPARE_TITLE = "A slider between your picture and this view";

// Return all views of an image, the finished picture first. `shared` are those of the whole run.
export function viewsOf(image, shared = []) {
  if (!image) return [];
  const { file, name } = image;
  return [{ label: "Result", title: "The finished picture", file, name }, ...(image.views || []), ...shared];
}

export class Views {
  constructor(result) {
    this.result = result;
    this.job = result.job;
    this.label = "Result"; // of the view that is looked at, if the picture has it
    this.comparing = false;
    this.job.find("divide").addEventListener("input", (event) => {
      this.job.find("compare").style.setProperty("--at", `${event.target.value}%`);
    });
    this.job
      .find("compare")
      .querySelector("img")
      .addEventListener("load", () => this.fitCompare());
    new ResizeObserver(() => this.fitCompare()).observe(this.job.find("room"));
  }

  of(image) {
    return viewsOf(image, this.job.value.frames?.views);
  }

  shown(image) {
    const views = this.of(image);
    return views.find((one) => one.label === this.label) || views[0];
  }

  input(image) {
    return this.of(image).find((one) => one.is_input);
  }

  // The views of a whole run end with the step to another of its pictures.
  keepOrReset() {
    if (this.job.value.frames?.views?.some((one) => one.label === this.label)) this.label = "Result";
    this.choose(this.label);
  }

  choose(label) {
    this.label = label;
    const { file, name } = this.shown(this.result.current) || {};
    this.job.value = { ...this.job.value, shown: file ? { file, name } : null };
    this.result.render();
  }

  draw(image) {
    this.drawBar(image);
    this.drawCompare(image);
    this.drawScale(image);
    this.drawDrift(image);
  }

  drawBar(image) {
    const bar = this.job.find("views");
    const views = this.job.busy ? [] : this.of(image);
    bar.hidden = views.length < 2;
    const labels = views.map((one) => one.label).join("\n") + (this.input(image) ? "\ncompare" : "");
    if (bar.dataset.labels !== labels) {
      bar.dataset.labels = labels;
      bar.replaceChildren(...this.buttons(views, image));
    }
    const shown = this.shown(image);
    for (const one of bar.children) {
      const compares = one.classList.contains("result-compare-switch");
      setPressed(one, compares ? this.comparing : one.textContent === shown?.label);
    }
  }

  buttons(views, image) {
    const made = views.map(({ label, title = "" }) => button(label, () => this.choose(label), { title }));
    if (!this.input(image)) return made;
    const toggle = () => {
      this.comparing = !this.comparing;
      this.result.render();
    };
    const className = "result-compare-switch";
    return [...made, button("Before / after", toggle, { title: COMPARE_TITLE, className })];
  }

  drawCompare(image) {
    const before = this.input(image);
    const on = this.comparing && Boolean(before) && !this.job.busy;
    this.job.find("compare").hidden = !on;
    if (!on) return;
    this.job.find("open").hidden = true;
    const shown = this.shown(image);
    const [after, over] = this.job.find("compare").querySelectorAll("img");
    if (after.getAttribute("src") !== shown.file.url) after.src = shown.file.url;
    if (over.getAttribute("src") !== before.file.url) over.src = before.file.url;
    after.alt = shown.label;
    this.fitCompare();
  }

  // What the colours of the shown view mean, if it has a scale.
  drawScale(image) {
    const scale = (!this.job.busy && this.shown(image)?.scale) || [];
    const box = this.job.find("scale");
    box.hidden = !scale.length;
    box.querySelector("span").replaceChildren(
      ...scale.map(([text, color]) => {
        const mark = node("span");
        const swatch = node("i");
        swatch.style.background = color;
        mark.append(swatch, text);
        return mark;
      }),
    );
  }

  fitCompare() {
    const [after, over] = this.job.find("compare").querySelectorAll("img");
    if (!after.naturalWidth) return;
    fit(after, this.result.room, after.naturalWidth, after.naturalHeight, true);
    over.style.width = after.style.width;
    over.style.height = after.style.height;
    over.classList.toggle("crisp", after.classList.contains("crisp"));
  }

  drawDrift(image) {
    const drift = this.job.busy ? null : image?.drift;
    this.job.find("drift").hidden = !drift;
    if (!drift) return;
    for (const [name, rows] of [
      ["kept", drift.rows],
      ["seam", drift.seam],
    ]) {
      const lines = rows.map(([head, ...cells]) => tableRow(head, cells));
      this.job.find(name).tBodies[0].replaceChildren(...lines);
    }
    this.job.setText("cause", drift.cause);
  }
}
