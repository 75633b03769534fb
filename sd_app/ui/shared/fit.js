// How large a picture stands in a room of so many pixels.
import { isSmall } from "./dom.js";

// How much a picture is enlarged or reduced to stand in a room; whole factors count in the screen's own pixels.
export function fitFactor(width, height, room, pixelRatio = 1) {
  const scale = Math.min(room.width / width, room.height / height);
  if (!isSmall(width, height)) return Math.min(1, scale);
  return Math.max(1, Math.floor(scale * pixelRatio) / pixelRatio);
}

export function fit(image, room, width, height, crisp) {
  if (!width || !height) return;
  const factor = fitFactor(width, height, room, window.devicePixelRatio || 1);
  image.style.width = `${width * factor}px`;
  image.style.height = `${height * factor}px`;
  image.classList.toggle("crisp", crisp && isSmall(width, height));
}
