/* The pulses of Timer1 in mode 15, as the stepper's board makes them: what the pin does, count for count.
 *
 * OCR1A is the TOP and OCR1B the compare, both double-buffered: what is written holds from the next BOTTOM on. The output is set at
 * the compare and cleared at BOTTOM, so that a pulse stands at the end of its period and has one width at every rate. The interrupt at
 * BOTTOM counts the pulse that has ended and writes what the period after the next one does.
 */
#ifndef PULSE_TRAIN_H
#define PULSE_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "../../ramp.h"

#define PULSE_TICK_COUNTS 2000u /* of half a microsecond, in a safety tick */

typedef struct {
    step_rate_t rate;        /* wanted, of the newest tick */
    bool is_left;            /* the direction wanted */
    bool is_left_pin;        /* what the DIR pin says */
    uint16_t period;         /* of the period under way; what is written for the next: */
    uint16_t next_period;
    bool has_pulse, has_next; /* whether the period under way ends with one, and the next */
    uint16_t accumulator;    /* of a rate with a share */
    uint16_t count;          /* of the timer */
    int32_t steps;           /* pulses to the right less those to the left; wraps */
} pulse_train_t;

/* At rest. */
void pulse_train_begin(pulse_train_t *train);

/* What the tick's interrupt does: the rate that the tick before chose is wanted from now on. */
void pulse_train_set(pulse_train_t *train, step_rate_t rate, bool is_left);

/* `counts` of the timer pass; returns how many pulses that were, with their sign. */
int32_t pulse_train_advance(pulse_train_t *train, uint32_t counts);

/* As `pulse_train_advance`; returns the sum over those counts of the pulses so far: over `counts` it is where the pulses stand on average. */
int64_t pulse_train_pass(pulse_train_t *train, uint32_t counts);

#endif
