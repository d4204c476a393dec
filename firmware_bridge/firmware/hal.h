/* What a board does for the firmware, and the whole of it: logic never touches a register, boards never decide.
 *
 * A board calls app_tick() a thousand times a second with what it reads, drives the motor as the answer says, then calls app_tell(). It
 * hands every received byte to app_receive() and sends what app_next_byte() gives. app_doubts_relay() it keeps for the next app_init().
 */
#ifndef HAL_H
#define HAL_H

#include <stdbool.h>
#include <stdint.h>

#ifdef FIRMWARE_STEPPER
#include "ramp.h"
#endif

/* All in one function, a tick would need more than 63 bytes for what does not fit its registers: beyond those each access takes the
 * microcontroller three instructions. */
#define NOT_INLINED __attribute__((noinline))

typedef struct {
    int32_t cart_counts; /* raw; wraps. A stepper's: the steps that the board has made until now, to the right less to the left */
    int32_t pole_counts;
    uint8_t cart_illegal; /* the decoders' running counters of illegal transitions; wrap */
    uint8_t pole_illegal;
    uint8_t cart_edges; /* and of the legal ones, either way */
    uint8_t pole_edges;
    bool is_left_closed; /* end switches */
    bool is_right_closed;
    bool is_estop_pressed;
#ifdef FIRMWARE_STEPPER
    bool is_alarm_high; /* the level of the driver's alarm output */
#endif
    uint16_t supply_mv;     /* if the rail that the converter measures against is 5 V */
    uint16_t bandgap_steps; /* the chip's reference in 1/4096 of that rail; 0: not measured yet */
    uint16_t pulse_top;     /* the last cycle of a pulse period, read back from the timer; a stepper's: TCCR1B and TCCR1A */
    uint8_t missed_ticks;   /* that should have come since the last one */
} board_inputs_t;

#ifdef FIRMWARE_STEPPER
/* A disabled driver leaves its motor free: ENABLE is then not driven at all, and its resistor keeps the driver off. A driver is enabled
 * and disabled at once; the rate and the direction are in force from the next tick's interrupt on, however long this tick computes. */
typedef struct {
    step_rate_t rate;
    bool is_left; /* forwards is right, whichever way that moves the cart: a step to the left counts down */
    bool is_enabled;
    bool is_enable_low; /* how the driver wants its pins: */
    uint8_t pulse_counts;
} motor_t;
#else
/* duty 0 and brake: the motor is shorted; duty 0 without: the bridge is open. */
typedef struct {
    int16_t duty_q15; /* positive turns the motor forwards, whichever way that moves the cart */
    bool brake;
} motor_t;
#endif

/* What a board knows of itself, for HEALTH. */
typedef struct {
    uint16_t receive_overruns;
    uint16_t longest_tick_us;
    uint16_t longest_interrupt_us;
    uint16_t stack_free;
    uint8_t fuse_low;
    uint8_t fuse_high;
    uint8_t fuse_extended;
    uint16_t bootloader;
    uint16_t chip;
} board_health_t;

#endif
