/* The whole simulated cart: delay, bridge, motor, rigid body, encoders and the firmware's estimator. One call is one control period.
 *
 * With a stepper in place of the motor its steps are counted, not the cart's travel: a step that is lost shows nowhere. An ideal cart has no encoders: its measurement is its state. */
#ifndef CART_H
#define CART_H

#include <stdbool.h>
#include <stdint.h>

#include "delay.h"
#include "estimator.h"
#include "motor.h"
#include "plant.h"
#include "stepper.h"

#define CART_MOST_STEPS 4096 /* physics steps in a control period */
#define CART_NO_COUNT INT32_MIN /* in place of a count where no encoder counts */

typedef struct {
    plant_t plant;
    motor_params_t motor;     /* of a stepper's cart, only its viscous friction acts */
    stepper_params_t stepper; /* with `has_stepper` */
    double back_emf_n_s_m;
    delay_params_t delay;
    double counts_per_m, counts_per_rad;
    bool has_encoders, has_stepper;
} cart_params_t;

typedef struct {
    int64_t cart_counts, pole_counts;
    double position_m, speed_m_s, angle_rad, rate_rad_s;
    double applied_duty;  /* of the period's last physics step */
    double motor_power_w; /* NAN without encoders: an ideal cart has no motor to speak of */
    double command_age_s; /* NAN before the first command has arrived, and without encoders */
} cart_reading_t;

typedef struct {
    cart_params_t params;
    plant_state_t state;
    motor_t motor;
    stepper_t stepper;
    step_source_t source;
    delay_t delay;
    estimator_t cart_estimator, pole_estimator;
} cart_t;

/* The encoders' counts at a state, rounded to the nearest; false where there are none. A stepper's steps may differ. */
bool cart_counts_at(const cart_params_t *params, const plant_state_t *state, int64_t *cart_counts, int64_t *pole_counts);

void cart_begin(cart_t *cart, const cart_params_t *params);

/* An episode begins at `state`, motor without current, nobody pushing, nothing on its way. Returns false for a state that has no counts. */
bool cart_place(cart_t *cart, const plant_state_t *state, cart_reading_t *reading);

/* `steps` physics steps with the duty of each at the bridge. Returns false when the physics has no finite answer. */
bool cart_run(cart_t *cart, const double *duties, int steps, cart_reading_t *reading);

/* One control period, in which `duty` (clipped to [-1, 1]) is sent. Returns false as `cart_run` does. */
bool cart_period(cart_t *cart, double duty, const uniform_t *random, cart_reading_t *reading);

#endif
