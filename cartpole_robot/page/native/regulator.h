/* The linear-quadratic regulator at work: policy/lqr.py in C. */
#ifndef REGULATOR_H
#define REGULATOR_H

#include "plant.h"

#define REGULATOR_MOST 64 /* past drives */

typedef struct {
    double state_gain[4];
    double duty_gain[REGULATOR_MOST];
    int count; /* of past drives */
    double dead_zone[2], share[2]; /* of the commanded motor, to the left and to the right */
    double past[REGULATOR_MOST];
} regulator_t;

void regulator_reset(regulator_t *regulator);

/* The duty in [-1, 1], beyond the dead zone unless it is 0. */
double regulator_duty(regulator_t *regulator, const plant_state_t *seen);

/* Another controller sent `duty`. */
void regulator_remember(regulator_t *regulator, double duty);

/* `duty` was sent in place of the newest answer. */
void regulator_sent(regulator_t *regulator, double duty);

#endif
