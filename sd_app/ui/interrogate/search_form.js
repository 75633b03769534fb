// Explains the chosen mode of the search.

export function aboutMode(about, mode) {
  return `<span>${about[mode] ?? ""}</span>`;
}
