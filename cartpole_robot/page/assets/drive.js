// What moves the cart, in words: a DC motor, whose duty is a share of the supply; or a stepper, whose duty is a share of its
// largest acceleration, and which holds the cart where it stands.

const DC = {
  duty: { title: "Duty", label: "Duty at the motor", unit: "", factor: 1, digits: 2, least: 1 },
  states: {},
  withoutCommands: "none, motor off",
  supplyLabel: "Supply of the motor",
  holdsCart: false,
};
const STEPPER = {
  duty: { title: "Acceleration", label: "Acceleration", unit: "m/s²", digits: 1 },
  states: {
    DISARMED: "Not homed, and nothing drives",
    READY: "Homed: the motor holds the cart",
    FAULT: "Fault: the motor brakes and holds, or is off, until it is cleared",
  },
  withoutCommands: "none",
  supplyLabel: "Supply of the driver",
  holdsCart: true,
};

// `cart` has drive, and of a stepper full_acceleration_m_s2 and steps_per_m.
export function driveOf(cart) {
  if (cart.drive !== "stepper") return DC;
  const full = cart.full_acceleration_m_s2;
  return { ...STEPPER, duty: { ...STEPPER.duty, factor: full, least: full }, stepsPerM: cart.steps_per_m };
}

// Elements with data-drive are for one drive: those of the other one are removed.
export function keepDrive(root, drive) {
  for (const part of root.querySelectorAll("[data-drive]")) if (part.dataset.drive !== drive) part.remove();
}
