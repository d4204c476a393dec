#include "host_parts.h"

#include <math.h>
#include <string.h>

#define REPEAT_MS 50
#define REPEATS 10
#define PRESENT_S 0.1 /* homing needs a frame every half second */

void host_go(host_t *host, const world_t *world, host_phase_t phase)
{
    host->phase = phase;
    host->phase_ms = world->time_ms;
    if (phase != HOST_ARMED && phase != HOST_RUNNING)
        host->requested_q15 = 0;
}

/* FNV-1a over the board's time, the direction and the byte. */
static void note(host_t *host, const world_t *world, uint8_t direction, uint8_t byte)
{
    const uint32_t ms = world->board.time_us / 1000;
    const uint8_t noted[] = {(uint8_t)(ms >> 16), (uint8_t)(ms >> 8), (uint8_t)ms, direction, byte};
    for (size_t k = 0; k < sizeof noted; k++)
        host->traffic = (host->traffic ^ noted[k]) * 0x100000001B3u;
}

/* ---- sending ---- */

/* Uniform in [0, 1): xorshift64*. */
static double drawn(host_t *host)
{
    host->random ^= host->random >> 12;
    host->random ^= host->random << 25;
    host->random ^= host->random >> 27;
    return (double)((host->random * 2685821657736338717u) >> 11) * 0x1p-53;
}

static void write_bytes(host_t *host, world_t *world, const uint8_t *bytes, size_t length, bool may_be_lost)
{
    const host_params_t *params = &host->params;
    if (may_be_lost && params->lost_share > 0.0 && drawn(host) < params->lost_share)
        return;
    double late_ms = params->late_ms + host->added_late_ms;
    if (params->jitter_ms > 0.0)
        late_ms += params->jitter_ms * drawn(host);
    line_send(&host->to_cart, bytes, length, world->time_ms, (uint32_t)ceil(late_ms - 1e-6));
}

void host_write(host_t *host, world_t *world, const void *message, size_t length, bool may_be_lost)
{
    uint8_t frame[FRAMING_MAX_FRAME];
    host->written_ms = world->time_ms;
    write_bytes(host, world, frame, framing_encode(message, length, frame), may_be_lost);
}

void host_say_hello(host_t *host, world_t *world)
{
    host->nonce++;
    host->asked_ms = world->time_ms;
    const hello_message_t hello = {MESSAGE_HELLO, host->nonce, PROTOCOL_HASH};
    host_write(host, world, &hello, sizeof hello, false);
}

/* The request that the phase waits for, with the number it was given. */
static void ask(host_t *host, world_t *world)
{
    host->asked_ms = world->time_ms;
    if (host->phase == HOST_CONFIGURE) {
        cfg_message_t limits = host->params.limits;
        limits.session = host->session;
        limits.seq = host->seq;
        host_write(host, world, &limits, sizeof limits, false);
    } else if (host->phase == HOST_CONFIGURE_STEPPER) {
        stepper_message_t limits = host->params.stepper_limits;
        limits.session = host->session;
        limits.seq = host->seq;
        host_write(host, world, &limits, sizeof limits, false);
    } else {
        const mode_message_t mode = {MESSAGE_MODE, host->session, host->seq, host->mode, host->options};
        host_write(host, world, &mode, sizeof mode, false);
    }
}

void host_request(host_t *host, world_t *world, host_phase_t phase, uint8_t mode, uint8_t options)
{
    host_go(host, world, phase);
    host->mode = mode;
    host->options = options;
    host->seq++;
    host->attempts = 1;
    host->has_ack = false;
    ask(host, world);
}

void host_post(host_t *host, world_t *world, uint8_t mode)
{
    if (host->phase == HOST_OFF)
        return;
    host->seq++;
    const mode_message_t message = {MESSAGE_MODE, host->session, host->seq, mode, 0};
    host_write(host, world, &message, sizeof message, false);
    host->goal = GOAL_NONE;
    if (host->has_session && host->phase >= HOST_IDLE) /* else it has no limits yet */
        host_go(host, world, HOST_IDLE);
}

/* ---- what the operator wants ---- */

void host_begin(host_t *host, const host_params_t *params)
{
    *host = (host_t){.params = *params, .random = 0x9E3779B97F4A7C15u, .traffic = 0xCBF29CE484222325u};
    frame_decoder_reset(&host->decoder);
}

void host_open_session(host_t *host, world_t *world)
{
    static const uint8_t end = 0; /* of whatever half a frame the line holds */
    host->has_session = false;
    host->has_state = host->has_hello = host->is_session_lost = false;
    host_go(host, world, HOST_HELLO);
    write_bytes(host, world, &end, 1, false);
    host_say_hello(host, world);
}

