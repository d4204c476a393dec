#include "host.h"

#include <math.h>
#include <string.h>

#include "../../../firmware_bridge/firmware/limits.h"

#define HELLO_EVERY_MS 250
#define REPEAT_MS 50
#define REPEATS 10
#define PRESENT_S 0.1 /* homing needs a frame every half second */
#define RAISE_MS 60000
#define HOMING_MS (HOMING_MOST_MS + 20000)

static void go(host_t *host, const world_t *world, host_phase_t phase)
{
    host->phase = phase;
    host->phase_ms = world->time_ms;
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

static void write_message(host_t *host, world_t *world, const void *message, size_t length, bool may_be_lost)
{
    uint8_t frame[FRAMING_MAX_FRAME];
    host->written_ms = world->time_ms;
    write_bytes(host, world, frame, framing_encode(message, length, frame), may_be_lost);
}

static void say_hello(host_t *host, world_t *world)
{
    host->nonce++;
    host->asked_ms = world->time_ms;
    const hello_message_t hello = {MESSAGE_HELLO, host->nonce, PROTOCOL_HASH};
    write_message(host, world, &hello, sizeof hello, false);
}

/* The request that the phase waits for, with the number it was given. */
static void ask(host_t *host, world_t *world)
{
    host->asked_ms = world->time_ms;
    if (host->phase == HOST_CONFIGURE) {
        cfg_message_t limits = host->params.limits;
        limits.session = host->session;
        limits.seq = host->seq;
        write_message(host, world, &limits, sizeof limits, false);
    } else {
        const mode_message_t mode = {MESSAGE_MODE, host->session, host->seq, host->mode, host->options};
        write_message(host, world, &mode, sizeof mode, false);
    }
}

static void request(host_t *host, world_t *world, host_phase_t phase, uint8_t mode, uint8_t options)
{
    go(host, world, phase);
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
    write_message(host, world, &message, sizeof message, false);
    host->goal = GOAL_NONE;
    if (host->has_session)
        go(host, world, HOST_IDLE);
}

/* ---- what the operator wants ---- */

void host_begin(host_t *host, const host_params_t *params)
{
    *host = (host_t){.params = *params, .random = 0x9E3779B97F4A7C15u, .traffic = 0xCBF29CE484222325u};
    frame_decoder_reset(&host->decoder);
}

static void open_session(host_t *host, world_t *world)
{
    static const uint8_t end = 0; /* of whatever half a frame the line holds */
    host->has_session = false;
    host->has_state = host->has_hello = host->is_session_lost = false;
    go(host, world, HOST_HELLO);
    write_bytes(host, world, &end, 1, false);
    say_hello(host, world);
}

void host_start(host_t *host, world_t *world)
{
    host->goal = GOAL_NONE;
    host->trouble = TROUBLE_NONE;
    host->nonce = 0;
    host->seq = 0;
    frame_decoder_reset(&host->decoder);
    open_session(host, world);
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
    if (host->has_session && host->phase != HOST_CONFIGURE)
        request(host, world, HOST_DISARM, MODE_DISARM, 0);
}

static void give_up(host_t *host, world_t *world, host_trouble_t trouble)
{
    host->trouble = trouble;
    host->trouble_mode = host->mode;
    host->trouble_code = host->ack.code;
    host->trouble_detail = trouble == TROUBLE_FAULT ? host->state.fault : host->ack.detail;
    host->goal = GOAL_NONE;
    hand_let_go(world);
    go(host, world, HOST_IDLE);
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
            const ping_message_t ping = {MESSAGE_PING, 0}; /* whoever answers is present */
            write_message(host, world, &ping, sizeof ping, false);
        }
    }
}

/* The next STATE that the phase has not seen yet. */
static bool next_state(host_t *host)
{
    const bool has_state = host->has_state;
    host->has_state = false;
    return has_state;
}

/* Whether the request that the phase waits for is acknowledged; it is repeated, and at last given up. */
static bool is_acknowledged(host_t *host, world_t *world)
{
    if (host->has_ack) {
        host->has_ack = false;
        return true;
    }
    if (world->time_ms - host->asked_ms < REPEAT_MS)
        return false;
    if (host->attempts++ >= REPEATS)
        give_up(host, world, TROUBLE_NO_ANSWER);
    else
        ask(host, world);
    return false;
}

