/* The last code before the motor: it trusts neither host nor policy.
 *
 * It holds the state of the cart and alone decides whether the motor may turn. Every path out of driving ends with the bridge
 * shorted for BRAKE_MS, then open, and in one fault that a person can look up.
 */
#ifndef SAFETY_H
#define SAFETY_H

#include <stdbool.h>
#include <stdint.h>

#include "hal.h"
#include "inputs.h"
#include "plausibility.h"
#include "pole_zero.h"
#include "protocol.h"

/* How long something has stood still, and where. */
typedef struct {
    int32_t at_counts;
    uint8_t ms; /* ARM_STILL_MS at most */
} standing_t;

/* Moves that must show: how far something came from where it was last seen to move. */
typedef struct {
    int32_t from_counts;
    uint32_t driven; /* by how much it should have shown meanwhile */
} stillness_t;

typedef struct {
    uint8_t state; /* enum cart_state */
    uint8_t fault; /* enum fault */
    bool is_configured;
    bool is_homed;
    bool was_clipped;
    cfg_message_t limits;
    uint16_t limits_crc;
    uint16_t command_age_ms;   /* since the newest accepted command, or since arming */
    uint16_t command_valid_ms; /* how old it may become */
    uint16_t brake_ms;         /* left to brake */
    uint32_t homing_ms;
    uint16_t quiet_ms; /* since a frame came from the host */
    standing_t cart_standing, pole_standing;
    standing_t cart_resting; /* still but for what a swinging pole does to it */
    stillness_t cart_still, pole_still;
    bool is_swinging;     /* armed for a swing-up, and the pole has not been upright yet */
    uint16_t swing_ms;    /* since then */
    uint16_t upright_ms;  /* within the pole's limit, without a break */
    uint16_t half_period_ms; /* the pole's, as homing measured it */
    pole_zero_t pole_zero;
    int8_t went; /* to which side the cart's encoder counted last */
    int32_t pole_from_counts; /* where the pole was before the first push in vain */
    int16_t pushed; /* by weight, to the right less to the left, while the cart stood */
    uint8_t illegal_cart, illegal_pole, illegal_ms;
    uint8_t supply_low_ms, supply_high_ms;
    uint8_t cut_ms;       /* for so long the supply has been off */
    bool is_relay_doubted; /* the e-stop was pressed, the supply was on, and it has not been off since */
    uint8_t missed_in_a_row;
    uint32_t heat, bearable_heat;
    uint16_t reversals, reversals_ms;
    int8_t last_side;
    plausibility_t plausibility;
} safety_t;

void safety_init(safety_t *safety);

/* The limits in force from now on; what differs from before takes both zeros with it. Returns an ack_code. */
uint8_t safety_configure(safety_t *safety, const cfg_message_t *cfg, uint8_t *detail);

/* Each returns an ack_code; asking again for what is so already is ACK_DONE. */
uint8_t safety_arm(safety_t *safety, const safety_inputs_t *inputs, bool is_swing_up, uint8_t *detail);
uint8_t safety_begin_homing(safety_t *safety, const safety_inputs_t *inputs, uint8_t *detail);
uint8_t safety_begin_centring(safety_t *safety, const safety_inputs_t *inputs, uint8_t *detail);
uint8_t safety_begin_jogging(safety_t *safety, const safety_inputs_t *inputs, uint8_t *detail);
uint8_t safety_clear(safety_t *safety, const safety_inputs_t *inputs, uint8_t *detail);
void safety_disarm(safety_t *safety);

/* Both zeros are known now, and in what half period the pole swings about hanging; or the middle of the track is reached. */
void safety_homed(safety_t *safety, uint16_t half_period_ms);

/* Whether cart and pole have stood still long enough to arm. */
bool safety_is_still(const safety_t *safety);

/* Latches the first fault; the motor is off from the next safety_tick() on. */
void safety_trip(safety_t *safety, uint8_t fault);

/* A command was accepted: it may drive for valid_ms, or for the configured time where that is shorter. */
void safety_feed(safety_t *safety, uint16_t valid_ms);

/* New transitions that no encoder makes: the `illegal` ones, and of `edges` legal ones those that led nowhere and turned back more
 * often than anything that moves does within a tick. A spike on one channel is an edge there and back; one that an edge of the other
 * channel falls into is a count lost. */
uint8_t safety_illegal(uint8_t illegal, uint8_t edges, int32_t moved, uint8_t missed_ticks);

/* How warm the motor is: 255 at full drive for ever. */
uint8_t safety_warmth(const safety_t *safety);

/* A sound frame came from the host. */
void safety_hear(safety_t *safety);

/* One safety tick. `want_q15` is what app or homing would like; the answer is what the motor gets. */
motor_t safety_tick(safety_t *safety, const safety_inputs_t *inputs, int16_t want_q15);

#endif
