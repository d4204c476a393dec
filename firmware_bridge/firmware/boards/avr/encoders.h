/* Both encoders, x4, by one pin-change interrupt. */
#ifndef ENCODERS_H
#define ENCODERS_H

#include "../../hal.h"

void encoders_begin(void);

/* Keeps where both stand. With interrupts off: the tick's interrupt calls it. */
void encoders_latch(void);

/* Counts and transitions as last kept. With interrupts off. */
void encoders_read(board_inputs_t *inputs);

#endif
