/* The speed of a stepper's cart: an acceleration in, the step rate of the next millisecond out. Integers only.
 *
 * The firmware, the simulation and the page run this code. A speed is in 1/256 step a second, positive to the right.
 */
#ifndef RAMP_H
#define RAMP_H

#include <stdbool.h>
#include <stdint.h>

#define RAMP_SPEED_PER_STEP 256 /* of the unit of speed */
#define RAMP_GAIN_PER_STEP 16   /* of the unit of gain_q4 */

typedef struct {
    uint16_t speed_most; /* steps a second */
    uint16_t gain_q4;    /* the largest acceleration: steps a second that a tick adds, in 1/16 */
} ramp_limits_t;

typedef struct {
    int32_t speed; /* in 1/256 step a second */
} ramp_t;

/* How the timer makes pulses: every `period` counts of half a microsecond it may make one, and makes one in `share` / 65536 of them.
 * RAMP_EVERY is each of them; a share of 0 is none. */
typedef struct {
    uint16_t period;
    uint16_t share;
} step_rate_t;

#define RAMP_EVERY 65535u
#define RAMP_COUNTS_PER_S 2000000UL
#define RAMP_SLOT 500u       /* counts: below RAMP_SLOW steps a second pulses come in slots of a quarter millisecond */
#define RAMP_SLOW 2000       /* steps a second: above, each period has a pulse, and is half a millisecond or less */

/* One tick at `acceleration_q15` of the largest acceleration. */
void ramp_tick(ramp_t *ramp, const ramp_limits_t *limits, int16_t acceleration_q15);

/* One tick toward rest, at the largest acceleration; true once it rests. */
bool ramp_stop(ramp_t *ramp, const ramp_limits_t *limits);

/* Whether the cart, braked at the largest acceleration from the next tick on, comes to rest within `steps` ahead of it. */
bool ramp_can_stop(const ramp_t *ramp, const ramp_limits_t *limits, uint32_t steps);

/* The pulses of that speed, without its sign. */
step_rate_t ramp_rate(const ramp_t *ramp);

#endif
