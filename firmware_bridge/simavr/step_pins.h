/* The pins of a stepper's driver (PB2 STEP, PB1 DIR, PB0 ENABLE): pulses counted as the driver sees them, and how long they were. */
#ifndef STEP_PINS_H
#define STEP_PINS_H

#include <simavr/sim_avr.h>

#include "mailbox.h"

/* Once. */
void step_pins_begin(avr_t *avr);

/* After every reset, which lets go of all pins. */
void step_pins_reset(avr_t *avr);

/* Something that the pins follow from has changed at `when`. */
void step_pins_look(avr_t *avr, avr_cycle_count_t when);

/* The pulses that the driver has received by `moment`, if the timer continues as programmed until then, and the shortest times so far. */
void step_pins_give(const avr_t *avr, avr_cycle_count_t moment, chip_t *chip);

#endif
