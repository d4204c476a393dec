#include "pole_zero.h"

#include "limits.h"

#ifdef __AVR__
#pragma GCC optimize("Os") /* the motor is off: there is time, and flash is short */
#endif

static uint16_t size_of(int16_t value)
{
    return (uint16_t)(value < 0 ? -value : value);
}

/* Whether this way was as wide and took as long as one of a pole that nobody leads: longer where it is wide. */
static bool is_free(const pole_zero_t *zero, const cfg_message_t *limits, uint16_t half_period_ms)
{
    const uint16_t now = (uint16_t)zero->farthest, before = zero->before, ms = zero->ms;
    const uint16_t quarter_ms = half_period_ms / 4u;
    const uint16_t most_ms = (uint16_t)(now > limits->pole_counts_per_turn / 2u ? half_period_ms * 3u
                                                                                : half_period_ms + quarter_ms);
    return now >= 2u * limits->arming_angle_counts && now <= before + POLE_ZERO_BACK &&
           now >= before - before / POLE_ZERO_SHARE && ms >= half_period_ms - quarter_ms && ms <= most_ms;
}

/* Counts a mean that is off; not the first in a row where the one before was elsewhere. `turned` is where it turned back. */
static void judge(pole_zero_t *zero, const cfg_message_t *limits, uint16_t half_period_ms, int16_t turned)
{
    const int16_t half_turn = (int16_t)(limits->pole_counts_per_turn / 2u);
    const int16_t in = (int16_t)(zero->farthest - (int16_t)(((uint16_t)zero->farthest / 2u + zero->before / 2u) / 2u));
    int16_t mean = (int16_t)(zero->side < 0 ? turned + in : turned - in); /* within a turn of upright */
    mean = (int16_t)(mean < 0 ? mean + half_turn : mean - half_turn);
    const uint16_t tolerance = limits->arming_angle_counts / 4u;
    if (!is_free(zero, limits, half_period_ms) || size_of(mean) <= tolerance)
        zero->off = 0;
    else if (zero->off != 0 && size_of((int16_t)(mean - zero->mean)) > tolerance / 2u)
        zero->off = 1;
    else
        zero->off++;
    zero->mean = mean;
}

bool pole_zero_is_off(pole_zero_t *zero, const safety_inputs_t *inputs, const cfg_message_t *limits, uint16_t half_period_ms)
{
    const int16_t moved = (int16_t)inputs->pole_moved;
    if (zero->points == 0) {
        zero->points = 1;
        zero->side = 1;
        zero->off = 0;
        zero->gone = zero->farthest = 0;
        zero->cart = inputs->cart_counts;
        return false;
    }
    zero->ms++;
    zero->gone = (int16_t)(zero->side < 0 ? zero->gone - moved : zero->gone + moved);
    if (zero->gone > zero->farthest)
        zero->farthest = zero->gone;
    const int32_t rolled = (int32_t)((uint32_t)inputs->cart_counts - (uint32_t)zero->cart), most = (int32_t)(limits->travel_limit_counts / ROLL_SHARE);
    if (rolled > most || rolled < -most || zero->farthest > (int16_t)limits->pole_counts_per_turn)
        zero->points = 0; /* or the pole rotates */
    const int16_t back = (int16_t)(zero->farthest - zero->gone);
    if (back < POLE_ZERO_BACK)
        return false;
    if (zero->points < POLE_ZERO_POINTS)
        zero->points++;
    else
        judge(zero, limits, half_period_ms, (int16_t)((int16_t)inputs->pole_counts + (zero->side < 0 ? -back : back)));
    zero->before = (uint16_t)zero->farthest;
    zero->gone = zero->farthest = back;
    zero->side = (int8_t)-zero->side;
    zero->ms = 0;
    return zero->off >= POLE_ZERO_MOST;
}
