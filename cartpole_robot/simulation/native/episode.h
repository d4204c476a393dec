/* An episode of a policy on the simulated cart: observation, action, control period, until the cart or the pole is past its limit.
 *
 * Steps, observations and sums are those of the loop in Python (`rollout/evaluation.py`), bit for bit: the same additions in the
 * same order. A policy with history sees what `policy/history.py` describes. */
#ifndef EPISODE_H
#define EPISODE_H

#include <stdbool.h>
#include <stdint.h>

#include "cart.h"
#include "history.h"

#define EPISODE_MOST_ACTIONS 8

typedef struct {
    uint8_t (*act)(const void *policy, const float *inputs); /* an index into `duties`; or NULL, and */
    double (*duty)(const void *policy, const float *inputs); /* the duty itself */
    const void *policy;
    int history_length; /* 1: the observation alone */
    double duties[EPISODE_MOST_ACTIONS];
    double position_limit_m, angle_limit_rad;
} episode_rules_t;

/* Over the steps of one episode or several. */
typedef struct {
    double square_m2, square_rad2; /* of the position and angle before each step */
    double power_w;                /* NAN once a step's power is unknown */
    int64_t reversals;             /* steps whose push goes to the other side than the last push did */
} episode_sums_t;

typedef enum { EPISODE_RUNS, EPISODE_TERMINATED, EPISODE_DIVERGED } episode_end_t;

typedef struct {
    float inputs[HISTORY_STEP_INPUTS * HISTORY_MOST];
    int64_t steps;
    int side; /* of the last push; 0 before the first */
    episode_end_t end;
} episode_t;

/* How many numbers a policy of that history length takes. */
int episode_inputs(int history_length);

/* Begins at the first reading of a cart that has been placed. */
void episode_begin(episode_t *episode, const cart_reading_t *first);

/* Runs until the episode has `until` steps or ends; its last step counts. `reading` is the newest that is finite. */
void episode_run(episode_t *episode, const episode_rules_t *rules, int64_t until, cart_t *cart, const uniform_t *random,
                 cart_reading_t *reading, episode_sums_t *sums);

#endif
