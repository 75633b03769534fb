// What is written down in the browser's own memory.

// Return the values of a form by their fields' names.
export function byName(names, ...values) {
  return Object.fromEntries(names.map((name, index) => [name, values[index]]));
}

// Return a value as text, null if that is too long to be kept.
export function asText(most, value) {
  const text = JSON.stringify(value);
  return text.length < most ? text : null;
}
