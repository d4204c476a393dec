#include "window.h"

#include <math.h>

#define ABREAST 4         /* runs a step at a time, so that a processor works on one while it waits for the other */
#define ROUNDED 1e10      /* shared duties are rounded to a part of this: else rounding errors of times would show in them */
#define SAME_MOMENT 1e-6  /* of a step: no step is taken for less */

/* The commands of a window, from step to step. */
typedef struct {
    const window_series_t *series;
    double begin_s, delay_s, step_s;
    int64_t next; /* the first that is not in force */
    double effect; /* of it, in steps from the window's begin */
    double duty;   /* in force */
} commands_t;

static double duty_of(const window_series_t *series, int64_t number)
{
    return isnan(series->duties[number]) ? 0.0 : series->duties[number];
}

static double effect_of(const commands_t *commands, int64_t number)
{
    if (number >= commands->series->count)
        return INFINITY;
    return (commands->series->times_s[number] + commands->delay_s - commands->begin_s) / commands->step_s;
}

static commands_t commands_of(const window_t *window, double delay_s, double step_s)
{
    commands_t commands = {&window->series, window->series.times_s[window->first], delay_s, step_s, window->first, 0.0, 0.0};
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

static double between(double before, double after, double share)
{
    return before + share * (after - before);
}

/* At most ABREAST runs. */
static void run_abreast(const window_t *window, window_run_t *runs, int count)
{
    const double *times_s = window->series.times_s + window->first;
    const int64_t entries = window->end - window->first;
    const double step_s = runs[0].params->plant.step_s;
    const int64_t steps = (int64_t)ceil((times_s[entries - 1] - times_s[0]) / step_s - SAME_MOMENT);
    const bool is_open = isnan(window->series.duties[window->first]);
    commands_t commands[ABREAST];
    motor_t motors[ABREAST];
    plant_state_t states[ABREAST];
    for (int k = 0; k < count; k++) {
        commands[k] = commands_of(window, runs[k].delay_s, step_s);
        motors[k] = motor_of(&runs[k].params->motor);
        states[k] = runs[k].state;
    }
    int64_t entry = 0;
    for (int64_t step = 0; step < steps; step++) {
        plant_state_t before[ABREAST];
        for (int k = 0; k < count; k++) {
            before[k] = states[k];
            const double duty = is_open ? 0.0 : mean_duty(&commands[k], (double)(step + 1));
            plant_step(&runs[k].params->plant, &states[k], motor_force(&motors[k], duty, states[k].speed_m_s, is_open));
        }
        for (; entry < entries; entry++) {
            const double share = (times_s[entry] - times_s[0]) / step_s - (double)step;
            if (share >= 1.0 && step + 1 < steps)
                break;
            for (int k = 0; k < count; k++) {
                double *reading = runs[k].readings + WINDOW_SIGNALS * entry;
                reading[0] = between(before[k].position_m, states[k].position_m, share);
                reading[1] = between(before[k].angle_rad, states[k].angle_rad, share);
                if (entry == entries - 1)
                    runs[k].state = (plant_state_t){
                        .position_m = reading[0],
                        .speed_m_s = between(before[k].speed_m_s, states[k].speed_m_s, share),
                        .angle_rad = reading[1],
                        .rate_rad_s = between(before[k].rate_rad_s, states[k].rate_rad_s, share),
                    };
            }
        }
    }
}

void window_run(const window_t *window, window_run_t *runs, int count)
{
    for (int begin = 0; begin < count; begin += ABREAST)
        run_abreast(window, runs + begin, count - begin < ABREAST ? count - begin : ABREAST);
}
