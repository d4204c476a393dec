#include "drive.h"

#include "counts.h"
#include "limits.h"
#include "safety.h"

/* duty^2 in 1/32768. */
static uint32_t heat_of(uint16_t size_q15)
{
    return (uint32_t)size_q15 * size_q15 * 2u >> 16;
}

bool drive_configure(safety_t *safety, bool is_changed)
{
    (void)is_changed;
    safety->drive.bearable_heat = heat_of((uint16_t)safety->limits.continuous_duty_q15);
    return true;
}

/* Heat stays. */
void drive_begin(safety_t *safety, const safety_inputs_t *inputs)
{
    drive_t *drive = &safety->drive;
    drive->cart_still = (stillness_t){inputs->cart_counts, 0};
    drive->pushed = 0;
    drive->reversals = drive->reversals_ms = 0;
    drive->last_side = 0;
}

void drive_end(safety_t *safety, uint8_t state)
{
    safety->drive.brake_ms = safety->is_swinging && state == CART_FAULT ? SWING_BRAKE_MS : BRAKE_MS;
}

/* The dead zone of that side is added beyond what was asked for, so that full drive stays full drive: no duty of 16 bits gets further. */
int16_t drive_commanded(const safety_t *safety, int16_t duty_q15, bool is_there)
{
    (void)is_there; /* without a command it is 0 */
    const cfg_message_t *limits = &safety->limits;
    const int16_t dead_zone_q15 = duty_q15 < 0 ? limits->dead_zone_left_q15 : limits->dead_zone_right_q15;
    if (dead_zone_q15 == 0 || duty_q15 == 0)
        return duty_q15;
    const int32_t size = duty_q15 < 0 ? -(int32_t)duty_q15 : duty_q15;
    const int32_t beyond = dead_zone_q15 + (size * (PROTOCOL_DUTY_ONE - dead_zone_q15)) / PROTOCOL_DUTY_ONE;
    return (int16_t)(duty_q15 < 0 ? -beyond : beyond);
}

int16_t drive_homing_duty(safety_t *safety, const safety_inputs_t *inputs, int16_t want_q15)
{
    const int16_t duty_q15 = safety_clamped(safety, want_q15, safety->limits.homing_duty_q15);
    if ((inputs->is_left_closed && duty_q15 < 0) || (inputs->is_right_closed && duty_q15 > 0))
        return 0;
    return duty_q15;
}

/* Whether the brake can no longer stop the cart before the travel limit: v^2 / 2a against what is left. */
bool drive_is_past_stopping(const safety_t *safety, const safety_inputs_t *inputs, int16_t duty_q15)
{
    (void)duty_q15;
    const uint32_t limit = safety->limits.travel_limit_counts;
    const uint32_t distance = magnitude(inputs->cart_counts);
    if (distance >= limit)
        return true;
    if ((inputs->cart_counts < 0) != (inputs->cart_speed < 0))
        return false; /* toward the middle: the whole track is ahead */
    const uint32_t speed = magnitude(inputs->cart_speed) >> 6; /* in 4 counts a second: the square fits 32 bits */
    if (speed > UINT16_MAX)
        return true;
    /* (4 s)^2 / 2a is s^2 / (a / 8); multiplied out, for a division takes the microcontroller 500 cycles */
    const uint32_t eighth_decel = safety->limits.brake_decel_counts_s2 >> 3;
    return speed * speed >= (uint64_t)(limit - distance) * eighth_decel;
}

/* The long mean of duty^2, in 1/32768. A shift by 16 costs the microcontroller nothing, one by 14 a loop; heat stays below 2^30. */
static uint32_t mean_heat(const safety_t *safety)
{
    return safety->drive.heat << (16 - HEAT_SHIFT) >> 16;
}

uint8_t drive_warmth(const safety_t *safety)
{
    return (uint8_t)(mean_heat(safety) >> 7); /* at most 32766 / 128 */
}

static bool is_stuck(safety_t *safety, const safety_inputs_t *inputs, int16_t duty_q15)
{
    drive_t *drive = &safety->drive;
    const uint16_t size = (uint16_t)magnitude(duty_q15), moving = (uint16_t)safety->limits.moving_duty_q15;
    uint8_t weight = STUCK_WEIGHT;
    if (size < moving)
        weight = 0;
    else if (safety->is_swinging && size / STUCK_WEAK < moving)
        weight = STUCK_WEIGHT / 2;
    if (drive->cart_still.driven == 0)
        drive->pole_from_counts = inputs->pole_counts;
    uint16_t most = STUCK_EITHER_WAY_MS * STUCK_WEIGHT;
    if (safety->is_swinging)
        most = STUCK_SWING_MS * STUCK_WEIGHT;
    else if (magnitude(difference(inputs->pole_counts, drive->pole_from_counts)) < STILL_COUNTS)
        most = STUCK_CALM_MS * STUCK_WEIGHT;
    const bool has_long_stood = stillness_has_lasted(&drive->cart_still, inputs->cart_counts, weight, most);
    if (drive->cart_still.driven == 0)
        drive->pushed = 0;
    else
        drive->pushed = (int16_t)(drive->pushed + (duty_q15 < 0 ? -weight : weight));
    return has_long_stood || magnitude(drive->pushed) >= STUCK_MS * STUCK_WEIGHT;
}

uint8_t drive_check(safety_t *safety, const safety_inputs_t *inputs, int16_t duty_q15)
{
    drive_t *drive = &safety->drive;
    const uint16_t size = (uint16_t)magnitude(duty_q15);
    drive->heat += heat_of(size) - mean_heat(safety);
    if (duty_q15 != 0) {
        const int8_t side = duty_q15 < 0 ? -1 : 1;
        drive->reversals = (uint16_t)(drive->reversals + (side == -drive->last_side));
        drive->last_side = side;
    }
    if (++drive->reversals_ms >= TICK_HZ) {
        const bool is_too_many = drive->reversals > safety->limits.reversals_per_s;
        drive->reversals = drive->reversals_ms = 0;
        if (is_too_many)
            return FAULT_REVERSALS;
    }
    if (mean_heat(safety) > drive->bearable_heat)
        return FAULT_MOTOR_HOT;
    return is_stuck(safety, inputs, duty_q15) ? FAULT_CART_STUCK : FAULT_NONE;
}

motor_t drive_push(safety_t *safety, int16_t duty_q15)
{
    return (motor_t){duty_q15, (safety->limits.flags & CFG_BRAKE_AT_ZERO) != 0};
}

motor_t drive_rest(safety_t *safety, const safety_inputs_t *inputs)
{
    (void)inputs;
    safety->drive.heat -= mean_heat(safety);
    if (safety->drive.brake_ms == 0)
        return (motor_t){0, false};
    safety->drive.brake_ms--;
    return (motor_t){0, true};
}
