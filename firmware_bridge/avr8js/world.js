// What is wired to the chip: two encoders and three contacts, moved as the simavr board moves them, so that both
// emulators see the same edges at the same cycles of a millisecond.
"use strict";

const LATE_CYCLES = 1500; // after which the encoders stand where the world had them as the millisecond began
const LATE_MOST = 8, EDGE_CYCLES = 160, FASTEST_CYCLES = 100, SPIKE_CYCLES = 100;
const LEVELS = [0, 2, 3, 1]; // A leads B; A is bit 1
const CHANNELS = [0, 1, 2, 3]; // pins of port C: cart B, cart A, pole B, pole A
const CONTACT_PINS = [3, 4, 2, 5]; // of port D: left, right, e-stop; a stepper driver's alarm
const PORT = { C: 0x28, D: 0x2b };

class World {
  constructor() {
    this.encoders = [0, 1].map(() => ({ counts: 0, before: 0, late: 0, coming: 0, gap: 0, event: null }));
    this.cut = this.swapped = this.spiked = this.spikesLeft = this.open = 0;
    this.isSpike = false;
    this.drawn = 1;
    this.spikeEvent = null;
    this.chip = null;
  }

  // Again after every reset: pins, and what was on its way.
  connect(chip) {
    this.chip = chip;
    for (const encoder of this.encoders) encoder.event = null;
    this.spikeEvent = null;
    this.isSpike = false;
    chip.ports.C.addListener(() => this.show());
    chip.ports.D.addListener(() => this.showContacts());
    this.show();
    this.showContacts();
  }

  // Every wire is open or at ground: an open one is high by the chip's pull-up, and low where there is none.
  pull(name, pin, isOpen) {
    const { cpu, ports } = this.chip;
    ports[name].setPin(pin, isOpen && ((cpu.data[PORT[name]] >> pin) & 1) === 1);
  }

  showContacts() {
    CONTACT_PINS.forEach((pin, k) => this.pull("D", pin, ((this.open >> k) & 1) === 1));
  }

  show() {
    let levels = 0;
    this.encoders.forEach(({ counts }, which) => {
      const right = LEVELS[counts & 3];
      const shown = (this.swapped >> which) & 1 ? ((right >> 1) | (right << 1)) & 3 : right;
      levels |= shown << (2 * which);
    });
    levels = (this.isSpike ? levels ^ this.spiked : levels) | this.cut;
    for (const pin of CHANNELS) this.pull("C", pin, ((levels >> pin) & 1) === 1);
  }

  // A millisecond of `cycles` begins.
  move({ counts, cut, swapped, spiked, spikes, contacts }, cycles) {
    const { cpu } = this.chip;
    if (this.spikeEvent !== null) cpu.clearClockEvent(this.spikeEvent);
    this.spikeEvent = null;
    this.cut = cut & 15;
    this.swapped = swapped;
    this.spiked = spiked & 15;
    this.spikesLeft = this.spiked !== 0 ? spikes : 0;
    this.isSpike = false;
    this.open = contacts;
    this.showContacts();
    this.show();
    this.encoders.forEach((encoder, which) => this.moveEncoder(encoder, which, counts[which], cycles));
    if (this.spikesLeft === 0) return;
    this.share = Math.floor(cycles / this.spikesLeft);
    this.shareBegin = cpu.cycles + 1;
    this.at(this.nextSpike(), () => this.spike(), "spikeEvent", this);
  }

  moveEncoder(encoder, which, now, cycles) {
    const { cpu } = this.chip;
    for (const key of ["event", "lateEvent"]) {
      if (encoder[key]) cpu.clearClockEvent(encoder[key]);
      encoder[key] = null;
    }
    const moved = (now - encoder.before) | 0;
    encoder.before = now;
    encoder.late = (now - encoder.counts) | 0;
    encoder.coming = Math.abs(moved) > 1 ? moved - Math.sign(moved) : 0;
    if (Math.abs(encoder.late) > LATE_MOST) { // nothing turns so fast: it lags behind and catches up
      encoder.coming = encoder.late;
      encoder.late = 0;
    }
    const most = Math.floor((cycles - LATE_CYCLES) / FASTEST_CYCLES) - 1;
    if (Math.abs(encoder.coming) > most) encoder.coming = Math.sign(encoder.coming) * most;
    encoder.gap = Math.floor((cycles - LATE_CYCLES) / (Math.abs(encoder.coming) + 1));
    const begin = cpu.cycles;
    if (encoder.late !== 0) this.edges(encoder, "late", "lateEvent", begin + (which ? 1 + EDGE_CYCLES / 2 : 1), EDGE_CYCLES);
    const first = LATE_CYCLES + (which ? Math.floor(encoder.gap / 2) : encoder.gap); // the pole's between the cart's
    if (encoder.coming !== 0) this.edges(encoder, "coming", "event", begin + first, encoder.gap);
  }

  edges(encoder, left, key, cycle, gap) {
    this.at(
      cycle,
      () => {
        const way = Math.sign(encoder[left]);
        encoder.counts = (encoder.counts + way) | 0;
        encoder[left] -= way;
        this.show();
        if (encoder[left] !== 0) this.edges(encoder, left, key, cycle + gap, gap);
      },
      key,
      encoder,
    );
  }

  at(cycle, what, key, holder) {
    holder[key] = () => {
      holder[key] = null;
      what();
    };
    this.chip.cpu.addClockEvent(holder[key], cycle - this.chip.cpu.cycles);
  }

  // Anywhere in its share of the millisecond, and in every run the same.
  nextSpike() {
    this.drawn = (Math.imul(this.drawn, 1664525) + 1013904223) >>> 0;
    return this.shareBegin + Number((BigInt(this.share - SPIKE_CYCLES) * BigInt(this.drawn)) >> 32n);
  }

  spike() {
    this.isSpike = !this.isSpike;
    this.show();
    if (this.isSpike) {
      this.at(this.chip.cpu.cycles + SPIKE_CYCLES, () => this.spike(), "spikeEvent", this);
    } else {
      this.shareBegin += this.share;
      if (--this.spikesLeft !== 0) this.at(this.nextSpike(), () => this.spike(), "spikeEvent", this);
    }
  }
}

module.exports = { LATE_CYCLES, World };
