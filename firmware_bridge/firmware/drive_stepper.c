#include "drive.h"

#include <stddef.h>

#include "config.h"
#include "counts.h"
#include "framing.h"
#include "homing.h"
#include "limits.h"
#include "safety.h"

#define FULL PROTOCOL_DUTY_ONE

/* ---- limits ---- */

uint8_t stepper_check(const stepper_message_t *limits)
{
    const uint8_t checks[] = {
        limits->flags <= (STEPPER_ENABLE_LOW | STEPPER_HAS_ALARM | STEPPER_ALARM_LOW),
        limits->speed_most >= 1 && limits->speed_most <= STEP_RATE_CEILING,
        limits->gain_q4 >= 1,
        limits->pulse_counts >= 1 && limits->pulse_counts <= PULSE_COUNTS_CEILING,
        limits->setup_us <= SETUP_CEILING_US,
        limits->round_trip_steps >= 1 && limits->round_trip_steps <= ROUND_TRIP_CEILING,
        false, /* ends the search */
    };
    uint8_t field = 0;
    while (checks[field])
        field++;
    return field == sizeof checks - 1 ? CONFIG_IN_RANGE : field;
}

bool drive_takes_flags(uint8_t flags)
{
    const bool is_motor_reversed = (flags & CFG_MOTOR_REVERSED) != 0, is_cart_reversed = (flags & CFG_CART_REVERSED) != 0;
    return (flags & ~(CFG_STEPPER - 1u)) == CFG_STEPPER && (flags & CFG_BRAKE_AT_ZERO) == 0 &&
           is_motor_reversed == is_cart_reversed;
}

uint16_t drive_crc(const safety_t *safety, const cfg_message_t *cfg)
{
    const uint16_t crc = config_crc(cfg);
    if (!safety->drive.has_limits)
        return crc;
    const size_t begin = offsetof(stepper_message_t, flags);
    const stepper_message_t *limits = &safety->drive.limits;
    const uint16_t both = framing_crc(crc, (const uint8_t *)limits + begin, sizeof *limits - begin);
    return both != 0 ? both : 1;
}

bool drive_configure(safety_t *safety, bool is_changed)
{
    if (is_changed) { /* STEPPER has to come again */
        safety->drive.has_limits = false;
        safety->limits_crc = drive_crc(safety, &safety->limits);
    }
    return safety->drive.has_limits;
}

uint8_t drive_take_message(safety_t *safety, const void *message, uint8_t *detail)
{
    drive_t *drive = &safety->drive;
    const stepper_message_t *limits = message;
    if (safety->limits_crc == 0)
        return ACK_NO_LIMITS;
    if (!drive_may_begin(safety, safety->state != CART_ARMED && safety->state != CART_HOMING))
        return ACK_NOT_NOW;
    *detail = stepper_check(limits);
    if (*detail != CONFIG_IN_RANGE)
        return ACK_OUT_OF_RANGE;
    drive->limits = *limits;
    drive->ramp_limits = (ramp_limits_t){limits->speed_most, limits->gain_q4};
    drive->has_limits = true;
    safety_take_limits(safety, drive_crc(safety, &safety->limits));
    safety->is_configured = true;
    return ACK_DONE;
}

/* ---- the driver ---- */

/* Disabled, from this tick on: the cart is free, and its motion is not counted. */
static void release(safety_t *safety)
{
    drive_t *drive = &safety->drive;
    drive->ramp.speed = 0;
    drive->applied_q15 = 0;
    drive->is_enabled = false;
    safety->is_homed = false;
    if (safety->state == CART_READY)
        safety->state = CART_DISARMED;
}

static motor_t motor_of(const drive_t *drive)
{
    return (motor_t){
        .rate = ramp_rate(&drive->ramp),
        .is_left = drive->ramp.speed < 0,
        .is_enabled = drive->is_enabled,
        .is_enable_low = (drive->limits.flags & STEPPER_ENABLE_LOW) != 0,
        .pulse_counts = drive->limits.pulse_counts,
    };
}

