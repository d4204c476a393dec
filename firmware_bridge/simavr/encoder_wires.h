/* Two quadrature encoders on port C, moved edge by edge, with the faults their wires can have. */
#ifndef ENCODER_WIRES_H
#define ENCODER_WIRES_H

#include <simavr/sim_avr.h>

#include "mailbox.h"

#define LATE_CYCLES 1500 /* after so many from its beginning the encoders stand where the world had them at that beginning */

/* Sets all pins to their present levels again after a reset, which clears them. */
void encoder_wires_begin(avr_t *avr);

/* A millisecond of `cycles` begins. The edges that are missing to where the encoders stand by now come at once, then, evenly, those
 * that are sure to come: as many as in the last millisecond less one. */
void encoder_wires_move(avr_t *avr, const world_t *world, avr_cycle_count_t cycles);

#endif
