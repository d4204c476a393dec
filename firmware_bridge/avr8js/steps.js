// A stepper driver's pins (PB2 STEP, PB1 DIR, PB0 ENABLE): pulses counted as the driver sees them, as simavr/step_pins.c does.
"use strict";
const DDRB = 0x24, PORTB = 0x25, TIFR1 = 0x36, TOV1 = 1, MODE = 15, ENABLE = 1, DIR = 2, STEP = 4;
const COUNT_CYCLES = 8;
const SET_AT_MATCH = 3; // COM1B
const OPEN = 0, LOW = 1, HIGH = 2; // enum chip_enable

class StepPins {
  constructor() {
    this.levels = 0;
    this.train = { steps: 0, ended: 0 }; // signed pulses, and the sum of the counts at which they ended, with their signs
    this.given = { steps: 0, area: 0, count: 0 }; // as of the last moment
    this.grid = 0; // where in COUNT_CYCLES the timer's counts begin
  }

  // The pins have these levels from this cycle on.
  look(levels, chip) {
    const timer = chip.timers[1];
    if (timer.divider) this.grid = timer.lastCycle % COUNT_CYCLES;
    if (this.levels & STEP && !(levels & STEP)) this.add(this.train, chip.cpu.cycles);
    this.levels = levels;
  }

  add(train, cycle) {
    const side = this.levels & DIR ? -1 : 1;
    train.steps += side;
    train.ended += side * this.countAt(cycle);
  }

  countAt(cycle) {
    return Math.floor((cycle - this.grid) / COUNT_CYCLES);
  }

  // Whether the program may still be about to write what the next period does: its interrupt waits or runs.
  isUnsettled({ cpu, timers: [, timer], interruptVector }) {
    if (timer.WGM !== MODE || !timer.divider) return false;
    return (cpu.data[TIFR1] & TOV1) !== 0 || interruptVector === timer.OVF.address;
  }

  // The pulses that the driver has received by `moment`, if Timer1 continues as programmed until then.
  take({ cpu: { data }, timers: [, timer] }, moment) {
    const train = { ...this.train };
    if (timer.WGM === MODE && timer.divider) {
      const hasPulse = (compare, top) => timer.compB === SET_AT_MATCH && compare < top;
      let end = timer.lastCycle + (timer.ocrA + 1 - timer.tcnt) * timer.divider;
      let isPulse = hasPulse(timer.ocrB, timer.ocrA);
      while (end <= moment) {
        if (isPulse) this.add(train, end);
        isPulse = hasPulse(timer.nextOcrB, timer.nextOcrA);
        end += (timer.nextOcrA + 1) * timer.divider;
      }
    }
    const count = this.countAt(moment), { given } = this;
    const area = train.steps * count - train.ended;
    const added = area - given.area - given.steps * (count - given.count);
    this.given = { steps: train.steps, area, count };
    const enable = !(data[DDRB] & ENABLE) ? OPEN : data[PORTB] & ENABLE ? HIGH : LOW;
    return { steps: train.steps, area: added, isLeft: (this.levels & DIR) !== 0, enable };
  }
}

module.exports = { StepPins };
