/* The rigid body of a cart-pole with dry friction, one physics step at a time.
 *
 * With x the cart's position, a the pole's angle from upright (positive toward +x), M the mass of cart and pole together, J the
 * pole's inertia about its hinge and c its mass times the distance of its centre from the hinge, the equations of motion are
 *
 *     M x'' + c cos(a) a'' = F + c sin(a) a'^2           (F: the force on the cart, pushes from outside included)
 *     c cos(a) x'' + J a'' = c g sin(a) - d a' + T       (d: viscous friction of the hinge, T: a push from outside)
 *
 * (R. V. Florian, Correct equations for the dynamics of the cart-pole system, 2007, with J for the inertia of any pole). A step is
 * one of semi-implicit Euler: speeds first, then positions by the new speeds. Between the two, in this order, each as an impulse
 * on its joint that acts on the other joint through the mass matrix:
 *   the end of the track: a cart that is past it at the beginning of a step loses its outward speed and is pushed back;
 *   dry friction of the cart: stops it, or is limited to the static friction's impulse for a standing cart, else to Coulomb's; a
 *   stepper (stepper.h) acts in its place;
 *   dry friction of the pole: likewise, with one limit.
 * This is what PyBullet does with a joint motor of target speed 0, one solver iteration and joint limits; a test compares both.
 *
 * Units are SI. Nothing here allocates or touches Python.
 */
#ifndef PLANT_H
#define PLANT_H

#include <stdbool.h>

#define PLANT_STANDING_M_S 1e-9 /* dry friction stops a cart exactly, to floating-point rounding: slower than this it stands */

typedef struct {
    double step_s;
    double mass_kg;           /* M */
    double inertia_kg_m2;     /* J */
    double coupling_kg_m;     /* c */
    double gravity_m_s2;      /* g */
    double pole_viscous_n_m_s; /* d */
    double cart_coulomb_n, cart_static_n, pole_coulomb_n_m;
    double end_stop_m; /* the distance of the track's ends from the middle; INFINITY without an end */
    double cart_push_n, pole_push_n_m; /* from outside: a force on the cart, a torque about the hinge; 0 unless someone pushes */
} plant_t;

typedef struct {
    double position_m, speed_m_s, angle_rad, rate_rad_s;
} plant_state_t;

/* One physics step under `force_n`. */
void plant_step(const plant_t *plant, plant_state_t *state, double force_n);

/* The same with the cart's joint brought toward `target_m_s` by no more than `most_n`, in place of its dry friction. */
void plant_step_driven(const plant_t *plant, plant_state_t *state, double force_n, double target_m_s, double most_n);

#endif
