/* The supply of the motor and the chip's own reference, by the converter, against the 5 V rail. */
#ifndef SUPPLY_H
#define SUPPLY_H

#include "../../hal.h"

/* Waits for the first conversion, 0.2 ms. */
void supply_begin(void);

/* Once a tick: the supply as it was at the last one, and the reference as last measured. */
void supply_read(board_inputs_t *inputs);

#endif
