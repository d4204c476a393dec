/* Random frames against the whole firmware, their CRC valid: nothing but an accepted command may turn the motor.
 *
 *     frame_storm FRAMES SEED    prints: frames, commands accepted, ticks armed, ticks homing, times
 *                                homed without a short cut, decisions on board; the first wrong thing ends it
 *
 * The cart is armed by the frames that a host sends; of homing only the end is shortened. What a command may do is written here
 * once more, apart from app.c.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "boards/host/policy_image.h"

#define MAX_DUTY 20000
#define HOMING_DUTY 8000
#define SPEED_MOST 30
#define CARRIED_PERIOD_MS 10
#define CARRIED_INPUTS 9 /* one earlier step */
#define CARRIED_HIDDEN 20
#define CARRIED_EXAMPLES 4

static app_t app;
static board_inputs_t board;
static uint32_t time_us;
static uint64_t random_state;
static uint32_t cart_at, pole_at, cart_middle, pole_hangs, swung_ms; /* in counts with their sign right */
static unsigned long frame_number, seed;

/* What the cart should do, from the frames alone. */
static struct {
    bool has_command;
    uint32_t last_tick;
    int16_t active, pending;
    bool is_pending;
    int16_t decided; /* by the policy on board, once it has thought */
    bool is_thinking, is_observed;
    bool has_past;      /* a step of this episode was observed */
    int16_t inputs[CARRIED_INPUTS], past[CARRIED_INPUTS];
    uint8_t action, past_action;
} expected;
static unsigned long long accepted, ticks_armed, ticks_homing, homed, decided;
static policy_image_t carried;

static uint32_t draw(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545F4914F6CDD1Du) >> 32);
}

static bool one_in(uint32_t n)
{
    return draw() % n == 0;
}

static void wrong(const char *what, long found, long wanted)
{
    printf("seed %lu, frame %lu: %s: %ld, expected %ld; state %d, fault %d\n", seed, frame_number, what, found, wanted,
           app.safety.state, app.safety.fault);
    exit(1);
}

static void forget_commands(void)
{
    memset(&expected, 0, sizeof expected);
}

/* What the dead zone and the limits make of a duty. */
static long limited(int16_t duty)
{
    const cfg_message_t *limits = &app.safety.limits;
    const long zone = duty > 0 ? limits->dead_zone_right_q15 : limits->dead_zone_left_q15;
    long size = labs((long)duty);
    if (size > 0 && zone > 0)
        size = zone + size * (32767 - zone) / 32767;
    if (size > app.safety.limits.max_duty_q15)
        size = app.safety.limits.max_duty_q15;
    return duty < 0 ? -size : size;
}

static bool is_on_board(void)
{
    return app.safety.state == CART_ARMED && (app.options & OPTION_ON_BOARD) != 0;
}

static bool may_be_on_board(void)
{
    return app.onboard.image != NULL && app.safety.limits.control_period_ms == CARRIED_PERIOD_MS;
}

static bool is_alone(void)
{
    return is_on_board() && (app.options & OPTION_HOST_MAY_LEAVE) != 0;
}

/* What the policy makes of what STATE tells and of the step before, by the reference. */
static int16_t duty_on_state(void)
{
    const size_t observed = POLICY_COUNTS * sizeof(int16_t);
    const policy_counts_t counts = {app.inputs.cart_counts, app.inputs.cart_speed, app.inputs.pole_counts,
                                    estimator_speed(&app.pole_estimator)};
    int32_t values[POLICY_MAX_OUTPUTS];
    policy_observe(carried.head.fit, &counts, expected.inputs);
    memcpy(expected.inputs + POLICY_COUNTS + 1, expected.has_past ? expected.past : expected.inputs, observed);
    expected.inputs[POLICY_COUNTS] = expected.has_past ? carried.duty_input[expected.past_action] : 0;
    expected.action = policy_int16_act(&carried.network, expected.inputs, values);
    return carried.duty_q15[expected.action];
}