void host_start(host_t *host, world_t *world)
{
    host->goal = GOAL_NONE;
    host->trouble = TROUBLE_NONE;
    host->nonce = 0;
    host->seq = 0;
    frame_decoder_reset(&host->decoder);
    host_open_session(host, world);
}

void host_kill(host_t *host)
{
    host->phase = HOST_OFF;
    host->goal = GOAL_NONE;
    host->has_session = host->has_state = false;
    host->requested_q15 = 0;
}

void host_want(host_t *host, world_t *world, host_goal_t goal)
{
    if (host->phase == HOST_OFF)
        host_start(host, world);
    host->goal = goal;
    host->trouble = TROUBLE_NONE;
    if (host->has_session && host->phase >= HOST_IDLE)
        host_request(host, world, HOST_DISARM, MODE_DISARM, 0);
}

void host_give_up(host_t *host, world_t *world, host_trouble_t trouble)
{
    host->trouble = trouble;
    host->trouble_mode = host->mode;
    host->trouble_code = host->ack.code;
    host->trouble_detail = trouble == TROUBLE_FAULT ? host->state.fault : host->ack.detail;
    host->goal = GOAL_NONE;
    hand_let_go(world);
    host_go(host, world, HOST_IDLE);
}

/* ---- hearing ---- */

static void take_message(host_t *host, world_t *world, const uint8_t *bytes, uint8_t length)
{
    if (bytes[0] == MESSAGE_HELLO_ACK && length == sizeof host->hello) {
        memcpy(&host->hello, bytes, sizeof host->hello);
        host->has_hello = true;
        if (host->has_session && host->hello.session != host->session)
            host->is_session_lost = true;
    } else if (bytes[0] == MESSAGE_ACK && length == sizeof host->ack) {
        ack_message_t ack;
        memcpy(&ack, bytes, sizeof ack);
        if (ack.seq == host->seq) {
            host->ack = ack;
            host->has_ack = true;
        }
    } else if (bytes[0] == MESSAGE_STATE && length == sizeof host->state) {
        state_message_t state;
        memcpy(&state, bytes, sizeof state);
        if (!host->has_session)
            return;
        if (state.session != host->session) {
            host->is_session_lost = true;
            return;
        }
        host->state = state;
        host->has_state = true;
        /* In seconds, whose rounding decides in Python whether 100 ms are enough. */
        if (state.state == CART_HOMING && world->time_ms * 0.001 - host->written_ms * 0.001 >= PRESENT_S) {
            const ping_message_t ping = {MESSAGE_PING, 0}; /* an answer shows that a board is present */
            host_write(host, world, &ping, sizeof ping, false);
        }
    }
}

/* The next STATE that the phase has not seen yet. */
bool host_next_state(host_t *host)
{
    const bool has_state = host->has_state;
    host->has_state = false;
    return has_state;
}

/* Whether the request that the phase waits for is acknowledged; it is repeated, and at last given up. */
bool host_is_acknowledged(host_t *host, world_t *world)
{
    if (host->has_ack) {
        host->has_ack = false;
        return true;
    }
    if (world->time_ms - host->asked_ms < REPEAT_MS)
        return false;
    if (host->attempts++ >= REPEATS)
        host_give_up(host, world, TROUBLE_NO_ANSWER);
    else
        ask(host, world);
    return false;
}

void host_deliver(host_t *host, world_t *world)
{
    uint8_t byte;
    while (line_receive(&host->to_cart, world->time_ms, &byte)) {
        note(host, world, 0, byte);
        board_feed(&world->board, &byte, 1);
    }
}

static void hear_once(host_t *host, world_t *world, controllers_t *controllers)
{
    uint8_t bytes[APP_SEND_BYTES], byte;
    const size_t length = board_take(&world->board, bytes, sizeof bytes);
    for (size_t k = 0; k < length; k++)
        note(host, world, 1, bytes[k]);
    line_send(&host->to_host, bytes, length, world->time_ms, 0);
    while (line_receive(&host->to_host, world->time_ms, &byte)) {
        if (host->phase == HOST_OFF)
            continue;
        const uint8_t message = frame_decoder_push(&host->decoder, byte);
        if (message != 0)
            take_message(host, world, host->decoder.message, message);
    }
    if (host->is_session_lost) {
        host_give_up(host, world, TROUBLE_RESTARTED);
        host_open_session(host, world);
    }
    host_continue(host, world, controllers);
    host_deliver(host, world);
}

void host_hear(host_t *host, world_t *world, controllers_t *controllers)
{
    do
        hear_once(host, world, controllers);
    while (board_has_sent(&world->board)); /* over a line without delay a question is answered at once */
}