void drive_trip(safety_t *safety, uint8_t fault)
{
    if (fault == FAULT_ESTOP || fault == FAULT_DRIVER_ALARM || fault == FAULT_PULSE_PERIOD)
        release(safety);
    else if (fault == FAULT_STEPS_LOST || fault == FAULT_SUPPLY_LOW)
        safety->is_homed = false;
}

void drive_hear(safety_t *safety)
{
    if (safety->state != CART_FAULT)
        safety->drive.hold_ms = 0;
}

void drive_read(safety_t *safety, safety_inputs_t *inputs, const board_inputs_t *board)
{
    drive_t *drive = &safety->drive;
    const uint8_t flags = drive->limits.flags;
    const bool is_reported = board->is_alarm_high != ((flags & STEPPER_ALARM_LOW) != 0);
    const bool is_alarm = (flags & STEPPER_HAS_ALARM) != 0 && is_reported;
    if (is_alarm == drive->is_alarm) {
        drive->alarm_samples = 0;
    } else if (++drive->alarm_samples >= CONTACT_SAMPLES) {
        drive->alarm_samples = 0;
        drive->is_alarm = is_alarm;
    }
    inputs->is_alarm = drive->is_alarm;
    if (!board->is_left_closed && !board->is_right_closed) {
        if (drive->open_ms < TOUCH_MS)
            drive->open_ms++;
    } else {
        if (drive->open_ms >= TOUCH_MS)
            drive->touched_at = inputs->cart_counts;
        drive->open_ms = 0;
    }
    inputs->touched_at = drive->touched_at;
}

int16_t drive_applied(const safety_t *safety, motor_t motor, bool is_reversed)
{
    (void)motor, (void)is_reversed;
    return safety->drive.applied_q15;
}

/* ---- driving ---- */

bool drive_may_begin(const safety_t *safety, bool is_allowed)
{
    return is_allowed && safety->drive.ramp.speed == 0;
}

void drive_begin(safety_t *safety, const safety_inputs_t *inputs)
{
    drive_t *drive = &safety->drive;
    if (!drive->is_enabled)
        drive->enabled_ms = 0;
    drive->is_enabled = true;
    drive->was_closed = inputs->is_left_closed || inputs->is_right_closed;
}

void drive_end(safety_t *safety, uint8_t state)
{
    (void)state;
    safety->drive.hold_ms = 0;
    safety->drive.unsupplied_ms = 0;
}

/* The duty that leads to that speed, in 1/256 step a second, within `most_q15`: what a tick adds is gain_q4 * duty_q15 / 2^11. */
static int16_t toward(const drive_t *drive, int32_t speed, int16_t most_q15)
{
    const int32_t gap = speed - drive->ramp.speed;
    const uint32_t size = magnitude(gap), gain = drive->ramp_limits.gain_q4, most = (uint16_t)most_q15;
    int16_t duty_q15 = most_q15;
    if (size < gain * most >> 11)
        duty_q15 = (int16_t)((size << 11) / gain);
    return gap < 0 ? (int16_t)-duty_q15 : duty_q15;
}

int16_t drive_commanded(const safety_t *safety, int16_t duty_q15, bool is_there)
{
    return is_there ? duty_q15 : toward(&safety->drive, 0, FULL);
}

/* What homing would like is a speed, in steps a second. */
int16_t drive_homing_duty(safety_t *safety, const safety_inputs_t *inputs, int16_t want)
{
    const drive_t *drive = &safety->drive;
    const int32_t most = drive->ramp_limits.speed_most;
    int32_t speed = want < -most ? -most : want > most ? most : want;
    if ((inputs->is_left_closed && speed < 0) || (inputs->is_right_closed && speed > 0))
        speed = 0;
    return toward(drive, speed * RAMP_SPEED_PER_STEP, safety->limits.homing_duty_q15);
}