/* A step that was looked at is the step before of the next one; one that was dropped before is in no history. */
static void remember(void)
{
    if (!expected.is_thinking || expected.is_observed)
        return;
    memcpy(expected.past, expected.inputs, sizeof expected.past);
    expected.is_observed = expected.has_past = true;
}

/* Slices, as many as come between two ticks. */
static void think(uint32_t slices)
{
    for (; slices > 0 && app_must_think(&app); slices--) {
        const uint16_t age_ms = app.safety.command_age_ms;
        remember();
        if (!app_think(&app))
            continue;
        app_decide(&app, time_us);
        if (app.safety.command_age_ms != (is_alone() ? 0 : age_ms))
            wrong("a decision feeds the watchdog where nobody need watch, and else not", app.safety.command_age_ms,
                  age_ms);
        if (!is_on_board())
            continue;
        if (!expected.is_thinking)
            wrong("decides on nothing", expected.decided, 0);
        expected.is_thinking = false;
        expected.past_action = expected.action;
        expected.is_pending = true;
        expected.pending = expected.decided;
        if (app.safety.limits.flags & CFG_APPLY_ON_ARRIVAL)
            expected.active = expected.pending;
        decided++;
    }
}

static void put_bytes(uint8_t **at, const void *source, size_t count)
{
    memcpy(*at, source, count);
    *at += count;
}

/* Random weights, sound; its golden examples right. */
static void carry(void)
{
    static uint8_t bytes[2000];
    policy_head_t head = {
        .hash_high = 1,
        .hidden = CARRIED_HIDDEN,
        .version = POLICY_IMAGE_VERSION,
        .inputs = CARRIED_INPUTS,
        .outputs = 3,
        .hidden_shift = 13,
        .examples = CARRIED_EXAMPLES,
        .control_period_ms = CARRIED_PERIOD_MS,
    };
    for (uint32_t k = 0; k < POLICY_COUNTS; k++)
        head.fit[k] = (policy_fit_t){200000u, (32767u << POLICY_FIT_SHIFT) / 200000u};
    uint8_t *at = bytes + sizeof head;
    for (uint32_t k = 0; k < head.outputs; k++)
        put_bytes(&at, &(int32_t){(int32_t)(draw() % 2000000) - 1000000}, sizeof(int32_t));
    for (int k = 0; k < head.outputs; k++)
        put_bytes(&at, &(int16_t){(int16_t)(k * 9000 - 9000)}, sizeof(int16_t));
    for (int k = 0; k < head.outputs; k++)
        put_bytes(&at, &(int16_t){(int16_t)(k * 20000 - 18000)}, sizeof(int16_t));
    for (uint32_t j = 0; j < CARRIED_HIDDEN; j++) {
        put_bytes(&at, &(int32_t){(int32_t)(draw() % 2000000) - 1000000}, sizeof(int32_t));
        for (uint32_t k = 0; k < (uint32_t)CARRIED_INPUTS + head.outputs; k++)
            put_bytes(&at, &(int16_t){(int16_t)((int32_t)(draw() % 6000) - 3000)}, sizeof(int16_t));
    }
    uint8_t *const examples = at;
    for (uint32_t k = 0; k < CARRIED_INPUTS * CARRIED_EXAMPLES; k++)
        put_bytes(&at, &(int16_t){(int16_t)draw()}, sizeof(int16_t));
    head.bytes = (uint16_t)(at - bytes + CARRIED_EXAMPLES);
    for (uint32_t k = 0; k < 2; k++) { /* once to know the network, once more with what it makes of the examples */
        head.crc = framing_crc(FRAMING_CRC_START, (const uint8_t *)&head + 2, sizeof head - 2);
        head.crc = framing_crc(head.crc, bytes + sizeof head, head.bytes - sizeof head);
        memcpy(bytes, &head, sizeof head);
        if (!policy_image_open(&carried, bytes, head.bytes))
            wrong("is no image", (long)k, 0);
        for (size_t example = 0; example < CARRIED_EXAMPLES; example++) {
            int16_t inputs[CARRIED_INPUTS];
            int32_t values[POLICY_MAX_OUTPUTS];
            memcpy(inputs, examples + example * sizeof inputs, sizeof inputs);
            at[example] = policy_int16_act(&carried.network, inputs, values);
        }
    }
}

