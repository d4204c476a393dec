#include "homing_parts.h"

#include "counts.h"
#include "limits.h"

#ifdef __AVR__
#pragma GCC optimize("Os") /* as homing.c */
#endif

#define PLACE_SHIFT 6      /* 2^6 times its distance a second is the speed to a place; looking 1/16 s ahead makes a fifth of it */
#define WRONG_WAY_SHARE 32 /* of the travel limit: so far along a leg a switch that closes is another one */

#define FASTER 4UL         /* than it creeps: the cart where it brakes the pole and kicks it */

_Static_assert(sizeof(FASTER * (uint16_t)1) >= sizeof(uint32_t), "above 16,384 steps a second 16 bits would wrap");

static int16_t as_speed(uint32_t speed)
{
    return (int16_t)(speed < INT16_MAX ? speed : INT16_MAX);
}

int16_t homing_creep(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits, int8_t side, uint32_t speed)
{
    (void)homing, (void)inputs, (void)limits;
    return (int16_t)(side < 0 ? -as_speed(speed) : as_speed(speed));
}

/* Against a pole that rotates: a motor pulls out the sooner the faster it turns. */
int16_t homing_kick(const cfg_message_t *limits)
{
    return as_speed(FASTER * limits->homing_speed_counts_s);
}

int32_t homing_push(const cfg_message_t *limits, uint16_t far, int32_t most)
{
    const int32_t speed = as_speed(far * (((uint32_t)most >> (8 - PLACE_SHIFT)) + 1u));
    return speed < homing_kick(limits) ? speed : homing_kick(limits);
}

int32_t homing_closed_at(const safety_inputs_t *inputs)
{
    return difference(inputs->touched_at, inputs->cart_speed / (CONTACT_LATE * PROTOCOL_SPEED_PER_COUNT));
}

/* One that closes on the way has been run into: the direction is wrong. One that stays closed is stuck, or the cart is. */
uint8_t homing_wrong_switch(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    if (!inputs->is_right_closed) {
        homing->was_closed = false;
        return FAULT_NONE;
    }
    if (homing->was_closed)
        return homing_has_left_behind(homing, inputs, limits) ? FAULT_HOMING_SWITCH : FAULT_NONE;
    const uint32_t gone = magnitude(difference(inputs->cart_counts, homing->from_cart));
    return gone > limits->travel_limit_counts / WRONG_WAY_SHARE ? FAULT_POLARITY : FAULT_NONE;
}

/* A left switch that stays closed is stuck, or the cart is, or it goes the wrong way. */
int16_t homing_leave(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    if (homing_has_left_behind(homing, inputs, limits))
        return homing_fail(homing, FAULT_HOMING_SWITCH);
    return homing_leg(homing, inputs, limits, 1);
}

/* To the left switch again: it must close where it did. */
static int16_t go_back(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    if (inputs->is_right_closed && homing_has_left_behind(homing, inputs, limits))
        return homing_fail(homing, FAULT_HOMING_SWITCH);
    const int32_t most = homing->round_trip_steps;
    if (!inputs->is_left_closed) {
        const int32_t bouncing = (int32_t)(magnitude(inputs->cart_speed) >> 10); /* for a 64th of a second at most */
        if (difference(homing->left, inputs->cart_counts) > most + bouncing)
            return homing_fail(homing, FAULT_STEPS_LOST);
        return homing_leg(homing, inputs, limits, -1);
    }
    if (magnitude(difference(homing_closed_at(inputs), homing->left)) > (uint32_t)most)
        return homing_fail(homing, FAULT_STEPS_LOST);
    homing_enter(homing, HOMING_CENTRE, inputs);
    return 0;
}

int16_t homing_go_on(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    return homing->phase == HOMING_RETURN ? go_back(homing, inputs, limits) : 0;
}
