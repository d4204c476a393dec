/* What Python needs besides safety.h and framing.h to drive the core: sizes, a look at its state, many ticks in one call. */
#include <stddef.h>

#include "framing.h"
#include "safety.h"

size_t shim_size_of_safety(void);
size_t shim_size_of_inputs(void);
size_t shim_size_of_decoder(void);
uint16_t shim_errors(const frame_decoder_t *decoder);
void shim_look(const safety_t *safety, int32_t *seen);
bool shim_is_pole_speed_due(const safety_t *safety);
uint32_t shim_run(safety_t *safety, const safety_inputs_t *inputs, int16_t want_q15, uint16_t valid_ms, uint32_t ticks,
                  int32_t sway, motor_t *motor);

size_t shim_size_of_safety(void)
{
    return sizeof(safety_t);
}

size_t shim_size_of_inputs(void)
{
    return sizeof(safety_inputs_t);
}

size_t shim_size_of_decoder(void)
{
    return sizeof(frame_decoder_t);
}

uint16_t shim_errors(const frame_decoder_t *decoder)
{
    return decoder->errors;
}

/* What app.c reads of it. */
void shim_look(const safety_t *safety, int32_t *seen)
{
    seen[0] = safety->state;
    seen[1] = safety->fault;
    seen[2] = safety->is_homed;
    seen[3] = safety->was_clipped;
    seen[4] = safety_is_still(safety);
    seen[5] = safety->limits_crc;
    seen[6] = safety->is_configured;
    seen[7] = safety->command_age_ms;
    seen[8] = safety->is_swinging;
}

/* What app.c asks before a tick. */
bool shim_is_pole_speed_due(const safety_t *safety)
{
    return plausibility_is_due(&safety->plausibility);
}

/* So many ticks, each after a frame, a command valid for `valid_ms` where that is not 0, until the state changes; how many it were.
 * The cart sways by `sway` counts from tick to tick. */
uint32_t shim_run(safety_t *safety, const safety_inputs_t *inputs, int16_t want_q15, uint16_t valid_ms, uint32_t ticks,
                  int32_t sway, motor_t *motor)
{
    const uint8_t before = safety->state;
    safety_inputs_t swayed = *inputs;
    for (uint32_t done = 1; done <= ticks; done++) {
        safety_hear(safety);
        if (valid_ms != 0)
            safety_feed(safety, valid_ms);
        swayed.cart_counts = done % 2 ? inputs->cart_counts + sway : inputs->cart_counts;
        *motor = safety_tick(safety, &swayed, want_q15);
        if (safety->state != before)
            return done;
    }
    return ticks;
}

#ifdef FIRMWARE_STEPPER

#include "homing.h"

void shim_look_at_stepper(const safety_t *safety, int32_t *seen);
void shim_read(safety_t *safety, safety_inputs_t *inputs, bool is_alarm_high, bool is_left, bool is_right);
void shim_find_switches(safety_t *safety, int32_t left, int32_t right);
void shim_idle(safety_t *safety, const safety_inputs_t *inputs, uint32_t ticks, bool is_heard, motor_t *motor);
uint16_t shim_round_trip(const safety_t *safety);
size_t shim_size_of_homing(void);
void shim_look_at_homing(const homing_t *homing, int32_t *seen);

size_t shim_size_of_homing(void)
{
    return sizeof(homing_t);
}

void shim_look_at_homing(const homing_t *homing, int32_t *seen)
{
    seen[0] = homing->phase;
    seen[1] = homing->phase == HOMING_FAILED ? homing->fault : FAULT_NONE;
    seen[2] = homing->left;
    seen[3] = homing->right;
}

void shim_look_at_stepper(const safety_t *safety, int32_t *seen)
{
    seen[0] = safety->drive.ramp.speed;
    seen[1] = drive_applied(safety, (motor_t){0}, true);
    seen[2] = safety->drive.is_enabled;
}

void shim_read(safety_t *safety, safety_inputs_t *inputs, bool is_alarm_high, bool is_left, bool is_right)
{
    const board_inputs_t board = {.is_alarm_high = is_alarm_high, .is_left_closed = is_left, .is_right_closed = is_right};
    drive_read(safety, inputs, &board);
}

/* Homing has found them in those counts, and the middle becomes 0. */
void shim_find_switches(safety_t *safety, int32_t left, int32_t right)
{
    const homing_t homing = {.left = left, .right = right};
    drive_homed(safety, &homing);
}

/* Ticks of a cart at rest, each after a frame if `is_heard`. */
void shim_idle(safety_t *safety, const safety_inputs_t *inputs, uint32_t ticks, bool is_heard, motor_t *motor)
{
    while (ticks-- > 0) {
        if (is_heard)
            safety_hear(safety);
        *motor = safety_tick(safety, inputs, 0);
    }
}

uint16_t shim_round_trip(const safety_t *safety)
{
    homing_t homing = {0};
    drive_prepare_homing(safety, &homing);
    return homing.round_trip_steps;
}

#endif
