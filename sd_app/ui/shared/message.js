// An error; its further lines, if any, point at a character.
function drawMessage(node, text) {
  const [words, ...pointer] = text.split("\n");
  const lines = document.createElement("pre");
  lines.textContent = pointer.join("\n");
  node.replaceChildren(words, ...(pointer.length ? [lines] : []));
  node.hidden = !text;
}
