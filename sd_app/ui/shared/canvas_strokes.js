// Puts strokes on a canvas's context. A stroke is {tool, color, white, width, points}.

export function drawStroke(ink, stroke) {
  const erases = stroke.tool === "eraser";
  ink.save();
  ink.globalCompositeOperation = erases ? "destination-out" : "source-over";
  ink.globalAlpha = erases ? 1 : stroke.white;
  ink.strokeStyle = ink.fillStyle = stroke.color;
  if (stroke.tool === "fill") ink.fillRect(0, 0, ink.canvas.width, ink.canvas.height);
  else drawLine(ink, stroke);
  ink.restore();
}

function drawLine(ink, { points: [first, ...rest], width }) {
  ink.lineWidth = width;
  ink.lineCap = ink.lineJoin = "round";
  ink.beginPath();
  ink.moveTo(...first);
  for (const point of rest.length ? rest : [first]) ink.lineTo(...point);
  ink.stroke();
}

export function copyOf(canvas) {
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  copy.getContext("2d").drawImage(canvas, 0, 0);
  return copy;
}
