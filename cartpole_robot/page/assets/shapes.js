// Shapes on a canvas, and the distance between a scale's ticks.

export function tickStep(half_m, scale) {
  for (const step of [0.05, 0.1, 0.2, 0.5, 1]) {
    if (step * scale >= 38 && half_m / step <= 12) return step;
  }
  return 2;
}

export function circle(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

export function roundRect(context, x, y, width, height, radius) {
  context.beginPath();
  context.roundRect(x, y, width, height, radius);
}
