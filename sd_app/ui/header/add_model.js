// Adds models of the hub (see add_model.py): look one up, download it, delete it.
const root = element.querySelector(".adding");
const find = (name) => root.querySelector(".adding-" + name);
const dialog = find("dialog");
const state = () => props.value ?? {};
let looking = false;
let announced = null; // the value whose end was told to the forms

function node(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function look(id) {
  if (!id || looking || state().phase === "running") return;
  find("id").value = id;
  looking = true;
  draw();
  trigger("look_up_model", { id });
}

function drawPlan(plan) {
  find("plan").hidden = !plan || looking || state().phase !== "planned";
  if (!plan) return;
  find("plan").querySelector("h3").textContent = plan.title;
  find("plan").querySelector("dl").replaceChildren(...plan.facts.flatMap(([name, text]) => [node("dt", name), node("dd", text)]));
  find("begin").textContent = plan.label;
  find("begin").disabled = !plan.can_begin;
}

function drawProgress(value) {
  const running = value.phase === "running";
  const percent = Math.round(100 * (value.fraction ?? 0));
  find("progress").hidden = !running;
  find("label").textContent = running ? `Downloading ${percent} %` : "Add a model";
  root.dataset.running = String(running);
  if (!running) return;
  find("progress").querySelector("h3").textContent = value.hub_id;
  find("bar").style.width = percent + "%";
  find("meter").setAttribute("aria-valuenow", percent);
  find("meter").setAttribute("aria-valuetext", value.words);
  find("words").textContent = value.words;
  find("cancel").disabled = Boolean(value.stopping);
}

function drawCurated(models) {
  find("curated").querySelector("ul").replaceChildren(...models.map((model) => {
    const item = document.createElement("li");
    const words = document.createElement("div");
    const button = node("button", model.here ? "Here" : "Look up");
    words.append(node("strong", model.title), node("span", model.line));
    button.type = "button";
    button.disabled = model.here || state().phase === "running";
    button.setAttribute("aria-label", (model.here ? "Here already: " : "Look up ") + model.title);
    button.addEventListener("click", () => look(model.hub_id));
    item.append(words, button);
    return item;
  }));
}

let asked = ""; // the model whose deletion waits for a second press
function drawHere(models) {
  find("here").hidden = !models.length;
  find("here").querySelector("ul").replaceChildren(...models.map((model) => {
    const item = document.createElement("li");
    const words = document.createElement("div");
    const sure = asked === model.hub_id;
    const button = node("button", sure ? "Delete for good?" : "Delete", sure ? "adding-sure" : "");
    words.append(node("strong", `${model.hub_id} · ${model.size}`), node("code", model.folder));
    button.type = "button";
    button.disabled = state().phase === "running" && state().hub_id === model.hub_id;
    button.addEventListener("click", () => {
      if (sure) trigger("remove", { id: model.hub_id });
      asked = sure ? "" : model.hub_id;
      drawHere(models);
    });
    item.append(words, button);
    return item;
  }));
}

function draw() {
  const value = state();
  const message = find("message");
  message.textContent = value.phase === "error" && !looking ? value.text : "";
  message.hidden = !message.textContent;
  const notice = find("notice");
  notice.textContent = looking ? "Looking it up…" : value.phase !== "error" ? value.text ?? "" : "";
  notice.hidden = !notice.textContent;
  find("look").disabled = looking || value.phase === "running";
  drawPlan(value.plan);
  drawProgress(value);
  drawCurated(value.curated ?? []);
  drawHere(value.here ?? []);
  find("foot").textContent = value.foot ?? "";
}

function receive() {
  looking = false;
  draw();
  if (state().phase !== "done" || announced === props.value) return;
  announced = props.value;
  trigger("added", { name: state().hub_id });
}

find("open").addEventListener("click", () => {
  trigger("opened");
  dialog.showModal();
});
find("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  if (!looking) return;
  looking = false;
  trigger("leave");
  draw();
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  look(find("id").value.trim());
});
find("begin").addEventListener("click", () => {
  find("begin").disabled = true;
  trigger("begin", { id: state().plan.hub_id });
});
find("cancel").addEventListener("click", () => {
  find("cancel").disabled = true;
  trigger("cancel");
});
watch("value", receive);
receive();
