#include "estimator.h"

#include "hal.h"

_Static_assert((ESTIMATOR_WINDOW & (ESTIMATOR_WINDOW - 1)) == 0, "the window wraps by a mask");

/* With the weights w = 2 k - (N - 1) the slope is sum(w c) * 2 / (sum(w^2)) counts a millisecond, and sum(w^2) is
 * N (N^2 - 1) / 3. In 1/16 count per second that is moment * 2 * 1000 * 16 * 3 / (N (N^2 - 1)): for N = 16,
 * moment * 96000 / 4080 = moment * 400 / 17. */
#define SLOPE_NUMERATOR 400
#define SLOPE_DENOMINATOR 17
_Static_assert(2L * 1000 * ESTIMATOR_SPEED_PER_COUNT * 3 * SLOPE_DENOMINATOR ==
                   (long)ESTIMATOR_WINDOW * (ESTIMATOR_WINDOW * ESTIMATOR_WINDOW - 1) * SLOPE_NUMERATOR,
               "the fraction belongs to this window");
_Static_assert((ESTIMATOR_WINDOW * ESTIMATOR_WINDOW / 4L * SLOPE_NUMERATOR + SLOPE_DENOMINATOR / 2) / SLOPE_DENOMINATOR ==
                   ESTIMATOR_ONE_COUNT,
               "a count in the newer half of the window has the sum of its weights, N^2 / 4");
_Static_assert(24 * SLOPE_DENOMINATOR - 8 == SLOPE_NUMERATOR && 120 * SLOPE_DENOMINATOR == 8 * 255,
               "estimator_speed() takes it apart");
#define LARGEST_MOMENT (INT32_MAX / SLOPE_NUMERATOR) /* 5.3 million: the slope of 7,800 counts a millisecond */

void estimator_reset(estimator_t *estimator, int32_t counts)
{
    for (uint8_t k = 0; k < ESTIMATOR_WINDOW; k++)
        estimator->counts[k] = (uint32_t)counts;
    estimator->sum = (uint32_t)counts * ESTIMATOR_WINDOW;
    estimator->moment = 0; /* the weights sum to zero */
    estimator->oldest = 0;
}

/* Once for both encoders: inlined twice it takes 0.2 kB more. */
NOT_INLINED void estimator_update(estimator_t *estimator, int32_t counts)
{
    const uint32_t newest = (uint32_t)counts;
    const uint32_t gone = estimator->counts[estimator->oldest];
    const uint32_t sum = estimator->sum + newest - gone;

    /* Every count that stays becomes one place older, which takes 2 from its weight: (N + 1) gone - 2 sum + (N - 1) newest, with
     * the sum from before. This is the same without two multiplications. */
    estimator->moment += ESTIMATOR_WINDOW * (gone + newest) - estimator->sum - sum;
    estimator->sum = sum;
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
    /* moment * 400 / 17 to nearest, without a division: that takes the microcontroller 500 cycles. 400 / 17 is 24 - 8 / 17, and
     * 8 / 17 is 120 / 255, which is 120 / 256 * (1 + 1 / 256) * (1 + 1 / 65536) but for one part in 2^32: shifts by whole bytes.
     * They lose less than 3 / 256, and no multiple of 1 / 17 comes nearer to a half than 1 / 34. Both products are sums of a few
     * places' shifts, half as long as the microcontroller's multiplication. */
    const int32_t times_24 = (int32_t)((uint32_t)moment + ((uint32_t)moment << 1)) * 8;
    const int32_t in_255ths = times_24 + times_24 * 4;
    const int32_t nearly = in_255ths + (in_255ths >> 8);
    const int32_t in_256ths = nearly + (nearly >> 16);
    return times_24 - ((in_256ths + 128) >> 8);
}
