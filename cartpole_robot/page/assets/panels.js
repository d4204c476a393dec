// The curves that every cart has.

import { driveOf } from "./drive.js";

const STATES = [
  {
    title: "Pole angle",
    unit: "°",
    factor: 180 / Math.PI,
    least: 5,
    steps: [5, 10, 20, 45, 90, 180],
    wraps: true,
    lines: [{ column: "angle_rad", colour: "good" }],
  },
  { title: "Cart position", unit: "cm", factor: 100, least: 5, lines: [{ column: "position_m", colour: "accent" }] },
];
const DUTIES = [
  { column: "requested_duty", colour: "warm", label: "requested", isThin: true },
  { column: "applied_duty", colour: "accent", label: "applied" },
];

export function statePanels(cart) {
  const { title, unit, factor, least } = driveOf(cart).duty;
  return [...STATES, { title, unit, factor, least, lines: DUTIES }];
}