/* A firmware with the policy or without, its self-test passed. */
static void switch_on(uint16_t session)
{
    app_init(&app, session, RESET_POWER_ON, false, one_in(3) ? NULL : &carried);
    forget_commands();
    think(UINT32_MAX);
    if (app.onboard.self_test != (app.onboard.image != NULL ? SELF_TEST_PASSED : SELF_TEST_NONE))
        wrong("fails its self-test", app.onboard.self_test, SELF_TEST_PASSED);
}

static uint32_t noise(uint32_t most)
{
    return draw() % (2 * most + 1) - most;
}

static void put(void)
{
    const uint8_t flags = app.safety.limits.flags;
    board.cart_counts = (int32_t)(flags & CFG_CART_REVERSED ? 0u - cart_at : cart_at);
    board.pole_counts = (int32_t)(flags & CFG_POLE_REVERSED ? 0u - pole_at : pole_at);
}

/* Homing moves the cart as it is pushed, and the pole swings by 30 counts, every half period to the other side. About upright
 * in the middle otherwise: the sooner it is armed again. */
static void move(void)
{
    if (app.safety.state == CART_HOMING) {
        const uint8_t phase = app.homing.phase;
        const int32_t duty = app.safety.limits.flags & CFG_MOTOR_REVERSED ? -app.motor.duty_q15 : app.motor.duty_q15;
        cart_at += (uint32_t)(duty / 400) + (duty != 0 ? noise(1) : 0);
        if (phase == HOMING_STILL || phase == HOMING_LEAVE)
            swung_ms = 0;
        else
            swung_ms++;
        pole_at = pole_hangs + (swung_ms < 20 ? 0u : swung_ms / 600 % 2 ? 30u : 0u - 30u);
        board.is_left_closed = (int32_t)(cart_at - cart_middle) <= -6000;
        board.is_right_closed = (int32_t)(cart_at - cart_middle) >= 6000;
    } else {
        cart_at = (uint32_t)app.cart_zero + noise(one_in(3) ? SPEED_MOST : 4);
        pole_at = (uint32_t)app.pole_zero + noise(4);
    }
    put();
}

static uint8_t edges_between(int32_t from, int32_t to)
{
    const uint32_t way = (uint32_t)to - (uint32_t)from;
    return (uint8_t)((int32_t)way < 0 ? 0u - way : way);
}

/* The edges on the way to where the encoders stand. */
static void decode(void)
{
    static int32_t cart_before, pole_before;
    board.cart_edges = (uint8_t)(board.cart_edges + edges_between(cart_before, board.cart_counts));
    board.pole_edges = (uint8_t)(board.pole_edges + edges_between(pole_before, board.pole_counts));
    cart_before = board.cart_counts;
    pole_before = board.pole_counts;
}