static void command(host_t *host, world_t *world, double duty)
{
    host->requested_q15 = (int16_t)nearbyint(fmax(-1.0, fmin(1.0, duty)) * PROTOCOL_DUTY_ONE);
    const cmd_message_t message = {MESSAGE_CMD, host->session, host->state.tick, host->requested_q15,
                                   host->params.limits.command_timeout_ms};
    write_message(host, world, &message, sizeof message, true);
}

static observation_t observed(const host_t *host)
{
    const state_message_t *state = &host->state;
    const host_params_t *params = &host->params;
    return (observation_t){.position_m = (float)(state->cart_counts * params->m_per_count),
                           .speed_m_s = (float)(state->cart_speed * (params->m_per_count / PROTOCOL_SPEED_PER_COUNT)),
                           .angle_rad = (float)(state->pole_counts * params->rad_per_count),
                           .rate_rad_s = (float)(state->pole_speed * (params->rad_per_count / PROTOCOL_SPEED_PER_COUNT))};
}

static void answer(host_t *host, world_t *world, controllers_t *controllers)
{
    command(host, world, controllers_duty(controllers, observed(host)));
    host->commands++;
}

static bool is_far_out(const host_t *host)
{
    return fabs(host->state.cart_counts * host->params.m_per_count) > host->params.swing_share_m;
}

/* The cart is at rest with both zeros known: on to what the operator wants. */
static void go_on_ready(host_t *host, world_t *world, const controllers_t *controllers)
{
    if (host->goal != GOAL_ARM) {
        host->goal = GOAL_NONE;
        go(host, world, HOST_IDLE);
    } else if (controllers_swing_up(controllers)) {
        if (is_far_out(host) && host->phase != HOST_CENTRING)
            request(host, world, HOST_CENTRE, MODE_CENTRE, 0);
        else
            go(host, world, HOST_RAISE);
    } else {
        hand_grab(world, host->params.start);
        go(host, world, HOST_RAISE);
    }
}

static void look(host_t *host, world_t *world, const controllers_t *controllers)
{
    const uint8_t state = host->state.state;
    if (state == CART_FAULT && host->phase != HOST_CLEARED)
        request(host, world, HOST_CLEAR, MODE_CLEAR, 0);
    else if (state == CART_FAULT)
        give_up(host, world, TROUBLE_FAULT);
    else if (host->goal == GOAL_CLEAR) {
        host->goal = GOAL_NONE;
        go(host, world, HOST_IDLE);
    } else if (state != CART_READY || host->goal == GOAL_HOME) {
        hand_hang(world);
        request(host, world, HOST_HOME, MODE_HOME, 0);
    } else
        go_on_ready(host, world, controllers);
}

/* The pole is where it must be for the cart to be armed, as far as the newest STATE shows. */
static void try_to_arm(host_t *host, world_t *world, const controllers_t *controllers)
{
    const int32_t counts = host->state.pole_counts, size = counts < 0 ? -counts : counts;
    const cfg_message_t *limits = &host->params.limits;
    const bool is_upright = size <= limits->arming_angle_counts && (host->state.inputs & INPUT_STILL) != 0;
    const bool hangs = 4 * size > limits->pole_counts_per_turn;
    if (controllers_swing_up(controllers)) {
        if (is_upright || hangs)
            request(host, world, HOST_ARM, MODE_ARM, is_upright ? 0 : OPTION_SWING_UP);
    } else if (hand_has_arrived(world) && is_upright)
        request(host, world, HOST_ARM, MODE_ARM, 0);
}

static bool may_retry(uint8_t code)
{
    return code == ACK_NOT_STILL || code == ACK_POLE_NOT_UPRIGHT || code == ACK_CART_OUTSIDE ||
           code == ACK_POLE_NOT_HANGING;
}

