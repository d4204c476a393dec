/* A stepper's cart: pulses, and what they make of the cart's joint.
 *
 * The pulses come from the firmware's own ramp and from the timer as the board has it (`step_source_t`), or from a board. Rotor and
 * belt follow the mean position of the pulses in each physics step, critically damped; that is solved exactly. The joint follows by
 * what dry friction is elsewhere: an impulse that brings the cart to a speed, here the one at which it ends the step where the rotor
 * wants it, limited to the motor's largest force less the friction. A cart that falls two full steps behind has lost its motor: half
 * an electrical period behind, the field pushes the other way. From then on only friction acts, until the speeds of cart and field
 * differ by less than the pull-in speed; the motor then locks at the nearest place, a whole number of electrical periods off.
 *
 * Units are SI. Nothing here allocates or touches Python.
 */
#ifndef STEPPER_H
#define STEPPER_H

#include <stdbool.h>
#include <stdint.h>

#include "boards/host/pulse_train.h"
#include "plant.h"
#include "ramp.h"

#define FULL_STEPS_PER_PERIOD 4.0 /* of an electrical period */

/* See `Stepper` in Python. */
typedef struct {
    double steps_per_m, microsteps;
    double maximum_speed_m_s, maximum_acceleration_m_s2;
    double pull_out_force_n, corner_speed_m_s, pull_in_speed_m_s;
    double settling_s;
} stepper_params_t;

/* What firmware and board are in a simulation without them: duties to pulses. */
typedef struct {
    ramp_limits_t limits;
    ramp_t ramp;
    pulse_train_t train;
} step_source_t;

/* Firmware and board of a model whose start and delay are searched: as `step_source_t`, but its pulses are divided at will, so that
 * what it makes of a duty depends smoothly on both. */
typedef struct {
    ramp_limits_t limits;
    ramp_t ramp;
    double m_per_step;
    double per_tick; /* steps, of the rate in force */
    double steps;
} smooth_source_t;

/* The pulses of one physics step: their sum since the count was zero, those to the left negative, as the mean over the step. */
typedef struct {
    double mean_steps;
    bool is_enabled; /* else the driver has no current */
} step_pulses_t;

typedef struct {
    double step_s, keep; /* keep: exp(-step / settling) */
    double m_per_step, settling_s;
    double period_m, slip_m; /* an electrical period, and how far behind a cart slips */
    double pull_out_force_n, corner_speed_m_s, pull_in_speed_m_s;
    double coulomb_n, static_n, end_stop_m;
    double field_m, field_m_s; /* where rotor and belt would be without a limit to the force */
    double offset_m;           /* of the cart from there while it follows; slipping changes it by whole electrical periods */
    bool is_locked;
} stepper_t;

/* The joint's motor for one physics step: `plant_step_to`. */
typedef struct {
    double speed_m_s, force_n;
} stepper_aim_t;

void step_source_begin(step_source_t *source, const stepper_params_t *params);

/* The pulses of the physics step at `duty`, a tick: the speed that it asks for is in force from the next tick on. */
step_pulses_t step_source_tick(step_source_t *source, double duty);

/* Pulses so far, to the right less those to the left: what the board counts. */
int32_t step_source_steps(const step_source_t *source);

/* The pulses stand at that place and move at that speed. */
void smooth_source_begin(smooth_source_t *source, const stepper_params_t *params, double position_m, double speed_m_s);

/* As `step_source_tick`. A new rate is late by what the timer takes for it on the mean: OCR1A and OCR1B are double-buffered. */
step_pulses_t smooth_source_tick(smooth_source_t *source, double duty);

/* Where its pulses stand, in m; the speed that was last asked for, in m/s; the acceleration of a duty, within the largest speed. */
double smooth_source_place_m(const smooth_source_t *source);
double smooth_source_speed_m_s(const smooth_source_t *source);
double smooth_source_acceleration_m_s2(const smooth_source_t *source, double duty);

void stepper_begin(stepper_t *stepper, const stepper_params_t *params, const plant_t *plant);

/* The cart is there, moving at that speed, and the motor holds it; returns the steps at which a board's count stands then. */
int32_t stepper_place(stepper_t *stepper, double position_m, double speed_m_s);

/* Firmware and board that drive it so; call after `stepper_place`. */
void step_source_place(step_source_t *source, int32_t steps, double steps_per_s);

/* The cart has followed pulses that stand there, move so and are accelerated so, for long enough to forget how that began. */
void stepper_trail(stepper_t *stepper, double position_m, double speed_m_s, double acceleration_m_s2, plant_state_t *state);

/* What drives the cart through the next step, from its state at the begin. */
stepper_aim_t stepper_aim(stepper_t *stepper, const step_pulses_t *pulses, const plant_state_t *state);

#endif
