// What the visitor does to the cart: drags, pushes, changes and breaks it, by pointer, touch or keyboard.

import { driveOf } from "./drive.js";
import { controllerLabel, setText } from "./status.js";

const CART_PUSH_M_S = 0.25; // what a push changes
const POLE_PUSH_RAD_S = 0.7;
const FALLING_MS = 2000;
const TILT_RAD = Math.PI / 36;

export class Controls {
  // `actions` are `restart`, which begins again from nothing; `arm`, which clears a fault, homes where necessary, raises
  // the pole and arms; `drop`, which lets the pole fall to be swung up; and `pause`.
  constructor(simulation, view, contents, actions) {
    this.simulation = simulation;
    this.view = view;
    this.contents = contents;
    this.drive = driveOf(contents.cart);
    this.actions = actions;
    this.hand = null; // what is held: {part, x, y, offset}
    this.tilt_rad = null; // where the keyboard holds the pole
    this.part = (id) => document.getElementById(id);
    this.connectPointer();
    this.connectKeys();
    this.connectButtons();
    this.connectSliders();
    this.connectController();
  }

  // ---- dragging ----

  connectPointer() {
    const { canvas } = this.view;
    canvas.addEventListener("pointerdown", (event) => this.take(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(name, () => this.letGo());
    }
    canvas.addEventListener(
      "touchstart",
      (event) => {
        const touch = event.changedTouches[0];
        const box = canvas.getBoundingClientRect();
        if (this.view.partAt(touch.clientX - box.left, touch.clientY - box.top)) event.preventDefault();
      },
      { passive: false },
    );
  }

  take(event) {
    if (event.button !== 0) return;
    const part = this.view.partAt(event.offsetX, event.offsetY);
    if (!part) return;
    this.tilt_rad = null;
    try {
      this.view.canvas.setPointerCapture(event.pointerId);
    } catch {
      // the pointer has gone meanwhile
    }
    const offset = part === "cart" ? this.view.snapshot.position_m - this.view.positionAt(event.offsetX) : 0;
    this.hand = { part, x: event.offsetX, y: event.offsetY, offset };
    this.pull();
  }

  move(event) {
    if (!this.hand) {
      const part = this.view.partAt(event.offsetX, event.offsetY);
      this.view.canvas.style.cursor = part ? "grab" : "default";
      return;
    }
    this.view.canvas.style.cursor = "grabbing";
    this.hand.x = event.offsetX;
    this.hand.y = event.offsetY;
    this.pull();
  }

  letGo() {
    if (this.hand) this.simulation.release();
    this.hand = null;
    this.view.canvas.style.cursor = "default";
  }

  // To be called in each frame: the cart moves under the hand.
  pull() {
    if (!this.hand) return;
    if (this.hand.part === "cart") {
      this.simulation.grabCart(this.view.positionAt(this.hand.x) + this.hand.offset);
      return;
    }
    const wanted = this.view.angleAt(this.hand.x, this.hand.y);
    const turns = Math.round((this.view.snapshot.angle_rad - wanted) / (2 * Math.PI));
    this.simulation.grabPole(wanted + 2 * Math.PI * turns);
  }

  // Neither pointer nor keyboard holds anything any more.
  forgetHands() {
    this.hand = null;
    this.tilt_rad = null;
    this.simulation.release();
  }

  // The host also starts when the operator arms the cart.
  showHost(isOn) {
    const button = document.querySelector('[data-break="host"]');
    if (button.getAttribute("aria-pressed") === String(isOn)) button.setAttribute("aria-pressed", String(!isOn));
  }

  // ---- keyboard ----

  connectKeys() {
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.pressEstop(true);
    });
    this.view.canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const handle = {
        ArrowLeft: () => this.arrow(-1, event.shiftKey),
        ArrowRight: () => this.arrow(1, event.shiftKey),
        h: () => this.holdPole(),
        a: () => this.actions.arm(),
        " ": () => this.actions.pause(),
      }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!handle) return;
      event.preventDefault();
      handle();
    });
  }

  arrow(direction, isShifted) {
    if (this.tilt_rad !== null) {
      this.tilt_rad += direction * TILT_RAD;
      this.simulation.grabPole(this.tilt_rad);
    } else {
      this.push(isShifted || this.drive.holdsCart ? "pole" : "cart", direction);
    }
  }

  holdPole() {
    if (this.tilt_rad !== null) {
      this.tilt_rad = null;
      this.simulation.release();
      this.say("The pole is free.");
    } else {
      this.tilt_rad = this.view.snapshot.angle_rad;
      this.simulation.grabPole(this.tilt_rad);
      this.say("A hand holds the pole; the arrow keys tilt it.");
    }
  }

  // ---- buttons ----

  connectButtons() {
    for (const button of document.querySelectorAll("[data-push]")) {
      button.addEventListener("click", () => this.push(button.dataset.push, Number(button.dataset.direction)));
    }
    for (const button of document.querySelectorAll("[data-break]")) {
      button.addEventListener("click", () => {
        const isBroken = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(isBroken));
        this.setBroken(button.dataset.break, isBroken);
      });
    }
    this.part("estop").addEventListener("click", () => {
      this.pressEstop(this.part("estop").getAttribute("aria-pressed") !== "true");
    });
    this.part("arm").addEventListener("click", () => this.actions.arm());
    this.part("reset").addEventListener("click", () => this.startAgain());
    this.part("reset-here").addEventListener("click", () => {
      this.startAgain();
      this.part("cart").focus({ preventScroll: true }); // the button vanishes with the fault
    });
  }

  startAgain() {
    this.repairAll();
    this.actions.restart();
  }

  push(part, direction, times = 1) {
    const { mass_kg, inertia_kg_m2 } = this.contents.numbers;
    const tip_kg_m = inertia_kg_m2 / this.contents.cart.pole_length_m;
    const impulse = part === "cart" ? CART_PUSH_M_S * mass_kg : POLE_PUSH_RAD_S * tip_kg_m;
    this.simulation.push(times * direction * impulse, part);
    this.view.showPush(part, direction);
  }

  setBroken(name, isBroken) {
    const { simulation } = this;
    const [what, which] = name.split("-");
    if (name === "host") isBroken ? simulation.killHost() : simulation.startHost();
    else if (name === "block") simulation.blockCart(isBroken);
    else if (what === "cut") simulation.cutEncoder(which, isBroken ? "both" : "none");
    else if (name === "swap-motor") simulation.swapMotor(isBroken);
    else if (what === "driver") simulation.breakDriver(which, isBroken);
    else if (what === "swap") simulation.swapChannels(which, isBroken);
    else simulation.closeSwitch(what, isBroken);
  }

  pressEstop(isPressed) {
    const button = this.part("estop");
    button.setAttribute("aria-pressed", String(isPressed));
    setText(button, isPressed ? "Release" : "Stop");
    this.wasPressed = true;
    this.simulation.pressEstop(isPressed);
  }

  repairAll() {
    for (const button of document.querySelectorAll('[data-break][aria-pressed="true"]')) button.click();
    if (this.wasPressed) {
      // Pressed until the supply has fallen, as the firmware wants to see of its relay.
      this.pressEstop(true);
      this.simulation.advance(FALLING_MS);
      this.pressEstop(false);
      this.simulation.advance(FALLING_MS);
      this.wasPressed = false;
    }
    for (const slider of document.querySelectorAll(".slider input")) {
      slider.value = slider.defaultValue;
      slider.dispatchEvent(new Event("input"));
    }
  }

  // ---- sliders and the controller ----

  connectSliders() {
    const supply = this.part("supply");
    setText(this.part("supply-label"), this.drive.supplyLabel);
    const nominal = this.contents.cart.nominal_v;
    supply.min = Math.max(0, this.contents.cart.supply_min_v - 3).toFixed(1);
    supply.max = (this.contents.cart.supply_max_v + 3).toFixed(1);
    supply.setAttribute("value", String(nominal));
    supply.value = String(nominal);
    const connect = (id, unit, digits, set) => {
      const slider = this.part(id);
      const output = document.querySelector(`output[for="${id}"]`);
      const show = () => {
        const text = `${Number(slider.value).toFixed(digits)}${unit}`;
        setText(output, text);
        slider.setAttribute("aria-valuetext", text);
      };
      slider.addEventListener("input", () => {
        show();
        set(Number(slider.value));
      });
      show();
    };
    connect("friction", " times the cart's", 1, (factor) => this.simulation.setFriction(factor));
    connect("delay", " ms", 0, (ms) => this.simulation.setDelayMs(ms));
    connect("supply", " V", 1, (volts) => this.simulation.setSupplyV(volts));
  }

  connectController() {
    const select = this.part("controller");
    for (const name of this.contents.controllers) {
      const option = document.createElement("option");
      option.value = name;
      option.textContent = controllerLabel(name);
      select.append(option);
    }
    select.addEventListener("change", () => {
      this.choose(select.value);
      if (this.swingsUp(select.value)) this.actions.drop();
    });
    this.first = this.contents.controllers[0];
    this.choose(this.first);
  }

  choose(name) {
    this.controller = name;
    this.part("controller").value = name;
    this.simulation.setController(name);
  }

  swingsUp(name) {
    const network = this.contents.networks.find((each) => each.name === name);
    return name === "swing-up" || (network !== undefined && network.swings_up);
  }

  say(text) {
    setText(this.part("message"), text);
  }
}
