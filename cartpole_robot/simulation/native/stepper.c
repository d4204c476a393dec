#include "stepper.h"

#include <math.h>

#include "plant_step.h"

#define DUTY_ONE 32767.0 /* PROTOCOL_DUTY_ONE */
#define SLIP_FULL_STEPS 2.0
#define TICKS_PER_S ((double)RAMP_COUNTS_PER_S / PULSE_TICK_COUNTS)
#define WRITTEN_AHEAD 1.5 /* periods from a tick to the first that has its length, on the mean */
#define SLOTS_AHEAD 2.5   /* from a tick to pulses at its rate, where they come in slots */
#define LOST_AFTER_SLOTS 0.3 /* of a step, on the mean, where periods follow slots; regained where slots follow periods */
#define TURNING 0.25      /* steps a tick: slower, it is not certain which step was counted last */

static ramp_limits_t limits_of(const stepper_params_t *params)
{
    const double per_tick = params->maximum_acceleration_m_s2 * params->steps_per_m / TICKS_PER_S;
    return (ramp_limits_t){
        .speed_most = (uint16_t)lrint(params->maximum_speed_m_s * params->steps_per_m),
        .gain_q4 = (uint16_t)lrint(per_tick * RAMP_GAIN_PER_STEP),
    };
}

/* The speed of a ramp, in its unit. */
static int32_t ramp_speed(double steps_per_s, const ramp_limits_t *limits)
{
    return (int32_t)lrint(plant_limited(steps_per_s, limits->speed_most) * RAMP_SPEED_PER_STEP);
}

void step_source_begin(step_source_t *source, const stepper_params_t *params)
{
    source->limits = limits_of(params);
    step_source_place(source, 0, 0.0);
}

void step_source_place(step_source_t *source, int32_t steps, double steps_per_s)
{
    source->ramp.speed = ramp_speed(steps_per_s, &source->limits);
    pulse_train_t *train = &source->train;
    pulse_train_begin(train);
    train->steps = steps;
    pulse_train_set(train, ramp_rate(&source->ramp), source->ramp.speed < 0);
    if (train->rate.share == RAMP_EVERY) {
        train->period = train->next_period = train->rate.period;
        train->has_pulse = train->has_next = true;
    }
}

step_pulses_t step_source_tick(step_source_t *source, double duty)
{
    pulse_train_set(&source->train, ramp_rate(&source->ramp), source->ramp.speed < 0);
    ramp_tick(&source->ramp, &source->limits, (int16_t)lrint(duty * DUTY_ONE));
    return (step_pulses_t){(double)pulse_train_pass(&source->train, PULSE_TICK_COUNTS) / PULSE_TICK_COUNTS, true};
}

int32_t step_source_steps(const step_source_t *source)
{
    return source->train.steps;
}

/* A tick of the ramp at a duty, which may be that of any recording. */
static void tick_ramp(ramp_t *ramp, const ramp_limits_t *limits, double duty)
{
    ramp_tick(ramp, limits, (int16_t)lrint(plant_limited(duty, 1.0) * DUTY_ONE));
}

static double steps_per_tick(const ramp_t *ramp)
{
    return ramp->speed / (RAMP_SPEED_PER_STEP * TICKS_PER_S);
}

/* A step counts once its period is over, and the part of one that is not made is lost where the cart reverses: on the mean, the count
 * is a quarter of a step behind to either side. */
static double uncounted(const smooth_source_t *source)
{
    return 0.25 * source->per_tick / (fabs(source->per_tick) + TURNING);
}

void smooth_source_begin(smooth_source_t *source, const stepper_params_t *params, double position_m, double speed_m_s)
{
    source->limits = limits_of(params);
    source->ramp.speed = ramp_speed(speed_m_s * params->steps_per_m, &source->limits);
    source->m_per_step = 1.0 / params->steps_per_m;
    source->per_tick = steps_per_tick(&source->ramp);
    source->steps = position_m * params->steps_per_m + uncounted(source);
}

double smooth_source_place_m(const smooth_source_t *source)
{
    return (source->steps - uncounted(source)) * source->m_per_step;
}

double smooth_source_speed_m_s(const smooth_source_t *source)
{
    return steps_per_tick(&source->ramp) * TICKS_PER_S * source->m_per_step;
}

double smooth_source_acceleration_m_s2(const smooth_source_t *source, double duty)
{
    ramp_t ramp = source->ramp;
    tick_ramp(&ramp, &source->limits, duty);
    return (steps_per_tick(&ramp) - steps_per_tick(&source->ramp)) * TICKS_PER_S * TICKS_PER_S * source->m_per_step;
}

