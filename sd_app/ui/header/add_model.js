// Adds models of the hub (see add_model.py): look one up, download it, delete it.
import { button, node } from "../shared/dom.js";

export function mount(component) {
  const adder = new AddModel(component);
  component.watch("value", () => adder.receive());
  adder.receive();
}

class AddModel {
  constructor({ element, props, trigger }) {
    this.root = element.querySelector(".add-model");
    this.props = props;
    this.trigger = trigger;
    this.dialog = this.find("dialog");
    this.looking = false;
    this.announced = null; // the value whose end was told to the forms
    this.asked = ""; // the model whose deletion waits for a second press
    this.listen();
  }

  find(name) {
    return this.root.querySelector(`.add-model-${name}`);
  }

  get value() {
    return this.props.value ?? {};
  }

  get running() {
    return this.value.phase === "running";
  }

  // -- drawing

  draw() {
    const { value, looking } = this;
    const failed = value.phase === "error";
    this.say("message", failed && !looking ? value.text : "");
    this.say("notice", looking ? "Looking it up…" : failed ? "" : (value.text ?? ""));
    this.find("look").disabled = looking || this.running;
    this.drawPlan(value.plan);
    this.drawProgress(value);
    this.find("curated")
      .querySelector("ul")
      .replaceChildren(...this.items(value.curated, this.curatedItem));
    this.drawHere();
    this.find("foot").textContent = value.foot ?? "";
  }

  say(name, text) {
    const line = this.find(name);
    line.textContent = text;
    line.hidden = !line.textContent;
  }

  drawPlan(plan) {
    const box = this.find("plan");
    box.hidden = !plan || this.looking || this.value.phase !== "planned";
    if (!plan) return;
    box.querySelector("h3").textContent = plan.title;
    const lines = plan.facts.flatMap(([name, text]) => [node("dt", "", name), node("dd", "", text)]);
    box.querySelector("dl").replaceChildren(...lines);
    Object.assign(this.find("begin"), { textContent: plan.label, disabled: !plan.can_begin });
  }

  drawProgress(value) {
    const percent = Math.round(100 * (value.fraction ?? 0));
    this.find("progress").hidden = !this.running;
    this.find("label").textContent = this.running ? `Downloading ${percent} %` : "Add a model";
    this.root.dataset.running = String(this.running);
    if (!this.running) return;
    this.find("progress").querySelector("h3").textContent = value.hub_id;
    this.find("bar").style.width = `${percent}%`;
    this.find("meter").setAttribute("aria-valuenow", percent);
    this.find("meter").setAttribute("aria-valuetext", value.words);
    this.find("words").textContent = value.words;
    this.find("cancel").disabled = Boolean(value.stopping);
  }

  drawHere() {
    const { here = [] } = this.value;
    this.find("here").hidden = !here.length;
    this.find("here")
      .querySelector("ul")
      .replaceChildren(...this.items(here, this.hereItem));
  }

  items(models, item) {
    return (models ?? []).map((model) => {
      const line = node("li");
      line.append(...item.call(this, model));
      return line;
    });
  }

  curatedItem(model) {
    const made = button(model.here ? "Downloaded" : "Look up", () => this.look(model.hub_id));
    made.disabled = model.here || this.running;
    made.setAttribute("aria-label", (model.here ? "Already downloaded: " : "Look up ") + model.title);
    return [twoLines(node("strong", "", model.title), node("span", "", model.line)), made];
  }

  hereItem(model) {
    const sure = this.asked === model.hub_id;
    const remove = () => {
      this.asked = sure ? "" : model.hub_id;
      if (sure) {
        this.show({ phase: "idle", text: "Deleting" });
        this.trigger("remove", { id: model.hub_id });
      } else this.drawHere();
    };
    const made = button(sure ? "Delete for good?" : "Delete", remove);
    if (sure) made.className = "add-model-sure";
    made.disabled = this.running && this.value.hub_id === model.hub_id;
    const title = node("strong", "", `${model.hub_id} · ${model.size}`);
    return [twoLines(title, node("code", "", model.folder)), made];
  }

  // -- what happens

  // Draw at once what a press begins, before the server's answer.
  show(change) {
    this.props.value = { ...this.value, ...change };
    this.draw();
  }

  receive() {
    this.looking = false;
    this.draw();
    if (this.value.phase !== "done" || this.announced === this.props.value) return;
    this.announced = this.props.value;
    this.trigger("added", { name: this.value.hub_id });
  }

  look(id) {
    if (!id || this.looking || this.running) return;
    this.find("id").value = id;
    this.looking = true;
    this.draw();
    this.trigger("look_up_model", { id });
  }

  stopLooking() {
    if (!this.looking) return;
    this.looking = false;
    this.trigger("leave");
    this.draw();
  }

  listen() {
    const { dialog } = this;
    this.find("open").addEventListener("click", () => {
      this.trigger("opened");
      dialog.showModal();
    });
    this.find("close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => this.stopLooking());
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    this.find("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.look(this.find("id").value.trim());
    });
    this.find("begin").addEventListener("click", () => {
      const id = this.value.plan.hub_id;
      this.show({ phase: "running", text: "", hub_id: id, fraction: 0, words: "Starting", stopping: false });
      this.trigger("begin", { id });
    });
    this.find("cancel").addEventListener("click", () => {
      this.show({ stopping: true, words: "Stopping" });
      this.trigger("cancel");
    });
  }
}

function twoLines(...lines) {
  const box = node("div");
  box.append(...lines);
  return box;
}
