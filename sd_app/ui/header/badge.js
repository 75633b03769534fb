// What runs where (see badge.py): a line in the header, more on a press.
const root = element.querySelector(".badge");
const find = (name) => root.querySelector(".badge-" + name);
const state = () => props.value ?? {};

function node(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function draw() {
  const value = state();
  const starting = !value.facts?.length;
  root.querySelector(".dot").classList.toggle("starting", starting);
  find("words").replaceChildren(...(starting ? ["Starting…"] : value.words).map((word) => node("span", word)));
  root.querySelector("dl").replaceChildren(...(value.facts ?? []).flatMap(([name, text]) => [node("dt", name), node("dd", text)]));
  const rows = (value.loaded ?? []).map(([name, size]) => {
    const row = document.createElement("tr");
    row.append(node("td", name), node("td", size));
    return row;
  });
  root.querySelector("tbody").replaceChildren(...rows);
  find("none").hidden = rows.length > 0;
  find("foot").hidden = !value.can_unload;
  find("unload").disabled = Boolean(value.waiting) || !rows.length;
  find("note").textContent = value.note ?? "";
}

function open(shown) {
  find("panel").hidden = !shown;
  find("open").setAttribute("aria-expanded", String(shown));
}

find("open").addEventListener("click", () => open(find("panel").hidden));
find("unload").addEventListener("click", () => trigger("free"));
document.addEventListener("pointerdown", (event) => { if (!root.contains(event.target)) open(false); });
root.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || find("panel").hidden) return;
  event.stopPropagation();
  open(false);
  find("open").focus();
});
watch("value", draw);
draw();
