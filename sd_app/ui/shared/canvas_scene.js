// What is on the canvas, and the way back: a scene is {picture, blank, base, strokes}; `base` is a painted
// layer to begin with, a data URL. Scenes are never changed, only replaced.

const MOST_PAST = 100;

export const NOTHING = { picture: null, blank: null, base: null, strokes: [] };

export function sceneOf(value) {
  const { picture = null, blank = null, paint = null } = value ?? {};
  return { picture, blank, base: paint, strokes: [] };
}

// Two scenes with the same key stand on the same sheet.
export function sheetKey(value) {
  return JSON.stringify([value?.picture?.file?.path ?? null, value?.blank ?? null]);
}

// Return [width, height] of the sheet, null without one.
export function sizeOf({ picture, blank }) {
  if (picture) return [picture.width, picture.height];
  return blank ? blank.slice(0, 2) : null;
}

export class Scenes {
  constructor() {
    this.now = NOTHING;
    this.past = [];
    this.future = [];
  }

  change(next) {
    this.past = [...this.past, this.now].slice(-MOST_PAST);
    this.future = [];
    this.now = next;
  }

  add(stroke) {
    this.change({ ...this.now, strokes: [...this.now.strokes, stroke] });
  }

  // Return whether there was a step to take back.
  undo() {
    return this.#move(this.past, this.future);
  }

  redo() {
    return this.#move(this.future, this.past);
  }

  #move(from, to) {
    const next = from.pop();
    if (!next) return false;
    to.push(this.now);
    this.now = next;
    return true;
  }
}
