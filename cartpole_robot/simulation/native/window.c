#include "window.h"

#include <math.h>

#include "plant_step.h"
#include "trig.h"
#include "width.h"

#define LANES 8           /* runs a step at a time */
#define ROUNDED 1e10      /* shared duties are rounded to a part of this: else rounding errors of times would show in them */
#define US_PER_S 1e6
#define SAME_MOMENT 1e-6  /* of a step: no step is taken for less */

/* The commands of a window, from step to step. */
typedef struct {
    const window_series_t *series;
    int64_t begin_us;
    double delay_s, step_s;
    int64_t next;  /* the first that is not in force */
    double effect; /* of it, in steps from the window's begin */
    double duty;   /* in force */
} commands_t;

/* The runs that are a step further at a time: constants, then states, one entry a lane. */
typedef struct {
    double mass_kg[LANES], inertia_kg_m2[LANES], coupling_kg_m[LANES], gravity_m_s2[LANES], pole_viscous_n_m_s[LANES];
    double cart_coulomb_n[LANES], cart_static_n[LANES], pole_coulomb_n_m[LANES], end_stop_m[LANES];
    double target_n[LANES], keep[LANES], damping_n_s_m[LANES], mean[LANES]; /* `motor_drive_t` */
    double position_m[LANES], speed_m_s[LANES], angle_rad[LANES], rate_rad_s[LANES], drive_n[LANES];
    double step_s;
} lanes_t;

/* Seconds between two moments. Times are subtracted as integers: a window gives the same numbers wherever it lies in a recording. */
static double seconds(int64_t from_us, int64_t to_us)
{
    return (double)(to_us - from_us) / US_PER_S;
}

static double duty_of(const window_series_t *series, int64_t number)
{
    return isnan(series->duties[number]) ? 0.0 : series->duties[number];
}

static double effect_of(const commands_t *commands, int64_t number)
{
    if (number >= commands->series->count)
        return INFINITY;
    return (seconds(commands->begin_us, commands->series->times_us[number]) + commands->delay_s) / commands->step_s;
}

static commands_t commands_of(const window_t *window, double delay_s, double step_s)
{
    commands_t commands = {&window->series, window->series.times_us[window->first], delay_s, step_s, window->first, 0.0, 0.0};
    while (commands.next > 0 && effect_of(&commands, commands.next - 1) > 0.0)
        commands.next--;
    while (effect_of(&commands, commands.next) <= 0.0)
        commands.next++;
    commands.effect = effect_of(&commands, commands.next);
    commands.duty = commands.next > 0 ? duty_of(&window->series, commands.next - 1) : 0.0;
    return commands;
}

/* The mean duty of the step that ends at `end`; called for one step after the other. */
static double mean_duty(commands_t *commands, double end)
{
    if (commands->effect >= end)
        return commands->duty;
    double sum = 0.0;
    for (double begin = end - 1.0; begin < end;) {
        const double next = fmin(commands->effect, end);
        sum += (next - begin) * commands->duty;
        begin = next;
        if (commands->effect < end) {
            commands->duty = duty_of(commands->series, commands->next++);
            commands->effect = effect_of(commands, commands->next);
        }
    }
    return rint(sum * ROUNDED) / ROUNDED;
}

static void set_drive(lanes_t *lanes, int k, const motor_drive_t *drive)
{
    lanes->target_n[k] = drive->target_n;
    lanes->keep[k] = drive->keep;
    lanes->damping_n_s_m[k] = drive->damping_n_s_m;
    lanes->mean[k] = drive->mean;
}

static void set_run(lanes_t *lanes, int k, const window_run_t *run)
{
    const plant_t *plant = &run->params->plant;
    lanes->mass_kg[k] = plant->mass_kg;
    lanes->inertia_kg_m2[k] = plant->inertia_kg_m2;
    lanes->coupling_kg_m[k] = plant->coupling_kg_m;
    lanes->gravity_m_s2[k] = plant->gravity_m_s2;
    lanes->pole_viscous_n_m_s[k] = plant->pole_viscous_n_m_s;
    lanes->cart_coulomb_n[k] = plant->cart_coulomb_n;
    lanes->cart_static_n[k] = plant->cart_static_n;
    lanes->pole_coulomb_n_m[k] = plant->pole_coulomb_n_m;
    lanes->end_stop_m[k] = plant->end_stop_m;
    lanes->position_m[k] = run->state.position_m;
    lanes->speed_m_s[k] = run->state.speed_m_s;
    lanes->angle_rad[k] = run->state.angle_rad;
    lanes->rate_rad_s[k] = run->state.rate_rad_s;
    lanes->drive_n[k] = 0.0;
}