static void one_ms(void)
{
    const uint32_t before = app.tick;
    const bool was_pending = expected.is_pending;
    const bool is_late = !was_pending && (is_on_board() ? expected.is_thinking : expected.has_command);
    time_us += 1000;
    decode();
    const motor_t motor = app_tick(&app, time_us, &board);
    app_tell(&app);
    if (app.tick != before && expected.is_pending) {
        expected.active = expected.pending;
        expected.is_pending = false;
    } else if (app.tick != before && is_late && app.options & OPTION_LATE_BRAKES) {
        expected.active = 0;
    }
    if (app.tick != before && is_late && app.options & OPTION_LATE_DISARMS && app.safety.state == CART_ARMED)
        wrong("a late command did not disarm", app.options, OPTION_LATE_DISARMS);
    const long duty = app.safety.limits.flags & CFG_MOTOR_REVERSED ? -motor.duty_q15 : motor.duty_q15;
    if (app.safety.state == CART_ARMED) {
        ticks_armed++;
        if (labs(duty) > MAX_DUTY)
            wrong("armed beyond the maximum", duty, MAX_DUTY);
        if (duty != limited(expected.active))
            wrong("a duty that no command asked for", duty, limited(expected.active));
    } else if (app.safety.state == CART_HOMING) {
        ticks_homing++;
        if (labs(duty) > HOMING_DUTY)
            wrong("homing beyond its maximum", duty, HOMING_DUTY);
    } else if (duty != 0) {
        wrong("driven in a state of rest", duty, 0);
    }
    if ((app.safety.state == CART_FAULT) != (app.safety.fault != FAULT_NONE))
        wrong("fault without its state, or state without its fault", app.safety.fault, app.safety.state);
    if (app.tick != before && is_on_board()) {
        expected.decided = duty_on_state();
        expected.is_thinking = true;
        expected.is_observed = false;
    }
    if (!is_on_board())
        expected.has_past = false;
    static uint32_t slices = 3; /* in a millisecond; with one or none a decision is late */
    if (one_in(30))
        slices = draw() % 5;
    think(slices);
}

static void tick(void)
{
    move();
    one_ms();
}

/* Upright in the middle, and still. */
static void rest(void)
{
    cart_at = (uint32_t)app.cart_zero;
    pole_at = (uint32_t)app.pole_zero;
    put();
    one_ms();
}

/* Only the protocol's own types leave the cart, in their length. */
static void drain(void)
{
    static frame_decoder_t host;
    static const uint8_t lengths[] = {
        [MESSAGE_HELLO_ACK] = sizeof(hello_ack_message_t), [MESSAGE_STATE] = sizeof(state_message_t),
        [MESSAGE_ACK] = sizeof(ack_message_t),             [MESSAGE_PONG] = sizeof(pong_message_t),
        [MESSAGE_EVENT] = sizeof(event_message_t),         [MESSAGE_HEALTH] = sizeof(health_message_t),
        [MESSAGE_TRACE] = sizeof(trace_message_t),         [MESSAGE_POLICY] = sizeof(policy_message_t),
    };
    uint8_t byte;
    while (app_next_byte(&app, &byte)) {
        const uint8_t length = frame_decoder_push(&host, byte);
        const uint8_t type = length != 0 ? host.message[0] : 0;
        if (length != 0 && (type >= sizeof lengths || lengths[type] != length))
            wrong("sends a message of no kind", type, length);
    }
    if (host.errors != 0)
        wrong("sends broken frames", host.errors, 0);
}

/* One frame goes in; what it may do is decided here, before app.c sees it. */
static void receive(const void *message, size_t length)
{
    uint8_t frame[FRAMING_MAX_FRAME];
    const size_t bytes = framing_encode(message, length, frame);
    const uint8_t state = app.safety.state;
    const uint16_t age_ms = app.safety.command_age_ms;
    const uint8_t *said = message;
    const cmd_message_t *command = message;
    const bool was_alone = is_alone();
    bool is_accepted = false;
    if (length == sizeof *command && said[0] == MESSAGE_CMD && state == CART_ARMED && app.is_session_live) {
        const uint32_t age = app.tick - command->tick;
        is_accepted = command->session == app.session && age <= 2 && command->valid_ms > 0 &&
                      (!expected.has_command || (int32_t)(command->tick - expected.last_tick) >= 0);
        if (is_accepted) {
            expected.has_command = true;
            expected.last_tick = command->tick;
            accepted++;
        }
        if (is_accepted && !is_on_board()) {
            expected.is_pending = true;
            expected.pending = command->duty_q15;
            if (app.safety.limits.flags & CFG_APPLY_ON_ARRIVAL)
                expected.active = expected.pending;
        }
    }
    for (size_t i = 0; i < bytes; i++)
        app_receive(&app, frame[i], time_us + (uint32_t)i * 20u);
    if (is_accepted && !was_alone && app.safety.command_age_ms != 0)
        wrong("a good command did not feed the watchdog", app.safety.command_age_ms, 0);
    if ((!is_accepted || was_alone) && state == CART_ARMED && app.safety.command_age_ms != age_ms)
        wrong("something else fed the watchdog", app.safety.command_age_ms, age_ms);
    if (length == sizeof(hello_message_t) && said[0] == MESSAGE_HELLO &&
        (app.safety.state == CART_ARMED || app.safety.state == CART_HOMING))
        wrong("drives on after HELLO", app.safety.state, state);
    if (length == sizeof(mode_message_t) && said[0] == MESSAGE_MODE && said[4] == MODE_ESTOP &&
        app.safety.state != CART_FAULT)
        wrong("an e-stop that does not stop", app.safety.state, CART_FAULT);
    if (app.safety.state == CART_ARMED && state != CART_ARMED) {
        if (length != sizeof(mode_message_t) || said[0] != MESSAGE_MODE || said[4] != MODE_ARM)
            wrong("armed by something else", said[0], MESSAGE_MODE);
        if (app.options & OPTION_ON_BOARD && !may_be_on_board())
            wrong("on board without a policy for it", app.safety.limits.control_period_ms, CARRIED_PERIOD_MS);
        forget_commands();
    }
}

