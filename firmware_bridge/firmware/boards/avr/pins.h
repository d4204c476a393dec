/* Which pin does what on an ATmega328P at 16 MHz, an Arduino Uno or Nano. The wiring table in docs/hardware/building.md follows this one.
 *
 *   pin  Arduino  what
 *   PC0  A0       cart encoder B
 *   PC1  A1       cart encoder A
 *   PC2  A2       pole encoder B
 *   PC3  A3       pole encoder A: all four on one port, for one pin-change interrupt
 *   PC4  A4       supply of the motor, through 10 kOhm over 1.8 kOhm
 *   PD0  D0       serial in, from the USB chip
 *   PD1  D1       serial out
 *   PD2  D2       e-stop            a normally closed contact to ground
 *   PD3  D3       left end switch   a normally closed contact to ground
 *   PD4  D4       right end switch  a normally closed contact to ground
 *   PB0  D8       bridge enable: low opens both half bridges. 10 kOhm to ground keep it low through every reset
 *   PB1  D9       OC1A, left half bridge: high connects its motor wire to the supply, low to ground
 *   PB2  D10      OC1B, right half bridge
 *
 * With a stepper's driver in place of the bridge:
 *
 *   D8 (PB0)      ENABLE, driven only while the driver is to be on. A resistor to the level that switches it off holds it through every
 *                 reset, and whenever the chip lets go of it: 10 kOhm at a driver with logic inputs, at an optocoupler as little as
 *                 its current needs, or a transistor
 *   D9 (PB1)      DIR: high for a step to the left
 *   D10 (PB2)     OC1B, STEP: high at the end of a period
 *   D5 (PD5)      the driver's alarm, with a pull-up
 *   A0, A1        free: what a cart encoder counts here is not used
 *
 * An open contact or a cut wire reads high: pressed. The two half bridges are a BTS7960 module's RPWM and LPWM, its R_EN and L_EN
 * joined to the enable. Between pulses both motor wires are at ground, so that the mean voltage is duty times supply
 * whichever way the motor turns, as in the simulation's motor.
 */
#ifndef PINS_H
#define PINS_H

#include <avr/io.h>

#define PIN(bit) ((uint8_t)(1u << (bit)))

#define ENCODER_PORT PORTC
#define ENCODER_PINS PINC
#define CART_SHIFT 0 /* B, and A one bit above */
#define POLE_SHIFT 2
#define ENCODER_MASK ((uint8_t)0x0F)
#define ENCODER_CHANGES PCMSK1 /* PCINT8..11 are PC0..3 */
#define ENCODER_LEVELS GPIOR1  /* the last ones; a register that one cycle reaches */

#define SUPPLY_CHANNEL 4 /* ADC4 is PC4 */
#define SUPPLY_MASK PIN(PC4)

#define CONTACT_PORT PORTD
#define CONTACT_PINS PIND
#define ESTOP_MASK PIN(PD2)
#define LEFT_MASK PIN(PD3)
#define RIGHT_MASK PIN(PD4)

#ifdef FIRMWARE_STEPPER
#define ALARM_MASK PIN(PD5)
#define CONTACT_MASK (ESTOP_MASK | LEFT_MASK | RIGHT_MASK | ALARM_MASK)
#else
#define CONTACT_MASK (ESTOP_MASK | LEFT_MASK | RIGHT_MASK)
#endif

#define BRIDGE_PORT PORTB
#define BRIDGE_DIRECTION DDRB
#define ENABLE_BIT PB0
#define FORWARDS_BIT PB1  /* OC1A */
#define BACKWARDS_BIT PB2 /* OC1B */
#define DIR_BIT PB1
#define STEP_BIT PB2      /* OC1B */
#define BRIDGE_MASK ((uint8_t)(PIN(ENABLE_BIT) | PIN(FORWARDS_BIT) | PIN(BACKWARDS_BIT)))

#endif
