/* The last code before the motor: it trusts neither host nor policy.
 *
 * It holds the state of the cart and alone decides whether the motor may turn. Every path out of driving ends with a motor at rest, as
 * the drive brings it there (drive.h), and in one fault that a person can look up.
 */
#ifndef SAFETY_H
#define SAFETY_H

#include <stdbool.h>
#include <stdint.h>

#include "drive.h"
#include "hal.h"
#include "inputs.h"
#include "plausibility.h"
#include "pole_zero.h"
#include "protocol.h"
#include "stillness.h"

/* How long something has stood still, and where. */
typedef struct {
    int32_t at_counts;
    uint8_t ms; /* ARM_STILL_MS at most */
} standing_t;

struct safety {
    uint8_t state; /* enum cart_state */
    uint8_t fault; /* enum fault */
    bool is_configured;
    bool is_homed;
    bool was_clipped;
    cfg_message_t limits;
    uint16_t limits_crc;
    uint16_t command_age_ms;   /* since the newest accepted command, or since arming */
    uint16_t command_valid_ms; /* how old it may become */
    uint32_t homing_ms;
    uint16_t quiet_ms; /* since a frame came from the host */
    standing_t cart_standing, pole_standing;
    standing_t cart_resting; /* still but for what a swinging pole does to it */
    stillness_t pole_still;
    bool is_swinging;     /* armed for a swing-up, and the pole has not been upright yet */
    uint16_t swing_ms;    /* since then */
    uint16_t upright_ms;  /* within the pole's limit, without a break */
    uint16_t half_period_ms; /* the pole's, as homing measured it */
    pole_zero_t pole_zero;
    int8_t went; /* to which side the cart's encoder counted last */
    drive_t drive;
    uint8_t illegal_cart, illegal_pole, illegal_ms;
    uint8_t supply_low_ms, supply_high_ms;
    uint8_t cut_ms;       /* for so long the supply has been off */
    bool is_relay_doubted; /* the e-stop was pressed, the supply was on, and it has not been off since */
    uint8_t missed_in_a_row;
    plausibility_t plausibility;
};

void safety_init(safety_t *safety);

/* The limits in force from now on; what differs from before takes both zeros with it. Returns an ack_code. */
uint8_t safety_configure(safety_t *safety, const cfg_message_t *cfg, uint8_t *detail);

/* Limits with that CRC are in force: if they differ from those before, the zeros are worthless. */
void safety_take_limits(safety_t *safety, uint16_t crc);

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

/* `want_q15`, no more than `most` either way; remembers whether it was more. */
int16_t safety_clamped(safety_t *safety, int16_t want_q15, int16_t most);

/* A sound frame came from the host. */
void safety_hear(safety_t *safety);

/* One safety tick. `want` is what app (a duty in 1/32767) or homing (in the drive's own unit) would like; the answer is what the motor
 * gets. */
motor_t safety_tick(safety_t *safety, const safety_inputs_t *inputs, int16_t want);

#endif
