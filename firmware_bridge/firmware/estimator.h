/* Position and speed from encoder counts, in integers, once a millisecond.
 *
 * The speed is the least-squares slope of the last ESTIMATOR_WINDOW counts: of all straight-line filters of that length it
 * lets the least of the counting noise through, it lags by exactly half the window, and a cart that stands still reads
 * exactly 0. One count a millisecond is too coarse to use as it is: 2 pi / 4096 rad in 1 ms is 1.5 rad/s.
 *
 * Counts may wrap at 32 bits; all sums are taken modulo 2^32 and come out right as long as one window's slope fits.
 */
#ifndef ESTIMATOR_H
#define ESTIMATOR_H

#include <stdint.h>

#define ESTIMATOR_WINDOW 16          /* counts in the slope; a power of two: the index wraps by a mask */
#define ESTIMATOR_SPEED_PER_COUNT 16 /* speeds are in 1/16 count per second */
#define ESTIMATOR_ONE_COUNT 1506     /* the largest speed that a single count reads as, half a window after it */

typedef struct {
    uint32_t sum;    /* of the counts in the window; before them, where one instruction reaches it from the pointer */
    uint32_t moment; /* of the counts times 2 k - (WINDOW - 1), k = 0 the oldest */
    uint8_t oldest;
    uint32_t counts[ESTIMATOR_WINDOW];
} estimator_t;

/* As if the encoder had stood at `counts` for ever. */
void estimator_reset(estimator_t *estimator, int32_t counts);

/* One more millisecond. */
void estimator_update(estimator_t *estimator, int32_t counts);

/* Speed in 1/16 count per second, (ESTIMATOR_WINDOW - 1) / 2 ms ago, rounded to nearest. */
int32_t estimator_speed(const estimator_t *estimator);

#endif
