/* Steps of an epsilon-greedy learner into its replay memory, until one that ends the episode.
 *
 * Draws, rewards and stored steps are those of `collecting.py` on the environment's wrappers, bit for bit. */
#ifndef COLLECT_H
#define COLLECT_H

#include <stdbool.h>
#include <stdint.h>

#include "bit_generator.h"
#include "cart_api.h"
#include "history.h"
#include "update.h"

#define COLLECT_MOST_ACTIONS 64

typedef struct {
    const cart_api_t *api;
    PyObject *cart;
    int32_t history_length, actions;
    double requested[COLLECT_MOST_ACTIONS]; /* the duty of each action */
    double sent[COLLECT_MOST_ACTIONS];      /* the same at the bridge */
    double position_limit_m, angle_limit_rad;
} collect_task_t;

/* The reward of a step that ends no episode: a constant, or the price of a step (`StepPrice` in Python). */
typedef struct {
    bool is_priced;
    double constant;
    double position, angle, duty, reversal, scale;
} collect_reward_t;

/* The generator of epsilon's numbers, and that of random actions. */
typedef struct {
    const bit_generator_t *whether, *which;
} collect_random_t;

typedef struct {
    float inputs[HISTORY_STEP_INPUTS * HISTORY_MOST];
    double side;      /* the newest duty that was not 0, or 0 */
    int64_t at;       /* where the memory stores the next step */
    int64_t stored;   /* steps in the memory */
    int64_t calls;    /* steps so far */
    int64_t every;    /* of them, after which the target network follows */
    double tau;       /* by this share */
} collect_state_t;

/* A uniform integer, 0 to count - 1, as NumPy's Generator.integers draws it (Lemire's method on 32 bits). */
int32_t collect_integer(const bit_generator_t *bits, int32_t count);

/* Takes a step for each epsilon and stores it; returns how many. Fewer mean that the next step ends the episode: its period was taken
 * ahead with `*action` (cart_api.h) and is not stored. Else `*action` is -1. */
int32_t collect_steps(const collect_task_t *task, const update_shape_t *shape, const update_tensors_t *tensors,
                      const update_memory_t *memory, const collect_reward_t *reward, const collect_random_t *random,
                      const double *epsilon, int32_t steps, collect_state_t *state, int32_t *action);

#endif