static uint8_t some_options(void)
{
    static const uint8_t options[] = {OPTION_LATE_BRAKES, OPTION_LATE_DISARMS, OPTION_TRACE,
                                      OPTION_TRACE | OPTION_LATE_BRAKES};
    uint8_t chosen = options[draw() % sizeof options];
    if (may_be_on_board() && one_in(2))
        chosen |= one_in(2) ? OPTION_ON_BOARD : OPTION_ON_BOARD | OPTION_HOST_MAY_LEAVE;
    return chosen;
}

static void say_mode_with(uint8_t mode, uint8_t options)
{
    static uint8_t seq;
    const mode_message_t message = {MESSAGE_MODE, app.session, ++seq, mode, options};
    receive(&message, sizeof message);
}

static void say_mode(uint8_t mode)
{
    say_mode_with(mode, mode == MODE_ARM && one_in(2) ? some_options() : 0);
}

static cfg_message_t good_cfg(void)
{
    static const int16_t zones[] = {0, 0, 1, 1500, 16383};
    return (cfg_message_t){
        .type = MESSAGE_CFG,
        .session = app.session,
        .seq = (uint8_t)draw(),
        .flags = (uint8_t)(draw() % 64),
        .control_period_ms = (uint8_t)(one_in(2) ? CARRIED_PERIOD_MS : 1 + draw() % 20),
        .command_timeout_ms = (uint16_t)(20 + draw() % 181),
        .max_duty_q15 = (int16_t)(one_in(2) ? MAX_DUTY : 1 + draw() % MAX_DUTY),
        .travel_limit_counts = 5000,
        .brake_decel_counts_s2 = 4000000000u,
        .pole_limit_counts = 700,
        .arming_angle_counts = 90,
        .pole_counts_per_turn = 4096,
        .pole_half_period_ms = 600,
        .homing_travel_counts = 15000,
        .homing_speed_counts_s = 20000,
        .homing_duty_q15 = HOMING_DUTY,
        .moving_duty_q15 = 32767,
        .still_travel_counts = 65535,
        .dead_zone_left_q15 = zones[draw() % 5],
        .dead_zone_right_q15 = zones[draw() % 5],
        .continuous_duty_q15 = 32767,
        .reversals_per_s = 500,
        .supply_min_mv = 9000,
        .supply_max_mv = 15000,
        .illegal_most = (uint8_t)(1 + draw() % 8),
        .bandgap_mv = one_in(2) ? 0 : 1100,
        .swing_timeout_ms = one_in(3) ? 0 : 4000,
        .upright_ms = 200,
    };
}

