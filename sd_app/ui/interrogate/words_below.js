// What stands below the words: pictures drawn with the prompt, and the top words of each list.
import { node, picture, tableRow } from "../shared/dom.js";

const HEADS = [
  ["Cosine", "Cosine of picture and phrase"],
  ["Above", "Share of random phrases that fit this picture less well"],
  ["Chance", "Chance that a random direction is as close"],
];

export function drawDrawn(job, drawn) {
  job.find("drawn").hidden = !drawn;
  if (!drawn) return;
  job.setText("drawn-text", drawn.text);
  const box = job.find("drawn-images");
  const entries = drawn.images.map(({ file, label }) => ({ url: file.url, label, preview: false }));
  if (drawn.preview) entries.push({ url: drawn.preview, label: "", preview: true });
  const shape = entries.map(({ url, label }) => url + label).join("\n");
  if (box.dataset.shape === shape) return;
  box.dataset.shape = shape;
  box.replaceChildren(...entries.map(figureOf));
}

function figureOf({ url, label, preview }) {
  const figure = node("figure", preview ? "preview" : "");
  const image = picture(url, label || "Preview");
  if (preview) image.onload = null; // enlarged with blur, as it is none of the picture's own pixels
  figure.append(image, node("figcaption", "", label));
  return figure;
}

export function drawGroups(box, groups) {
  box.hidden = !groups.length;
  const shape = JSON.stringify(groups);
  if (box.dataset.shape === shape) return;
  box.dataset.shape = shape;
  box.querySelector("div").replaceChildren(...groups.map(groupTable));
}

function groupTable({ name, rows }) {
  const table = node("table");
  const heads = HEADS.map(([text, title]) => Object.assign(node("th", "", text), { title, scope: "col" }));
  const head = node("tr");
  head.append(Object.assign(node("th", "", name), { scope: "col" }), ...heads);
  const top = node("thead");
  top.append(head);
  const body = node("tbody");
  body.append(...rows.map(([phrase, ...numbers]) => tableRow(phrase, numbers)));
  table.append(top, body);
  return table;
}
