// `node runner.js HEX [EVENTS [PHASE]]`: the chip flashed with an Intel HEX file, a millisecond for each request on standard
// input, answered on standard output. It prints "ready" first, says on standard error in one line why it cannot go on,
// and ends with its input.
// EVENTS is a file for what the bridge's pins do, as simavr/pin_events.h has it. PHASE is where in a tick's pulse
// periods Timer1 is to stand at BOTTOM: how long a program takes to start is another matter in every emulator.
"use strict";
const fs = require("fs");
const { Chip } = require("./chip.js");
const { StepPins } = require("./steps.js");
const { LATE_CYCLES, World } = require("./world.js");

const MILLISECOND = 16000, PERIOD = 800, ENABLE = 1, FORWARDS = 2, BACKWARDS = 4, TIMSK2 = 0x70;
const ORDER_RESET = 1, ORDER_HANG_PROGRAM = 2, ORDER_LOSE_TICK = 3;
const REQUEST_BYTES = 36, ANSWER_BYTES = 72, EVENT_BYTES = 10, EVENTS_KEPT = 4096;
const EVENT = { PIN: 0, TICK: 3, RESET: 4, BYTE: 5, CONNECT: 6 };

class Events {
  constructor(path) {
    this.file = fs.openSync(path, "w");
    this.kept = Buffer.alloc(EVENT_BYTES * EVENTS_KEPT);
    this.length = 0;
  }

  add(cycle, what, kind) {
    this.kept.writeBigUInt64LE(BigInt(cycle), this.length);
    this.kept[this.length + 8] = what;
    this.kept[this.length + 9] = kind;
    this.length += EVENT_BYTES;
    if (this.length === this.kept.length) this.flush();
  }

  flush() {
    fs.writeSync(this.file, this.kept, 0, this.length);
    this.length = 0;
  }
}

class Board {
  constructor(flash, events, phase) {
    this.events = events;
    this.phase = phase;
    this.line = { waiting: [], lost: 0, skew: 0 };
    this.parts = { fuses: { low: 0xff, high: 0xde, extended: 0xfc }, signature: [0x1e, 0x95, 0x0f], bandgapMv: 1100 };
    this.supplyV = 0;
    this.railV = 5;
    this.world = new World();
    this.sent = [];
    this.bridge = 0;
    this.stepPins = new StepPins();
    this.changes = []; // of the bridge in this millisecond: [cycle, levels]
    this.ticks = this.frameEnd = this.frameRest = this.tickCycle = this.longestLatency = 0;
    this.isAligned = false;
    this.answered = null;
    this.chip = null;
    new Chip(flash, this);
  }

  get cycle() {
    return this.chip.cpu.cycles;
  }

  note(what, kind) {
    if (this.events !== null) this.events.add(this.cycle, what, kind);
  }

  onSent(byte) {
    this.sent.push(byte);
    this.note(EVENT.BYTE, byte);
  }

  onBridge(levels, isTimers) {
    const changed = (levels ^ this.bridge) & 7;
    this.bridge = levels & 7;
    if (changed === 0) return;
    this.stepPins.look(this.bridge, this.chip);
    this.changes.push([this.cycle, this.bridge]);
    for (let pin = 0; pin < 3; pin++)
      if ((changed >> pin) & 1) this.note(EVENT.PIN + pin, ((levels >> pin) & 1) | (isTimers ? 2 : 0));
  }

  // Timer1 drives other pins than before.
  onConnect() {
    this.note(EVENT.CONNECT, 0);
  }

  // The world's milliseconds begin shortly before the first of the chip's.
  onTick() {
    this.ticks++;
    this.tickCycle = this.cycle;
    this.note(EVENT.TICK, 0);
    if (this.isAligned) return;
    this.isAligned = true;
    if (this.phase !== undefined) this.chip.timers[1].countFrom((PERIOD - this.phase) % PERIOD);
    this.frameEnd = this.cycle + MILLISECOND - LATE_CYCLES;
  }

  // The firmware feeds the watchdog once it has driven the bridge: what the world hears of this millisecond.
  onFed() {
    if (this.ticks === 0) return;
    this.longestLatency = Math.max(this.longestLatency, this.cycle - this.tickCycle);
    if (this.answered === null) this.answered = { ticks: this.ticks, sent: this.sent.length };
  }

  // Called by the chip's constructor too, before it is this.chip.
  onReset(chip) {
    this.chip = chip;
    this.ticks = 0;
    this.isAligned = false;
    this.onBridge(0, false);
    this.note(EVENT.RESET, chip.cpu.data[0x54]);
    this.world.connect(chip);
    chip.setSupply(this.supplyV, this.railV);
  }

  take(request) {
    const at = (offset) => request.readUInt8(offset);
    const parts = { low: at(24), high: at(25), extended: at(26) };
    this.parts = { fuses: parts, signature: [0x1e, at(28), at(27)], bandgapMv: request.readUInt16LE(22) };
    new Uint8Array(this.chip.flash.buffer).set(request.subarray(29, 31), this.chip.flash.byteLength - 2);
    this.line.skew = request.readInt32LE(8) / 1e6;
    const order = at(17);
    if (order === ORDER_RESET) this.chip.reset(at(18));
    else if (order === ORDER_HANG_PROGRAM) this.chip.hang();
    else if (order === ORDER_LOSE_TICK) this.chip.cpu.writeData(TIMSK2, 0);
    this.supplyV = Math.floor((request.readUInt16LE(12) * 1800) / 11800) / 1000; // 10 kOhm over 1.8 kOhm
    this.railV = request.readUInt16LE(20) / 1000;
    this.chip.setSupply(this.supplyV, this.railV);
    return {
      counts: [request.readInt32LE(0), request.readInt32LE(4)],
      contacts: at(14), cut: at(15), swapped: at(16), spiked: at(19), spikes: at(31),
    };
  }