/* A physics step of lane `k`, with the sine and cosine of its angle. */
static inline void step_lane(lanes_t *restrict lanes, int k, double sine, double cosine, bool has_end)
{
    const plant_t plant = {
        .step_s = lanes->step_s,
        .mass_kg = lanes->mass_kg[k],
        .inertia_kg_m2 = lanes->inertia_kg_m2[k],
        .coupling_kg_m = lanes->coupling_kg_m[k],
        .gravity_m_s2 = lanes->gravity_m_s2[k],
        .pole_viscous_n_m_s = lanes->pole_viscous_n_m_s[k],
        .cart_coulomb_n = lanes->cart_coulomb_n[k],
        .cart_static_n = lanes->cart_static_n[k],
        .pole_coulomb_n_m = lanes->pole_coulomb_n_m[k],
        .end_stop_m = lanes->end_stop_m[k],
    };
    const motor_drive_t drive = {lanes->target_n[k], lanes->keep[k], lanes->damping_n_s_m[k], lanes->mean[k]};
    plant_state_t state = {lanes->position_m[k], lanes->speed_m_s[k], lanes->angle_rad[k], lanes->rate_rad_s[k]};
    double drive_n = lanes->drive_n[k];
    const double force_n = motor_push(&drive, &drive_n, state.speed_m_s);
    plant_step_at(&plant, &state, force_n, sine, cosine, has_end);
    lanes->position_m[k] = state.position_m;
    lanes->speed_m_s[k] = state.speed_m_s;
    lanes->angle_rad[k] = state.angle_rad;
    lanes->rate_rad_s[k] = state.rate_rad_s;
    lanes->drive_n[k] = drive_n;
}

/* A physics step of all lanes, each before its track's end at an angle for `sine_cosine_small`. */
ANY_WIDTH static void step_free(lanes_t *restrict lanes)
{
    for (int k = 0; k < LANES; k++) {
        double sine, cosine;
        sine_cosine_small(lanes->angle_rad[k], &sine, &cosine);
        step_lane(lanes, k, sine, cosine, false);
    }
}

static void step(lanes_t *lanes)
{
    bool is_free = true;
    for (int k = 0; k < LANES; k++)
        is_free &= fabs(lanes->position_m[k]) < lanes->end_stop_m[k] && fabs(lanes->angle_rad[k]) <= TRIG_LARGEST_RAD;
    if (is_free) {
        step_free(lanes);
        return;
    }
    for (int k = 0; k < LANES; k++) {
        double sine, cosine;
        sine_cosine(lanes->angle_rad[k], &sine, &cosine);
        step_lane(lanes, k, sine, cosine, true);
    }
}

static double between(double before, double after, double share)
{
    return before + share * (after - before);
}

/* At most LANES runs; where there are fewer, the last one runs again in the lanes that are left. */
static void run_lanes(const window_t *window, window_run_t *runs, int count)
{
    const int64_t *times_us = window->series.times_us + window->first;
    const int64_t entries = window->end - window->first;
    const double step_s = runs[0].params->plant.step_s;
    const int64_t steps = (int64_t)ceil(seconds(times_us[0], times_us[entries - 1]) / step_s - SAME_MOMENT);
    const bool is_open = isnan(window->series.duties[window->first]);
    commands_t commands[LANES];
    motor_t motors[LANES];
    double duties[LANES];
    lanes_t lanes = {.step_s = step_s};
    for (int k = 0; k < LANES; k++) {
        const window_run_t *run = &runs[k < count ? k : count - 1];
        commands[k] = commands_of(window, run->delay_s, step_s);
        motors[k] = motor_of(&run->params->motor);
        duties[k] = NAN;
        set_run(&lanes, k, run);
    }
    int64_t entry = 0;
    for (int64_t number = 0; number < steps; number++) {
        for (int k = 0; k < LANES; k++) {
            const double duty = is_open ? 0.0 : mean_duty(&commands[k], (double)(number + 1));
            if (duty == duties[k])
                continue;
            const motor_drive_t drive = motor_drive(&motors[k], duty, is_open);
            set_drive(&lanes, k, &drive);
            duties[k] = duty;
        }
        const bool is_read = seconds(times_us[0], times_us[entry]) / step_s < (double)(number + 1) || number + 1 == steps;
        if (!is_read) {
            step(&lanes);
            continue;
        }
        const lanes_t before = lanes;
        step(&lanes);
        for (; entry < entries; entry++) {
            const double share = seconds(times_us[0], times_us[entry]) / step_s - (double)number;
            if (share >= 1.0 && number + 1 < steps)
                break;
            for (int k = 0; k < count; k++) {
                double *reading = runs[k].readings + WINDOW_SIGNALS * entry;
                reading[0] = between(before.position_m[k], lanes.position_m[k], share);
                reading[1] = between(before.angle_rad[k], lanes.angle_rad[k], share);
                if (entry == entries - 1)
                    runs[k].state = (plant_state_t){
                        .position_m = reading[0],
                        .speed_m_s = between(before.speed_m_s[k], lanes.speed_m_s[k], share),
                        .angle_rad = reading[1],
                        .rate_rad_s = between(before.rate_rad_s[k], lanes.rate_rad_s[k], share),
                    };
            }
        }
    }
}

