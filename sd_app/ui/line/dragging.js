// Rows of a list put into another order by dragging them by their grips, with a mouse, a pen or a finger.
// Those who use keys have the buttons beside.

const EDGE = 36; // pixels from the edge of what scrolls, where it begins to
const SPEED = 8; // pixels that it scrolls each time
const EVERY = 30; // milliseconds between

// Return which neighbour a dragged row changes places with: -1 the one before, 1 the one after, 0 neither.
// `y` is the pointer's height; before and after are the neighbours' boxes, null where there is none.
export function stepOf(y, before, after) {
  if (before && y < before.top + before.height / 2) return -1;
  if (after && y > after.top + after.height / 2) return 1;
  return 0;
}

export class Dragging {
  // list: its children that match `rows` can be dragged by what matches `grip` in them; scroller: what scrolls
  // it. drop(row): it has another place now. end(): a drag is over, whatever came of it.
  constructor(list, { rows, grip, scroller, drop, end }) {
    Object.assign(this, { list, rows, grip, scroller, drop, end });
    this.row = null;
    list.addEventListener("pointerdown", (event) => this.begin(event));
    list.addEventListener("pointermove", (event) => this.move(event));
    list.addEventListener("pointerup", (event) => this.finish(event, true));
    for (const name of ["pointercancel", "lostpointercapture"]) {
      list.addEventListener(name, (event) => this.finish(event, false));
    }
    this.onKey = (event) => this.cancelByKey(event);
  }

  get active() {
    return this.row !== null;
  }

  begin(event) {
    const grip = event.target.closest(this.grip);
    if (!grip || event.button !== 0 || this.active) return;
    event.preventDefault();
    grip.setPointerCapture(event.pointerId);
    this.row = grip.closest(this.rows);
    this.pointer = event.pointerId;
    this.y = event.clientY;
    this.order = [...this.list.children];
    this.row.classList.add("is-dragged");
    addEventListener("keydown", this.onKey, { capture: true });
    this.timer = setInterval(() => this.scroll(), EVERY);
  }

  move(event) {
    if (!this.active || event.pointerId !== this.pointer) return;
    this.y = event.clientY;
    this.settle();
  }

  // The others go round the dragged row: if that were taken out of the page, the pointer would let go of it.
  settle() {
    for (;;) {
      const [before, after] = [this.row.previousElementSibling, this.row.nextElementSibling].map((one) =>
        one?.matches(this.rows) ? one : null,
      );
      const step = stepOf(this.y, before?.getBoundingClientRect(), after?.getBoundingClientRect());
      if (step < 0) this.row.after(before);
      else if (step > 0) this.row.before(after);
      else return;
    }
  }

  scroll() {
    const box = this.scroller.getBoundingClientRect();
    const by = this.y < box.top + EDGE ? -SPEED : this.y > box.bottom - EDGE ? SPEED : 0;
    if (!by) return;
    this.scroller.scrollBy(0, by);
    this.settle();
  }

  cancelByKey(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.finish({ pointerId: this.pointer }, false);
  }

  finish(event, dropped) {
    if (!this.active || event.pointerId !== this.pointer) return;
    const row = this.row;
    this.row = null;
    clearInterval(this.timer);
    removeEventListener("keydown", this.onKey, { capture: true });
    row.classList.remove("is-dragged");
    const moved = [...this.list.children].some((one, k) => one !== this.order[k]);
    if (moved && dropped) this.drop(row);
    else if (moved) this.list.replaceChildren(...this.order);
    this.end(moved && dropped);
  }
}
