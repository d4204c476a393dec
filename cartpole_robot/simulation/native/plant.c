#include "plant.h"

#include "plant_step.h"
#include "trig.h"

void plant_step(const plant_t *plant, plant_state_t *state, double force_n)
{
    double sine, cosine;
    sine_cosine(state->angle_rad, &sine, &cosine);
    plant_step_at(plant, state, force_n, sine, cosine, true);
}

void plant_step_driven(const plant_t *plant, plant_state_t *state, double force_n, double target_m_s, double most_n)
{
    double sine, cosine;
    sine_cosine(state->angle_rad, &sine, &cosine);
    plant_step_to(plant, state, force_n, target_m_s, most_n, sine, cosine, true);
}
