// Arithmetic of angles.

// The same direction in [-pi, pi]: 0 is upright.
export function wrapped(angle_rad) {
  return angle_rad - 2 * Math.PI * Math.round(angle_rad / (2 * Math.PI));
}
