/* A stepper's driver at the emulated chip's pins, and what may be wrong with it and its wires: DriverWiring in Python. */
#ifndef SIMAVR_DRIVER_H
#define SIMAVR_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "mailbox.h"

typedef struct {
    bool is_there; /* else a bridge is */
    bool is_enable_low, is_reversed, is_powered, has_cart_encoder;
    unsigned misses_every; /* pulses; 0: none */
    int32_t chip_steps;    /* as of the last millisecond; what the driver made of them: */
    int32_t steps;
    uint32_t pulses; /* since the last one that it missed */
} driver_t;

/* A millisecond of the chip's: where the pulses that the driver has taken stand on the mean, as pulse_train_pass() has it. Returns
 * whether it has current. */
bool driver_take(driver_t *driver, const chip_t *chip, double *mean_steps);

#endif