static void stand_still(int ticks)
{
    board = (board_inputs_t){.cart_counts = board.cart_counts,
                             .pole_counts = board.pole_counts,
                             .cart_illegal = board.cart_illegal,
                             .pole_illegal = board.pole_illegal,
                             .cart_edges = board.cart_edges,
                             .pole_edges = board.pole_edges,
                             .supply_mv = 12000,
                             .bandgap_steps = 901, /* of 1.1 V against 5 V */
                             .pulse_top = 799};
    while (ticks-- > 0)
        one_ms();
    drain();
}

/* The middle of the track and the hanging pole to where both are now. */
static void hang_here(void)
{
    const uint8_t flags = app.safety.limits.flags;
    cart_at = (uint32_t)board.cart_counts;
    pole_at = (uint32_t)board.pole_counts;
    if (flags & CFG_CART_REVERSED)
        cart_at = 0u - cart_at;
    if (flags & CFG_POLE_REVERSED)
        pole_at = 0u - pole_at;
    cart_middle = cart_at + noise(5000);
    pole_hangs = pole_at;
    swung_ms = 0;
}

/* The way of a host: HELLO, CFG, HOME, ARM. Now and then it stops on the way. */
static void arm(void)
{
    if (one_in(4)) { /* another cart, its counters anywhere */
        static const int32_t places[] = {0, INT32_MAX - 10, INT32_MIN + 10, INT32_MAX - 4000, INT32_MIN + 4000};
        switch_on((uint16_t)draw());
        board = (board_inputs_t){.cart_counts = places[draw() % 5], .pole_counts = places[draw() % 5]};
        if (one_in(3))
            board.cart_counts = (int32_t)draw();
        app.tick = one_in(2) ? UINT32_MAX - draw() % 100 : 0;
        time_us = one_in(2) ? UINT32_MAX - draw() % 100000 : 0;
    }
    board.supply_mv = 0; /* a relay that a press of the e-stop has opened */
    for (int i = 0; i < 30; i++)
        one_ms();
    stand_still(2);
    const hello_message_t hello = {MESSAGE_HELLO, (uint16_t)draw(), PROTOCOL_HASH};
    receive(&hello, sizeof hello);
    const cfg_message_t cfg = good_cfg();
    receive(&cfg, sizeof cfg);
    say_mode(MODE_CLEAR);
    stand_still(20);
    say_mode(MODE_HOME);
    if (app.safety.state != CART_HOMING)
        wrong("does not home", app.safety.state, CART_HOMING);
    hang_here();
    const bool is_shortened = !one_in(10);
    if (one_in(3)) { /* frames while homing, wherever it has come to */
        for (uint32_t i = draw() % 6000; i > 0 && app.safety.state == CART_HOMING; i--)
            tick();
        return;
    }
    if (is_shortened) {
        app.cart_zero = app.cart_raw;
        app.pole_zero = app.pole_raw;
        safety_homed(&app.safety, app.safety.limits.pole_half_period_ms);
    } else {
        for (int i = 0; i < 20000 && app.safety.state == CART_HOMING; i++) {
            if (i % 400 == 0) { /* the host shows that it is there */
                const ping_message_t ping = {MESSAGE_PING, draw()};
                receive(&ping, sizeof ping);
            }
            tick();
        }
        if (app.safety.state != CART_READY)
            wrong("homing fails", app.safety.fault, FAULT_NONE);
        homed++;
    }
    board.is_left_closed = board.is_right_closed = false;
    for (int i = 0; i < 130; i++)
        rest();
    drain();
    if (!may_be_on_board())
        say_mode_with(MODE_ARM, OPTION_ON_BOARD);
    say_mode(MODE_ARM);
    if (app.safety.state != CART_ARMED)
        wrong("does not arm", app.last_code, ACK_DONE);
}

