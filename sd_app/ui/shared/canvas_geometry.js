// The arithmetic of the canvas: scales, brushes, pointers. Sizes are [width, height], points [x, y].
import { isSmall } from "./dom.js";
import { clamp } from "./numbers.js";

const MOST_ZOOM = 16;

// Return how many pixels of the screen one of the picture gets, and whether they are drawn as squares.
export function displayScale(size, room, zoom) {
  const fitted = Math.min(room[0] / size[0], room[1] / size[1]);
  const small = isSmall(...size);
  const scale = (small && fitted > 1 ? Math.floor(fitted) : fitted) * zoom;
  return { scale, crisp: small && scale >= 1 };
}

export const clampZoom = (zoom) => clamp(zoom, 1, MOST_ZOOM);

// Return the brush's first width and its largest, in pixels of the picture.
export function brushRange(size, isMask) {
  const longer = Math.max(...size);
  return {
    most: Math.max(16, Math.round(longer / 2)),
    first: Math.max(1, Math.round(longer / (isMask ? 10 : 24))),
  };
}

// Return which pixel of the picture a point of the screen is, when the picture fills `box`.
export function pixelAt(point, box, size) {
  return [((point[0] - box.left) * size[0]) / box.width, ((point[1] - box.top) * size[1]) / box.height];
}

// Return the brush's outline around a point of the screen, in pixels of the screen.
export function brushOutline(point, brush, box, width) {
  const side = (brush * box.width) / width;
  return { side, left: point[0] - box.left - side / 2, top: point[1] - box.top - side / 2 };
}

// Return distance and middle of two fingers.
export function pinchOf([a, b]) {
  return {
    distance: Math.hypot(a[0] - b[0], a[1] - b[1]),
    center: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2],
  };
}
