"use strict";
// A cart with its firmware and its host program, simulated by the compiled module; no DOM, so it runs under Node too.
//
// Time passes in advance(), a firmware tick per millisecond. Everything is in SI units. What a page may do is a method
// of CartSimulation; what it shows comes from snapshot(), host() and history().

// The numbers that the module's snapshot_at() points to, in the order of snapshot_t in page/native/module.c.
const SNAPSHOT = [
  "time_s", "position_m", "speed_m_s", "angle_rad", "rate_rad_s", "requested_duty", "applied_duty", "supply_v", "state",
  "fault", "phase", "trouble", "trouble_mode", "trouble_code", "trouble_detail", "is_homed", "is_still", "has_hand",
  "is_broken", "swing_phase", "commands", "lost_m",
];
const HISTORY_COLUMNS = SNAPSHOT.slice(0, 10);
const HISTORY_S = 0.01;
const MOST_HISTORY_S = 20;

// In the order of the enums in page/native: host_phase_t, host_trouble_t, swing_phase_t, held_t, host_goal_t, chosen_t,
// driver_problem_t.
const PHASES = [
  "off", "connecting", "configuring", "configuring", "stopping", "stopping", "idle", "disarming", "looking", "clearing", "cleared", "homing", "homing",
  "centring", "centring", "raising", "arming", "arming", "running",
];
const TROUBLES = ["none", "refused", "no answer", "other protocol", "fault", "not raised", "restarted"];
const SWING_PHASES = ["pump", "catch", "balance"];
const HELD = { nothing: 0, pole: 1, cart: 2 };
const GOAL = { clear: 1, home: 2, arm: 3 };
const CHOSEN = { off: 0, lqr: 1, "swing-up": 2, network: 3 };
const DRIVER_PROBLEMS = { supply: 0, alarm: 1, direction: 2, pulses: 3 };
const CHANNELS = { A: 2, B: 1, both: 3, none: 0 };

// Where JSON has no number for it: no end of the track, no limit to how far a cart travels under a still pole, no largest
// speed, no place to which a hand does not bring the cart.
const ENDLESS = ["end_stop_m", "swing.most_still_m", "swing.most_speed_m_s", "host.centred_m"];

