/* What homing.c and the part of homing that differs from drive to drive (homing_dc.c, homing_stepper.c) call of each other.
 *
 * A push is what homing_tick() returns: a DC motor's duty, in 1/32767, or a stepper's speed, in steps a second.
 */
#ifndef HOMING_PARTS_H
#define HOMING_PARTS_H

#include "homing.h"

void homing_enter(homing_t *homing, uint8_t phase, const safety_inputs_t *inputs);

int16_t homing_fail(homing_t *homing, uint8_t fault);

/* Whether the cart is so far from where the leg began that the switch there must be open. */
bool homing_has_left_behind(const homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits);

/* The push of a leg toward `side`; the leg may fail. */
int16_t homing_leg(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits, int8_t side);

/* A push to `side` that keeps about `speed` counts a second. */
int16_t homing_creep(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits, int8_t side, uint32_t speed);

/* The size of a push that brings the cart back to its place, `far` / 256 of `most` counts away. */
int32_t homing_push(const cfg_message_t *limits, uint16_t far, int32_t most);

#ifdef FIRMWARE_STEPPER

#define HOMING_AFTER_RIGHT HOMING_RETURN

/* The push that makes a pole at rest swing. */
int16_t homing_kick(const cfg_message_t *limits);

/* Where the switch closed that is seen to be closed. */
int32_t homing_closed_at(const safety_inputs_t *inputs);

/* What a closed right switch means on the way to the left: FAULT_NONE as long as the cart may stand on it. */
uint8_t homing_wrong_switch(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits);

/* Off the left switch. */
int16_t homing_leave(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits);

/* The phases that this drive alone has. */
int16_t homing_go_on(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits);

#else

#define HOMING_AFTER_RIGHT HOMING_CENTRE

static inline int16_t homing_kick(const cfg_message_t *limits)
{
    return limits->homing_duty_q15;
}

static inline int32_t homing_closed_at(const safety_inputs_t *inputs)
{
    return inputs->cart_counts;
}

static inline uint8_t homing_wrong_switch(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    const bool is_wrong = inputs->is_right_closed && homing_has_left_behind(homing, inputs, limits);
    return is_wrong ? (uint8_t)FAULT_HOMING_SWITCH : (uint8_t)FAULT_NONE;
}

static inline int16_t homing_leave(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    return homing_leg(homing, inputs, limits, 1);
}

static inline int16_t homing_go_on(const homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    (void)homing, (void)inputs, (void)limits;
    return 0;
}

#endif

#endif
