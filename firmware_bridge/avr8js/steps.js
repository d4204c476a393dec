// A stepper driver's pins (PB2 STEP, PB1 DIR, PB0 ENABLE): pulses counted as the driver sees them, as simavr/step_pins.c does.
"use strict";
const DDRB = 0x24, PORTB = 0x25, ENABLE = 1, DIR = 2, STEP = 4;
const COUNT_CYCLES = 8;
const SET_AT_MATCH = 3; // COM1B
const OPEN = 0, LOW = 1, HIGH = 2; // enum chip_enable

class StepPins {
  constructor() {
    this.levels = 0;
    this.steps = 0;
    this.ended = []; // the cycles of this millisecond's, with their signs
    this.given = 0;
    this.givenMoment = 0;
  }

  // The pins have these levels from this cycle on.
  look(levels, cycle) {
    if (this.levels & STEP && !(levels & STEP)) this.add(this.ended, this.levels & DIR ? -1 : 1, cycle);
    this.levels = levels;
  }

  add(list, side, cycle) {
    list.push([side, cycle]);
  }

  // What the driver has seen by `moment`, up to which Timer1 goes on as it is programmed now.
  take(chip, moment) {
    const timer = chip.timers[1], { data } = chip.cpu;
    const coming = [];
    if (timer.WGM === 15 && timer.divider) {
      const isConnected = timer.compB === SET_AT_MATCH;
      let end = timer.lastCycle - timer.tcnt * timer.divider + (timer.ocrA + 1) * timer.divider;
      let hasPulse = isConnected && timer.ocrB < timer.ocrA;
      while (end <= moment) {
        if (hasPulse) this.add(coming, this.levels & DIR ? -1 : 1, end);
        hasPulse = isConnected && timer.nextOcrB < timer.nextOcrA;
        end += (timer.nextOcrA + 1) * timer.divider;
      }
    }
    const countsAgo = (cycle) => Math.floor((moment - cycle) / COUNT_CYCLES);
    const all = [...this.ended, ...coming];
    const steps = this.steps + all.reduce((sum, [side]) => sum + side, 0);
    // What was given as coming has come by now, or not.
    const span = Math.round((moment - this.givenMoment) / COUNT_CYCLES);
    const area = all.reduce((sum, [side, cycle]) => sum + side * countsAgo(cycle), 0) - (this.given - this.steps) * span;
    this.steps += this.ended.reduce((sum, [side]) => sum + side, 0);
    this.ended = [];
    this.given = steps;
    this.givenMoment = moment;
    const enable = !(data[DDRB] & ENABLE) ? OPEN : data[PORTB] & ENABLE ? HIGH : LOW;
    return { steps, area, isLeft: (this.levels & DIR) !== 0, enable };
  }
}

module.exports = { StepPins };
