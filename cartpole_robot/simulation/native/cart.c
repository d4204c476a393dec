#include "cart.h"

#include <math.h>

#define LARGEST_COUNT 9.0e15 /* beyond it a float64 has no fractions, and the simulation has diverged long before */

void cart_begin(cart_t *cart, const cart_params_t *params)
{
    cart->params = *params;
    cart->motor = motor_of(&params->motor);
    if (params->has_stepper) {
        stepper_begin(&cart->stepper, &params->stepper, &params->plant);
        step_source_begin(&cart->source, &params->stepper);
    }
    delay_reset(&cart->delay, &params->delay);
    cart->state = (plant_state_t){0};
}

/* The count nearest to a position; false where there is none. */
static bool counts_at(double position, double counts_per_unit, int64_t *counts)
{
    const double exact = floor(position * counts_per_unit + 0.5);
    if (!(fabs(exact) < LARGEST_COUNT))
        return false;
    *counts = (int64_t)exact;
    return true;
}

bool cart_counts_at(const cart_params_t *params, const plant_state_t *state, int64_t *cart_counts, int64_t *pole_counts)
{
    return counts_at(state->position_m, params->counts_per_m, cart_counts) &&
           counts_at(state->angle_rad, params->counts_per_rad, pole_counts);
}

static bool count(const cart_t *cart, cart_reading_t *reading)
{
    const cart_params_t *params = &cart->params;
    if (!cart_counts_at(params, &cart->state, &reading->cart_counts, &reading->pole_counts))
        return false;
    if (params->has_stepper)
        reading->cart_counts = step_source_steps(&cart->source);
    return true;
}

/* Completes a reading that has its counts. */
static bool measure(const cart_t *cart, double duty, cart_reading_t *reading)
{
    const cart_params_t *params = &cart->params;
    reading->applied_duty = duty;
    if (!params->has_encoders) {
        reading->cart_counts = reading->pole_counts = CART_NO_COUNT;
        reading->position_m = cart->state.position_m;
        reading->speed_m_s = cart->state.speed_m_s;
        reading->angle_rad = cart->state.angle_rad;
        reading->rate_rad_s = cart->state.rate_rad_s;
        reading->motor_power_w = reading->command_age_s = NAN;
        return isfinite(reading->speed_m_s + reading->rate_rad_s);
    }
    const double m_per_count = 1.0 / params->counts_per_m, rad_per_count = 1.0 / params->counts_per_rad;
    reading->position_m = (double)reading->cart_counts * m_per_count;
    reading->angle_rad = (double)reading->pole_counts * rad_per_count;
    reading->speed_m_s = (double)estimator_speed(&cart->cart_estimator) * (m_per_count / ESTIMATOR_SPEED_PER_COUNT);
    reading->rate_rad_s = (double)estimator_speed(&cart->pole_estimator) * (rad_per_count / ESTIMATOR_SPEED_PER_COUNT);
    reading->motor_power_w = motor_power_w(&params->motor, params->back_emf_n_s_m, duty, reading->speed_m_s);
    reading->command_age_s = cart->delay.command_age_s;
    return true;
}

bool cart_place(cart_t *cart, const plant_state_t *state, cart_reading_t *reading)
{
    cart->state = *state;
    cart->params.plant.cart_push_n = cart->params.plant.pole_push_n_m = 0.0;
    cart->motor.drive_n = 0.0;
    if (cart->params.has_stepper) {
        const int32_t steps = stepper_place(&cart->stepper, state->position_m, state->speed_m_s);
        step_source_place(&cart->source, steps, state->speed_m_s * cart->params.stepper.steps_per_m);
    }
    delay_reset(&cart->delay, &cart->params.delay);
    if (cart->params.has_encoders) {
        if (!count(cart, reading))
            return false;
        estimator_reset(&cart->cart_estimator, (int32_t)(uint32_t)reading->cart_counts);
        estimator_reset(&cart->pole_estimator, (int32_t)(uint32_t)reading->pole_counts);
    }
    return measure(cart, 0.0, reading);
}

/* A physics step of a stepper's cart. */
static void follow_pulses(cart_t *cart, double duty)
{
    const step_pulses_t pulses = step_source_tick(&cart->source, duty);
    const stepper_aim_t aim = stepper_aim(&cart->stepper, &pulses, &cart->state);
    const double rubbing_n = motor_force(&cart->motor, 0.0, cart->state.speed_m_s, true);
    plant_step_driven(&cart->params.plant, &cart->state, rubbing_n, aim.speed_m_s, aim.force_n);
}

bool cart_run(cart_t *cart, const double *duties, int steps, cart_reading_t *reading)
{
    for (int k = 0; k < steps; k++) {
        if (cart->params.has_stepper)
            follow_pulses(cart, duties[k]);
        else
            plant_step(&cart->params.plant, &cart->state,
                       motor_force(&cart->motor, duties[k], cart->state.speed_m_s, false));
        if (!cart->params.has_encoders)
            continue;
        if (!count(cart, reading))
            return false;
        estimator_update(&cart->cart_estimator, (int32_t)(uint32_t)reading->cart_counts);
        estimator_update(&cart->pole_estimator, (int32_t)(uint32_t)reading->pole_counts);
    }
    return measure(cart, steps > 0 ? duties[steps - 1] : 0.0, reading);
}

bool cart_period(cart_t *cart, double duty, const uniform_t *random, cart_reading_t *reading)
{
    if (!(duty >= -1.0 && duty <= 1.0))
        duty = copysign(1.0, duty);
    double duties[CART_MOST_STEPS];
    delay_duties(&cart->delay, duty, random, duties);
    return cart_run(cart, duties, cart->params.delay.steps, reading);
}
