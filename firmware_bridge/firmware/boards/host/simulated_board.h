/* The firmware on a simulated board, without Python: for the extension, and for WebAssembly. One tick is one millisecond.
 *
 * The board turns counts into the levels of two quadrature encoders and decodes them again, edge by edge, as the
 * microcontroller's interrupt does. Wires may be cut or swapped on the way.
 */
#ifndef SIMULATED_BOARD_H
#define SIMULATED_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "../../app.h"
#include "../../pulses.h"
#include "../../quadrature.h"
#ifdef FIRMWARE_STEPPER
#include "pulse_train.h"
#endif

#define BOARD_MOST_EDGES 100000 /* in one tick; a plant that moves faster has come apart */

/* What the firmware finds out about its board: its 5 V rail, fuses, bootloader, chip and timer. */
typedef struct {
    uint16_t rail_mv;
    uint16_t bandgap_mv; /* the reference of this chip */
    uint16_t pulse_top;
    uint8_t fuse_low, fuse_high, fuse_extended, lock_bits;
    uint16_t bootloader;
    uint16_t chip;
} board_parts_t;

/* An Arduino Uno with Optiboot 4.4, its brown-out level set to 4.3 V, its lock bits as Optiboot's own files set them: those of the
 * Arduino files, 0xCF, forbid to read the bootloader. */
static const board_parts_t usual_parts = {
    .rail_mv = 5000,
    .bandgap_mv = 1100,
    .pulse_top = DRIVE_PULSE_TOP,
    .fuse_low = 0xFF,
    .fuse_high = 0xDE,
    .fuse_extended = 0xFC,
    .lock_bits = 0xEF,
    .bootloader = 0x0404,
    .chip = 0x950F,
};

/* An encoder's wires at the board, whose pull-up holds a cut one high. */
typedef struct {
    uint8_t cut; /* A is bit 1, B is bit 0 */
    bool is_swapped;
} encoder_wires_t;

typedef struct {
    quadrature_t decoder;
    encoder_wires_t wires;
    uint32_t at;    /* where the encoder stands */
    uint32_t total; /* what the decoder has counted */
} board_encoder_t;

#ifdef FIRMWARE_STEPPER
#define BOARD_ALARM 8u /* among the inputs: the driver's alarm output is high */

typedef struct {
    motor_t wanted; /* of the tick before */
    pulse_train_t train;
} board_motor_t;
#else
typedef struct {
    motor_t wanted;
} board_motor_t;
#endif

typedef struct {
    app_t app;
    board_encoder_t cart, pole; /* a stepper's cart has none */
    board_motor_t motor;
    board_parts_t parts;
    uint32_t time_us;
    uint16_t session;
    uint8_t missed; /* ticks that do not come before the next */
} board_t;

/* Switched on at `time_us`, with the usual parts and wires. */
void board_begin(board_t *board, uint16_t session, uint32_t time_us, const policy_image_t *image);

/* A reset by that enum reset_cause: a new session, the clock at 0. The relay may stay doubted; parts and wires stay. */
void board_restart(board_t *board, uint8_t reset_cause, const policy_image_t *image);

/* How far an encoder would jump by a tick at `counts`; more than BOARD_MOST_EDGES either way is impossible. */
int32_t board_jump(const board_encoder_t *encoder, int32_t counts);

/* One millisecond: app_tick(), app_tell() and what the policy in the image thinks. `inputs` are the first three of enum input_flag.
 * Returns whether the motor is driven until the next tick: a bridge with `drive` pulses of PULSE_PERIOD (0: shorted), a stepper's driver,
 * enabled, with steps that are `drive` on the mean over that millisecond. Else the bridge is open, the driver disabled. A stepper's board
 * counts its own steps, whatever `cart_counts` are. */
bool board_tick(board_t *board, int32_t cart_counts, int32_t pole_counts, unsigned inputs, unsigned supply_mv, double *drive);

void board_feed(board_t *board, const uint8_t *bytes, size_t length);

/* Up to `most` of the bytes that were sent; returns how many. */
size_t board_take(board_t *board, uint8_t *bytes, size_t most);

static inline bool board_has_sent(const board_t *board)
{
    return board->app.send_head != board->app.send_tail;
}

static inline int32_t signed_pulses(int16_t duty_q15)
{
    const int32_t pulses = pulses_of(duty_q15);
    return duty_q15 < 0 ? -pulses : pulses;
}

#endif
