/* Random frames against the whole firmware, their CRC valid: nothing but an accepted command may turn the motor.
 *
 *     frame_storm FRAMES SEED    prints: frames, commands accepted, ticks armed, ticks homing; the first wrong thing ends it
 *
 * The cart is armed by the frames that a host sends; of homing only the end is shortened. What a command may do is written here
 * once more, apart from app.c.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

#define MAX_DUTY 20000
#define HOMING_DUTY 8000
#define SPEED_MOST 30

static app_t app;
static board_inputs_t board;
static uint32_t time_us;
static uint64_t random_state;
static unsigned long frame_number, seed;

/* What the cart should do, from the frames alone. */
static struct {
    bool has_command;
    uint32_t last_tick;
    int16_t active, pending;
    bool is_pending;
} expected;
static unsigned long long accepted, ticks_armed, ticks_homing;

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
    const long zone = app.safety.limits.dead_zone_q15;
    long size = labs((long)duty);
    if (size > 0 && zone > 0)
        size = zone + size * (32767 - zone) / 32767;
    if (size > app.safety.limits.max_duty_q15)
        size = app.safety.limits.max_duty_q15;
    return duty < 0 ? -size : size;
}

static void tick(void)
{
    const uint32_t before = app.tick;
    board.cart_counts = (int32_t)((uint32_t)board.cart_counts + draw() % (2 * SPEED_MOST + 1) - SPEED_MOST);
    if (!one_in(3)) /* back again, mostly: about the same place, so that it stays armed */
        board.cart_counts = (int32_t)((uint32_t)app.cart_zero + draw() % 9 - 4);
    if (app.safety.limits.flags & CFG_CART_REVERSED)
        board.cart_counts = (int32_t)(0u - (uint32_t)board.cart_counts);
    board.pole_counts = (int32_t)((uint32_t)app.pole_zero + draw() % 9 - 4);
    if (app.safety.limits.flags & CFG_POLE_REVERSED)
        board.pole_counts = (int32_t)(0u - (uint32_t)board.pole_counts);
    time_us += 1000;
    const motor_t motor = app_tick(&app, time_us, &board);
    if (app.tick != before && expected.is_pending) {
        expected.active = expected.pending;
        expected.is_pending = false;
    }
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
}

