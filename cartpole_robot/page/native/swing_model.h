/* The cart-pole's motion over large angles, as policy/swing_model.py has it: the same operations in the same order. */
#ifndef SWING_MODEL_H
#define SWING_MODEL_H

#include "plant.h"

typedef struct {
    double mass_kg, inertia_kg_m2, coupling_kg_m, gravity_m_s2; /* of the cart as configured; a stepper's is taken to be very heavy */
    double stall_n, damping_n_s_m, coulomb_n, pole_viscous, pole_coulomb;
    double most_m_s; /* where a stepper's speed ends; else infinite */
    double coupling, inertia, rate_hanging_rad_s; /* of the pole as it is taken for */
} swing_model_t;

/* Makes the pole `scale` times as long as the cart's, with the same mass. */
void swing_model_stretch(swing_model_t *model, double scale);

/* The share of damping that acts over a step whose speed it changes. */
double swing_model_kept(const swing_model_t *model, double step_s);

/* The force, or what brings the cart to its largest speed within a step; `stop` is the cart's mass over the step. */
double swing_model_limited(const swing_model_t *model, double force_n, double speed_m_s, double stop);

/* The accelerations of cart and pole in a moving cart. */
void swing_model_accelerations(const swing_model_t *model, const plant_state_t *state, double drive, double *cart, double *pole);

/* The state after `duration_s` at one drive. */
plant_state_t swing_model_after(const swing_model_t *model, plant_state_t state, double drive, double duration_s);

#endif
