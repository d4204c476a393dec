/* The 5 V rail, measured against the chip's own reference: the converter measures the motor's supply against that rail, so that a
 * sagging one makes a low supply look healthy.
 *
 * The reference is 1.1 V give or take 10 % from chip to chip, and steady on each (DS40002061B, ADC characteristics). With its true voltage from
 * CFG the rail is known; without, the rail is taken for 5 V at start-up and followed from there.
 */
#ifndef RAIL_H
#define RAIL_H

#include <stdint.h>

typedef struct {
    uint16_t steps;         /* the reference in 1/4096 of the rail, as last measured; 0: not yet */
    uint16_t first_steps;   /* as first measured */
    uint16_t nominal_steps; /* what it would be at 5 V, as far as is known */
    uint16_t share_q15;     /* of 5 V that the rail has */
    uint16_t mv;            /* the rail; 0 before it was measured */
    uint16_t bandgap_mv;    /* that nominal_steps comes from; 0: from the first measurement */
} rail_t;

/* What the board measured, often the same as before, and the reference's voltage by CFG, 0 where that is not known. */
void rail_update(rail_t *rail, uint16_t steps, uint16_t bandgap_mv);

/* A voltage that was measured as if the rail were 5 V. */
uint16_t rail_corrected(const rail_t *rail, uint16_t measured_mv);

#endif
