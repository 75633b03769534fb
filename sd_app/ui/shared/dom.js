// What every script needs to make and mark elements. All words are set as text, never as markup.
const SVG = "http://www.w3.org/2000/svg";

export const SMALL = 384; // pixels of the longer side; what is smaller is enlarged without blur
export const PHONE = "(max-width: 860px)"; // where the result stands below the form

export function node(tag, className = "", text = null) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== null && text !== undefined) made.textContent = text;
  return made;
}

export function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function button(text, action = null, more = {}) {
  const made = Object.assign(node("button", "", text), { type: "button", ...more });
  if (action) made.addEventListener("click", action);
  return made;
}

// An image that is shown without blur if it is small.
export function picture(url, alt = "") {
  const image = new Image();
  image.alt = alt;
  image.onload = () => image.classList.toggle("crisp", isSmall(image.naturalWidth, image.naturalHeight));
  image.src = url;
  return image;
}

export const isSmall = (width, height) => Math.max(width, height) <= SMALL;

export function setPressed(element, on) {
  element.setAttribute("aria-pressed", String(on));
}

export function tableRow(head, cells, scope = "row") {
  const row = node("tr");
  const first = Object.assign(node("th", "", head), { scope });
  row.append(first, ...cells.map((text) => node("td", "", text)));
  return row;
}

// An error; its further lines, if any, point at a character.
export function drawMessage(element, text) {
  const [words, ...pointer] = text.split("\n");
  element.replaceChildren(words, ...(pointer.length ? [node("pre", "", pointer.join("\n"))] : []));
  element.hidden = !text;
}

export function pointerAt(event) {
  return [event.clientX, event.clientY];
}
