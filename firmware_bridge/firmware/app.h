/* The firmware without its registers: messages in and out, the control tick, homing, and safety last. */
#ifndef APP_H
#define APP_H

#include <stdbool.h>
#include <stdint.h>

#include "estimator.h"
#include "framing.h"
#include "hal.h"
#include "homing.h"
#include "onboard.h"
#include "protocol.h"
#include "rail.h"
#include "safety.h"

#define APP_SEND_BYTES 256 /* a power of two that a uint8_t indexes */

typedef struct {
    int16_t duty_q15;
    uint16_t valid_ms;
    bool is_there;
} command_t;

typedef struct {
    safety_t safety;
    homing_t homing;
    estimator_t cart_estimator, pole_estimator;
    frame_decoder_t decoder;
    safety_inputs_t inputs; /* of the last tick */
    int32_t cart_raw, pole_raw; /* signs corrected */
    int32_t cart_zero, pole_zero;
    uint8_t cart_illegal, pole_illegal, cart_edges, pole_edges; /* the decoders' counters at the last tick */
    uint8_t left_samples, right_samples; /* of the end switches, in a row, that are not what they are taken for */
    rail_t rail;
    uint16_t pulse_top;
    motor_t motor;
    int16_t applied_q15; /* in force until the last tick, its sign corrected */
    uint32_t time_us;
    uint32_t tick;
    uint8_t tick_ms; /* since the last control tick; 0: it was one */
    uint32_t last_command_tick;
    bool has_command; /* since arming */
    command_t active, pending;
    onboard_t onboard;
    uint8_t options; /* enum arm_option */
    trace_message_t trace; /* that fills up */
    bool is_commanded;     /* one was accepted since the last tick */
    bool was_armed;        /* at the last tick */
    uint16_t session;
    bool is_session_live;
    uint8_t silent_ms; /* since the last HELLO_ACK that nobody asked for */
    uint8_t reset_cause;
    uint8_t last_seq, last_of_type, last_code, last_detail;
    bool has_answered;
    uint8_t told_state, told_fault;
    uint16_t refused, missed_ticks, send_overruns, cart_illegal_sum, pole_illegal_sum, late_commands;
    bool is_health_asked, is_policy_asked; /* and not answered yet */
    board_health_t board;
    uint8_t send[APP_SEND_BYTES];
    uint8_t send_head, send_tail;
} app_t;

/* After a reset; `session` is another one each time. `is_relay_doubted` is what app_doubts_relay() was before, for a host that opens
 * the port resets the board. `image` is the policy that the firmware carries, NULL: none. */
void app_init(app_t *app, uint16_t session, uint8_t reset_cause, bool is_relay_doubted, const policy_image_t *image);

/* After each app_tick(), for a memory that outlasts resets. */
static inline bool app_doubts_relay(const app_t *app)
{
    return app->safety.is_relay_doubted;
}

/* One safety tick at `time_us`; the motor is to be driven as the answer says. */
motor_t app_tick(app_t *app, uint32_t time_us, const board_inputs_t *board);

/* What that tick has to say, EVENT and STATE, or what was asked for; once after each app_tick(), when the motor is driven. */
void app_tell(app_t *app);

/* Whether the policy in the image has something to compute, for the cart or in its self-test. */
static inline bool app_must_think(const app_t *app)
{
    return onboard_must_think(&app->onboard);
}

/* A slice of that, well under 0.1 ms long; again and again while app_must_think(), a due tick always first. True where a decision has
 * come of it, which app_decide() is to put in force, now. */
static inline bool app_think(app_t *app)
{
    return onboard_think(&app->onboard);
}

void app_decide(app_t *app, uint32_t now_us);

/* One received byte, at `time_us`. */
void app_receive(app_t *app, uint8_t byte, uint32_t time_us);

/* The next byte to send; false where there is none. */
bool app_next_byte(app_t *app, uint8_t *byte);

#endif
