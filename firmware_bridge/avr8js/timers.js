// avr8js's timers and ports, corrected where they differ from the ATmega328P's data sheet (DS40002061B).
"use strict";
const { AVRIOPort, AVRTimer } = require("avr8js");

const STANDING = 50; // counts of a timer whose TOP is 0, which are all the same
const UPDATE_AT_BOTTOM = 2; // avr8js's OCRUpdateMode
const ENABLE = 1, SET = 2, CLEAR = 3, TOGGLE = 4; // avr8js's PinOverrideMode
const TOP_IS_ICR = 0x5500; // a bit for each waveform mode: 8, 10, 12, 14
const PHASE_CORRECT = 0x0f0e; // 1, 2, 3, 8 to 11 of a 16-bit timer; an 8-bit timer's 1 and 5 are asked for below

// A compare unit keeps its output's level while no COM bit connects it to the pin (16.8); avr8js forgets it.
class Port extends AVRIOPort {
  constructor(cpu, config) {
    super(cpu, config);
    this.outputs = 0; // the levels of the compare units
  }

  timerOverridePin(pin, mode) {
    const bit = 1 << pin;
    if (mode === SET) this.outputs |= bit;
    else if (mode === CLEAR) this.outputs &= ~bit;
    else if (mode === TOGGLE) this.outputs ^= bit;
    else if (mode === ENABLE) mode = this.outputs & bit ? SET : CLEAR;
    super.timerOverridePin(pin, mode);
  }
}

// A compare match acts one timer clock after the counter has reached the compare register (16.10);
// avr8js acts at once, so that its pulses are a cycle short; and it compares BOTTOM with what the compare register was
// before, while the new value holds from there on (16.10). An event comes where something happens, not at every
// count.
class Timer extends AVRTimer {
  constructor(cpu, config, onMatchA = () => {}) {
    super(cpu, config);
    this.onMatchA = onMatchA;
    this.count.due = () => this.cyclesToNext();
    for (const name of ["TCCRA", "TCCRB", "OCRA", "OCRB", "TCNT"]) this.watch(config[name]);
    if (config.bits === 16) this.guardWords(config);
  }

  // A register that the count depends on: counted up to its change, and on from there.
  watch(address) {
    const hooks = this.cpu.writeHooks;
    const write = hooks[address];
    hooks[address] = (value, old, at, mask) => {
      if (!this.updateDivider) this.count(false);
      const isDone = write(value, old, at, mask);
      this.schedule();
      return isDone;
    };
  }

  // The count stands here now.
  countFrom(count) {
    this.tcnt = count;
    this.lastCycle = this.cpu.cycles;
    this.schedule();
  }

  schedule() {
    if (this.updateDivider || !this.divider) return;
    this.cpu.clearClockEvent(this.count);
    this.cpu.addClockEvent(this.count, 0);
  }

  // The TEMP register that all 16-bit registers share (16.3), and ICR1, which only a mode that uses it as its TOP lets
  // a program write (16.6.3). avr8js has neither for reads, and no lock.
  guardWords({ TCNT, ICR, OCRA, OCRB }) {
    const { readHooks, writeHooks, data } = this.cpu;
    for (const low of [TCNT, ICR, OCRA, OCRB]) {
      writeHooks[low + 1] = (value) => {
        this.highByteTemp = value;
        return true;
      };
    }
    for (const low of [OCRA, OCRB]) {
      const write = writeHooks[low];
      writeHooks[low] = (value, old, at, mask) => {
        data[low + 1] = this.highByteTemp;
        return write(value, old, at, mask);
      };
    }
    writeHooks[ICR] = (value) => {
      if ((TOP_IS_ICR >> this.WGM) & 1) {
        if (!this.updateDivider) this.count(false);
        this.icr = (this.highByteTemp << 8) | value;
        data[ICR] = value;
        data[ICR + 1] = this.highByteTemp;
        this.schedule();
      }
      return true;
    };
    const readCount = readHooks[TCNT];
    readHooks[TCNT] = (at) => {
      const value = readCount(at);
      this.highByteTemp = this.tcnt >> 8;
      return value;
    };
    readHooks[ICR] = () => {
      this.highByteTemp = data[ICR + 1];
      return data[ICR];
    };
    readHooks[TCNT + 1] = readHooks[ICR + 1] = () => this.highByteTemp;
  }

  // Cycles to the next count with a match or an overflow.
  cyclesToNext() {
    if (this.updateDivider || this.tcntUpdated || !this.divider) return 0;
    const isPhaseCorrect = this.config.bits === 16 ? (PHASE_CORRECT >> this.WGM) & 1 : this.WGM === 1 || this.WGM === 5;
    let counts = 1;
    if (!isPhaseCorrect) {
      counts = this.TOP === 0 ? STANDING : Math.max(1, this.TOP + 1 - this.tcnt);
      for (const compare of [this.ocrA, this.ocrB])
        if (compare > this.tcnt && compare - this.tcnt < counts) counts = compare - this.tcnt;
    }
    return this.lastCycle + counts * this.divider - this.cpu.cycles;
  }

  timerUpdated(value) {
    if (this.tcntUpdated) return; // a count that a program writes matches nothing (16.7.2)
    const isUpdated = value === 0 && this.ocrUpdateMode === UPDATE_AT_BOTTOM;
    if (value === (isUpdated ? this.nextOcrA : this.ocrA)) this.matchLater("A", this.OCFA);
    if (value === (isUpdated ? this.nextOcrB : this.ocrB)) this.matchLater("B", this.OCFB);
  }

  matchLater(unit, interrupt) {
    const isAtTop = this.tcnt === this.TOP; // BOTTOM, which comes at the same clock, has the last word on the pin
    this.cpu.addClockEvent(() => {
      this.cpu.setInterruptFlag(interrupt);
      const output = unit === "A" ? this.compA : this.compB;
      if (output && !isAtTop) this.updateCompPin(output, unit);
      if (unit === "A") this.onMatchA();
    }, this.divider);
  }
}

module.exports = { Port, Timer };
