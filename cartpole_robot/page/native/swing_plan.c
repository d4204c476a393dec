#include "swing_plan.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
#define LOOK_EVERY 4 /* steps, back from the last, at which the regulator's cost is looked at */

void swing_planner_reset(swing_planner_t *planner)
{
    memset(planner->plans, 0, sizeof planner->plans);
    planner->next = 0;
}

/* The smooth curve through equidistant knots, as numpy.interp has it. */
static double smooth(const double *knots, int steps, int at)
{
    const double width = (double)(steps - 1) / (PLAN_KNOTS - 1);
    int piece = PLAN_KNOTS - 2;
    if (at >= steps - 1)
        return knots[PLAN_KNOTS - 1];
    while (piece > 0 && piece * width > at)
        piece--;
    const double left = piece * width, right = piece == PLAN_KNOTS - 2 ? steps - 1.0 : (piece + 1) * width;
    return (knots[piece + 1] - knots[piece]) / (right - left) * (at - left) + knots[piece];
}

static double change(const plan_variants_t *variants, int steps, int at, int number)
{
    if (number % 3 == 0)
        return smooth(variants->knots[number / 3], steps, at);
    const double begin = variants->window_begin[number];
    return at >= begin && at < begin + variants->window_steps[number] ? variants->window_size[number] : 0.0;
}

static double bang(const plan_variants_t *variants, int at, int number)
{
    double drive = variants->sign[number];
    for (int k = 0; k < 3; k++)
        if (at >= variants->switches[k][number])
            drive = -drive;
    return drive;
}

static void make_candidates(swing_planner_t *planner, int steps, double most_left, double most_right)
{
    const int begin = planner->next;
    planner->next = (begin + PLAN_CHANGED) % (PLAN_VARIANTS - PLAN_CHANGED);
    for (int at = 0; at < steps; at++) {
        const double *shifted = planner->plans[at + 1 < steps ? at + 1 : at];
        double *row = planner->candidates[at];
        memcpy(row, shifted, PLAN_KEPT * sizeof *row);
        row += PLAN_KEPT;
        for (int k = 0; k < PLAN_CHANGED; k++)
            row[k] = shifted[k % PLAN_KEPT] + change(&planner->variants, steps, at, begin + k);
        row += PLAN_CHANGED;
        const int before = at > 0 ? at - 1 : 0, after = at + 1 < steps ? at + 1 : at;
        *row++ = planner->plans[before + 1 < steps ? before + 1 : before][0];
        *row++ = planner->plans[after + 1 < steps ? after + 1 : after][0];
        for (int k = 0; k < PLAN_FRESH; k++)
            *row++ = bang(&planner->variants, at, begin + k);
        *row = 0.0;
        for (int k = 0; k < PLAN_CANDIDATES; k++)
            planner->candidates[at][k] = fmin(most_right, fmax(-most_left, planner->candidates[at][k]));
    }
}

typedef struct {
    double x[PLAN_MOST_STEPS], v[PLAN_MOST_STEPS], angle[PLAN_MOST_STEPS], rate[PLAN_MOST_STEPS];
} motion_t;

