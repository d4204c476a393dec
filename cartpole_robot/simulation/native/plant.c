#include "plant.h"

#include <math.h>

/* The end of the track, as btMultiBodyJointLimitConstraint has it. */
#define PUSHED_BACK 0.2 /* of the distance past the end, in each step */
#define DEEP_M 0.04     /* so far past the end a cart is stopped, but not pushed back */

/* `value`, but at most `most` either way. */
static double limited(double value, double most)
{
    return value < -most ? -most : value > most ? most : value;
}

void plant_step(const plant_t *plant, plant_state_t *state, double force_n)
{
    const double step_s = plant->step_s;
    const double cosine = plant->coupling_kg_m * cos(state->angle_rad), sine = sin(state->angle_rad);
    const double along = force_n + plant->coupling_kg_m * sine * state->rate_rad_s * state->rate_rad_s;
    const double about = plant->coupling_kg_m * plant->gravity_m_s2 * sine - plant->pole_viscous_n_m_s * state->rate_rad_s;

    /* The inverse of the mass matrix: what a unit impulse on a joint does to the speed of each. */
    const double share = 1.0 / (plant->mass_kg * plant->inertia_kg_m2 - cosine * cosine);
    const double of_cart = plant->inertia_kg_m2 * share, of_pole = plant->mass_kg * share, of_both = cosine * share;
    const bool is_standing = fabs(state->speed_m_s) < PLANT_STANDING_M_S;
    const double dry_n = is_standing ? plant->cart_static_n : plant->cart_coulomb_n;
    double speed = state->speed_m_s + step_s * (of_cart * along - of_both * about);
    double rate = state->rate_rad_s + step_s * (of_pole * about - of_both * along);

    const double past_m = fabs(state->position_m) - plant->end_stop_m;
    if (past_m >= 0.0) {
        const double side = copysign(1.0, state->position_m);
        const double back_m_s = past_m < DEEP_M ? PUSHED_BACK * past_m / step_s : 0.0;
        const double impulse = (side * speed + back_m_s) / of_cart; /* inward */
        if (impulse > 0.0) {
            speed -= side * impulse * of_cart;
            rate += side * impulse * of_both;
        }
    }
    if (dry_n > 0.0) {
        const double impulse = limited(-speed / of_cart, step_s * dry_n);
        speed += impulse * of_cart;
        rate -= impulse * of_both;
    }
    if (plant->pole_coulomb_n_m > 0.0) {
        const double impulse = limited(-rate / of_pole, step_s * plant->pole_coulomb_n_m);
        rate += impulse * of_pole;
        speed -= impulse * of_both;
    }
    state->speed_m_s = speed;
    state->rate_rad_s = rate;
    state->position_m += step_s * speed;
    state->angle_rad += step_s * rate;
}
