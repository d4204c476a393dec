// An ATmega328P of avr8js's parts, with what they lack from the data sheet (DS40002061B): README.md has the list.
"use strict";
const avr = require("avr8js");
const { Port, Timer } = require("./timers.js");
const { Usart } = require("./usart.js");

const CLOCK_HZ = 16e6, FLASH_WORDS = 0x4000, RAM_BYTES = 2048, RAM_BEGIN = 0x100, EEPROM_BYTES = 1024;
const EEPROM_CYCLES = 27200; // 1.7 ms to erase, as much to write: the 3.4 ms of table 8-2
const ENTRY_CYCLES = 4; // of an interrupt; as many more out of sleep (7.7.1)
const SEI = 0x9478, RETI = 0x9518, SLEEP = 0x9588, SELF_JUMP = 0xcfff, LPM_R0 = 0x95c8;
const PORTB = 0x25, GPIOR0 = 0x3e, EECR = 0x3f, EEPE = 0x02, SMCR = 0x53, MCUSR = 0x54, SPMCSR = 0x57, WDTCSR = 0x60, PCICR = 0x68;
const SE = 0x01, SM = 0x0e, WDCE_WDE = 0x18, WDE = 0x08, WDRF = 0x08, PORF = 0x01, AREF_OPEN_V = 1e-3;
const COM = 0xf0; // of TCCR1A
const SPMEN = 0x01, BLBSET = 0x08, SIGRD = 0x20, ASKED_CYCLES = 3; // within which LPM must follow (chapter 27)

class Cpu extends avr.CPU {
  // A timer says when it next has something to do; avr8js would come at every count.
  addClockEvent(callback, cycles) {
    return super.addClockEvent(callback, callback.due === undefined ? cycles : callback.due());
  }

  // Everything that is due up to a cycle, each at its own; then it is that cycle.
  passTo(cycle) {
    for (let event = this.nextClockEvent; event !== null && event.cycles <= cycle; event = this.nextClockEvent) {
      if (event.cycles > this.cycles) this.cycles = event.cycles;
      this.nextClockEvent = event.next;
      event.callback();
    }
    this.cycles = cycle;
  }
}

class Chip {
  // `board` is what is around it: board.line for the USART, board.onSent(byte), board.onBridge(levels, isTimers),
  // board.onConnect(), board.onTick(), board.onFed(), board.onReset(chip); board.parts are fuses and the like.
  constructor(flash, board) {
    this.flash = new Uint16Array(FLASH_WORDS).fill(0xffff);
    new Uint8Array(this.flash.buffer).set(flash);
    this.board = board;
    this.eeprom = new avr.EEPROMMemoryBackend(EEPROM_BYTES);
    this.cpu = null;
    this.resets = -1;
    this.asleepCycles = 0;
    this.longestInterrupt = 0;
    this.policyCycles = 0;
    this.reset(PORF);
  }

  // Everything but RAM, EEPROM and the count of cycles begins again; avr8js resets the processor alone.
  reset(cause) {
    const before = this.cpu;
    const cpu = new Cpu(this.flash, RAM_BYTES);
    if (before !== null) {
      cpu.cycles = before.cycles;
      cpu.data.set(before.data.subarray(RAM_BEGIN), RAM_BEGIN);
    }
    this.cpu = cpu;
    this.resets++;
    this.isAsleep = this.isExecuting = false;
    this.interruptBegan = this.interruptVector = this.thinkingSince = this.asked = null;
    this.dueReset = null;
    cpu.reset = () => {
      this.dueReset = WDRF;
    };
    this.ports = { B: new Port(cpu, avr.portBConfig), C: new Port(cpu, avr.portCConfig), D: new Port(cpu, avr.portDConfig) };
    this.timers = [
      new Timer(cpu, avr.timer0Config),
      new Timer(cpu, avr.timer1Config),
      new Timer(cpu, avr.timer2Config, () => this.board.onTick()),
    ];
    const { TCCRA } = avr.timer1Config, write = cpu.writeHooks[TCCRA];
    cpu.writeHooks[TCCRA] = (value, old, at, mask) => {
      if ((value ^ old) & COM) this.board.onConnect();
      return write(value, old, at, mask);
    };
    this.usart = new Usart(cpu, CLOCK_HZ, this.board.line, (byte) => this.board.onSent(byte));
    this.adc = new avr.AVRADC(cpu, this.adcConfig());
    this.watchdog = new avr.AVRWatchdog(cpu, avr.watchdogConfig, new avr.AVRClock(cpu, CLOCK_HZ));
    const feed = cpu.onWatchdogReset;
    cpu.onWatchdogReset = () => {
      feed();
      this.board.onFed();
    };
    const eepromConfig = { ...avr.eepromConfig, eraseCycles: EEPROM_CYCLES, writeCycles: EEPROM_CYCLES };
    new avr.AVREEPROM(cpu, this.eeprom, eepromConfig);
    this.ports.B.addListener((levels) => this.board.onBridge(levels & cpu.data[avr.portBConfig.DDR], !this.isExecuting));
    cpu.writeHooks[SPMCSR] = (value) => {
      this.asked = { value, cycle: cpu.cycles };
    };
    cpu.writeHooks[PCICR] = (value) => {
      cpu.data[PCICR] = value;
      for (const { PCINT } of cpu.gpioPorts) cpu.updateInterruptEnable(PCINT, value);
      return true;
    };
    cpu.writeHooks[GPIOR0] = (value) => this.policyIs(value !== 0);
    cpu.data[MCUSR] = cause;
    if (cause & WDRF) { // it goes on running at its shortest until the program stops it (11.9.1)
      cpu.writeData(WDTCSR, WDCE_WDE);
      cpu.writeData(WDTCSR, WDE);
    }
    this.board.onReset(this);
  }

