#include "estimator.h"

_Static_assert((ESTIMATOR_WINDOW & (ESTIMATOR_WINDOW - 1)) == 0, "the window wraps by a mask");

/* With the weights w = 2 k - (N - 1) the slope is sum(w c) * 2 / (sum(w^2)) counts a millisecond, and sum(w^2) is
 * N (N^2 - 1) / 3. In 1/16 count per second that is moment * 2 * 1000 * 16 * 3 / (N (N^2 - 1)): for N = 16,
 * moment * 96000 / 4080 = moment * 400 / 17. */
#define SLOPE_NUMERATOR 400
#define SLOPE_DENOMINATOR 17
_Static_assert(2L * 1000 * ESTIMATOR_SPEED_PER_COUNT * 3 * SLOPE_DENOMINATOR ==
                   (long)ESTIMATOR_WINDOW * (ESTIMATOR_WINDOW * ESTIMATOR_WINDOW - 1) * SLOPE_NUMERATOR,
               "the fraction belongs to this window");
#define LARGEST_MOMENT (INT32_MAX / SLOPE_NUMERATOR) /* 5.3 million: the slope of 7,800 counts a millisecond */

void estimator_reset(estimator_t *estimator, int32_t counts)
{
    for (uint8_t k = 0; k < ESTIMATOR_WINDOW; k++)
        estimator->counts[k] = (uint32_t)counts;
    estimator->sum = (uint32_t)counts * ESTIMATOR_WINDOW;
    estimator->moment = 0; /* the weights sum to zero */
    estimator->oldest = 0;
}

void estimator_update(estimator_t *estimator, int32_t counts)
{
    const uint32_t newest = (uint32_t)counts;
    const uint32_t gone = estimator->counts[estimator->oldest];

    /* Every count that stays becomes one place older, which takes 2 from its weight. */
    estimator->moment +=
        (ESTIMATOR_WINDOW + 1u) * gone - 2u * estimator->sum + (ESTIMATOR_WINDOW - 1u) * newest;
    estimator->sum += newest - gone;
    estimator->counts[estimator->oldest] = newest;
    estimator->oldest = (uint8_t)((estimator->oldest + 1u) & (ESTIMATOR_WINDOW - 1u));
}

int32_t estimator_speed(const estimator_t *estimator)
{
    int32_t moment = (int32_t)estimator->moment;
    if (moment > LARGEST_MOMENT)
        moment = LARGEST_MOMENT;
    if (moment < -LARGEST_MOMENT)
        moment = -LARGEST_MOMENT;
    const int32_t scaled = moment * SLOPE_NUMERATOR;
    const int32_t half = scaled < 0 ? -(SLOPE_DENOMINATOR / 2) : SLOPE_DENOMINATOR / 2;
    return (scaled + half) / SLOPE_DENOMINATOR;
}
