/* What the wiring of the board (firmware/boards/avr/pins.h) needs from the chip's registers, where nothing else here would show that it
 * is missing: a cart on this emulator would drive, and one of metal would not.
 */
#ifndef BOARD_SETUP_H
#define BOARD_SETUP_H

#include <simavr/sim_avr.h>

#include "mailbox.h"

/* The first thing that is not set up for what is wired to PB0 to PB2, with the register's value; NULL where everything is. */
const char *board_setup_missing(const avr_t *avr, enum world_drive drive);

#endif
