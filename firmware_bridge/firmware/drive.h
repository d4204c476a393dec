/* What safety, homing and app ask of the motor's kind. One image drives one: a DC motor on a bridge (drive_dc.c), or, compiled with
 * -DFIRMWARE_STEPPER, a stepper behind a STEP/DIR driver (drive_stepper.c).
 *
 * The functions belong to safety: they look at all of it. Where one kind has nothing to do, its header has an inline function.
 */
#ifndef DRIVE_H
#define DRIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "hal.h"
#include "inputs.h"
#include "protocol.h"

typedef struct safety safety_t;
typedef struct homing homing_t;

#ifdef FIRMWARE_STEPPER
#include "drive_stepper.h"
#else
#include "drive_dc.h"
#endif

/* New limits are in force; `is_changed`: they differ from those before. Returns whether the drive has all it needs. */
bool drive_configure(safety_t *safety, bool is_changed);

/* Nothing has been driven yet. */
void drive_begin(safety_t *safety, const safety_inputs_t *inputs);

/* Driving ends, in that state. */
void drive_end(safety_t *safety, uint8_t state);

/* What a command of that duty asks of the motor before the limits; without one it stands, or comes to rest. */
int16_t drive_commanded(const safety_t *safety, int16_t duty_q15, bool is_there);

/* The duty of what homing would like, within homing's limits. */
int16_t drive_homing_duty(safety_t *safety, const safety_inputs_t *inputs, int16_t want);

/* Whether the cart, given that duty for a tick more, can no longer stop before its travel limit. */
bool drive_is_past_stopping(const safety_t *safety, const safety_inputs_t *inputs, int16_t duty_q15);

/* The motor's own limits, seen from what it is about to be given: FAULT_NONE or what is wrong. */
uint8_t drive_check(safety_t *safety, const safety_inputs_t *inputs, int16_t duty_q15);

/* What the motor gets: that duty; or what brings it to rest, and then nothing. */
motor_t drive_push(safety_t *safety, int16_t duty_q15);
motor_t drive_rest(safety_t *safety, const safety_inputs_t *inputs);

#endif
