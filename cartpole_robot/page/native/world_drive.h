/* What of the page's cart depends on what moves it: world_dc.c has the DC motor on its bridge, world_stepper.c the stepper behind its
 * driver. One of them is compiled, as the firmware has it. */
#ifndef WORLD_DRIVE_H
#define WORLD_DRIVE_H

#include <math.h>
#include <stdbool.h>

#include "../../../firmware_bridge/firmware/boards/host/simulated_board.h"
#define motor_t cart_motor_t /* the firmware has a motor_t of its own */
#include "cart.h"
#undef motor_t

#define BLOCKED_N 1e9

#ifdef FIRMWARE_STEPPER

/* What is wrong between board and motor. */
typedef enum { DRIVER_UNPOWERED, DRIVER_ALARMED, DRIVER_REVERSED, DRIVER_MISSES, DRIVER_PROBLEMS } driver_problem_t;

typedef struct {
    stepper_t stepper;
    double counted; /* what the board last put out to a driver that was on */
    double offset_steps; /* from the board's count to the motor's: what the driver has made of it otherwise */
    double homed_m; /* how far the cart stood off the board's count when homing found the zeros; NAN before */
    bool was_homed;
    bool has[DRIVER_PROBLEMS];
} cart_drive_t;

#else

typedef struct {
    bool is_swapped; /* the motor's wires */
} cart_drive_t;

#endif

typedef struct world world_t;

/* The world's cart and surroundings are set, and the cart is at rest. */
void cart_drive_begin(world_t *world);

/* Friction, or what blocks the cart, has changed. */
void cart_drive_change(world_t *world);

/* Cart and pole are there, moving so, whatever holds them. */
void cart_drive_place(world_t *world, plant_state_t state);

/* Hands leave them so. A stepper whose driver is on holds its cart where it is: the pole alone follows. */
void cart_drive_put(world_t *world, plant_state_t state);

/* A millisecond in a hand that holds them there, and one without. */
void cart_drive_hold(world_t *world, plant_state_t held);
void cart_drive_move(world_t *world);

/* How hard the visitor's hand pulls at the cart, beside what accelerates it. */
double cart_drive_grip_n(const world_t *world);

/* What the board reads of the drive, among its inputs. */
unsigned cart_drive_inputs(const world_t *world);

/* The board's tick has decided. */
void cart_drive_take(world_t *world, bool is_driven, double drive);

/* The board was reset: its outputs are off, and its counts begin again. */
void cart_drive_reset(world_t *world);

/* The duty in force. */
double cart_drive_duty(const world_t *world);

/* How far the cart stands from where the firmware counts it, or counted it at last; NAN before it has found its zeros, and for a motor
 * whose cart has an encoder. */
double cart_drive_lost_m(const world_t *world);

/* The duty that a board's last tick decided, in 1/32767, and the speed of its ramp in 1/256 step a second. */
int board_duty_q15(const board_t *board);
int board_ramp_speed(const board_t *board);

#endif
