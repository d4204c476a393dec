// A canvas at the display's resolution, in the colours of the page.

export function coloursOf(canvas, names) {
  const style = getComputedStyle(canvas);
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// Match the canvas to its place on the page; returns its width and height in CSS pixels.
export function fitted(canvas, context) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [width, height];
}
