/* What the swing-up controller knows of its motor and of its pole: `Motor` of cart/parts.py and policy/pole_estimate.py. */
#ifndef SWING_PARTS_H
#define SWING_PARTS_H

#include <stdbool.h>

#include "plant.h"

/* How long the pole is, as its swings show: policy/pole_estimate.py. */
typedef struct {
    double expected, viscous, coulomb, gravity, window, prior;
    double squares, products, cause, gain, last[4];
    int steps;
    bool has_last;
} pole_estimate_t;

/* What the commanded motor makes of a duty: `Motor.level` and `Motor.duty_for`, to the left and to the right. */
typedef struct {
    double dead_zone[2], share[2], saturation;
    double bridge_dead_zone[2]; /* that the firmware compensates for; 0: it does not */
    double brakes; /* duty 0 brakes, or there is nothing to brake with */
} swing_motor_t;

/* The share of the stall force at a duty in [-1, 1]. */
double swing_motor_level(const swing_motor_t *motor, double duty);

/* The duty that gives that level. */
double swing_motor_duty(const swing_motor_t *motor, double level);

/* The duty at the bridge of a command. */
double swing_motor_at_bridge(const swing_motor_t *motor, double duty);

void pole_estimate_reset(pole_estimate_t *pole);

/* How many times as long as in the parameters the pole is. */
double pole_estimate_scale(const pole_estimate_t *pole);

void pole_estimate_update(pole_estimate_t *pole, const plant_state_t *seen, double step_s, double lag_s);

#endif
