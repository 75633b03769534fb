// What every result block does: it shows a job's phase and progress, and lets one press be one job.
const root = element.querySelector(".stage");
const find = (name) => root.querySelector(".stage-" + name);
const state = () => props.value || { phase: "empty", images: [] };
const BEGIN = ".go-row:not(.show-numbers) .generate"; // the button that begins a job
const busy = () => ["waiting", "running"].includes(state().phase);

function setText(name, text) {
  const node = find(name);
  if (node.textContent !== text) node.textContent = text || "";
}

function showInTitle() {
  const percent = busy() ? Math.round(100 * state().fraction) + "% · " : "";
  document.title = percent + document.title.replace(/^\d+% · /, "");
}

function drawJob(value) {
  showInTitle();
  root.dataset.phase = value.phase;
  root.closest(".maker")?.setAttribute("data-busy", String(busy()));
  drawMessage(find("message"), value.phase === "error" ? value.text : "");
  setText("notice", value.notice);
  find("notice").hidden = !value.notice;
  find("progress").hidden = !busy();
  if (!busy()) return;
  setText("text", value.text);
  setText("detail", value.detail);
  find("bar").style.width = 100 * value.fraction + "%";
  find("progress").setAttribute("aria-valuenow", Math.round(100 * value.fraction));
  find("progress").setAttribute("aria-valuetext", value.text + " " + value.detail);
}

function sendButtons() {
  if (!SEND_TO.length) return [];
  const group = document.createElement("span");
  group.className = "stage-send";
  group.append("Send to", ...SEND_TO.map(([event, label]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.do = event;
    button.textContent = label;
    return button;
  }));
  return [group];
}

root.closest(".maker")?.addEventListener("click", (event) => {
  // One press, one job: not again while it runs, nor by the second half of a double click.
  if (event.target.closest(BEGIN) && (busy() || event.detail > 1)) event.stopImmediatePropagation();
}, { capture: true });
root.closest(".maker")?.addEventListener("click", (event) => {
  if (busy() && event.target.closest(".stop-run")) setText("text", "Stopping…");
  // On a phone the result is below the form: go there.
  if (event.target.closest(BEGIN) && matchMedia("(max-width: 860px)").matches) {
    root.scrollIntoView({ behavior: "smooth", block: "start" });
  }
});
