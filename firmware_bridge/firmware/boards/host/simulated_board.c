#include "simulated_board.h"

#include "../../limits.h"

#define TICK_US (1000000u / TICK_HZ)
#define FULL_STEPS 4096u         /* of the converter, as bandgap_steps has it */
#define MAY_READ_BOOTLOADER 0x20u /* of the lock bits, as on the ATmega328P */

static void begin_motor(board_t *board);

static void boot(board_t *board, uint8_t reset_cause, const policy_image_t *image)
{
    begin_motor(board);
    app_init(&board->app, board->session, reset_cause, app_doubts_relay(&board->app), image);
    board->app.board = (board_health_t){
        .fuse_low = board->parts.fuse_low,
        .fuse_high = board->parts.fuse_high,
        .fuse_extended = board->parts.fuse_extended,
        .bootloader = (board->parts.lock_bits & MAY_READ_BOOTLOADER) != 0 ? board->parts.bootloader : 0,
        .chip = board->parts.chip,
    };
}

void board_begin(board_t *board, uint16_t session, uint32_t time_us, const policy_image_t *image)
{
    *board = (board_t){.session = session, .time_us = time_us, .parts = usual_parts};
    boot(board, RESET_POWER_ON, image);
}

void board_restart(board_t *board, uint8_t reset_cause, const policy_image_t *image)
{
    board->session++;
    board->time_us = 0;
    board->cart = (board_encoder_t){.wires = board->cart.wires};
    board->pole = (board_encoder_t){.wires = board->pole.wires};
    boot(board, reset_cause, image);
}

int32_t board_jump(const board_encoder_t *encoder, int32_t counts)
{
    return (int32_t)((uint32_t)counts - encoder->at);
}

static uint8_t levels_at(const board_encoder_t *encoder)
{
    static const uint8_t levels[4] = {0, 2, 3, 1}; /* A leads B */
    uint8_t pins = levels[encoder->at & 3u];
    if (encoder->wires.is_swapped)
        pins = (uint8_t)(pins >> 1 | (pins & 1u) << 1);
    return pins | encoder->wires.cut;
}

static void see(board_encoder_t *encoder)
{
    const uint8_t pins = levels_at(encoder);
    if (pins == encoder->decoder.pins)
        return;
    quadrature_update(&encoder->decoder, pins);
    encoder->total = quadrature_total(encoder->total, quadrature_counts(&encoder->decoder));
}

/* Edge by edge to where the encoder stands. */
static void turn(board_encoder_t *encoder, int32_t counts)
{
    const uint32_t step = board_jump(encoder, counts) > 0 ? 1u : UINT32_MAX;
    see(encoder); /* its wires may have changed */
    while (encoder->at != (uint32_t)counts) {
        encoder->at += step;
        see(encoder);
    }
}

#ifdef FIRMWARE_STEPPER

/* The tick's interrupt: what the tick before chose is in force. */
static void see_cart(board_t *board, board_inputs_t *seen, int32_t counts, unsigned inputs)
{
    (void)counts;
    pulse_train_set(&board->motor.train, board->motor.wanted.rate, board->motor.wanted.is_left);
    seen->cart_counts = board->motor.train.steps;
    seen->is_alarm_high = (inputs & BOARD_ALARM) != 0;
}

static bool drive_motor(board_t *board, double *drive)
{
    *drive = (double)pulse_train_pass(&board->motor.train, PULSE_TICK_COUNTS) / PULSE_TICK_COUNTS;
    return board->motor.wanted.is_enabled;
}

static void begin_motor(board_t *board)
{
    board->motor = (board_motor_t){.wanted = {.rate = {RAMP_SLOT, 0}}};
    pulse_train_begin(&board->motor.train);
}

#else

static void see_cart(board_t *board, board_inputs_t *seen, int32_t counts, unsigned inputs)
{
    (void)inputs;
    turn(&board->cart, counts);
    seen->cart_counts = (int32_t)board->cart.total;
    seen->cart_illegal = board->cart.decoder.illegal;
    seen->cart_edges = quadrature_edges(&board->cart.decoder);
}

static bool drive_motor(board_t *board, double *drive)
{
    const motor_t motor = board->motor.wanted;
    *drive = signed_pulses(motor.duty_q15);
    return motor.duty_q15 != 0 || motor.brake;
}

static void begin_motor(board_t *board)
{
    board->motor = (board_motor_t){0};
}

#endif

bool board_tick(board_t *board, int32_t cart_counts, int32_t pole_counts, unsigned inputs, unsigned supply_mv, double *drive)
{
    turn(&board->pole, pole_counts);
    board->time_us += TICK_US;
    const board_parts_t *parts = &board->parts;
    board_inputs_t seen = {
        .pole_counts = (int32_t)board->pole.total,
        .pole_illegal = board->pole.decoder.illegal,
        .pole_edges = quadrature_edges(&board->pole.decoder),
        .is_left_closed = (inputs & INPUT_LEFT_SWITCH) != 0,
        .is_right_closed = (inputs & INPUT_RIGHT_SWITCH) != 0,
        .is_estop_pressed = (inputs & INPUT_ESTOP) != 0,
        .supply_mv = (uint16_t)(supply_mv * RAIL_NOMINAL_MV / parts->rail_mv), /* by a converter that takes its rail for 5 V */
        .bandgap_steps = (uint16_t)((uint32_t)parts->bandgap_mv * FULL_STEPS / parts->rail_mv),
        .pulse_top = parts->pulse_top,
        .missed_ticks = board->missed,
    };
    see_cart(board, &seen, cart_counts, inputs);
    board->missed = 0;
    board->motor.wanted = app_tick(&board->app, board->time_us, &seen);
    app_tell(&board->app);
    while (app_must_think(&board->app)) /* this machine is done at once */
        if (app_think(&board->app))
            app_decide(&board->app, board->time_us);
    return drive_motor(board, drive);
}

void board_feed(board_t *board, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        app_receive(&board->app, bytes[i], board->time_us);
}

size_t board_take(board_t *board, uint8_t *bytes, size_t most)
{
    size_t length = 0;
    while (length < most && app_next_byte(&board->app, &bytes[length]))
        length++;
    return length;
}