static void random_frame(void)
{
    uint8_t bytes[PROTOCOL_MAX_MESSAGE];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)draw();
    const uint32_t style = draw() % 100;
    if (style < 60) { /* a command, mostly right */
        const cmd_message_t command = {
            MESSAGE_CMD,
            (uint16_t)(app.session + (one_in(8) ? 1u : 0u)),
            app.tick - draw() % 3 + (one_in(6) ? draw() % 7 - 3 : 0) + (one_in(20) ? draw() : 0),
            (int16_t)draw(),
            (uint16_t)(one_in(10) ? 0 : 100 + draw() % 300),
        };
        memcpy(bytes, &command, sizeof command);
        receive(bytes, sizeof command + (one_in(10) ? draw() % 3 - 1 : 0));
    } else if (style < 64) {
        const mode_message_t mode = {MESSAGE_MODE, (uint16_t)(app.session + (one_in(4) ? 1u : 0u)), (uint8_t)draw(),
                                     (uint8_t)(one_in(3) ? MODE_ARM : draw() % 8), (uint8_t)draw()};
        receive(&mode, sizeof mode);
    } else if (style < 70) { /* a configuration with one field of noise, never a larger maximum */
        cfg_message_t cfg = good_cfg();
        ((uint8_t *)&cfg)[draw() % sizeof cfg] = (uint8_t)draw();
        if (cfg.max_duty_q15 > MAX_DUTY)
            cfg.max_duty_q15 = MAX_DUTY;
        if (cfg.homing_duty_q15 > HOMING_DUTY)
            cfg.homing_duty_q15 = HOMING_DUTY;
        receive(&cfg, sizeof cfg);
    } else if (style < 72) {
        const hello_message_t hello = {MESSAGE_HELLO, (uint16_t)draw(), one_in(2) ? PROTOCOL_HASH : draw()};
        if (one_in(6))
            receive(&hello, sizeof hello);
    } else if (style < 92) { /* a known type, anything in it, about its length */
        static const uint8_t lengths[] = {7, 23, 11, 36, 48, 6, 6, 5, 9, 11, 1, 23, 1, 17, 64};
        const uint32_t kind = draw() % sizeof lengths;
        bytes[0] = (uint8_t)(kind + 1);
        receive(bytes, lengths[kind] + (one_in(3) ? draw() % 3 : 0));
    } else if (style < 98) {
        receive(bytes, 1 + draw() % PROTOCOL_MAX_MESSAGE);
    } else { /* bytes without a frame about them */
        for (uint32_t i = draw() % 200; i > 0; i--)
            app_receive(&app, (uint8_t)draw(), time_us);
        app_receive(&app, 0, time_us);
    }
}

static void disturb(void)
{
    board.is_left_closed = one_in(3000);
    board.is_right_closed = one_in(3000);
    board.is_estop_pressed = one_in(5000);
    board.supply_mv = (uint16_t)(one_in(500) ? draw() : 12000);
    board.missed_ticks = (uint8_t)(one_in(1000) ? draw() : 0);
    if (one_in(2000))
        board.cart_illegal = (uint8_t)draw();
    if (one_in(2000))
        board.pole_illegal = (uint8_t)draw();
    if (one_in(2000))
        board.cart_edges = (uint8_t)draw();
    if (one_in(2000))
        board.pole_edges = (uint8_t)draw();
    if (app.safety.state == CART_HOMING && one_in(300)) /* somewhere else altogether */
        cart_at = draw();
    if (app.safety.state == CART_HOMING && one_in(300))
        pole_hangs = draw();
}

int main(int arguments, char **argument)
{
    if (arguments != 3)
        return 2;
    const unsigned long frames = strtoul(argument[1], NULL, 10);
    seed = strtoul(argument[2], NULL, 10);
    random_state = seed * 2654435761u + 88172645463325252u;
    carry();
    switch_on(1);
    int resting = 0;
    for (frame_number = 0; frame_number < frames; frame_number++) {
        resting = app.safety.state == CART_ARMED ? 0 : resting + 1;
        if (resting > 30) {
            arm();
            resting = 0;
        }
        random_frame();
        disturb();
        for (uint32_t i = draw() % 6; i > 0; i--)
            tick();
        if (!one_in(4))
            drain();
    }
    printf("%lu %llu %llu %llu %llu %llu\n", frames, accepted, ticks_armed, ticks_homing, homed, decided);
    return 0;
}
