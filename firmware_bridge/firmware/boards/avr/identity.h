/* Which chip this is, how its fuses are set, and which bootloader it has. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "../../hal.h"

/* Once, with interrupts off: each is read by a timed sequence. */
void identity_read(board_health_t *health);

#endif
