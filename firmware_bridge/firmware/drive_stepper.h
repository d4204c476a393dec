/* A stepper behind a STEP/DIR driver: see drive.h. A duty is a share of the largest acceleration, and a duty of 0 keeps the speed.
 *
 * Every path out of driving is a ramp to rest at the largest acceleration, then a hold, then a disabled driver. The e-stop, the
 * driver's alarm and a timer that is not set up disable it at once. A disabled driver leaves the cart free, and its steps uncounted: the
 * zeros are lost with it. Where a DC drive checks heat, reversals, a stuck cart and its polarity, here are the driver's current limit,
 * the ramp's limits, and end switches that close where homing saw them.
 */
#ifndef DRIVE_STEPPER_H
#define DRIVE_STEPPER_H

#include "ramp.h"

#define DRIVE_KIND DRIVE_STEPPER
#define DRIVE_PULSE_TOP 0x1A33u /* TCCR1B: mode 15, clock / 8; TCCR1A: OC1B set at the compare and cleared at BOTTOM */
#define DRIVE_HAS_CART_ENCODER false
#define DRIVE_LATE_LOOKS 2 /* rotor and belt follow the pulses some 8 ms late, and with them the pole */
#define DRIVE_LOOK_THEN (DRIVE_LATE_LOOKS - 1)
#define DRIVE_ALONG_SHARE (2 * ALONG_SHARE) /* it is accelerated several times as hard, and a count of its pole is no finer */

typedef struct {
    stepper_message_t limits;
    bool has_limits;
    ramp_limits_t ramp_limits;
    ramp_t ramp;         /* its speed is in force from the next tick on */
    int16_t applied_q15; /* the acceleration that led to it */
    bool is_enabled;
    uint8_t enabled_ms;    /* ENABLE_MS at most */
    uint8_t unsupplied_ms; /* while it holds */
    uint16_t hold_ms;      /* at rest without a frame from the host, in a fault since it rests */
    uint8_t alarm_samples; /* in a row, that are not what the alarm is taken for */
    bool is_alarm;
    bool was_closed;       /* a switch, in the tick before */
    uint8_t open_ms;       /* since one was last closed, TOUCH_MS at most */
    int32_t touched_at;    /* where one was first closed after that */
    int32_t half_track;    /* from the middle to where either switch closes */
} drive_t;

/* CONFIG_IN_RANGE, or the first field of STEPPER out of range, counted from 0 at `flags`. */
uint8_t stepper_check(const stepper_message_t *limits);

/* Whether CFG's flags are for this drive: counts turn with the motor, and nothing brakes at a duty of 0. */
bool drive_takes_flags(uint8_t flags);

/* The CRC of the limits in force, were this CFG among them. */
uint16_t drive_crc(const safety_t *safety, const cfg_message_t *cfg);

/* Whether a new task may begin where the state allows it: once the cart rests. */
bool drive_may_begin(const safety_t *safety, bool is_allowed);

/* The fault that a closed switch is while armed: STEPS_LOST where it closes elsewhere than at homing. */
uint8_t drive_switch_fault(const safety_t *safety, const safety_inputs_t *inputs);

/* A fault comes, whatever the state. */
void drive_trip(safety_t *safety, uint8_t fault);

/* A sound frame came from the host. */
void drive_hear(safety_t *safety);

/* What of the drive's surroundings forbids to drive, else `fault`. */
static inline uint8_t drive_surroundings(const safety_inputs_t *inputs, uint8_t fault)
{
    return inputs->is_alarm ? (uint8_t)FAULT_DRIVER_ALARM : fault;
}

/* Homing begins, or has found the switches. */
void drive_prepare_homing(const safety_t *safety, homing_t *homing);
void drive_homed(safety_t *safety, const homing_t *homing);

/* What the board sees of the drive. */
void drive_read(safety_t *safety, safety_inputs_t *inputs, const board_inputs_t *board);

/* The duty in force, and a motor that turns the other way. */
int16_t drive_applied(const safety_t *safety, motor_t motor, bool is_reversed);

static inline motor_t drive_reversed(motor_t motor)
{
    motor.is_left = !motor.is_left;
    return motor;
}

/* How long a message of the drive's own is, and the answer to one: an ack_code. */
static inline uint8_t drive_message_bytes(uint8_t type)
{
    return type == MESSAGE_STEPPER ? (uint8_t)sizeof(stepper_message_t) : 0u;
}

uint8_t drive_take_message(safety_t *safety, const void *message, uint8_t *detail);

/* No heat is known: the driver limits the motor's current. */
static inline uint8_t drive_warmth(const safety_t *safety)
{
    (void)safety;
    return 0;
}

#endif
