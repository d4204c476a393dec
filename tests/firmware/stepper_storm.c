/* A storm of requests, commands and inputs against the whole firmware of a stepper, on its simulated board: what must hold in each
 * millisecond whatever comes. Prints what does not, or the sums of what happened. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boards/host/simulated_board.h"

#define HALF_TRACK 9400

static board_t board;
static uint32_t seed;
static uint8_t seq;

static uint32_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

static uint32_t below(uint32_t most)
{
    return draw() % most;
}

static void send(const void *message, size_t length)
{
    uint8_t frame[FRAMING_MAX_FRAME];
    board_feed(&board, frame, framing_encode(message, length, frame));
}

static void send_limits(void)
{
    const cfg_message_t cfg = {
        .type = MESSAGE_CFG, .session = board.session, .seq = seq++, .flags = (uint8_t)(CFG_STEPPER | (below(2) ? 3u : 0u)),
        .control_period_ms = (uint8_t)(1 + below(30)), .command_timeout_ms = (uint16_t)(20 + below(180)), .max_duty_q15 = (int16_t)(1 + below(32767)),
        .travel_limit_counts = 4000 + below(5000), .brake_decel_counts_s2 = 300000, .pole_limit_counts = 600,
        .arming_angle_counts = 600, .pole_counts_per_turn = 2400, .pole_half_period_ms = 579,
        .homing_travel_counts = 20680, .homing_speed_counts_s = (uint16_t)(1 + below(20000)), .homing_duty_q15 = 16384, .moving_duty_q15 = 4096,
        .still_travel_counts = 65535, .continuous_duty_q15 = 32767, .reversals_per_s = 500, .supply_min_mv = 9000,
        .supply_max_mv = 28000, .illegal_most = 8, .swing_timeout_ms = 30000, .upright_ms = 1000,
    };
    const stepper_message_t stepper = {
        .type = MESSAGE_STEPPER, .session = board.session, .seq = seq++, .flags = (uint8_t)below(8),
        .speed_most = (uint16_t)(1 + below(20000)), .gain_q4 = (uint16_t)(1 + below(65535)), .pulse_counts = (uint8_t)(1 + below(50)),
        .setup_us = (uint8_t)below(250), .round_trip_steps = (uint16_t)(1 + below(1000)),
    };
    send(&cfg, sizeof cfg);
    if (below(8) != 0)
        send(&stepper, sizeof stepper);
}

static void send_something(void)
{
    const hello_message_t hello = {MESSAGE_HELLO, (uint16_t)draw(), PROTOCOL_HASH};
    const mode_message_t mode = {MESSAGE_MODE, board.session, seq++, (uint8_t)below(9), below(2) ? OPTION_SWING_UP : (uint8_t)below(64)};
    const cmd_message_t cmd = {MESSAGE_CMD, board.session, board.app.tick, (int16_t)draw(), (uint16_t)below(300)};
    const mode_message_t home = {MESSAGE_MODE, board.session, seq++, MODE_HOME, 0}, arm = {MESSAGE_MODE, board.session, seq++, MODE_ARM, OPTION_SWING_UP};
    const mode_message_t clear = {MESSAGE_MODE, board.session, seq++, MODE_CLEAR, 0};
    const uint32_t kind = below(2000);
    if (kind < 1)
        send(&hello, sizeof hello);
    else if (kind < 2)
        send_limits();
    else if (kind < 6)
        send(&mode, sizeof mode);
    else if (kind < 60)
        send(&clear, sizeof clear);
    else if (kind < 120)
        send(&home, sizeof home);
    else if (kind < 400)
        send(&arm, sizeof arm);
    else
        send(&cmd, sizeof cmd);
}

/* Homing takes half a minute, and a pole that swings: now and then it is over. */
static void end_homing(void)
{
    safety_t *safety = &board.app.safety;
    if (safety->state != CART_HOMING || safety->drive.ramp.speed != 0 || below(300) != 0)
        return;
    const homing_t homing = {.left = -HALF_TRACK, .right = HALF_TRACK};
    board.app.cart_zero = board.app.cart_raw - (int32_t)below(2000) + 1000;
    drive_homed(safety, &homing);
    safety_homed(safety, 579);
}

static int complain(const char *what, uint32_t ms)
{
    const drive_t *drive = &board.app.safety.drive;
    printf("%s at %u ms: state %d, fault %d, speed %d, enabled %d, homed %d\n", what, ms, board.app.safety.state, board.app.safety.fault,
           drive->ramp.speed, drive->is_enabled, board.app.safety.is_homed);
    return 1;
}

int main(int argc, char **argv)
{
    const uint32_t most_ms = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    seed = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) | 1u : 1u;
    uint32_t armed = 0, moved = 0, homed = 0;
    board_begin(&board, 1, 0, NULL);
    send_limits();
    for (uint32_t ms = 0; ms < most_ms; ms++) {
        const drive_t before = board.app.safety.drive;
        end_homing();
        if ((ms >> 10) % 4 != 0 ? below(4) == 0 : below(200) == 0)
            send_something();
        const int32_t at = board.app.inputs.cart_counts;
        unsigned inputs = at < -HALF_TRACK ? INPUT_LEFT_SWITCH : at > HALF_TRACK ? INPUT_RIGHT_SWITCH : 0u;
        if (below(20000) == 0)
            inputs |= INPUT_ESTOP;
        if (below(5000) == 0)
            inputs ^= below(16);
        double drive_steps;
        const bool is_driven = board_tick(&board, 0, 1200 + (int32_t)below(3), inputs, below(4000) == 0 ? 0u : 12000u, &drive_steps);
        uint8_t bytes[APP_SEND_BYTES];
        (void)board_take(&board, bytes, sizeof bytes);
        const safety_t *safety = &board.app.safety;
        const drive_t *now = &safety->drive;
        const int64_t gained = (int64_t)now->ramp.speed - before.ramp.speed, most = (int64_t)now->ramp_limits.gain_q4 * 16;
        if (is_driven != now->is_enabled)
            return complain("the driver is not what safety says", ms);
        if (!now->is_enabled && (now->ramp.speed != 0 || safety->is_homed))
            return complain("free, and homed or driven", ms);
        if (safety->state == CART_READY && !safety->is_homed)
            return complain("ready without zeros", ms);
        if ((safety->state == CART_ARMED || safety->state == CART_HOMING) && !now->is_enabled)
            return complain("driven without a driver", ms);
        if (now->is_enabled && (gained > most || gained < -most))
            return complain("faster than the largest acceleration", ms);
        if (now->ramp.speed > now->ramp_limits.speed_most * RAMP_SPEED_PER_STEP || now->ramp.speed < -(int32_t)now->ramp_limits.speed_most * RAMP_SPEED_PER_STEP)
            return complain("faster than the largest speed", ms);
        if (safety->state != CART_ARMED && safety->state != CART_HOMING && before.ramp.speed != 0 && now->is_enabled &&
            llabs(now->ramp.speed) >= llabs(before.ramp.speed))
            return complain("not driven, and no slower", ms);
        armed += safety->state == CART_ARMED;
        moved += now->ramp.speed != 0;
        homed += safety->is_homed;
    }
    printf("armed %u, moved %u, homed %u\n", armed, moved, homed);
    return 0;
}
