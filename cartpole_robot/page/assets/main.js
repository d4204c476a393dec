// The page with a simulated cart: the firmware's ticks in WebAssembly, drawn at the pace of the display.

import { CartSimulation } from "./simulation.js";
import { CartView } from "./cart_view.js";
import { Controls } from "./controls.js";
import { CURVES_S, Curves } from "./curves.js";
import { driveOf, keepDrive } from "./drive.js";
import { connectEmbedding } from "./embedding.js";
import { statePanels } from "./panels.js";
import { keepFocusClear } from "./stage.js";
import { StatusView, setText } from "./status.js";
import { connectTheme } from "./theme.js";

const MOST_MS = 100; // in one frame: a page that was hidden does not catch up
const START_MS = 120000; // homing and raising the pole are run without drawing, at most for so long
const STEP_MS = 100;
const DROP_PUSHES = 4;
const FALLING_S = 1.5; // of a pole that was pushed over
const CALM_MS = 10500; // of balancing, so that the curves have something to show

const SUPPLY_PANEL = {
  title: "Supply",
  unit: "V",
  factor: 1,
  least: 15,
  isPositive: true,
  lines: [{ column: "supply_v", colour: "bad" }],
};

function bytesOf(text) {
  return Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
}

function showProblem(text) {
  const problem = document.getElementById("problem");
  problem.hidden = false;
  setText(problem, text);
}

async function main() {
  connectEmbedding(() => globalThis.cartPolePage?.showTheme());
  if (typeof WebAssembly !== "object") {
    showProblem("This page needs WebAssembly, which this browser does not have or has switched off.");
    return;
  }
  const part = (id) => document.getElementById(id);
  const contents = JSON.parse(part("contents").textContent);
  let simulation;
  try {
    simulation = await CartSimulation.create(bytesOf(part("module").textContent), contents);
  } catch (error) {
    showProblem(`The simulation does not start in this browser: ${error.message}`);
    return;
  }
  keepDrive(document, contents.cart.drive);
  keepFocusClear(part("stage"));
  const page = new SimulationPage(simulation, contents);
  globalThis.cartPolePage = page; // for the browser's console and for tests
}

class SimulationPage {
  constructor(simulation, contents) {
    this.simulation = simulation;
    this.part = (id) => document.getElementById(id);
    this.view = new CartView(this.part("cart"), contents.cart);
    this.curves = new Curves(this.part("curves"), [...statePanels(contents.cart), SUPPLY_PANEL]);
    this.status = new StatusView(document, contents.faults, driveOf(contents.cart));
    this.pace = 1;
    this.rest_ms = 0;
    this.last_ms = null;
    this.frames = 0;
    this.arms_at_s = null; // when a pole that was dropped is swung up
    this.isPaused = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    connectTheme(this.part("theme"), () => this.showTheme());
    this.controls = new Controls(simulation, this.view, contents, {
      arm: () => this.arm(),
      restart: () => this.restart(),
      pause: () => this.setPaused(!this.isPaused),
      drop: () => this.drop(),
    });
    this.part("pause").addEventListener("click", () => this.setPaused(!this.isPaused));
    this.part("pace").addEventListener("change", () => (this.pace = Number(this.part("pace").value)));
    this.restart();
    this.setPaused(this.isPaused);
    requestAnimationFrame((now_ms) => this.frame(now_ms));
  }

  showTheme() {
    this.view.readColours();
    this.curves.readColours();
    this.draw();
  }

  // What the host says about the operator's last request, where it was not done.
  showHost() {
    const host = this.simulation.host();
    if (this.controls) this.controls.showHost(host.isOn);
    const message = host.trouble === "fault" ? null : host.message; // a fault is shown with its remedy already
    if (message !== this.message) {
      this.message = message;
      setText(this.part("message"), message || "");
    }
  }

  setPaused(isPaused) {
    this.isPaused = isPaused;
    this.part("pause").setAttribute("aria-pressed", String(isPaused));
    setText(this.part("pause"), isPaused ? "Run" : "Pause");
  }

  frame(now_ms) {
    requestAnimationFrame((next_ms) => this.frame(next_ms));
    const passed_ms = this.last_ms === null ? 0 : Math.min(MOST_MS, now_ms - this.last_ms);
    this.last_ms = now_ms;
    this.frames += 1;
    if (!this.isPaused) {
      this.armIfDue();
      this.rest_ms += this.pace * passed_ms;
      const due_ms = Math.floor(this.rest_ms);
      this.rest_ms -= due_ms;
      this.controls.pull();
      this.simulation.advance(due_ms);
    }
    this.draw();
  }

  draw() {
    const snapshot = this.simulation.snapshot();
    this.view.draw(snapshot, this.controls ? this.controls.hand : null);
    if (this.curves.height > 0) this.curves.draw(this.simulation.history(this.curves.columns, CURVES_S), snapshot.time_s);
    this.status.update(snapshot);
    this.showHost();
  }

  // Disarm and push the pole over: a controller that swings up has something to do.
  drop() {
    this.simulation.disarm();
    this.controls.push("pole", 1, DROP_PUSHES);
    this.arms_at_s = this.simulation.snapshot().time_s + FALLING_S;
  }

  armIfDue() {
    if (this.arms_at_s !== null && this.simulation.snapshot().time_s >= this.arms_at_s) {
      this.arms_at_s = null;
      if (this.controls.controller !== "off") this.arm();
    }
  }

  // Clear a fault, home where necessary, raise the pole, arm.
  arm() {
    if (this.controls.controller === "off") {
      this.controls.say("Choose a controller first.");
      return;
    }
    this.controls.say("");
    this.simulation.arm();
  }

  // Not drawn until the cart is armed.
  restart() {
    const { simulation } = this;
    this.arms_at_s = null;
    this.controls.forgetHands();
    this.controls.say("");
    simulation.resetBoard();
    simulation.startHost();
    if (this.controls.controller === "off") this.controls.choose(this.controls.first);
    simulation.arm();
    for (let ms = 0; ms < START_MS && simulation.snapshot().state !== "ARMED"; ms += STEP_MS) {
      simulation.advance(STEP_MS);
    }
    if (simulation.snapshot().state === "ARMED") simulation.advance(CALM_MS);
    this.draw();
  }
}

main();
