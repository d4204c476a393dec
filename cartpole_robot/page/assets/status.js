// State, duty, numbers and the named fault with its remedy, in words and for screen readers.

import { wrapped } from "./angles.js";
import { stateColour } from "./cart_view.js";

const STATES = {
  BOOT: "Starting",
  DISARMED: "Motor off, not homed",
  HOMING: "Homing: the firmware looks for both zeros",
  READY: "Homed, motor off",
  ARMED: "Armed: commands drive the motor",
  FAULT: "Fault: motor off until it is cleared",
};
const WITHOUT_COMMANDS = { HOMING: "the firmware" };
const NUMBERS_EVERY_MS = 100;
const NO_STEP_M = 0.0008; // a motor loses four full steps at a time; the rest is how the belt gives way

export class StatusView {
  // `root` contains the elements with data-view attributes; `faults` maps a fault's name to its remedy; `drive` is driveOf().
  constructor(root, faults, drive) {
    this.faults = faults;
    this.drive = drive;
    this.parts = {};
    for (const element of root.querySelectorAll("[data-view]")) this.parts[element.dataset.view] = element;
    setText(this.parts["duty-label"], drive.duty.label);
    this.shown = "";
    this.numbersMs = -Infinity;
  }

  // The numbers follow ten times a second, and at once with `isLast` or another state.
  update(snapshot, isLast = false) {
    const key = `${snapshot.state} ${snapshot.fault} ${snapshot.controller} ${snapshot.remedy}`;
    if (isLast || key !== this.shown) this.numbersMs = -Infinity;
    if (key !== this.shown) {
      this.shown = key;
      this.showState(snapshot);
    }
    const now = performance.now();
    if (now - this.numbersMs >= NUMBERS_EVERY_MS) {
      this.numbersMs = now;
      this.showNumbers(snapshot);
    }
  }

  // `remedy` replaces the fault's own where there is one.
  showState({ state, fault, controller, remedy }) {
    const { parts, drive } = this;
    document.documentElement.dataset.state = state;
    setText(parts.state, state);
    parts.state.dataset.colour = stateColour(state);
    setText(parts.sentence, drive.states[state] || STATES[state] || state);
    setText(parts.controller, state === "ARMED" ? controllerLabel(controller) : WITHOUT_COMMANDS[state] || drive.withoutCommands);
    const hasFault = fault !== "NONE";
    parts["fault-card"].hidden = !hasFault;
    setText(parts.fault, hasFault ? fault : "");
    setText(parts.remedy, hasFault ? sentence(remedy || this.faults[fault] || "the firmware stopped the motor") : "");
  }

  showNumbers(snapshot) {
    const { parts } = this;
    const duty = snapshot.applied_duty || 0;
    parts.bar.style.transform = `scaleX(${Math.max(-1, Math.min(1, duty))})`;
    const wanted = snapshot.requested_duty;
    parts.wanted.hidden = !Number.isFinite(wanted);
    if (Number.isFinite(wanted)) parts.wanted.style.left = `${50 + 50 * Math.max(-1, Math.min(1, wanted))}%`;
    setText(parts.duty, this.dutyText(duty));
    setText(parts.angle, `${signed((180 / Math.PI) * wrapped(snapshot.angle_rad), 1)}°`);
    setText(parts.rate, `${signed((180 / Math.PI) * snapshot.rate_rad_s, 0)}°/s`);
    setText(parts.position, `${signed(100 * snapshot.position_m, 1)} cm`);
    setText(parts.speed, `${signed(snapshot.speed_m_s, 2)} m/s`);
    setText(parts.supply, Number.isFinite(snapshot.supply_v) ? `${snapshot.supply_v.toFixed(1)} V` : "—");
    if (parts.lost) setText(parts.lost, this.lostText(snapshot.lost_m));
    if (parts.lateness) {
      const late = snapshot.lateness_us;
      setText(parts.lateness, late !== null && Number.isFinite(late) ? `${late.toFixed(0)} µs` : "—");
    }
  }

  dutyText(duty) {
    const { factor, digits, unit } = this.drive.duty;
    return `${signed(factor * duty, digits)}${unit && ` ${unit}`}`;
  }

  // How far a stepper's cart is off its count, in steps and cm.
  lostText(lost_m) {
    if (!Number.isFinite(lost_m)) return "—";
    if (Math.abs(lost_m) < NO_STEP_M) return "none";
    return `${Math.round(Math.abs(lost_m) * this.drive.stepsPerM)} (${signed(100 * lost_m, 1)} cm)`;
  }
}

const CONTROLLERS = { lqr: "LQR, the regulator", "swing-up": "swing-up controller", off: "no controller" };

export function controllerLabel(name) {
  return CONTROLLERS[name] || name.replace(/^policy:/, "policy ") || "—";
}

export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

export function signed(value, digits) {
  if (!Number.isFinite(value)) return "—";
  const text = Math.abs(value).toFixed(digits);
  return `${value < 0 && Number(text) !== 0 ? "−" : "+"}${text}`;
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}
