// Other views of the shown picture: raw, input, drift; the before/after slider; what the run began with.
function viewsOf(image) {
  return image ? [{ label: "Result", title: "The finished picture", file: image.file, name: image.name }, ...(image.views || []), ...(state().frames?.views || [])] : [];
}

function shownView(image) {
  const views = viewsOf(image);
  return views.find((one) => one.label === viewLabel) || views[0];
}

const inputView = (image) => viewsOf(image).find((one) => one.is_input);

function drawViews(image) {
  const bar = find("views");
  const views = busy() ? [] : viewsOf(image);
  bar.hidden = views.length < 2;
  const labels = views.map((one) => one.label).join("\n") + (inputView(image) ? "\ncompare" : "");
  if (bar.dataset.labels !== labels) {
    bar.dataset.labels = labels;
    bar.replaceChildren(...views.map((one) => viewButton(one.label, one.title || "", () => setView(one.label))));
    if (inputView(image)) {
      const compare = viewButton("Before / after", "A slider between your picture and this view", () => setCompare(!comparing));
      compare.classList.add("stage-compare-switch");
      bar.append(compare);
    }
  }
  const shown = shownView(image);
  for (const button of bar.children) {
    const on = button.classList.contains("stage-compare-switch") ? comparing : button.textContent === shown?.label;
    button.setAttribute("aria-pressed", String(on));
  }
}

function viewButton(label, title, action) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.title = title;
  button.addEventListener("click", action);
  return button;
}

function setView(label) {
  viewLabel = label;
  const { file, name } = shownView(current()) || {};
  props.value = { ...state(), shown: file ? { file, name } : null };
  render();
}

function setCompare(on) {
  comparing = on;
  render();
}

function drawCompare(image) {
  const before = inputView(image);
  const on = comparing && Boolean(before) && !busy();
  find("compare").hidden = !on;
  if (!on) return;
  find("open").hidden = true;
  const shown = shownView(image);
  const [after, over] = find("compare").querySelectorAll("img");
  if (after.getAttribute("src") !== shown.file.url) after.src = shown.file.url;
  if (over.getAttribute("src") !== before.file.url) over.src = before.file.url;
  after.alt = shown.label;
  fitCompare();
}

function fitCompare() {
  const [after, over] = find("compare").querySelectorAll("img");
  if (!after.naturalWidth) return;
  fit(after, roomOf(), after.naturalWidth, after.naturalHeight, true);
  over.style.width = after.style.width;
  over.style.height = after.style.height;
  over.classList.toggle("crisp", after.classList.contains("crisp"));
}

function drawDrift(image) {
  const drift = busy() ? null : image?.drift;
  find("drift").hidden = !drift;
  if (!drift) return;
  fillRows(find("kept").tBodies[0], drift.rows);
  fillRows(find("seam").tBodies[0], drift.seam);
  setText("cause", drift.cause);
}

function fillRows(body, rows) {
  body.replaceChildren(...rows.map(([head, ...cells]) => {
    const row = document.createElement("tr");
    const first = document.createElement("th");
    first.scope = "row";
    first.textContent = head;
    row.append(first, ...cells.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    return row;
  }));
}

function drawStart() {
  const start = busy() ? [] : state().start || [];
  const box = find("start");
  box.hidden = !start.length;
  const urls = start.map((one) => one.file.url).join("\n");
  if (box.dataset.urls === urls) return;
  box.dataset.urls = urls;
  box.querySelector("div").replaceChildren(...start.map((one) => {
    const figure = document.createElement("figure");
    const image = new Image();
    const words = document.createElement("figcaption");
    image.src = one.file.url;
    image.alt = words.textContent = one.label;
    image.onload = () => image.classList.toggle("crisp", Math.max(image.naturalWidth, image.naturalHeight) <= SMALL);
    figure.append(image, words);
    return figure;
  }));
}

find("divide").addEventListener("input", (event) => {
  find("compare").style.setProperty("--at", event.target.value + "%");
});
find("compare").querySelector("img").addEventListener("load", fitCompare);
new ResizeObserver(fitCompare).observe(find("room"));
