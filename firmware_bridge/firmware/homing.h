/* Finding both zeros: the middle of the track by its end switches, upright by the pole hanging still.
 *
 * The pole must first hang still; there is pi. A pole that swings or rotates is braked: a cart that stands off its place by a
 * share of the pole's speed takes energy from it at every angle, and needs not know which way is up. The cart then creeps to the left switch, to the right one and to the middle. On the way
 * the pole must swing as a hanging pole does: first toward the side that the push commands, about the place where it hung, in
 * its natural period. A pole stuck upright, a wrong sign and a cut wire fail that, and the motor stays off. A stepper's homing begins
 * again where the pole falls on the way.
 */
#ifndef HOMING_H
#define HOMING_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"
#include "safety.h"

enum homing_phase {
    HOMING_STILL,    /* brake the pole until it hangs still */
    HOMING_LEAVE,    /* off the left switch, where the cart stands on it */
    HOMING_LEFT,
    HOMING_RIGHT,
    HOMING_RETURN,   /* a stepper's: to the left switch again, where the count must be what it was */
    HOMING_CENTRE,
    HOMING_SWING,    /* watch the pole swing */
    HOMING_JOG,      /* creep where a person wants it */
    HOMING_DONE,
    HOMING_FAILED
};

typedef struct homing {
    uint8_t phase; /* enum homing_phase */
    uint8_t fault; /* why it failed */
    bool is_centring_only;
    bool is_braked; /* the cart has moved to brake the pole */
    bool was_closed; /* a switch, in the tick before */
    bool is_any_period; /* the pole may have another one than CFG's */
    int8_t jog_side;
    uint16_t phase_ms;
    int16_t drive_q15; /* size of the push that keeps the speed; a stepper's: the speed */
    int32_t from_cart; /* where the leg began, or its place while it brakes the pole */
    int32_t left, right; /* where the switches closed */
#ifdef FIRMWARE_STEPPER
    uint16_t round_trip_steps; /* how far off the left one may close at the end of the round */
#endif
    int32_t still_from;
    uint16_t still_ms;
    int16_t strayed; /* of the pole for so long */
    uint16_t swing_ms;
    int16_t at, lowest, highest; /* of the pole for so long: where it is, and has been */
    int32_t rest_pole; /* where it hung */
    uint8_t clearance; /* beyond so many counts from there it is on a side */
    int32_t lag;        /* of the pole's mean behind it: how fast it is */
    int32_t peak_lag;   /* the largest lately */
    int32_t slow_lag;   /* of a pole that swings by 30 degrees */
    int8_t first_swing, first_push; /* the side of the pole's first clear swing, and of the push that made it */
    int8_t side;    /* of rest_pole the pole was last seen on */
    uint8_t crossings;
    uint8_t kicks;
    uint16_t crossing_ms; /* since the last crossing */
    uint16_t half_periods_ms;
    uint16_t half_period_ms; /* as measured, 0: not yet */
} homing_t;

/* `options` are of enum home_option. */
void homing_begin(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits, uint8_t options);

/* The middle of the track, which homing has found. */
void homing_begin_centring(homing_t *homing, const safety_inputs_t *inputs);

/* Creeps to `side` for JOG_MS; again while it does, and it goes on for as long. */
void homing_jog(homing_t *homing, const safety_inputs_t *inputs, int8_t side);

/* One safety tick; returns the duty it would like, for a stepper the speed in steps a second. Ends in HOMING_DONE or HOMING_FAILED. */
int16_t homing_tick(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits);

/* The middle of the track and upright in the counts that homing saw. */
int32_t homing_centre(const homing_t *homing);
int32_t homing_upright(const homing_t *homing, const cfg_message_t *limits);

#endif
