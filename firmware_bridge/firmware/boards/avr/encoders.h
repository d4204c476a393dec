/* Both encoders, x4, by one pin-change interrupt. */
#ifndef ENCODERS_H
#define ENCODERS_H

#include "../../hal.h"

void encoders_begin(void);

/* Keeps where both stand. With interrupts off: the tick's interrupt calls it. */
void encoders_latch(void);

/* Takes what was last kept. With interrupts off, and no longer than need be: two edges of an encoder must not wait at once. */
void encoders_take(void);

/* Counts and transitions as last taken. */
void encoders_read(board_inputs_t *inputs);

#endif