bool drive_is_past_stopping(const safety_t *safety, const safety_inputs_t *inputs, int16_t duty_q15)
{
    const uint32_t limit = safety->limits.travel_limit_counts;
    if (magnitude(inputs->cart_counts) >= limit)
        return true;
    ramp_t next = safety->drive.ramp;
    ramp_tick(&next, &safety->drive.ramp_limits, duty_q15);
    const int32_t along = next.speed < 0 ? -inputs->cart_counts : inputs->cart_counts;
    return next.speed != 0 && !ramp_can_stop(&next, &safety->drive.ramp_limits, limit - (uint32_t)along);
}

/* Whether the switch that is closed was touched elsewhere than at homing. */
static bool is_astray(const safety_t *safety, const safety_inputs_t *inputs)
{
    const drive_t *drive = &safety->drive;
    const int32_t speed = drive->ramp.speed / RAMP_SPEED_PER_STEP;
    const int32_t place = inputs->touched_at - speed / CONTACT_LATE;
    const int32_t off = inputs->is_left_closed ? place + drive->half_track : place - drive->half_track;
    return magnitude(off) > drive->limits.round_trip_steps + (magnitude(speed) >> 10); /* and a millisecond's way */
}

uint8_t drive_switch_fault(const safety_t *safety, const safety_inputs_t *inputs)
{
    return is_astray(safety, inputs) ? FAULT_STEPS_LOST : FAULT_END_SWITCH;
}

uint8_t drive_check(safety_t *safety, const safety_inputs_t *inputs, int16_t duty_q15)
{
    (void)duty_q15;
    if (inputs->is_alarm)
        return FAULT_DRIVER_ALARM;
    const bool is_closed = inputs->is_left_closed || inputs->is_right_closed;
    const bool closes = is_closed && !safety->drive.was_closed;
    safety->drive.was_closed = is_closed;
    return closes && safety->is_homed && is_astray(safety, inputs) ? FAULT_STEPS_LOST : FAULT_NONE;
}

void drive_prepare_homing(const safety_t *safety, homing_t *homing)
{
    homing->round_trip_steps = safety->drive.limits.round_trip_steps;
}

void drive_homed(safety_t *safety, const homing_t *homing)
{
    safety->drive.half_track = difference(homing->right, homing->left) / 2;
}

motor_t drive_push(safety_t *safety, int16_t duty_q15)
{
    drive_t *drive = &safety->drive;
    if (drive->enabled_ms < ENABLE_MS) { /* a driver takes its time to wake up, and ignores what comes before */
        drive->enabled_ms++;
        duty_q15 = 0;
    }
    ramp_tick(&drive->ramp, &drive->ramp_limits, duty_q15);
    drive->applied_q15 = duty_q15;
    return motor_of(drive);
}

/* ---- the way out: a ramp to rest, then a hold ---- */

/* What ends a hold, FAULT_NONE where nothing does. */
static uint8_t check_hold(safety_t *safety, const safety_inputs_t *inputs)
{
    drive_t *drive = &safety->drive;
    if (inputs->is_alarm)
        return FAULT_DRIVER_ALARM;
    if (!inputs->has_pulse_period)
        return FAULT_PULSE_PERIOD;
    if (inputs->supply_mv >= safety->limits.supply_min_mv) {
        drive->unsupplied_ms = 0;
        return FAULT_NONE;
    }
    return ++drive->unsupplied_ms >= SUPPLY_MS ? FAULT_SUPPLY_LOW : FAULT_NONE; /* once tripped it may wrap */
}

motor_t drive_rest(safety_t *safety, const safety_inputs_t *inputs)
{
    drive_t *drive = &safety->drive;
    if (!drive->is_enabled)
        return motor_of(drive);
    const uint8_t fault = check_hold(safety, inputs);
    if (fault != FAULT_NONE)
        safety_trip(safety, fault);
    if (drive->ramp.speed != 0) {
        drive->applied_q15 = drive->ramp.speed < 0 ? FULL : -FULL;
        (void)ramp_stop(&drive->ramp, &drive->ramp_limits);
        drive->hold_ms = 0;
        return motor_of(drive);
    }
    drive->applied_q15 = 0;
    if (++drive->hold_ms >= HOLD_MOST_MS)
        release(safety);
    return motor_of(drive);
}
