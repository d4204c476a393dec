/* The policy in the image at work: its self-test from boot on, then from each control tick an observation, the network slice by
 * slice between the safety ticks, and a duty. It drives nothing by itself: app.c takes the duty as it takes a host's command.
 */
#ifndef ONBOARD_H
#define ONBOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy_image.h"
#include "protocol.h"

#ifdef FIRMWARE_WITHOUT_POLICY

typedef struct {
    uint8_t nothing;
} onboard_t;

static inline void onboard_init(onboard_t *onboard, const policy_image_t *image)
{
    (void)onboard, (void)image;
}

static inline bool onboard_is_there(const onboard_t *onboard)
{
    (void)onboard;
    return false;
}

static inline void onboard_begin(onboard_t *onboard, uint32_t time_us, const policy_counts_t *counts)
{
    (void)onboard, (void)time_us, (void)counts;
}

static inline void onboard_stop(onboard_t *onboard)
{
    (void)onboard;
}

static inline bool onboard_is_deciding(const onboard_t *onboard)
{
    (void)onboard;
    return false;
}

static inline bool onboard_must_think(const onboard_t *onboard)
{
    (void)onboard;
    return false;
}

static inline bool onboard_think(onboard_t *onboard)
{
    (void)onboard;
    return false;
}

static inline int16_t onboard_decide(onboard_t *onboard, uint32_t now_us)
{
    (void)onboard, (void)now_us;
    return 0;
}

static inline uint8_t onboard_arm(const onboard_t *onboard, uint8_t options, uint8_t period_ms, uint8_t *detail)
{
    (void)onboard, (void)period_ms, (void)detail;
    return options & OPTION_ON_BOARD ? ACK_NO_POLICY : ACK_DONE;
}

static inline void onboard_tell(const onboard_t *onboard, policy_message_t *message)
{
    (void)onboard, (void)message;
}

#else

typedef struct {
    const policy_image_t *image; /* NULL: none */
    uint8_t self_test;           /* enum self_test */
    uint8_t work;                /* what the next slice does */
    uint8_t example;
    uint16_t at; /* the byte or the hidden unit to go on with */
    uint16_t crc;
    uint16_t hidden, bytes; /* the head's */
    uint8_t inputs, outputs;
    bool is_new;         /* nothing was observed yet in this episode */
    int16_t duty_input;  /* the last decision, as the network sees it */
    uint16_t longest_us;
    uint32_t tick_us;
    policy_counts_t counts;
    policy_sums_t sums;
} onboard_t;

/* After a reset; the self-test begins. */
void onboard_init(onboard_t *onboard, const policy_image_t *image);

/* Whether there is a policy at all. */
static inline bool onboard_is_there(const onboard_t *onboard)
{
    return onboard->image != NULL;
}

/* A control tick, at `time_us`: decide on what STATE tells. What was begun before is dropped. */
void onboard_begin(onboard_t *onboard, uint32_t time_us, const policy_counts_t *counts);

/* Drop what was begun, and forget the steps before: an episode is over. */
void onboard_stop(onboard_t *onboard);

/* Whether onboard_begin() has not led to a duty yet. */
bool onboard_is_deciding(const onboard_t *onboard);

/* Whether there is a slice to do, for the cart or of the self-test. */
static inline bool onboard_must_think(const onboard_t *onboard)
{
    return onboard->work != 0;
}

/* One slice, well under 0.1 ms of the microcontroller; true where the network is through, for the cart: onboard_decide(). */
bool onboard_think(onboard_t *onboard);

/* The duty in 1/32767, once onboard_think() was true, at `now_us`. */
int16_t onboard_decide(onboard_t *onboard, uint32_t now_us);

/* Whether a cart may be armed so, at this control period: an ack_code. Nothing arms before the self-test has passed. */
uint8_t onboard_arm(const onboard_t *onboard, uint8_t options, uint8_t period_ms, uint8_t *detail);

/* All of POLICY but its type. */
void onboard_tell(const onboard_t *onboard, policy_message_t *message);

#endif

#endif
