// The page as a live view: frames come from the server on this machine, and the e-stop goes back to it.

import { CartView } from "./cart_view.js";
import { CURVES_S, Curves } from "./curves.js";
import { LiveSource } from "./live_source.js";
import { driveOf } from "./drive.js";
import { statePanels } from "./panels.js";
import { keepFocusClear } from "./stage.js";
import { StatusView, setText } from "./status.js";
import { connectTheme } from "./theme.js";

const LATENESS_PANEL = {
  title: "Lateness of a measurement, worst of each 10 ms",
  unit: "µs",
  factor: 1,
  least: 200,
  isPositive: true,
  lines: [{ column: "lateness_us", colour: "bad" }],
};

const ANSWER_MS = 3000; // the server answers within a second
const ALIVE_MS = 5000; // it sends something every two seconds
const SILENT_MS = 1500;

function main() {
  const contents = JSON.parse(document.getElementById("contents").textContent);
  const token = new URLSearchParams(location.search).get("token") || "";
  const part = (id) => document.getElementById(id);
  const source = new LiveSource(contents);
  const view = new CartView(part("cart"), contents.cart);
  const panels = statePanels(contents.cart);
  const curves = new Curves(part("curves"), contents.hasLateness ? [...panels, LATENESS_PANEL] : panels);
  const status = new StatusView(document, contents.faults, driveOf(contents.cart));
  part("lateness-row").hidden = !contents.hasLateness;
  keepFocusClear(part("stage"));
  document.documentElement.dataset.form = "live";
  let drawn = 0;
  let isFrozen = false;
  let isOver = false;
  let isDirty = false;
  let wasSent = false;
  let heard_ms = performance.now(); // from the server
  let fresh_ms = heard_ms; // from the cart

  connectTheme(part("theme"), () => {
    view.readColours();
    curves.readColours();
    view.resize();
    curves.resize();
  });

  function draw() {
    isDirty = false;
    const snapshot = source.snapshot();
    if (!snapshot || isFrozen) return;
    view.draw(snapshot);
    // The curves take most of the time, which the control loop may need: every other frame will do.
    if (drawn++ % 2 === 0 || isOver) curves.draw(source.history(curves.columns, CURVES_S), snapshot.time_s);
    status.update(snapshot);
  }

  function connection(text, colour) {
    setText(part("connection"), text);
    part("connection").dataset.colour = colour;
  }

  const NO_SERVER = "No connection; what is shown is old";
  const events = new EventSource(`events?token=${encodeURIComponent(token)}`);
  events.addEventListener("open", () => (heard_ms = performance.now()));
  events.addEventListener("error", () => {
    if (!isOver) connection(NO_SERVER, "bad");
  });
  events.addEventListener("frame", (event) => {
    const frame = JSON.parse(event.data);
    heard_ms = performance.now();
    if (frame.rows.length === 0) return;
    fresh_ms = heard_ms;
    source.take(frame);
    connection("Live", "good");
    if (!isDirty) requestAnimationFrame(draw);
    isDirty = true;
  });
  events.addEventListener("replaced", () => {
    events.close();
    clearInterval(watch);
    connection("Newer tabs show the cart; reload this one to see it here", "bad");
  });
  const watch = setInterval(() => {
    const now_ms = performance.now();
    if (now_ms - heard_ms > ALIVE_MS) connection(NO_SERVER, "bad");
    else if (!source.snapshot()) connection("Waiting for the cart", "bad");
    else if (now_ms - fresh_ms > SILENT_MS) connection("The cart is silent; what is shown is old", "bad");
  }, 500);
  events.addEventListener("end", () => {
    isOver = true;
    events.close();
    clearInterval(watch);
    draw();
    if (source.snapshot()) status.update(source.snapshot(), true);
    connection("The run is over", "faint"); // a fault has its own badge
    part("estop").disabled = true;
    const sent = wasSent ? "The emergency stop was sent, and the run is over." : "The run is over.";
    setText(part("estop-answer"), `${sent} This button no longer reaches the cart.`);
  });

  async function stop() {
    if (isOver) return;
    setText(part("estop-answer"), "Sending the emergency stop …");
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), ANSWER_MS);
    try {
      const answer = await fetch("estop", { method: "POST", headers: { "X-Token": token }, signal: limit.signal });
      const text = (await answer.text()).trim();
      wasSent = wasSent || answer.ok;
      if (!isOver) setText(part("estop-answer"), text);
    } catch {
      if (!isOver) setText(part("estop-answer"), "The server does not answer: the stop may not have been sent. Use the wired emergency stop.");
    } finally {
      clearTimeout(timer);
    }
  }
  part("estop").addEventListener("click", stop);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.repeat) stop();
  });
  part("freeze").addEventListener("click", () => {
    isFrozen = !isFrozen;
    part("freeze").setAttribute("aria-pressed", String(isFrozen));
    draw();
  });
}

main();
