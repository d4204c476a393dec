#include "plausibility.h"

#include "limits.h"

#ifdef __AVR__
#pragma GCC optimize("Os") /* a look each PLAUSIBLE_MS: 0.2 kB less, and 8 us */
#endif

/* A speed is that of ESTIMATOR_WINDOW / 2 ms ago: it belongs to the push of two looks before. */
_Static_assert(PLAUSIBLE_MS == 4, "two looks and a half are the estimator's lag");

static int8_t side_of(int16_t duty_q15, int16_t moving_duty_q15)
{
    return (int8_t)((duty_q15 >= moving_duty_q15) - (duty_q15 <= -moving_duty_q15));
}

static int32_t at_least_0(int32_t value)
{
    return value < 0 ? 0 : value;
}

static int32_t along(int8_t side, int32_t value)
{
    return side < 0 ? -value : value;
}

static bool is_within(int32_t value, uint16_t most)
{
    return value <= (int32_t)most && value >= -(int32_t)most;
}

static bool is_too_much(int32_t gained, int32_t most)
{
    return gained > most && gained > FEIGNED_MOST;
}

void plausibility_begin(plausibility_t *seen)
{
    *seen = (plausibility_t){0};
}

bool plausibility_is_due(const plausibility_t *seen)
{
    return seen->ms == PLAUSIBLE_MS - 1;
}

/* The cart's speed at which what is seen of the pole began. */
static int32_t speed_then(const plausibility_t *seen, const safety_inputs_t *inputs)
{
    return DRIVE_LATE_LOOKS == 0 ? inputs->cart_speed : seen->cart_speeds[DRIVE_LOOK_THEN];
}

/* The estimator's speeds stay within 2^27 and both sums below 2^22 before each look: nothing here overflows. */
static uint8_t look(plausibility_t *seen, const safety_inputs_t *inputs, const cfg_message_t *limits, bool is_swinging)
{
    const int8_t side = seen->sides_before[1 + DRIVE_LATE_LOOKS];
    if (side == 0)
        return FAULT_NONE;
    const int32_t speed_before = seen->cart_speeds[DRIVE_LATE_LOOKS];
    const int32_t gained = along(side, speed_then(seen, inputs) - speed_before);
    int32_t fallen = along(side, inputs->pole_speed - seen->pole_speed);
    int32_t lean = inputs->pole_counts;
    if (is_swinging) {
        /* Where it was in the middle of what this look saw it gain, 9.5 ms ago; hanging, it falls the other way. Between the two
         * it is the pole that pushes the cart, as hard as the motor. */
        lean -= (inputs->pole_speed >> 11) + (inputs->pole_speed >> 13);
        if (lean < 0)
            lean = -lean;
        if (lean > limits->pole_counts_per_turn / 4) {
            lean -= limits->pole_counts_per_turn / 2;
            fallen = -fallen;
        }
        if (!is_within(lean, limits->arming_angle_counts))
            return FAULT_NONE;
    }
    if (along(side, speed_before) <= 0)
        seen->against = at_least_0(seen->against - gained);
    if (is_too_much(seen->against, (int32_t)limits->travel_limit_counts * AGAINST_SHARE))
        return FAULT_POLARITY;
    /* Gravity has its say, too: not where the pole leans far, nor where the cart hardly gains. */
    if (gained >= (int32_t)(limits->brake_decel_counts_s2 >> GAIN_SHIFT) && is_within(lean, limits->arming_angle_counts))
        seen->along = at_least_0(seen->along + fallen);
    return is_too_much(seen->along, (int32_t)limits->pole_limit_counts * DRIVE_ALONG_SHARE) ? FAULT_POLE_SIGN : FAULT_NONE;
}

uint8_t plausibility_check(plausibility_t *seen, const safety_inputs_t *inputs, const cfg_message_t *limits, int16_t duty_q15,
                           bool is_swinging)
{
    const int8_t side = side_of(duty_q15, limits->moving_duty_q15);
    if (++seen->ms < PLAUSIBLE_MS) {
        if (side != seen->side)
            seen->side = 0;
        return FAULT_NONE;
    }
    const uint8_t fault = look(seen, inputs, limits, is_swinging);
    seen->ms = 0;
    for (uint8_t k = 1 + DRIVE_LATE_LOOKS; k > 0; k--) {
        seen->sides_before[k] = seen->sides_before[k - 1];
        seen->cart_speeds[k] = seen->cart_speeds[k - 1];
    }
    seen->sides_before[0] = seen->side;
    seen->side = side;
    seen->cart_speeds[0] = inputs->cart_speed;
    seen->pole_speed = inputs->pole_speed;
    return fault;
}
