// What can be looked into (see tab.py): a file from disk, or a recording that is kept.
import { button, drawMessage, node } from "../shared/dom.js";

export function mount(component) {
  const source = new Source(component);
  component.watch("value", () => source.draw());
  source.draw();
  if (!component.props.value?.listed) component.trigger("refresh");
}

export function sizeText(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

class Source {
  constructor({ element, props, trigger, upload }) {
    this.root = element.querySelector(".inside-source");
    Object.assign(this, { props, trigger, upload });
    const input = this.root.querySelector(".inside-input");
    const drop = this.root.querySelector(".inside-drop");
    this.root.querySelector(".inside-file").addEventListener("click", () => {
      input.value = "";
      input.click();
    });
    input.addEventListener("change", () => input.files.length && this.take(input.files[0]));
    drop.addEventListener("pictures", (event) => this.take(event.detail[0]));
  }

  draw() {
    const { kept = [], text = "" } = this.props.value ?? {};
    drawMessage(this.root.querySelector(".result-message"), text);
    this.root.querySelector(".inside-none").hidden = kept.length > 0;
    this.root.querySelector(".inside-kept").replaceChildren(...kept.map((one) => this.row(one)));
  }

  row({ name, prompt, seed, bytes, problem }) {
    if (problem) return node("p", "inside-hint", problem);
    const made = button(null, () => this.trigger("open_recording", { name }), { title: prompt });
    made.append(
      node("span", "inside-prompt", prompt || "No words"),
      node("span", "inside-facts", `Seed ${seed} · ${sizeText(bytes)}`),
    );
    return made;
  }

  async take(file) {
    const drop = this.root.querySelector(".inside-drop");
    drop.dataset.busy = "true";
    try {
      const data = { picture: (await this.upload(file)).path, name: file.name };
      for (const [field, name] of [
        ["init_image", ".inside-init"],
        ["mask_image", ".inside-mask"],
      ]) {
        const [given] = this.root.querySelector(name).files;
        if (given) data[field] = (await this.upload(given)).path;
      }
      this.trigger("open_picture", data);
    } catch (error) {
      const text = `The picture could not be uploaded: ${error.message || error}`;
      this.props.value = { ...this.props.value, text };
      this.draw();
    } finally {
      drop.dataset.busy = "false";
    }
  }
}