  // The chip's own reference differs from chip to chip.
  adcConfig() {
    const reference = { ...avr.atmega328Channels[14] };
    return { ...avr.adcConfig, muxChannels: { ...avr.atmega328Channels, 14: reference } };
  }

  setSupply(pinV, railV) {
    this.adc.config.muxChannels[14].voltage = this.board.parts.bandgapMv / 1000;
    this.adc.avcc = railV;
    this.adc.aref = AREF_OPEN_V; // nothing but a capacitor is there: every voltage is full scale
    this.adc.channelValues[4] = pinV;
  }

  // The firmware says when it computes its policy; interrupts do not count.
  policyIs(isThinking) {
    if (isThinking) this.thinkingSince = this.cpu.cycles;
    else if (this.thinkingSince !== null) this.policyCycles += this.cpu.cycles - this.thinkingSince;
    if (!isThinking) this.thinkingSince = null;
  }

  hang() {
    const at = this.flash.indexOf(SELF_JUMP);
    if (at < 0) return;
    this.cpu.pc = at;
    this.isAsleep = false;
  }

  // Runs until `cycle` or a little later.
  runTo(cycle) {
    while (this.cpu.cycles < cycle) {
      if (this.isAsleep) this.sleepTo(cycle);
      else this.execute();
      if (this.dueReset !== null) this.reset(this.dueReset);
    }
  }

  execute() {
    const { cpu } = this;
    const opcode = cpu.progMem[cpu.pc];
    const began = cpu.cycles;
    if (opcode === SLEEP) this.isAsleep = (cpu.data[SMCR] & SE) !== 0;
    const fuse = this.asked === null ? null : this.askedByte(opcode);
    this.isExecuting = true;
    avr.avrInstruction(cpu);
    this.isExecuting = false;
    if (fuse !== null) cpu.data[fuse.register] = fuse.byte;
    const end = cpu.cycles;
    cpu.cycles = began;
    cpu.passTo(end);
    if (opcode === RETI) this.endInterrupt();
    // After SEI and RETI one more instruction comes first (7.4, 7.7).
    else if (opcode !== SEI && !this.isAsleep) this.serveInterrupt();
  }

  serveInterrupt() {
    const { cpu } = this;
    if (cpu.nextInterrupt < 0 || !cpu.interruptsEnabled) return;
    const interrupt = cpu.pendingInterrupts[cpu.nextInterrupt];
    const began = cpu.cycles;
    avr.avrInterrupt(cpu, interrupt.address);
    cpu.cycles = began;
    if (!interrupt.constant) cpu.clearInterrupt(interrupt);
    cpu.passTo(began + ENTRY_CYCLES);
    this.interruptBegan = cpu.cycles;
    this.interruptVector = interrupt.address;
  }

  endInterrupt() {
    if (this.interruptBegan === null) return;
    const took = this.cpu.cycles - this.interruptBegan + ENTRY_CYCLES;
    if (this.thinkingSince !== null) this.thinkingSince += took;
    if (took > this.longestInterrupt) this.longestInterrupt = took;
    this.interruptBegan = this.interruptVector = null;
  }

  sleepTo(cycle) {
    const { cpu } = this;
    if (cpu.data[SMCR] & SM) throw new Error(`sleep is deeper than idle: SMCR is 0x0${cpu.data[SMCR].toString(16)}`);
    const event = cpu.nextClockEvent;
    const began = cpu.cycles;
    if (!(cpu.nextInterrupt >= 0 && cpu.interruptsEnabled))
      cpu.passTo(event !== null && event.cycles < cycle ? event.cycles : cycle);
    this.asleepCycles += cpu.cycles - began;
    if (cpu.nextInterrupt < 0 || !cpu.interruptsEnabled) return;
    this.isAsleep = false;
    cpu.passTo(cpu.cycles + ENTRY_CYCLES);
    this.serveInterrupt();
  }

  // Fuses and signature: LPM soon after the program has asked for them in SPMCSR (chapter 27).
  askedByte(opcode) {
    const { value, cycle } = this.asked;
    const { cpu } = this;
    this.asked = null;
    const isLpm = opcode === LPM_R0 || (opcode & 0xfe0e) === 0x9004;
    if (!isLpm || cpu.cycles - cycle > ASKED_CYCLES || cpu.data[EECR] & EEPE) return null; // while EEPROM is written: 27.8.6
    const { fuses, signature } = this.board.parts;
    const z = cpu.dataView.getUint16(30, true);
    const register = opcode === LPM_R0 ? 0 : (opcode >> 4) & 31;
    if (value === (BLBSET | SPMEN)) return { register, byte: [fuses.low, 0xff, fuses.extended, fuses.high][z & 3] };
    if (value === (SIGRD | SPMEN)) return { register, byte: z % 2 === 0 && z < 6 ? signature[z / 2] : 0xff };
    return null;
  }
}

module.exports = { Chip, PORTB };