/* The motion under one plan: positions half a step before and half a step after the forces act. */
static void roll_out(const swing_planner_t *planner, const swing_model_t *model, const plant_state_t *state, int steps, int plan,
                     motion_t *motion)
{
    const double step_s = planner->step_s, kept = swing_model_kept(model, step_s);
    const double damping = kept * model->damping_n_s_m, stop = model->mass_kg / step_s;
    const double mass = model->mass_kg, inertia = model->inertia, coupling = model->coupling, dry = model->coulomb_n;
    const double weight = coupling * model->gravity_m_s2, viscous = model->pole_viscous, product = mass * inertia;
    const double per_drive = kept * model->stall_n;
    double speed = state->speed_m_s, angle = state->angle_rad - 0.5 * step_s * state->rate_rad_s, rate = state->rate_rad_s;
    double sum = 0.0;
    for (int k = 0; k < steps; k++) {
        angle += rate * step_s;
        motion->angle[k] = angle;
        const double sine = sin(angle), cosine = cos(angle) * coupling;
        const double force_n = swing_model_limited(model, planner->candidates[k][plan] * per_drive, speed, stop);
        double along = rate * rate * sine * coupling + force_n - speed * damping;
        if (dry != 0.0)
            along -= fmax(fmin(speed * stop, dry), -dry);
        const double about = sine * weight - rate * viscous;
        const double share = step_s / (product - cosine * cosine);
        speed += (along * inertia - cosine * about) * share;
        rate += (about * mass - cosine * along) * share;
        motion->v[k] = speed;
        motion->rate[k] = rate;
    }
    for (int k = 0; k < steps; k++) {
        sum += motion->v[k];
        motion->x[k] = (sum - 0.5 * motion->v[k] + 0.5 * state->speed_m_s) * step_s + state->position_m;
        motion->angle[k] += 0.5 * step_s * motion->rate[k];
    }
}

static double cost_of(const swing_planner_t *planner, const swing_model_t *model, const motion_t *motion, int steps, int plan)
{
    const plan_weights_t *weights = &planner->weights;
    const track_t *track = &planner->track;
    const double of_rate = 0.25 / (model->rate_hanging_rad_s * model->rate_hanging_rad_s);
    double energy = 0.0, energies = 0.0, past = 0.0, stop = 0.0, squares = 0.0;
    for (int k = 0; k < steps; k++) {
        const double x = motion->x[k], v = motion->v[k];
        energy = fabs(0.5 * cos(motion->angle[k]) - 0.5 + of_rate * motion->rate[k] * motion->rate[k]);
        energies += energy;
        stop = fabs(x + v * (track->late_s + fabs(v) * (0.5 / track->brake_m_s2)));
        past += fmax(stop - track->stop_m, 0.0) + fmax(fabs(x) - track->position_m, 0.0);
        squares += planner->candidates[k][plan] * planner->candidates[k][plan];
    }
    double cost = weights->energy_at_end * energy + weights->energy * (energies / steps);
    cost += weights->track / track->position_m * past * planner->step_s;
    cost += weights->centre * ((stop / track->position_m) * (stop / track->position_m));
    double first = 0.0, lefts = 0.0;
    int rows = 0;
    for (int k = steps - 1; k >= 0; k -= LOOK_EVERY) {
        const double angle = motion->angle[k];
        const double z[4] = {motion->x[k], motion->v[k], angle - 2.0 * PI * nearbyint(angle * (0.5 / PI)), motion->rate[k]};
        double left = 0.0;
        for (int i = 0; i < 4; i++) {
            double sum = 0.0;
            for (int j = 0; j < 4; j++)
                sum += planner->catch_cost[i][j] * z[j];
            left += sum * z[i];
        }
        left /= left + 1.0;
        if (rows++ == 0)
            first = left;
        lefts += left;
    }
    cost += weights->upright_at_end * first + weights->upright * (lefts / rows);
    return cost + weights->duty * (squares / steps);
}

double swing_planner_drive(swing_planner_t *planner, const swing_model_t *model, const plant_state_t *state, double most_left,
                           double most_right)
{
    const int steps = (int)planner->steps_number;
    motion_t motion;
    make_candidates(planner, steps, most_left, most_right);
    for (int plan = 0; plan < PLAN_CANDIDATES; plan++) {
        roll_out(planner, model, state, steps, plan, &motion);
        planner->costs[plan] = cost_of(planner, model, &motion, steps, plan);
    }
    for (int place = 0; place < PLAN_KEPT; place++) { /* the best first */
        int best = 0;
        for (int plan = 1; plan < PLAN_CANDIDATES; plan++)
            if (planner->costs[plan] < planner->costs[best])
                best = plan;
        planner->costs[best] = INFINITY;
        for (int at = 0; at < steps; at++)
            planner->plans[at][place] = planner->candidates[at][best];
    }
    return planner->plans[0][0];
}
