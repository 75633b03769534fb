// Draws pictures against texts (see match.py). A row is a picture, a column a text.
let chosen = "cosines";
let kept = null; // the last table: it stays when a job ends without any
const LEGENDS = {
  cosines: "Cosine of picture and text; below it the share of random phrases that are less like the picture. Framed: the largest of its row. Dot: the largest of its column.",
  by_text: "If each picture had to choose one of these texts: each row adds up to 100 %. Framed: its choice.",
  by_image: "If each text had to choose one of these pictures: each column adds up to 100 %. Dot: its choice.",
};

function node(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text != null) made.textContent = text;
  return made;
}

function keepTable() {
  const value = state();
  if (busy()) return;
  if (value.texts?.length) kept = { pictures: value.pictures, texts: value.texts, tables: value.tables, ranks: value.ranks, titles: value.titles, note: value.note };
  else if (kept && value.phase !== "empty") props.value = { ...value, ...kept };
}

function drawTable(value) {
  const values = value.tables[chosen];
  const all = values.flat();
  const low = chosen === "cosines" ? Math.min(...all) : 0, high = chosen === "cosines" ? Math.max(...all) : 1;
  const best = value.texts.map((_, column) => Math.max(...values.map((row) => row[column])));
  const head = node("tr");
  head.append(node("td"), ...value.texts.map((text) => Object.assign(node("th", "", text), { scope: "col", title: text })));
  const rows = values.map((cells, index) => {
    const row = node("tr"), first = node("th"), image = new Image();
    const picture = value.pictures[index];
    first.scope = "row";
    image.src = picture.file.url;
    image.alt = image.title = picture.name;
    image.onload = () => image.classList.toggle("crisp", Math.max(image.naturalWidth, image.naturalHeight) <= 384);
    first.append(image);
    row.append(first, ...cells.map((cell, column) => {
      const share = (cell - low) / (high - low || 1);
      const made = node("td", "", chosen === "cosines" ? signed(cell) : percent(cell));
      made.title = value.titles[index][column];
      if (chosen === "cosines" && value.ranks[index][column]) made.append(node("small", "", value.ranks[index][column]));
      made.style.setProperty("--share", share.toFixed(2));
      made.classList.toggle("row-best", chosen !== "by_image" && cell === Math.max(...cells));
      made.classList.toggle("column-best", chosen !== "by_text" && cell === best[column]);
      return made;
    }));
    return row;
  });
  const top = node("thead"), body = node("tbody");
  top.append(head);
  body.append(...rows);
  root.querySelector("table").replaceChildren(top, body);
}

function signed(cosine) {
  return cosine.toFixed(3).replace(/^-(?=0\.000)/, "").replace("-", "−");
}

function percent(share) {
  if (share > 0 && share < 0.001) return "<0.1 %";
  return (100 * share).toFixed(share >= 0.995 || share === 0 ? 0 : 1) + " %";
}

function render() {
  keepTable();
  const value = state();
  drawJob(value);
  const some = Boolean(value.texts?.length) && !busy();
  find("nothing").hidden = some || busy();
  find("views").hidden = find("scroll").hidden = find("legend").hidden = !some;
  find("after").hidden = busy();
  find("foot").hidden = !busy() && !value.text;
  setText("summary", value.phase === "error" ? "" : value.text);
  find("foot").hidden ||= !busy() && value.phase === "error";
  for (const button of find("views").children) button.setAttribute("aria-pressed", String(button.dataset.table === chosen));
  setText("legend", LEGENDS[chosen] + (value.note ? " " + value.note : ""));
  if (some) drawTable(value);
}

find("views").addEventListener("click", (event) => {
  chosen = event.target.closest("button")?.dataset.table ?? chosen;
  render();
});