function bytesOf(text) {
  if (typeof Buffer !== "undefined") return new Uint8Array(Buffer.from(text, "base64"));
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// A copy of the bytes, aligned for its type.
function arrayOf({ type, data }) {
  const bytes = bytesOf(data);
  return type === "int8" ? Float64Array.from(new Int8Array(bytes.buffer)) : new Float64Array(bytes.buffer);
}

class CartSimulation {
  // A cart that is switched on, with the host program not started. Rejects where the browser has no WebAssembly, and
  // where the module and the contents do not belong together.
  static async create(moduleBytes, contents) {
    if (typeof WebAssembly === "undefined")
      throw new Error("This browser has no WebAssembly, which the simulation needs; use a current browser.");
    const { instance } = await WebAssembly.instantiate(moduleBytes, {});
    return new CartSimulation(instance.exports, contents);
  }

  constructor(exports, contents) {
    this.exports = exports;
    this.contents = contents;
    this._end = exports.__heap_base.value;
    this._controller = "off";
    this._wires = { cart: { cut: 0, isSwapped: false }, pole: { cut: 0, isSwapped: false } };
    this._setNumbers();
    this._setArrays();
    this._setLimits("limits");
    this._setLimits("stepper_limits");
    this._networks = new Map(contents.networks.map((network) => [network.name, this._addNetwork(network)]));
    exports.begin();
    this._columns = new Map(HISTORY_COLUMNS.map((name, index) => [name, index]));
  }

  // ---- time and what there is to see ----

  // Runs that many milliseconds; returns how many: fewer only where the physics has come apart.
  advance(ms) {
    return this.exports.advance(Math.max(0, Math.floor(ms)));
  }

  // What the views show; true values, not what the firmware measures. `lost_m` is how far a stepper's cart stands from where
  // the firmware counts it, NaN where that counts nothing.
  snapshot() {
    const now = this._numbers();
    return {
      time_s: now.time_s,
      position_m: now.position_m,
      speed_m_s: now.speed_m_s,
      angle_rad: now.angle_rad,
      rate_rad_s: now.rate_rad_s,
      requested_duty: now.requested_duty,
      applied_duty: now.applied_duty,
      state: this.contents.states[now.state],
      fault: this.contents.fault_names[now.fault],
      supply_v: now.supply_v,
      lateness_us: null,
      lost_m: now.lost_m,
      controller: this._controller,
    };
  }

  // What the host program does, and what came of the operator's last request, as {phase, trouble, message, ...}:
  // `message` is a sentence to show, or null.
  host() {
    const now = this._numbers();
    const mode = this.contents.modes[now.trouble_mode];
    const code = this.contents.refusals[now.trouble_code];
    const trouble = TROUBLES[now.trouble];
    const fault = this.contents.fault_names[now.trouble_detail];
    let message = null;
    if (trouble === "refused") {
      message = `The cart refuses ${mode}: ${code}`;
      if (code === "UNHEALTHY") message += `: ${fault}: ${this.remedy(fault)}`;
    } else if (trouble === "no answer") message = "The cart does not answer any more";
    else if (trouble === "other protocol") message = "The cart speaks another protocol than the host";
    else if (trouble === "not raised") message = "The pole was not still and where it must be, within a minute";
    else if (trouble === "restarted") message = "The cart has restarted; its zeros are lost, home it again";
    else if (trouble === "fault") message = `${fault}: ${this.remedy(fault)}`;
    if (now.is_broken) message = "The simulation came apart; start it again";
    return {
      phase: PHASES[now.phase],
      isOn: now.phase > 0,
      isRunning: PHASES[now.phase] === "running",
      isHomed: now.is_homed !== 0,
      isStill: now.is_still !== 0,
      handHolds: now.has_hand !== 0,
      swingPhase: this._controller === "swing-up" ? SWING_PHASES[now.swing_phase] : null,
      commands: now.commands,
      trouble,
      message: message === null || /[.?!]$/.test(message) ? message : `${message}.`,
    };
  }

  // What to do about a fault of that name, "" for none.
  remedy(fault) {
    return this.contents.faults[fault] ?? "";
  }

  // The newest `seconds`, a Float64Array per column at 100 Hz, oldest first; `state` and `fault` are numbers there.
  history(columns, seconds = 10) {
    const rows = this.exports.history_rows();
    const taken = this.exports.history_taken();
    const count = Math.min(taken, rows, Math.round(Math.min(seconds, MOST_HISTORY_S) / HISTORY_S));
    const width = HISTORY_COLUMNS.length;
    const all = new Float64Array(this.exports.memory.buffer, this.exports.history_at(), rows * width);
    const found = {};
    for (const name of columns) {
      const column = this._columns.get(name);
      if (column === undefined) throw new Error(`no column ${name}; there are ${HISTORY_COLUMNS.join(", ")}`);
      const series = (found[name] = new Float64Array(count));
      for (let k = 0; k < count; k++) series[k] = all[((taken - count + k) % rows) * width + column];
    }
    return found;
  }

  // ---- the host and the operator ----

  get controllers() {
    return this.contents.controllers;
  }

  // A name of `controllers`; takes over at once. "off" disarms.
  setController(name) {
    if (!this.contents.controllers.includes(name))
      throw new Error(`no controller ${name}; there are ${this.contents.controllers.join(", ")}`);
    this._controller = name;
    const network = this._networks.get(name);
    if (network !== undefined) this.exports.choose(CHOSEN.network, network);
    else this.exports.choose(CHOSEN[name], 0);
    if (name === "off") this.disarm();
  }

  startHost() {
    this.exports.start_host();
  }

  // The host program dies on the spot; the firmware must notice.
  killHost() {
    this.exports.kill_host();
  }

  // Homes the cart: the pole is brought to hang still, and the firmware finds both zeros.
  home() {
    this.exports.want(GOAL.home);
  }

  // Homes if need be, clears a fault, raises the pole with a simulated hand unless the controller swings it up itself,
  // and arms.
  arm() {
    if (this._controller === "off") throw new Error("choose a controller before arming");
    this.exports.want(GOAL.arm);
  }

  clearFault() {
    this.exports.want(GOAL.clear);
  }

  disarm() {
    this.exports.post_mode(this._mode("DISARM"));
  }

  // The e-stop frame of the protocol; pressEstop() is the wired one.
  sendEstop() {
    this.exports.post_mode(this._mode("ESTOP"));
  }

  // The board's reset button: the zeros are lost, and a new session begins.
  resetBoard() {
    this.exports.reset_board();
  }

  // ---- the visitor's hands ----

  // Holds the pole near that angle, as a stiff spring of limited force; call it again to move it.
  grabPole(angle_rad) {
    this.exports.hold(HELD.pole, angle_rad);
  }

  grabCart(position_m) {
    this.exports.hold(HELD.cart, position_m);
  }

  release() {
    this.exports.hold(HELD.nothing, 0);
  }

  // A push within 10 ms, on the cart or on the tip of the pole; positive to the right.
  push(impulse_n_s, place = "cart") {
    this.exports.push(impulse_n_s, place === "pole" ? 1 : 0);
  }

  // ---- what can be changed and broken ----

  // All friction of cart and hinge, times that factor.
  setFriction(factor) {
    this.exports.set_friction(Math.max(0, factor));
  }

  // On top of the cart's own delay, between a measurement and its command; 0 to 500.
  setDelayMs(ms) {
    this.exports.set_late_ms(Math.min(500, Math.max(0, ms)));
  }

  setSupplyV(volts) {
    this.exports.set_supply_mv(Math.round(1000 * Math.min(40, Math.max(0, volts))));
  }

  // A cut wire is pulled up at the board.
  cutEncoder(which, channel) {
    this._wire(which, { cut: CHANNELS[channel] });
  }

  // The wires A and B of that encoder change places.
  swapChannels(which, isSwapped = true) {
    this._wire(which, { isSwapped });
  }

  // Of a DC motor.
  swapMotor(isSwapped = true) {
    this.exports.swap_motor(isSwapped ? 1 : 0);
  }

  // Of a stepper: "supply", its driver has none; "alarm", it reports a fault and lets go of the cart; "direction", DIR is
  // inverted; "pulses", it misses every other pulse to the left.
  breakDriver(problem, isBroken = true) {
    this.exports.break_driver(DRIVER_PROBLEMS[problem], isBroken ? 1 : 0);
  }

  pressEstop(isPressed = true) {
    this.exports.press_estop(isPressed ? 1 : 0);
  }

  // Something jams the cart where it is.
  blockCart(isBlocked = true) {
    this.exports.block_cart(isBlocked ? 1 : 0);
  }

  closeSwitch(side, isClosed = true) {
    this.exports.close_switch(side === "right" ? 1 : 0, isClosed ? 1 : 0);
  }

  // The firmware's clock stumbles: so many ticks do not come.
  missTicks(count) {
    this.exports.miss_ticks(count);
  }

  // ---- how the contents come in ----

  _numbers() {
    const values = new Float64Array(this.exports.memory.buffer, this.exports.snapshot_at(), SNAPSHOT.length);
    return Object.fromEntries(SNAPSHOT.map((name, index) => [name, values[index]]));
  }

  _mode(name) {
    return Number(Object.keys(this.contents.modes).find((number) => this.contents.modes[number] === name));
  }

  _wire(which, change) {
    const wires = Object.assign(this._wires[which], change);
    this.exports.wire(which === "pole" ? 1 : 0, wires.cut, wires.isSwapped ? 1 : 0);
  }

  _text(at) {
    const bytes = new Uint8Array(this.exports.memory.buffer);
    let text = "";
    while (bytes[at] !== 0) text += String.fromCharCode(bytes[at++]);
    return text;
  }

  // Every name that the module knows, and their places; a name of the contents that it does not know is an error.
  _places(nameOf, known, what) {
    const places = new Map();
    for (let index = 0, at; (at = nameOf(index)) !== 0; index++) places.set(this._text(at), index);
    for (const name of Object.keys(known))
      if (!places.has(name)) throw new Error(`the module knows no ${what} ${name}; make the page again`);
    return places;
  }

  _isFor(name) {
    const owner = { lqr: "lqr", swing: "swing-up" }[name.split(".")[0]];
    return owner === undefined || this.contents.controllers.includes(owner);
  }

  _setNumbers() {
    const numbers = this.contents.numbers;
    for (const [name, index] of this._places(this.exports.number_name, numbers, "number")) {
      if (name in numbers) this.exports.set_number(index, numbers[name]);
      else if (ENDLESS.includes(name)) this.exports.set_number(index, Infinity);
      else if (this._isFor(name)) throw new Error(`the contents have no number ${name}; make the page again`);
    }
  }

  _setArrays() {
    const arrays = this.contents.arrays;
    for (const [name, index] of this._places(this.exports.array_name, arrays, "array")) {
      if (!(name in arrays)) {
        if (this._isFor(name)) throw new Error(`the contents have no array ${name}; make the page again`);
        continue;
      }
      const values = arrayOf(arrays[name]);
      const room = this.exports.array_room(index);
      if (values.length > room) throw new Error(`${name} has ${values.length} numbers, expected at most ${room}`);
      new Float64Array(this.exports.memory.buffer, this.exports.array_at(index), room).set(values);
    }
  }

  _setLimits(name) {
    const bytes = bytesOf(this.contents[name]);
    const expected = this.exports[`${name}_bytes`]();
    if (bytes.length !== expected) throw new Error(`${name} of ${bytes.length} bytes, expected ${expected}`);
    new Uint8Array(this.exports.memory.buffer, this.exports[`${name}_at`](), expected).set(bytes);
  }

  // Memory of the module for that many bytes, aligned to 16.
  _reserve(bytes) {
    const at = (this._end + 15) & ~15;
    this._end = at + bytes;
    const missing = this._end - this.exports.memory.buffer.byteLength;
    if (missing > 0) this.exports.memory.grow(Math.ceil(missing / 65536));
    return at;
  }

  _addNetwork(network) {
    const numbers = bytesOf(network.numbers);
    const at = this._reserve(numbers.length);
    const duties = this._reserve(8 * network.duties.length);
    new Uint8Array(this.exports.memory.buffer, at, numbers.length).set(numbers);
    new Float64Array(this.exports.memory.buffer, duties, network.duties.length).set(network.duties);
    const [hidden, hidden2 = 0] = network.hidden;
    const { inputs, outputs, form, activation, output } = network;
    const index = this.exports.add_network(
      at, inputs, hidden, hidden2, outputs, form, activation, output, network.has_bound ? 1 : 0,
      network.history_length, network.swings_up ? 1 : 0, duties, network.duties.length,
    );
    if (index < 0) throw new Error(`${network.name}: no room for it in the module`);
    return index;
  }
}

if (typeof module !== "undefined") module.exports = { CartSimulation };