  run(surroundings) {
    const exact = MILLISECOND * (1e6 + Math.round(this.line.skew * 1e6)) + this.frameRest;
    const cycles = Math.floor(exact / 1e6);
    this.frameRest = exact % 1e6;
    this.frameEnd += cycles;
    this.answered = null;
    this.changes = [[this.cycle, this.bridge]];
    this.world.move(surroundings, cycles);
    this.chip.usart.listen();
    // The first tick after a reset moves the end.
    while (this.cycle < this.frameEnd) this.chip.runTo(Math.min(this.frameEnd, this.cycle + PERIOD));
    while (this.stepPins.isUnsettled(this.chip)) this.chip.runTo(this.cycle + 1);
    if (this.answered === null) this.answered = { ticks: this.ticks, sent: this.sent.length };
  }

  // Cycles of 800 in which the pins have the bridge drive forwards, less those backwards.
  pulses() {
    return this.highOf800(FORWARDS) - this.highOf800(BACKWARDS);
  }

  // Those in which a pin is high: of the last 800, or of the last period where a wrong one is longer.
  highOf800(pin) {
    const isHigh = (levels) => (levels & pin) !== 0;
    const rises = this.changes.filter(([, levels], k) => k > 0 && isHigh(levels) && !isHigh(this.changes[k - 1][1]));
    const [before, last] = rises.slice(-2).map(([cycle]) => cycle);
    const isLong = last - before > PERIOD && this.cycle - last <= last - before;
    const [begin, end] = isLong ? [before, last] : [this.cycle - PERIOD, this.cycle];
    let high = 0;
    this.changes.forEach(([from, levels], k) => {
      const to = k + 1 < this.changes.length ? this.changes[k + 1][0] : this.cycle;
      if (isHigh(levels)) high += Math.max(0, Math.min(to, end) - Math.max(from, begin));
    });
    return Math.round((high * PERIOD) / (end - begin));
  }

  answer() {
    const { ticks, sent } = this.answered;
    const line = this.sent.splice(0, sent);
    const answer = Buffer.alloc(ANSWER_BYTES + line.length);
    answer.writeInt32LE(this.pulses(), 0);
    answer.writeUInt32LE((this.bridge & ENABLE) === 0 ? 1 : 0, 4);
    answer.writeUInt32LE(ticks, 8);
    answer.writeUInt32LE(this.chip.resets, 12);
    answer.writeBigUInt64LE(BigInt(this.cycle), 16);
    answer.writeBigUInt64LE(BigInt(this.cycle - this.chip.asleepCycles), 24);
    answer.writeBigUInt64LE(BigInt(this.chip.policyCycles), 32);
    answer.writeUInt32LE(this.longestLatency, 40);
    answer.writeUInt32LE(this.chip.longestInterrupt, 44);
    answer.writeUInt32LE(this.line.lost, 48);
    answer.writeUInt32LE(line.length, 52);
    const { steps, area, isLeft, enable } = this.stepPins.take(this.chip, this.frameEnd + LATE_CYCLES);
    answer.writeInt32LE(steps | 0, 56);
    answer.writeInt32LE(area, 60);
    answer.writeUInt32LE(isLeft ? 1 : 0, 64);
    answer.writeUInt32LE(enable, 68);
    answer.set(line, ANSWER_BYTES);
    return answer;
  }
}

// The bytes of an Intel HEX file of less than 64 kB.
function flashOf(path) {
  const flash = [];
  for (const line of fs.readFileSync(path, "ascii").split(/\r?\n/)) {
    if (line === "") continue;
    const record = Buffer.from(line.slice(1), "hex");
    const isWhole = line[0] === ":" && record.length === record[0] + 5 && record.reduce((a, b) => a + b, 0) % 256 === 0;
    if (!isWhole || record[3] > 1) throw new Error(`not an Intel HEX record of a small image: ${line}`);
    if (record[3] === 0) record.subarray(4, -1).forEach((byte, k) => { flash[record.readUInt16BE(1) + k] = byte; });
  }
  return Uint8Array.from(flash, (byte) => (byte === undefined ? 0xff : byte));
}

// Exactly so many bytes of standard input; null at its end.
function read(bytes) {
  const buffer = Buffer.alloc(bytes);
  for (let length = 0; length < bytes; ) {
    const count = fs.readSync(0, buffer, length, bytes - length, null);
    if (count === 0) return null;
    length += count;
  }
  return buffer;
}

function write(buffer) {
  for (let length = 0; length < buffer.length; ) length += fs.writeSync(1, buffer, length);
}

function main() {
  const [hex, path, phase] = process.argv.slice(2);
  const events = path === undefined ? null : new Events(path);
  const board = new Board(flashOf(hex), events, phase === undefined ? undefined : Number(phase));
  write(Buffer.from("ready\n"));
  for (let request = read(REQUEST_BYTES); request !== null; request = read(REQUEST_BYTES)) {
    const line = read(request.readUInt32LE(32));
    if (line === null) break;
    board.line.waiting.push(...line);
    board.run(board.take(request));
    if (events !== null) events.flush();
    write(board.answer());
  }
}

process.on("SIGINT", () => {}); // the terminal's Ctrl-C is its owner's
try {
  main();
} catch (error) {
  console.error(error.message.split("\n")[0]);
  process.exitCode = 1;
}
