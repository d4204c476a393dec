#include "episode.h"

#include <math.h>

int episode_inputs(int history_length)
{
    return HISTORY_STEP_INPUTS * history_length - 1;
}

/* A reading as the task observes it. */
typedef struct {
    double signals[HISTORY_SIGNALS];
} observed_t;

static observed_t observed(const cart_reading_t *reading)
{
    return (observed_t){{reading->position_m, reading->speed_m_s, reading->angle_rad, reading->rate_rad_s}};
}

void episode_begin(episode_t *episode, const cart_reading_t *first)
{
    *episode = (episode_t){.end = EPISODE_RUNS};
    for (int step = 0; step < HISTORY_MOST; step++)
        history_observe(&episode->inputs[HISTORY_STEP_INPUTS * step], observed(first).signals);
}

static void count(episode_t *episode, double duty, episode_sums_t *sums)
{
    const double position_m = (double)episode->inputs[0], angle_rad = (double)episode->inputs[2];
    sums->square_m2 += position_m * position_m;
    sums->square_rad2 += angle_rad * angle_rad;
    if (duty * episode->side < 0.0)
        sums->reversals++;
    if (duty != 0.0)
        episode->side = duty > 0.0 ? 1 : -1;
    episode->steps++;
}

void episode_run(episode_t *episode, const episode_rules_t *rules, int64_t until, cart_t *cart, const uniform_t *random,
                 cart_reading_t *reading, episode_sums_t *sums)
{
    while (episode->end == EPISODE_RUNS && episode->steps < until) {
        const double duty = rules->act != NULL ? rules->duties[rules->act(rules->policy, episode->inputs)]
                                               : rules->duty(rules->policy, episode->inputs);
        cart_reading_t found;
        const bool is_finite = cart_period(cart, duty, random, &found);
        count(episode, duty, sums);
        if (!is_finite) {
            sums->power_w = NAN;
            episode->end = EPISODE_DIVERGED;
            return;
        }
        *reading = found;
        sums->power_w += found.motor_power_w;
        if (fabs(found.position_m) > rules->position_limit_m || fabs(found.angle_rad) > rules->angle_limit_rad)
            episode->end = EPISODE_TERMINATED;
        history_remember(episode->inputs, rules->history_length, duty, observed(&found).signals);
    }
}