/* Only the protocol's own types leave the cart, in their length. */
static void drain(void)
{
    static frame_decoder_t host;
    static const uint8_t lengths[] = {
        [MESSAGE_HELLO_ACK] = sizeof(hello_ack_message_t), [MESSAGE_STATE] = sizeof(state_message_t),
        [MESSAGE_ACK] = sizeof(ack_message_t),             [MESSAGE_PONG] = sizeof(pong_message_t),
        [MESSAGE_EVENT] = sizeof(event_message_t),         [MESSAGE_HEALTH] = sizeof(health_message_t),
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
    const uint8_t *said = message;
    const cmd_message_t *command = message;
    bool is_accepted = false;
    if (length == sizeof *command && said[0] == MESSAGE_CMD && state == CART_ARMED && app.is_session_live) {
        const uint32_t age = app.tick - command->tick;
        is_accepted = command->session == app.session && age <= 2 && command->valid_ms > 0 &&
                      (!expected.has_command || (int32_t)(command->tick - expected.last_tick) >= 0);
        if (is_accepted) {
            expected.has_command = expected.is_pending = true;
            expected.last_tick = command->tick;
            expected.pending = command->duty_q15;
            if (app.safety.limits.flags & CFG_APPLY_ON_ARRIVAL)
                expected.active = expected.pending;
            accepted++;
        }
    }
    for (size_t i = 0; i < bytes; i++)
        app_receive(&app, frame[i], time_us + (uint32_t)i * 20u);
    if (is_accepted && app.safety.command_age_ms != 0)
        wrong("a good command did not feed the watchdog", app.safety.command_age_ms, 0);
    if (length == sizeof(mode_message_t) && said[0] == MESSAGE_MODE && said[4] == MODE_ESTOP &&
        app.safety.state != CART_FAULT)
        wrong("an e-stop that does not stop", app.safety.state, CART_FAULT);
    if (app.safety.state == CART_ARMED && state != CART_ARMED) {
        if (length != sizeof(mode_message_t) || said[0] != MESSAGE_MODE || said[4] != MODE_ARM)
            wrong("armed by something else", said[0], MESSAGE_MODE);
        forget_commands();
    }
}

static void say_mode(uint8_t mode)
{
    static uint8_t seq;
    const mode_message_t message = {MESSAGE_MODE, app.session, ++seq, mode};
    receive(&message, sizeof message);
}

static cfg_message_t good_cfg(void)
{
    static const int16_t zones[] = {0, 0, 1, 1500, 16383};
    return (cfg_message_t){
        .type = MESSAGE_CFG,
        .session = app.session,
        .seq = (uint8_t)draw(),
        .flags = (uint8_t)(draw() % 32),
        .control_period_ms = (uint8_t)(1 + draw() % 20),
        .command_timeout_ms = (uint16_t)(20 + draw() % 181),
        .max_duty_q15 = (int16_t)(one_in(2) ? MAX_DUTY : 1 + draw() % MAX_DUTY),
        .travel_limit_counts = 5000,
        .brake_decel_counts_s2 = 4000000000u,
        .pole_limit_counts = 700,
        .arming_angle_counts = 90,
        .pole_counts_per_turn = 4096,
        .pole_half_period_ms = 600,
        .homing_travel_counts = 15000,
        .homing_speed_counts_s = 2000,
        .homing_duty_q15 = HOMING_DUTY,
        .moving_duty_q15 = 32767,
        .still_travel_counts = 65535,
        .dead_zone_q15 = zones[draw() % 5],
        .continuous_duty_q15 = 32767,
        .reversals_per_s = 500,
        .supply_min_mv = 9000,
        .supply_max_mv = 15000,
    };
}

static void stand_still(int ticks)
{
    const board_inputs_t healthy = {.cart_counts = board.cart_counts,
                                    .pole_counts = board.pole_counts,
                                    .cart_illegal = board.cart_illegal,
                                    .pole_illegal = board.pole_illegal,
                                    .supply_mv = 12000};
    for (int i = 0; i < ticks; i++) {
        time_us += 1000;
        if (app_tick(&app, time_us, &healthy).duty_q15 != 0 && app.safety.state != CART_HOMING)
            wrong("driven while it stands", app.motor.duty_q15, 0);
    }
    board = healthy;
    drain();
}

/* The way of a host: HELLO, CFG, HOME, ARM. Now and then it stops on the way. */
static void arm(void)
{
    if (one_in(4)) { /* another cart, its counters anywhere */
        app_init(&app, (uint16_t)draw(), RESET_POWER_ON);
        board = (board_inputs_t){.cart_counts = (int32_t)draw(), .pole_counts = (int32_t)draw(), .supply_mv = 12000};
        if (one_in(2))
            board.cart_counts = board.pole_counts = one_in(2) ? INT32_MAX - 10 : INT32_MIN + 10;
        app.tick = one_in(2) ? UINT32_MAX - draw() % 100 : 0;
        time_us = one_in(2) ? UINT32_MAX - draw() % 100000 : 0;
    }
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
    if (one_in(3))
        return; /* frames while homing */
    app.cart_zero = app.cart_raw;
    app.pole_zero = app.pole_raw;
    safety_homed(&app.safety);
    stand_still(130);
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
        receive(&command, sizeof command);
    } else if (style < 64) {
        const mode_message_t mode = {MESSAGE_MODE, (uint16_t)(app.session + (one_in(4) ? 1u : 0u)), (uint8_t)draw(),
                                     (uint8_t)(one_in(3) ? MODE_ARM : draw() % 8)};
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
        static const uint8_t lengths[] = {7, 23, 11, 36, 48, 5, 6, 5, 9, 11, 1, 21};
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
    if (app.safety.state == CART_HOMING) {
        board.is_left_closed = one_in(20);
        board.is_right_closed = one_in(20);
        if (one_in(200)) /* somewhere else altogether */
            app.cart_zero = (int32_t)draw();
    }
}

int main(int arguments, char **argument)
{
    if (arguments != 3)
        return 2;
    const unsigned long frames = strtoul(argument[1], NULL, 10);
    seed = strtoul(argument[2], NULL, 10);
    random_state = seed * 2654435761u + 88172645463325252u;
    app_init(&app, 1, RESET_POWER_ON);
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
    printf("%lu %llu %llu %llu\n", frames, accepted, ticks_armed, ticks_homing);
    return 0;
}
