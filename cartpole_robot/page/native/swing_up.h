/* The swing-up controller: policy/swing_up.py in C, with its pole estimate and its watch over a still pole. */
#ifndef SWING_UP_H
#define SWING_UP_H

#include <stdbool.h>

#include "observation.h"
#include "regulator.h"
#include "swing_parts.h"
#include "swing_plan.h"

#define SWING_UP_SEEN 10 /* observations that must be still */
#define SWING_UP_STATES (4 + REGULATOR_MOST)

typedef enum { SWING_PUMP, SWING_CATCH, SWING_BALANCE } swing_phase_t;

typedef struct {
    swing_model_t model;
    swing_motor_t motor;
    swing_planner_t planner;
    regulator_t regulator;
    pole_estimate_t pole;
    double period_s, held, lag_s; /* `held`: periods for which a plan's first drive stays */
    double ahead_s; /* of a stepper's cart are its counts */
    double friction, nudge, most_still_m, moved_rad;
    double bearable; /* duty that the motor bears for ever; 1 without a firmware */
    double keep_heat;
    double start[4], scale[4]; /* the start spread, and the sizes of the speeds */
    double before; /* how many steps ago the command was sent that is in force just before a measurement */
    double piece_age[REGULATOR_MOST], piece_s[REGULATOR_MOST];
    double pieces;
    double catch_cost[SWING_UP_STATES * SWING_UP_STATES];
    /* its state */
    swing_phase_t phase;
    double drives[REGULATOR_MOST + 1];
    double heat, drive, nudged;
    double seen_m, still_rad, travelled_m;
    int until_plan, nudge_steps, catches;
    double seen[SWING_UP_SEEN][4];
    int seen_count;
} swing_up_t;

/* Once its parameters are set, motor cold. */
void swing_up_begin(swing_up_t *swing);

/* A swing-up begins; the motor stays as warm as it is. */
void swing_up_reset(swing_up_t *swing);

double swing_up_duty(swing_up_t *swing, observation_t seen);

#endif
