/* Many carts that take their control periods together, with the episodes' ends: what a vector environment is made of.
 *
 * Every cart moves as `cart_period` moves a single one, with the same bits. Carts are advanced a block at a time, one physics step of
 * all carts of a block after the other, in loops without branches that a compiler turns into vector instructions. What does not fit
 * such a loop is advanced as a single cart: one that meets the end of its track or diverges, for that period; one whose commands have
 * jitter or losses, or that has encoders and fewer physics steps in a period than the estimator's window, or a stepper, always. */
#ifndef FLEET_H
#define FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cart.h"

#define FLEET_SIGNALS 4 /* of an observation: position, speed, angle, angular speed */

typedef struct fleet fleet_t;

/* The task, the same for all carts. */
typedef struct {
    double position_limit_m, angle_limit_rad; /* an episode terminates past either */
    int64_t most_steps;                       /* an episode is truncated after this many steps */
} fleet_task_t;

/* What a period brings, one entry a cart in each array. */
typedef struct {
    float *observations;       /* FLEET_SIGNALS a cart */
    bool *terminated, *truncated;
    bool *faulty;              /* the physics had no finite answer: truncated, with the last observation and no reward */
    double *rewards, *requested, *applied;
    double *power_w;           /* NAN if unknown and without a motor */
} fleet_outcome_t;

/* `count` carts of these parameters and this task; NULL without memory. */
fleet_t *fleet_new(size_t count, const cart_params_t *params, const fleet_task_t *task);
void fleet_free(fleet_t *fleet);

size_t fleet_count(const fleet_t *fleet);

/* The cart becomes that one; place it next. Returns false without memory, and for a cart with encoders or a number of physics steps in
 * a period that the others do not have. */
bool fleet_change(fleet_t *fleet, size_t number, const cart_params_t *params);

/* An episode of one cart begins at `state`, with `random` for its delays and losses; writes its observation, FLEET_SIGNALS numbers.
 * Returns false for a state that has no finite measurement. */
bool fleet_place(fleet_t *fleet, size_t number, const plant_state_t *state, uniform_t random, float *observation);

/* One control period of every cart that is not `resting`, in which its duty (clipped to [-1, 1]) is sent; the others keep their
 * observation, and the rest of their outcome is zero. Returns how many are faulty. */
size_t fleet_step(fleet_t *fleet, const double *duties, const bool *resting, const fleet_outcome_t *outcome);

/* The true state of one cart, which no encoder shows. */
plant_state_t fleet_state(const fleet_t *fleet, size_t number);

/* As last measured, FLEET_SIGNALS numbers. */
const double *fleet_measured(const fleet_t *fleet, size_t number);

#endif