/* The cart has answered the request of the phase. */
static void take_answer(host_t *host, world_t *world, controllers_t *controllers)
{
    const uint8_t code = host->ack.code;
    if (code == ACK_BAD_SESSION) {
        open_session(host, world);
        return;
    }
    if (host->phase == HOST_CONFIGURE && code == ACK_NOT_NOW) {
        host_post(host, world, MODE_DISARM);
        request(host, world, HOST_CONFIGURE, 0, 0);
        return;
    }
    if (host->phase == HOST_ARM && may_retry(code)) {
        if (code == ACK_CART_OUTSIDE && controllers_swing_up(controllers))
            request(host, world, HOST_CENTRE, MODE_CENTRE, 0);
        else
            host->phase = HOST_RAISE; /* its time goes on */
        return;
    }
    if (code != ACK_DONE) {
        give_up(host, world, TROUBLE_REFUSED);
        return;
    }
    switch (host->phase) {
    case HOST_CONFIGURE:
        if (host->goal != GOAL_NONE)
            request(host, world, HOST_DISARM, MODE_DISARM, 0);
        else
            go(host, world, HOST_IDLE);
        break;
    case HOST_ARM:
        host->has_state = false;
        if (!controllers_swing_up(controllers))
            hand_let_go_at(world, host->state.time_us, host->params.limits.control_period_ms);
        controllers_begin(controllers);
        host->commands = 0;
        go(host, world, HOST_ARMED);
        break;
    default:
        host->has_state = false;
        go(host, world, (host_phase_t)(host->phase + 1));
        break;
    }
}

static void go_on(host_t *host, world_t *world, controllers_t *controllers)
{
    switch (host->phase) {
    case HOST_OFF:
        return;
    case HOST_HELLO:
        if (host->has_hello && host->hello.nonce == host->nonce) {
            host->has_hello = false;
            if (host->hello.protocol_hash != PROTOCOL_HASH) {
                host->trouble = TROUBLE_OTHER_PROTOCOL;
                host_kill(host);
                return;
            }
            host->session = host->hello.session;
            host->has_session = true;
            host->has_state = false;
            request(host, world, HOST_CONFIGURE, 0, 0);
        } else if (world->time_ms - host->asked_ms >= HELLO_EVERY_MS)
            say_hello(host, world);
        return;
    case HOST_IDLE:
        (void)next_state(host);
        return;
    case HOST_LOOK:
    case HOST_CLEARED:
        if (next_state(host))
            look(host, world, controllers);
        return;
    case HOST_HOMING:
    case HOST_CENTRING:
        if (!next_state(host))
            return;
        if (host->state.state == CART_READY)
            go_on_ready(host, world, controllers);
        else if (host->state.state != CART_HOMING || world->time_ms - host->phase_ms > HOMING_MS)
            give_up(host, world, TROUBLE_FAULT);
        return;
    case HOST_RAISE:
        if (!next_state(host))
            return;
        if (host->state.state == CART_FAULT)
            give_up(host, world, TROUBLE_FAULT);
        else if (world->time_ms - host->phase_ms > RAISE_MS)
            give_up(host, world, TROUBLE_NOT_RAISED);
        else
            try_to_arm(host, world, controllers);
        return;
    case HOST_ARMED:
    case HOST_RUNNING:
        if (!next_state(host))
            return;
        if (host->phase == HOST_ARMED) {
            hand_let_go(world);
            host->goal = GOAL_NONE;
        }
        if (host->state.state != CART_ARMED) {
            host->requested_q15 = 0;
            give_up(host, world, host->state.state == CART_FAULT ? TROUBLE_FAULT : TROUBLE_NONE);
            return;
        }
        go(host, world, HOST_RUNNING);
        answer(host, world, controllers);
        return;
    default:
        if (is_acknowledged(host, world))
            take_answer(host, world, controllers);
    }
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
        give_up(host, world, TROUBLE_RESTARTED);
        open_session(host, world);
    }
    go_on(host, world, controllers);
    host_deliver(host, world);
}

void host_hear(host_t *host, world_t *world, controllers_t *controllers)
{
    do
        hear_once(host, world, controllers);
    while (board_has_sent(&world->board)); /* over a line without delay a question is answered at once */
}
