/* What the checks look at. */
#ifndef INPUTS_H
#define INPUTS_H

#include <stdbool.h>
#include <stdint.h>

/* The cart at one safety tick: signs corrected, from the middle of the track and from upright once homed. */
typedef struct {
    int32_t cart_counts;
    int32_t pole_counts;
    int32_t cart_speed; /* 1/16 count per second */
    int32_t pole_speed; /* likewise, where plausibility_is_due() */
    int32_t cart_moved; /* counts since the last tick */
    int32_t pole_moved;
    uint8_t cart_illegal; /* new transitions that no encoder makes, by safety_illegal() */
    uint8_t pole_illegal;
    bool is_left_closed; /* for CONTACT_SAMPLES ticks */
    bool is_right_closed;
    bool is_estop_pressed;
    uint16_t supply_mv; /* whatever the rail is */
    uint16_t rail_mv;   /* 0: not measured yet */
    bool has_pulse_period;
    uint8_t missed_ticks;
#ifdef FIRMWARE_STEPPER
    int32_t touched_at; /* where an end switch was first closed, before it bounced */
    bool is_alarm;      /* of the driver, for CONTACT_SAMPLES ticks */
#endif
} safety_inputs_t;

#endif
