#include "pole_zero.h"

#include "limits.h"

#ifdef __AVR__
#pragma GCC optimize("Os") /* the motor is off: there is time, and flash is short */
#endif

static uint16_t size_of(int16_t value)
{
    return (uint16_t)(value < 0 ? -value : value);
}

/* Whether the swing from `second` to `extreme` was as wide and took as long as one that nobody leads: longer where it is wide. */
static bool is_free(const pole_zero_t *zero, const cfg_message_t *limits, uint16_t half_period_ms)
{
    const uint16_t before = size_of((int16_t)(zero->second - zero->first));
    const uint16_t now = size_of((int16_t)(zero->extreme - zero->second));
    const uint16_t eighth_ms = half_period_ms / 8u;
    const uint16_t most_ms = (uint16_t)(eighth_ms * (now > limits->pole_counts_per_turn / 2u ? 24u : 10u));
    return now >= 2u * limits->arming_angle_counts && now <= before + POLE_ZERO_BACK &&
           now >= before - before / POLE_ZERO_SHARE && zero->ms >= eighth_ms * 6u && zero->ms <= most_ms;
}

/* How far the mean of the last three turning points is from half a turn. */
static int16_t mean_of(const pole_zero_t *zero, const cfg_message_t *limits)
{
    const int32_t two_turns = 2 * (int32_t)limits->pole_counts_per_turn;
    int32_t off = (int32_t)zero->first + 2 * (int32_t)zero->second + zero->extreme;
    if (off < 0)
        off += 2 * two_turns; /* half a turn is minus half a turn */
    return (int16_t)((off - two_turns) / 4);
}

/* A mean that is off; not the first in a row counts that is where the one before was. */
static void judge(pole_zero_t *zero, const cfg_message_t *limits, uint16_t half_period_ms)
{
    const int16_t mean = mean_of(zero, limits);
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
    if (zero->points == 0) {
        const int16_t at = (int16_t)inputs->pole_counts;
        *zero = (pole_zero_t){.points = 1, .side = 1, .at = at, .extreme = at, .second = at, .cart = inputs->cart_counts};
        return false;
    }
    zero->at = (int16_t)(zero->at + inputs->pole_moved);
    zero->ms++;
    const int16_t back = (int16_t)(zero->side < 0 ? zero->at - zero->extreme : zero->extreme - zero->at);
    if (back < 0)
        zero->extreme = zero->at;
    const int32_t rolled = inputs->cart_counts - zero->cart, most = (int32_t)(limits->travel_limit_counts / ROLL_SHARE);
    if (rolled > most || rolled < -most || size_of(zero->at) > limits->pole_counts_per_turn)
        zero->points = 0; /* or the pole rotates: it swings about half a turn either way, within a turn of upright */
    if (back < POLE_ZERO_BACK)
        return false;
    if (zero->points < POLE_ZERO_POINTS)
        zero->points++;
    else
        judge(zero, limits, half_period_ms);
    zero->first = zero->second;
    zero->second = zero->extreme;
    zero->extreme = zero->at;
    zero->side = (int8_t)-zero->side;
    zero->ms = 0;
    return zero->off >= POLE_ZERO_MOST;
}
