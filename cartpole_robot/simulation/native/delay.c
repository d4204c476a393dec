#include "delay.h"

#include <math.h>
#include <stddef.h>

bool delay_fits(const delay_params_t *params)
{
    return (params->latency_s + params->jitter_s) / params->period_s + 3.0 <= DELAY_MOST;
}

void delay_reset(delay_t *delay, const delay_params_t *params)
{
    delay->params = *params;
    delay->waiting_count = delay->coming_count = 0;
    delay->sent = 0;
    delay->newest = delay->active_number = -1;
    delay->active_duty = 0.0;
    delay->command_age_s = NAN;
}

/* When a command that arrives at `arrival` takes effect, both in steps from its measurement. */
static double effect_of(const delay_params_t *params, double arrival)
{
    if (params->apply == DELAY_ON_ARRIVAL)
        return arrival;
    const double period = params->steps;
    return period * fmax(1.0, ceil(arrival / period - 1e-9));
}

bool delay_moment(const delay_params_t *params, delay_moment_t *moment)
{
    *moment = (delay_moment_t){0, 0.0};
    if (params->apply == DELAY_AT_ONCE)
        return true;
    if (params->jitter_s != 0.0 || params->drop_probability != 0.0)
        return false;
    moment->steps = effect_of(params, params->latency_s / params->step_s);
    for (; moment->steps >= params->steps; moment->periods++)
        moment->steps -= params->steps;
    return true;
}

void delay_certain_duties(const delay_params_t *params, delay_moment_t moment, double before, double after, double *duties)
{
    for (int k = 0; k < params->steps; k++) {
        if (moment.steps <= k)
            duties[k] = after;
        else if (moment.steps < k + 1.0)
            duties[k] = (moment.steps - k) * before + (k + 1.0 - moment.steps) * after;
        else
            duties[k] = before;
    }
}

static void send(delay_t *delay, double duty, const uniform_t *random)
{
    const delay_params_t *params = &delay->params;
    const bool is_certain = params->jitter_s == 0.0 && params->drop_probability == 0.0;
    const int64_t number = delay->sent++;
    double latency_s = params->latency_s;
    if (!is_certain) {
        if (random->next(random->state) < params->drop_probability)
            return;
        latency_s += params->jitter_s * random->next(random->state);
    }
    if (delay->coming_count == DELAY_MOST || delay->waiting_count == DELAY_MOST)
        return; /* delay_fits() rules it out */
    delay->coming[delay->coming_count++] = (delay_coming_t){latency_s, number};
    delay->waiting[delay->waiting_count++] = (delay_waiting_t){effect_of(params, latency_s / params->step_s), number, duty};
}

static bool comes_before(const delay_coming_t *one, const delay_coming_t *other)
{
    return one->moment_s < other->moment_s || (one->moment_s == other->moment_s && one->number < other->number);
}

/* Brings `command_age_s` and the commands on their way to the end of the period, in the order of their arrival. */
static void grow_older(delay_t *delay)
{
    const double period_s = delay->params.period_s;
    for (int k = 1; k < delay->coming_count; k++) { /* a few, and nearly sorted */
        const delay_coming_t one = delay->coming[k];
        int at = k;
        for (; at > 0 && comes_before(&one, &delay->coming[at - 1]); at--)
            delay->coming[at] = delay->coming[at - 1];
        delay->coming[at] = one;
    }
    delay->command_age_s += period_s;
    int kept = 0;
    for (int k = 0; k < delay->coming_count; k++) {
        const delay_coming_t one = delay->coming[k];
        if (one.moment_s > period_s) {
            delay->coming[kept++] = (delay_coming_t){one.moment_s - period_s, one.number};
        } else if (one.number > delay->newest) { /* an overtaken command does not count */
            delay->newest = one.number;
            delay->command_age_s = period_s - one.moment_s;
        }
    }
    delay->coming_count = kept;
}

/* Puts in force the newest command whose moment has come. */
static void take(delay_t *delay, double now)
{
    int kept = 0;
    for (int k = 0; k < delay->waiting_count; k++) {
        const delay_waiting_t one = delay->waiting[k];
        if (one.effect > now) {
            delay->waiting[kept++] = one;
        } else if (one.number > delay->active_number) {
            delay->active_number = one.number;
            delay->active_duty = one.duty;
        }
    }
    delay->waiting_count = kept;
}

/* The earliest effect between `begin` and `end`, or `end`. */
static double next_effect(const delay_t *delay, double begin, double end)
{
    double next = end;
    for (int k = 0; k < delay->waiting_count; k++)
        if (delay->waiting[k].effect > begin && delay->waiting[k].effect < next)
            next = delay->waiting[k].effect;
    return next;
}

/* The mean duty of the step that begins at `step`: a command that takes effect inside it shares it with the one before. */
static double mixed(delay_t *delay, double step)
{
    double begin = step, sum = 0.0;
    take(delay, begin);
    for (double next; (next = next_effect(delay, begin, step + 1.0)) < step + 1.0; begin = next, take(delay, begin))
        sum += (next - begin) * delay->active_duty;
    return sum + (step + 1.0 - begin) * delay->active_duty;
}

void delay_duties(delay_t *delay, double requested, const uniform_t *random, double *duties)
{
    const int steps = delay->params.steps;
    if (delay->params.apply == DELAY_AT_ONCE) {
        delay->active_duty = requested;
        delay->command_age_s = delay->params.period_s;
        for (int k = 0; k < steps; k++)
            duties[k] = requested;
        return;
    }
    send(delay, requested, random);
    grow_older(delay);
    if (next_effect(delay, 0.0, steps) < steps) {
        for (int k = 0; k < steps; k++)
            duties[k] = mixed(delay, k);
    } else {
        take(delay, 0.0);
        for (int k = 0; k < steps; k++)
            duties[k] = delay->active_duty;
    }
    for (int k = 0; k < delay->waiting_count; k++)
        delay->waiting[k].effect -= steps;
}
