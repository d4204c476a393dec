#include "swing_model.h"

#include <math.h>

#define FINE_S 0.005

void swing_model_stretch(swing_model_t *model, double scale)
{
    model->coupling = scale * model->coupling_kg_m;
    model->inertia = scale * scale * model->inertia_kg_m2;
    model->rate_hanging_rad_s = sqrt(model->coupling * model->gravity_m_s2 / model->inertia);
}

double swing_model_kept(const swing_model_t *model, double step_s)
{
    const double share = step_s * model->damping_n_s_m / model->mass_kg;
    return share > 0.0 ? (1.0 - exp(-share)) / share : 1.0;
}

double swing_model_limited(const swing_model_t *model, double force_n, double speed_m_s, double stop)
{
    const double most = model->most_m_s;
    return isfinite(most) ? fmax(-stop * (most + speed_m_s), fmin(stop * (most - speed_m_s), force_n)) : force_n;
}

void swing_model_accelerations(const swing_model_t *model, const plant_state_t *state, double drive, double *cart, double *pole)
{
    const double speed = state->speed_m_s, rate = state->rate_rad_s;
    const double sine = sin(state->angle_rad), cosine = model->coupling * cos(state->angle_rad);
    const double dry = model->coulomb_n * fmax(-1.0, fmin(1.0, speed / 0.01));
    if (speed * drive > 0.0 && fabs(speed) >= model->most_m_s)
        drive = 0.0;
    const double along = drive * model->stall_n - model->damping_n_s_m * speed - dry + model->coupling * sine * rate * rate;
    const double about = model->coupling * model->gravity_m_s2 * sine - model->pole_viscous * rate;
    const double share = 1.0 / (model->mass_kg * model->inertia - cosine * cosine);
    *cart = (model->inertia * along - cosine * about) * share;
    *pole = (model->mass_kg * about - cosine * along) * share;
}

plant_state_t swing_model_after(const swing_model_t *model, plant_state_t state, double drive, double duration_s)
{
    const int steps = (int)fmax(1.0, ceil(duration_s / FINE_S - 1e-9));
    const double step_s = duration_s / steps;
    const double kept = swing_model_kept(model, step_s);
    const double asked_n = kept * drive * model->stall_n, damping = kept * model->damping_n_s_m;
    const double mass = model->mass_kg, inertia = model->inertia, coupling = model->coupling, dry = model->coulomb_n;
    const double weight = coupling * model->gravity_m_s2, stop = mass / step_s;
    double x = state.position_m, v = state.speed_m_s, angle = state.angle_rad, rate = state.rate_rad_s;
    for (int k = 0; k < steps; k++) {
        const double force_n = swing_model_limited(model, asked_n, v, stop);
        angle += 0.5 * step_s * rate;
        x += 0.5 * step_s * v;
        const double sine = sin(angle), cosine = coupling * cos(angle);
        const double along = force_n - damping * v - fmax(-dry, fmin(dry, stop * v)) + coupling * sine * rate * rate;
        const double about = weight * sine - model->pole_viscous * rate - copysign(model->pole_coulomb, rate);
        const double share = step_s / (mass * inertia - cosine * cosine);
        v += (inertia * along - cosine * about) * share;
        rate += (mass * about - cosine * along) * share;
        x += 0.5 * step_s * v;
        angle += 0.5 * step_s * rate;
    }
    return (plant_state_t){x, v, angle, rate};
}
