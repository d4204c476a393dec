#include "pulse_train.h"

void pulse_train_begin(pulse_train_t *train)
{
    *train = (pulse_train_t){.period = RAMP_SLOT, .next_period = RAMP_SLOT, .rate = {RAMP_SLOT, 0}};
}

static bool is_idle(const pulse_train_t *train)
{
    return !train->has_pulse && !train->has_next;
}

void pulse_train_set(pulse_train_t *train, step_rate_t rate, bool is_left)
{
    train->rate = rate;
    train->is_left = is_left;
    if (train->is_left != train->is_left_pin && is_idle(train)) {
        train->is_left_pin = is_left;
        train->accumulator = 0;
    }
}

/* Whether the period after the next one ends with a pulse. None does until the pin has the direction wanted. */
static bool is_due(pulse_train_t *train)
{
    if (train->is_left != train->is_left_pin || train->rate.share == 0)
        return false;
    if (train->rate.share == RAMP_EVERY)
        return true;
    train->accumulator = (uint16_t)(train->accumulator + train->rate.share);
    return train->accumulator < train->rate.share;
}

/* BOTTOM: what was written is in force, and the interrupt writes again. */
static int32_t pass_bottom(pulse_train_t *train)
{
    const int32_t side = !train->has_pulse ? 0 : train->is_left_pin ? -1 : 1;
    train->steps = (int32_t)((uint32_t)train->steps + (uint32_t)side);
    train->period = train->next_period;
    train->has_pulse = train->has_next;
    train->next_period = train->rate.period;
    train->has_next = is_due(train);
    train->count = 0;
    return side;
}

int32_t pulse_train_advance(pulse_train_t *train, uint32_t counts)
{
    int32_t steps = 0;
    while (counts >= (uint32_t)(train->period - train->count)) {
        counts -= (uint32_t)(train->period - train->count);
        steps += pass_bottom(train);
    }
    train->count = (uint16_t)(train->count + counts);
    return steps;
}

int64_t pulse_train_pass(pulse_train_t *train, uint32_t counts)
{
    int64_t sum = (int64_t)train->steps * counts;
    while (counts >= (uint32_t)(train->period - train->count)) {
        const uint32_t part = (uint32_t)(train->period - train->count);
        counts -= part;
        sum += (int64_t)pulse_train_advance(train, part) * counts;
    }
    (void)pulse_train_advance(train, counts);
    return sum;
}
