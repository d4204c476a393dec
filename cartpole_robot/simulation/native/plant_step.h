/* One physics step as an inline function, for a single cart and for a loop over many: the same arithmetic, so the same bits. */
#ifndef PLANT_STEP_H
#define PLANT_STEP_H

#include <math.h>

#include "plant.h"

/* The end of the track, as btMultiBodyJointLimitConstraint has it. */
#define PLANT_PUSHED_BACK 0.2 /* of the distance past the end, in each step */
#define PLANT_DEEP_M 0.04     /* so far past the end a cart is stopped, but not pushed back */

/* `value`, but at most `most` either way. */
static inline double plant_limited(double value, double most)
{
    return value < -most ? -most : value > most ? most : value;
}

/* The largest force of dry friction on the cart. */
static inline double plant_dry_n(const plant_t *plant, const plant_state_t *state)
{
    return fabs(state->speed_m_s) < PLANT_STANDING_M_S ? plant->cart_static_n : plant->cart_coulomb_n;
}

/* A step under `force_n`, with the sine and cosine of the state's angle, and with the cart's joint brought toward `target_m_s` by no
 * more than `most_n`; without `has_end` for a cart before its track's end. */
static inline void plant_step_to(const plant_t *plant, plant_state_t *state, double force_n, double target_m_s, double most_n,
                                 double sine, double cosine_of_angle, bool has_end)
{
    const double step_s = plant->step_s;
    const double cosine = plant->coupling_kg_m * cosine_of_angle;
    const double along = force_n + plant->coupling_kg_m * sine * state->rate_rad_s * state->rate_rad_s +
                         plant->cart_push_n;
    const double about = plant->coupling_kg_m * plant->gravity_m_s2 * sine - plant->pole_viscous_n_m_s * state->rate_rad_s +
                         plant->pole_push_n_m;

    /* The inverse of the mass matrix: what a unit impulse on a joint does to the speed of each. */
    const double share = 1.0 / (plant->mass_kg * plant->inertia_kg_m2 - cosine * cosine);
    const double of_cart = plant->inertia_kg_m2 * share, of_pole = plant->mass_kg * share, of_both = cosine * share;
    double speed = state->speed_m_s + step_s * (of_cart * along - of_both * about);
    double rate = state->rate_rad_s + step_s * (of_pole * about - of_both * along);

    const double past_m = fabs(state->position_m) - plant->end_stop_m;
    if (has_end && past_m >= 0.0) {
        const double side = copysign(1.0, state->position_m);
        const double back_m_s = past_m < PLANT_DEEP_M ? PLANT_PUSHED_BACK * past_m / step_s : 0.0;
        const double impulse = (side * speed + back_m_s) / of_cart; /* inward */
        if (impulse > 0.0) {
            speed -= side * impulse * of_cart;
            rate += side * impulse * of_both;
        }
    }
    if (most_n > 0.0) {
        const double impulse = plant_limited((target_m_s - speed) / of_cart, step_s * most_n);
        speed += impulse * of_cart;
        rate -= impulse * of_both;
    }
    if (plant->pole_coulomb_n_m > 0.0) {
        const double impulse = plant_limited(-rate / of_pole, step_s * plant->pole_coulomb_n_m);
        rate += impulse * of_pole;
        speed -= impulse * of_both;
    }
    state->speed_m_s = speed;
    state->rate_rad_s = rate;
    state->position_m += step_s * speed;
    state->angle_rad += step_s * rate;
}

/* As `plant_step_to`, with dry friction on the cart's joint. */
static inline void plant_step_at(const plant_t *plant, plant_state_t *state, double force_n, double sine,
                                 double cosine_of_angle, bool has_end)
{
    plant_step_to(plant, state, force_n, 0.0, plant_dry_n(plant, state), sine, cosine_of_angle, has_end);
}

#endif
