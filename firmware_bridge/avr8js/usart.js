// USART0 after the data sheet (DS40002061B, chapter 20), in place of avr8js's: that one has no transmit buffer, a
// receive buffer of one byte, and forgets a received byte when UCSR0B is written.
"use strict";

const UCSRA = 0xc0, UCSRB = 0xc1, UCSRC = 0xc2, UBRRL = 0xc4, UBRRH = 0xc5, UDR = 0xc6;
const RXC = 0x80, TXC = 0x40, UDRE = 0x20, DOR = 0x08, U2X = 0x02, MPCM = 0x01; // UCSR0A
const RXEN = 0x10, TXEN = 0x08, UCSZ2 = 0x04; // UCSR0B
const ASYNCHRONOUS_8N1 = 0x06, BITS = 10;
const RECEIVE_BYTES = 3; // two in the buffer, the third in the shift register
const HOST_BAUD = 500000;
// Half a bit less the eighth that sampling costs, after nine and a half bits: beyond it neither end reads a byte.
const TOLERANCE_BAUD = (HOST_BAUD * 3) / 8 / 9.5;

const interrupt = (address, mask, constant) =>
  ({ address, flagRegister: UCSRA, flagMask: mask, enableRegister: UCSRB, enableMask: mask, constant });

class Usart {
  // onSent(byte) is called when a byte has left the pin.
  constructor(cpu, clockHz, line, onSent) {
    this.cpu = cpu;
    this.clockHz = clockHz;
    this.line = line; // {waiting: bytes from the host, lost: how many, skew: of the chip's clock}
    this.onSent = onSent;
    this.received = [];
    this.sending = null; // the shift register
    this.waiting = null; // UDR0's transmit buffer
    this.isReceiving = false;
    this.receiveComplete = interrupt(0x24, RXC, true);
    this.dataEmpty = interrupt(0x26, UDRE, true);
    this.sendComplete = interrupt(0x28, TXC, false);
    cpu.data[UCSRA] = UDRE;
    cpu.data[UCSRC] = ASYNCHRONOUS_8N1;
    cpu.writeHooks[UCSRA] = (value) => {
      cpu.clearInterruptByFlag(this.sendComplete, value);
      cpu.data[UCSRA] = (cpu.data[UCSRA] & ~(U2X | MPCM)) | (value & (U2X | MPCM));
      return true;
    };
    cpu.writeHooks[UCSRB] = (value) => {
      cpu.data[UCSRB] = value;
      for (const each of [this.receiveComplete, this.dataEmpty, this.sendComplete])
        cpu.updateInterruptEnable(each, value);
      return true;
    };
    cpu.writeHooks[UDR] = (value) => {
      this.send(value);
      return true;
    };
    cpu.readHooks[UDR] = () => this.take();
    this.listen();
  }

  // Cycles of a byte on the line; 0 where the host cannot read it, nor be read.
  get byteCycles() {
    const { data } = this.cpu;
    if (data[UCSRC] !== ASYNCHRONOUS_8N1 || data[UCSRB] & UCSZ2) return 0;
    const divisor = ((data[UBRRH] & 0x0f) << 8) + data[UBRRL] + 1;
    const cyclesPerBit = divisor * (data[UCSRA] & U2X ? 8 : 16);
    const baud = (this.clockHz * (1 + this.line.skew)) / cyclesPerBit;
    return Math.abs(baud - HOST_BAUD) < TOLERANCE_BAUD ? cyclesPerBit * BITS : 0;
  }

  send(byte) {
    const { cpu } = this;
    if (!(cpu.data[UCSRB] & TXEN) || this.waiting !== null) return;
    if (this.sending !== null) {
      this.waiting = byte;
      cpu.clearInterrupt(this.dataEmpty);
    } else {
      this.shiftOut(byte);
    }
  }

  shiftOut(byte) {
    const cycles = this.byteCycles;
    this.sending = byte;
    this.cpu.addClockEvent(() => {
      if (cycles !== 0) this.onSent(byte);
      this.sending = null;
      if (this.waiting === null) {
        this.cpu.setInterruptFlag(this.sendComplete);
      } else {
        const next = this.waiting;
        this.waiting = null;
        this.shiftOut(next);
        this.cpu.setInterruptFlag(this.dataEmpty);
      }
    }, cycles || 1);
  }

  // The next byte from the host begins now, if there is one.
  listen() {
    if (this.isReceiving || this.line.waiting.length === 0) return;
    this.isReceiving = true;
    this.cpu.addClockEvent(() => this.beginByte(), 1);
  }

  beginByte() {
    const byte = this.line.waiting.shift();
    const cycles = this.byteCycles;
    const isHeard = cycles !== 0 && (this.cpu.data[UCSRB] & RXEN) !== 0;
    const hasRoom = this.received.length < RECEIVE_BYTES;
    if (isHeard && !hasRoom) this.cpu.data[UCSRA] |= DOR;
    if (!isHeard || !hasRoom) this.line.lost++;
    this.cpu.addClockEvent(() => {
      if (isHeard && hasRoom) {
        this.received.push(byte);
        this.cpu.setInterruptFlag(this.receiveComplete);
      }
      this.isReceiving = false;
      if (this.line.waiting.length !== 0) {
        this.isReceiving = true;
        this.beginByte();
      }
    }, cycles || 1);
  }

  take() {
    const { cpu } = this;
    const byte = this.received.length !== 0 ? this.received.shift() : 0;
    cpu.data[UCSRA] &= ~DOR;
    if (this.received.length === 0) cpu.clearInterrupt(this.receiveComplete);
    return byte;
  }
}

module.exports = { Usart };
