// What the picker of add-ons does in the browser alone.

// Put a text at a prompt's end.
export function append(text, prompt) {
  const before = (prompt ?? "").trimEnd();
  if (!text) return prompt;
  return before ? `${before} ${text}` : text;
}
