/* A DC motor on a bridge: see drive.h. Every path out of driving shorts the motor for BRAKE_MS, then opens the bridge. */
#ifndef DRIVE_DC_H
#define DRIVE_DC_H

#include "config.h"
#include "pulses.h"
#include "stillness.h"

#define DRIVE_KIND DRIVE_DC
#define DRIVE_PULSE_TOP (PULSE_PERIOD - 1u)
#define DRIVE_HAS_CART_ENCODER true
#define DRIVE_LATE_LOOKS 0 /* PLAUSIBLE_MS each, by which the cart is later than what counts it */
#define DRIVE_LOOK_THEN 0
#define DRIVE_ALONG_SHARE ALONG_SHARE

typedef struct {
    uint16_t brake_ms; /* left to brake */
    stillness_t cart_still;
    int32_t pole_from_counts; /* where the pole was before the first push in vain */
    int16_t pushed; /* by weight, to the right less to the left, while the cart stood */
    uint32_t heat, bearable_heat;
    uint16_t reversals, reversals_ms;
    int8_t last_side;
} drive_t;

/* How warm the motor is: 255 at full drive for ever. */
uint8_t drive_warmth(const safety_t *safety);

/* Whether CFG's flags are for this drive. */
static inline bool drive_takes_flags(uint8_t flags)
{
    return flags < CFG_STEPPER;
}

/* The CRC of the limits in force, were this CFG among them. */
static inline uint16_t drive_crc(const safety_t *safety, const cfg_message_t *cfg)
{
    (void)safety;
    return config_crc(cfg);
}

/* Whether a new task may begin where the state allows it: the brake does not forbid it. */
static inline bool drive_may_begin(const safety_t *safety, bool is_allowed)
{
    (void)safety;
    return is_allowed;
}

/* The fault that a closed switch is while armed. */
static inline uint8_t drive_switch_fault(const safety_t *safety, const safety_inputs_t *inputs)
{
    (void)safety, (void)inputs;
    return FAULT_END_SWITCH;
}

/* A fault comes, whatever the state. */
static inline void drive_trip(safety_t *safety, uint8_t fault)
{
    (void)safety, (void)fault;
}

/* A sound frame came from the host. */
static inline void drive_hear(safety_t *safety)
{
    (void)safety;
}

/* What of the drive's surroundings forbids to drive, else `fault`. */
static inline uint8_t drive_surroundings(const safety_inputs_t *inputs, uint8_t fault)
{
    (void)inputs;
    return fault;
}

/* Homing begins, or has found the switches. */
static inline void drive_prepare_homing(const safety_t *safety, homing_t *homing)
{
    (void)safety, (void)homing;
}

static inline void drive_homed(safety_t *safety, const homing_t *homing)
{
    (void)safety, (void)homing;
}

/* What the board sees of the drive. */
static inline void drive_read(safety_t *safety, safety_inputs_t *inputs, const board_inputs_t *board)
{
    (void)safety, (void)inputs, (void)board;
}

/* The duty in force, and a motor that turns the other way. */
static inline int16_t drive_applied(const safety_t *safety, motor_t motor, bool is_reversed)
{
    (void)safety;
    return is_reversed ? (int16_t)-motor.duty_q15 : motor.duty_q15;
}

static inline motor_t drive_reversed(motor_t motor)
{
    motor.duty_q15 = (int16_t)-motor.duty_q15;
    return motor;
}

/* How long a message of the drive's own is, and the answer to one: an ack_code. */
static inline uint8_t drive_message_bytes(uint8_t type)
{
    (void)type;
    return 0;
}

static inline uint8_t drive_take_message(safety_t *safety, const void *message, uint8_t *detail)
{
    (void)safety, (void)message, (void)detail;
    return ACK_UNKNOWN;
}

#endif
