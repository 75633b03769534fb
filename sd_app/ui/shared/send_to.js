// What goes from a result into a form, and back.

const USUAL_SIDE = 512;

// Return the picture that a result block shows.
export function shownImage(result) {
  return result?.images?.[result.selected];
}

export function infotextOf(result, ...form) {
  return [shownImage(result)?.infotext ?? "", ...form];
}

export function seedOf(result, seed) {
  return shownImage(result)?.seed ?? seed;
}

// Return the picture shown, with the file of the view that was chosen, before the values of a form.
export function sentImage(result, ...form) {
  const image = shownImage(result);
  return [image && { ...image, ...result.shown }, ...form];
}

// Return the parameters of the picture shown, and its file, as a tab takes them over, before the values of a form.
export function offered(result, ...form) {
  const image = shownImage(result);
  const picture = image ? [image.file.path, image.name] : [];
  return [image?.infotext ? { parameters: image.infotext, picture } : null, ...form];
}

// Return the values a form held before, where they are known, and an empty notice.
export function heldBefore(names, notice, ...form) {
  return [...names.map((name, index) => notice?.before?.[name] ?? form[index]), { text: "", before: null }];
}

export function blankCanvas(_, width, height) {
  const blank = [Math.round(width) || USUAL_SIDE, Math.round(height) || USUAL_SIDE, "#ffffff"];
  return { picture: null, paint: null, text: "", blank };
}

export function openTabs(...ids) {
  for (const id of ids) document.getElementById(id)?.click();
}

// Open the tab "Look inside" and return the picture that a result shows: its own file, not another view of it.
export function lookedAt(result) {
  openTabs("tab-inside-button");
  return shownImage(result);
}
