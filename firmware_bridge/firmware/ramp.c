#include "ramp.h"

#define GAIN_SHIFT 11 /* gain_q4 * q15 to 1/256 step a second: 4 + 15 - 8 */
#define LATE_TICKS 4  /* a speed chosen at one tick is in force at the next, and the pulse under way has its old period */

static uint32_t size_of(int32_t value)
{
    return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

void ramp_tick(ramp_t *ramp, const ramp_limits_t *limits, int16_t acceleration_q15)
{
    const int32_t most = (int32_t)limits->speed_most * RAMP_SPEED_PER_STEP;
    const int32_t product = (int32_t)limits->gain_q4 * acceleration_q15; /* less than 2^31 */
    const uint32_t gained = size_of(product) >> GAIN_SHIFT; /* to either side alike */
    int32_t speed = product < 0 ? ramp->speed - (int32_t)gained : ramp->speed + (int32_t)gained;
    if (speed > most)
        speed = most;
    if (speed < -most)
        speed = -most;
    ramp->speed = speed;
}

bool ramp_stop(ramp_t *ramp, const ramp_limits_t *limits)
{
    const int32_t step = (int32_t)limits->gain_q4 * (RAMP_SPEED_PER_STEP / RAMP_GAIN_PER_STEP);
    if (ramp->speed > step)
        ramp->speed -= step;
    else if (ramp->speed < -step)
        ramp->speed += step;
    else
        ramp->speed = 0;
    return ramp->speed == 0;
}

/* v^2 / 2a, with a = gain_q4 * 1000 / 16 steps/s^2: v^2 / (125 gain_q4), multiplied out. */
bool ramp_can_stop(const ramp_t *ramp, const ramp_limits_t *limits, uint32_t steps)
{
    const uint32_t speed = size_of(ramp->speed) / RAMP_SPEED_PER_STEP + 1u; /* 16 bits */
    const uint32_t rolled = (speed * LATE_TICKS >> 10) + 1u; /* a little less than a thousandth, and rounded up */
    if (rolled >= steps)
        return false;
    return speed * speed < (uint64_t)(steps - rolled) * (125u * (uint32_t)limits->gain_q4);
}

step_rate_t ramp_rate(const ramp_t *ramp)
{
    const uint32_t speed = size_of(ramp->speed);
    if (speed < (uint32_t)RAMP_SLOW * RAMP_SPEED_PER_STEP) /* speed * RAMP_SLOT / RAMP_COUNTS_PER_S * 65536 / 256 */
        return (step_rate_t){RAMP_SLOT, (uint16_t)(speed * 4194u >> 16)};
    return (step_rate_t){(uint16_t)((RAMP_COUNTS_PER_S * RAMP_SPEED_PER_STEP + speed / 2u) / speed), RAMP_EVERY};
}