/* Whether `entry` is read in the physics step `number`, and how far into the step; the last step has all that are left. */
static bool is_read_in(const window_t *window, int64_t entry, double step_s, int64_t number, int64_t steps, double *share)
{
    const int64_t *times_us = window->series.times_us + window->first;
    if (entry >= window->end - window->first)
        return false;
    *share = seconds(times_us[0], times_us[entry]) / step_s - (double)number;
    return *share < 1.0 || number + 1 == steps;
}

/* A stepper's cart: place and speed of its state, and of its readings, are those of its pulses. Before the window it has long been
 * accelerated as in the first step; with the motor off, it is held at rest. */
static void run_stepper(const window_t *window, window_run_t *run)
{
    const cart_params_t *params = run->params;
    const int64_t *times_us = window->series.times_us + window->first;
    const double step_s = params->plant.step_s;
    const int64_t steps = (int64_t)ceil(seconds(times_us[0], times_us[window->end - window->first - 1]) / step_s - SAME_MOMENT);
    const bool is_open = isnan(window->series.duties[window->first]);
    commands_t commands = commands_of(window, run->delay_s, step_s);
    double duty = is_open ? 0.0 : mean_duty(&commands, 1.0);
    motor_t motor = motor_of(&params->motor);
    stepper_t stepper;
    smooth_source_t source;
    plant_state_t state = run->state;
    stepper_begin(&stepper, &params->stepper, &params->plant);
    smooth_source_begin(&source, &params->stepper, state.position_m, is_open ? 0.0 : state.speed_m_s);
    stepper_trail(&stepper, state.position_m, is_open ? 0.0 : state.speed_m_s,
                  smooth_source_acceleration_m_s2(&source, duty), &state);
    int64_t entry = 0;
    for (int64_t number = 0; number < steps; number++) {
        const double before_m = smooth_source_place_m(&source), before_rad = state.angle_rad;
        const double before_m_s = smooth_source_speed_m_s(&source), before_rad_s = state.rate_rad_s;
        const step_pulses_t pulses = smooth_source_tick(&source, duty);
        const stepper_aim_t aim = stepper_aim(&stepper, &pulses, &state);
        const double rubbing_n = motor_force(&motor, 0.0, state.speed_m_s, true);
        plant_step_driven(&params->plant, &state, rubbing_n, aim.speed_m_s, aim.force_n);
        for (double share; is_read_in(window, entry, step_s, number, steps, &share); entry++) {
            double *reading = run->readings + WINDOW_SIGNALS * entry;
            reading[0] = between(before_m, smooth_source_place_m(&source), share);
            reading[1] = between(before_rad, state.angle_rad, share);
            run->state = (plant_state_t){
                .position_m = reading[0],
                .speed_m_s = between(before_m_s, smooth_source_speed_m_s(&source), share),
                .angle_rad = reading[1],
                .rate_rad_s = between(before_rad_s, state.rate_rad_s, share),
            };
        }
        duty = is_open || number + 1 == steps ? 0.0 : mean_duty(&commands, (double)(number + 2));
    }
}

void window_run(const window_t *window, window_run_t *runs, int count)
{
    if (count > 0 && runs[0].params->has_stepper) {
        for (int k = 0; k < count; k++)
            run_stepper(window, &runs[k]);
        return;
    }
    for (int begin = 0; begin < count; begin += LANES)
        run_lanes(window, runs + begin, count - begin < LANES ? count - begin : LANES);
}
