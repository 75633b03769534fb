// The tab "Picture info" (see tab.py). Whatever a file says is set as text, never as markup.
import { button, drawMessage, isSmall, node, PHONE, tableRow } from "../shared/dom.js";

export function mount(component) {
  const info = new Info(component);
  component.watch("value", () => info.draw());
  info.draw();
}

// What the browser notes of what is open, for the next reload.
export function noteOf(value) {
  const [path, name] = value?.picture ?? [];
  return path ? { path, name } : null;
}

// What becomes of a setting, in words.
export function usedAs({ name, state, label, reason }) {
  if (state === "used") return label && label !== name ? `Yes, as ${label}` : "Yes";
  if (state === "not used") return reason ? `No: ${reason}` : "No";
  return "It has no part in the drawing";
}

class Info {
  constructor({ element, props, trigger, upload }) {
    this.root = element.querySelector(".info");
    Object.assign(this, { props, trigger, upload });
    const input = this.find("input");
    this.find("file").addEventListener("click", () => {
      input.value = "";
      input.click();
    });
    input.addEventListener("change", () => input.files.length && this.take(input.files[0]));
    this.find("drop").addEventListener("pictures", (event) => this.take(event.detail[0]));
    const image = this.find("picture");
    image.onload = () => image.classList.toggle("crisp", isSmall(image.naturalWidth, image.naturalHeight));
    image.onerror = () => {
      image.hidden = true; // a TIFF, which browsers do not draw
    };
  }

  find(name) {
    return this.root.querySelector(`.info-${name}`);
  }

  async take(file) {
    const drop = this.find("drop");
    drop.dataset.busy = "true";
    try {
      this.trigger("picked", { path: (await this.upload(file)).path, name: file.name });
    } catch (error) {
      const text = `The picture could not be uploaded: ${error.message || error}`;
      this.props.value = { ...this.props.value, phase: "error", text };
      this.draw();
    } finally {
      drop.dataset.busy = "false";
    }
  }

  draw() {
    const value = this.props.value ?? { phase: "empty", text: "" };
    this.root.dataset.phase = value.phase;
    drawMessage(this.root.querySelector(".result-message"), value.text);
    this.find("open").hidden = value.phase !== "done";
    if (value.phase !== "done" || this.drawn === value.file?.path) return;
    this.drawn = value.file?.path;
    this.drawAbout(value);
    this.drawTables(value);
    const texts = value.texts.map((one) => this.textOf(one));
    this.find("texts").replaceChildren(...texts);
    this.find("raw").hidden = texts.length === 0;
    this.trigger("noted");
    if (matchMedia(PHONE).matches) this.find("about").scrollIntoView({ block: "start" });
  }

  drawAbout({ name, file, program, offers, fields, remarks, unread, parameters }) {
    const image = this.find("picture");
    image.hidden = false;
    image.alt = name;
    image.src = file.url;
    this.find("name").textContent = name;
    this.find("program").textContent = program ? `Made with ${program}` : "";
    this.find("none").hidden = Boolean(parameters) || fields.length > 0;
    const open = ([id, label], index) =>
      button(`Open in ${label}`, () => this.trigger(`move_${id}`), {
        className: index ? "" : "info-first",
      });
    this.find("offers").replaceChildren(...offers.map(open));
    const told = [...unread, ...remarks].map((text) => node("li", "", text));
    this.find("remarks").replaceChildren(...told);
    this.find("remarks").hidden = told.length === 0;
  }

  drawTables({ fields, facts }) {
    const rows = fields.map((one) => {
      const row = tableRow(one.name, [one.value, usedAs(one)]);
      row.dataset.state = one.state;
      return row;
    });
    this.find("settings").hidden = rows.length === 0;
    this.find("settings")
      .querySelector("tbody")
      .replaceChildren(...rows);
    const about = facts.map(([name, value]) => tableRow(name, [value]));
    this.find("facts")
      .querySelector("tbody")
      .replaceChildren(...about);
  }

  // A text is put into the page when it is unfolded: a graph may have a hundred thousand characters.
  textOf({ place, text, length, file }) {
    const made = node("details");
    made.append(node("summary", "", `${place} (${length.toLocaleString("en")} characters)`));
    made.addEventListener("toggle", () => {
      if (made.childElementCount > 1) return;
      if (file) {
        const whole = Object.assign(node("a", "", "Save all of it"), {
          href: file.url,
          download: "text.txt",
        });
        const cut = node("p", "info-hint", `The first ${text.length.toLocaleString("en")} characters. `);
        cut.append(whole);
        made.append(cut);
      } else {
        made.append(button("Copy", () => navigator.clipboard.writeText(text), { className: "info-copy" }));
      }
      made.append(Object.assign(node("pre", "", text), { tabIndex: 0 }));
    });
    return made;
  }
}
