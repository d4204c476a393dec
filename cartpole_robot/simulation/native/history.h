/* What a policy with history sees, as `policy/history.py` lays it out: the newest observation, then for each step before its duty and
 * its observation. One place more than there are inputs: the last is where a duty is moved to. */
#ifndef HISTORY_H
#define HISTORY_H

#include <stddef.h>
#include <string.h>

#define HISTORY_MOST 6                             /* steps */
#define HISTORY_SIGNALS 4                          /* in an observation: position, speed, angle, angular speed */
#define HISTORY_STEP_INPUTS (HISTORY_SIGNALS + 1) /* of a step before: its duty and its observation */

static inline void history_observe(float *inputs, const double signals[HISTORY_SIGNALS])
{
    for (int k = 0; k < HISTORY_SIGNALS; k++)
        inputs[k] = (float)signals[k];
}

/* The inputs of the next step, after a step with that duty to those signals. */
static inline void history_remember(float *inputs, int length, double duty, const double signals[HISTORY_SIGNALS])
{
    const size_t earlier = (size_t)(HISTORY_STEP_INPUTS * (length - 1));
    memmove(&inputs[HISTORY_STEP_INPUTS], inputs, earlier * sizeof(float));
    inputs[HISTORY_SIGNALS] = (float)duty;
    history_observe(inputs, signals);
}

#endif
