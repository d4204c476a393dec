/* What drives the motor at PB0 to PB2: motor.c a bridge, stepper.c a STEP/DIR driver. An image has one of them. */
#ifndef MOTOR_H
#define MOTOR_H

#include "../../hal.h"

/* The bridge stays open, the driver disabled. */
void motor_begin(void);

void motor_drive(motor_t motor);

/* What a tick's inputs have of it: how the timer is set up, and a stepper's steps. */
void motor_read(board_inputs_t *inputs);

/* As fast as can be: the bridge opens, the driver is disabled. */
void motor_open(void);

#ifdef FIRMWARE_STEPPER

/* Around the start of the tick's timer: the pulses' timer starts at the same cycle. */
void motor_hold_clocks(void);
void motor_release_clocks(void);

/* What was last given to motor_drive() holds, and the steps until now are kept. With interrupts off: the tick's interrupt calls it. */
void motor_latch(void);

/* Takes the steps last kept. With interrupts off. */
void motor_take(void);

#else

static inline void motor_hold_clocks(void)
{
}

static inline void motor_release_clocks(void)
{
}

static inline void motor_latch(void)
{
}

static inline void motor_take(void)
{
}

#endif

#endif
