// Several pictures (see uploads.py). The value is {pictures: list of {file, name}, text}.
import { button, picture } from "../shared/dom.js";

export function mount(component, { most }) {
  const uploads = new Uploads(component, most);
  component.watch("value", () => uploads.receive());
  uploads.receive();
}

const pathsOf = (pictures) => pictures.map((one) => one.file.path).join();

class Uploads {
  constructor({ element, props, trigger, upload }, most) {
    this.root = element.querySelector(".uploads");
    Object.assign(this, { props, trigger, upload, most });
    this.seen = ""; // the files as last told
    this.removed = null; // what was there before the last pictures were taken away
    this.listen();
  }

  find(name) {
    return this.root.querySelector(`.uploads-${name}`);
  }

  get pictures() {
    return this.props.value?.pictures ?? [];
  }

  draw() {
    const count = this.pictures.length;
    const message = this.root.querySelector(".canvas-message");
    message.textContent = this.props.value?.text ?? "";
    message.hidden = !message.textContent;
    this.find("hint").hidden = count > 0;
    this.find("clear").hidden = !count;
    this.find("undo").hidden = !this.removed;
    this.find("count").textContent = count ? `${count} of ${this.most}` : "";
    this.find("open").disabled = count >= this.most;
    this.find("pictures").replaceChildren(...this.pictures.map((one, index) => this.thumb(one, index)));
  }

  thumb({ file, name }, index) {
    const remove = () => this.remove(this.pictures.filter((_, at) => at !== index));
    const made = button(null, remove, { title: `${name}: press to remove it` });
    made.setAttribute("aria-label", `Remove ${name}`);
    made.append(picture(file.url));
    return made;
  }

  // Leave only these; the others can be brought back.
  remove(left) {
    this.removed = this.pictures;
    this.keep(left);
  }

  undo() {
    const pictures = this.removed;
    this.removed = null;
    this.keep(pictures);
    this.find("open").focus();
  }

  keep(pictures) {
    this.props.value = { pictures, text: "" };
    this.seen = pathsOf(pictures);
    this.draw();
    this.trigger("painted");
  }

  receive() {
    this.draw();
    const paths = pathsOf(this.pictures);
    if (paths !== this.seen) {
      this.removed = null; // others came: what was there before is no step back any more
      this.draw();
      this.trigger("painted");
    }
    this.seen = paths;
  }

  async take(files) {
    this.root.dataset.busy = "true";
    try {
      const added = [];
      for (const file of files) added.push({ path: (await this.upload(file)).path, name: file.name });
      this.trigger("picked", { files: added });
    } catch (error) {
      const text = `The pictures could not be uploaded: ${error.message || error}`;
      this.props.value = { pictures: this.pictures, text };
      this.draw();
    } finally {
      delete this.root.dataset.busy;
    }
  }

  listen() {
    const input = this.find("file");
    this.find("open").addEventListener("click", () => {
      input.value = "";
      input.click();
    });
    this.find("clear").addEventListener("click", () => this.remove([]));
    this.find("undo").addEventListener("click", () => this.undo());
    input.addEventListener("change", () => {
      if (input.files.length) this.take([...input.files]);
    });
    this.root.addEventListener("pictures", (event) => this.take(event.detail));
  }
}