step_pulses_t smooth_source_tick(smooth_source_t *source, double duty)
{
    const double old = source->per_tick, per_tick = steps_per_tick(&source->ramp);
    const bool has_slots = fabs(old) < RAMP_SLOW / TICKS_PER_S;
    /* of a tick: at most 3/4 */
    const double late = has_slots ? SLOTS_AHEAD * RAMP_SLOT / PULSE_TICK_COUNTS : WRITTEN_AHEAD / fabs(old);
    const double rest = 1.0 - late;
    const double mean = source->steps - uncounted(source) + old * late * (1.0 - 0.5 * late) + per_tick * 0.5 * rest * rest;
    source->steps += old * late + per_tick * rest;
    if (has_slots != (fabs(per_tick) < RAMP_SLOW / TICKS_PER_S))
        source->steps += (has_slots ? -1.0 : 1.0) * copysign(LOST_AFTER_SLOTS, per_tick);
    source->per_tick = per_tick;
    tick_ramp(&source->ramp, &source->limits, duty);
    return (step_pulses_t){mean, true};
}

void stepper_begin(stepper_t *stepper, const stepper_params_t *params, const plant_t *plant)
{
    const double full_step_m = params->microsteps / params->steps_per_m;
    *stepper = (stepper_t){
        .step_s = plant->step_s,
        .keep = exp(-plant->step_s / params->settling_s),
        .m_per_step = 1.0 / params->steps_per_m,
        .settling_s = params->settling_s,
        .period_m = FULL_STEPS_PER_PERIOD * full_step_m,
        .slip_m = SLIP_FULL_STEPS * full_step_m,
        .pull_out_force_n = params->pull_out_force_n,
        .corner_speed_m_s = params->corner_speed_m_s,
        .pull_in_speed_m_s = params->pull_in_speed_m_s,
        .coulomb_n = plant->cart_coulomb_n,
        .static_n = plant->cart_static_n,
        .end_stop_m = plant->end_stop_m,
        .is_locked = true,
    };
}

int32_t stepper_place(stepper_t *stepper, double position_m, double speed_m_s)
{
    const double pulses_m = position_m + 2.0 * stepper->settling_s * speed_m_s;
    const double exact = floor(pulses_m / stepper->m_per_step + 0.5);
    const int32_t steps = fabs(exact) < INT32_MAX ? (int32_t)exact : 0; /* the cart's own count refuses such a place */
    stepper->offset_m = pulses_m - steps * stepper->m_per_step;
    stepper->field_m = position_m - stepper->offset_m;
    stepper->field_m_s = speed_m_s;
    stepper->is_locked = true;
    return steps;
}

void stepper_trail(stepper_t *stepper, double position_m, double speed_m_s, double acceleration_m_s2, plant_state_t *state)
{
    const double settling_s = stepper->settling_s;
    stepper->field_m_s = speed_m_s - 2.0 * settling_s * acceleration_m_s2;
    stepper->field_m = position_m - 2.0 * settling_s * speed_m_s + 3.0 * settling_s * settling_s * acceleration_m_s2;
    stepper->offset_m = 0.0;
    stepper->is_locked = true;
    state->position_m = stepper->field_m;
    state->speed_m_s = stepper->field_m_s;
}

/* Critically damped, toward a place that is constant over the step. */
static void move_field(stepper_t *stepper, double pulses_m)
{
    const double away = stepper->field_m - pulses_m, step_s = stepper->step_s;
    const double turn = stepper->field_m_s + away / stepper->settling_s;
    stepper->field_m = pulses_m + (away + turn * step_s) * stepper->keep;
    stepper->field_m_s = (stepper->field_m_s - turn * step_s / stepper->settling_s) * stepper->keep;
}

/* Slips a cart that has fallen behind, and locks one whose speed is that of the field. */
static void choose_lock(stepper_t *stepper, double behind_m, bool is_enabled, const plant_state_t *state)
{
    if (!is_enabled || fabs(behind_m) > stepper->slip_m * (1.0 + 1e-9))
        stepper->is_locked = false;
    if (is_enabled && !stepper->is_locked && fabs(stepper->field_m_s - state->speed_m_s) < stepper->pull_in_speed_m_s) {
        stepper->offset_m -= stepper->period_m * floor(behind_m / stepper->period_m + 0.5);
        stepper->is_locked = true;
    }
}

stepper_aim_t stepper_aim(stepper_t *stepper, const step_pulses_t *pulses, const plant_state_t *state)
{
    choose_lock(stepper, stepper->field_m + stepper->offset_m - state->position_m, pulses->is_enabled, state);
    move_field(stepper, pulses->mean_steps * stepper->m_per_step);
    if (!stepper->is_locked) {
        const bool is_standing = fabs(state->speed_m_s) < PLANT_STANDING_M_S;
        return (stepper_aim_t){0.0, is_standing ? stepper->static_n : stepper->coulomb_n};
    }
    const double speed = fmax(fabs(state->speed_m_s), stepper->corner_speed_m_s);
    stepper_aim_t aim = {
        .speed_m_s = (stepper->field_m + stepper->offset_m - state->position_m) / stepper->step_s,
        .force_n = fmax(0.0, stepper->pull_out_force_n * stepper->corner_speed_m_s / speed - stepper->coulomb_n),
    };
    /* What is rigid stops the cart, not the motor what is rigid. */
    if (fabs(state->position_m) >= stepper->end_stop_m && aim.speed_m_s * state->position_m > 0.0)
        aim.speed_m_s = 0.0;
    return aim;
}
