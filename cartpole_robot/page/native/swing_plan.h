/* The choice of drives for a swing-up: policy/swing_plan.py in C. */
#ifndef SWING_PLAN_H
#define SWING_PLAN_H

#include "swing_model.h"

#define PLAN_MOST_STEPS 60
#define PLAN_KEPT 8
#define PLAN_CHANGED 40
#define PLAN_FRESH 12
#define PLAN_VARIANTS 1024
#define PLAN_SMOOTH 342 /* every third of them */
#define PLAN_KNOTS 6
#define PLAN_CANDIDATES (PLAN_KEPT + PLAN_CHANGED + 2 + PLAN_FRESH + 1)

/* How far and how fast the cart may go, as policy/track.py has it. */
typedef struct {
    double position_m, stop_m, brake_m_s2, late_s;
} track_t;

/* What a plan's shortcomings cost: `PlanWeights`. */
typedef struct {
    double energy_at_end, energy, upright_at_end, upright, centre, track, duty;
} plan_weights_t;

/* The variants as Python has drawn them: windows of change, smooth curves in their knots, and switches of bang-bang plans. */
typedef struct {
    double window_begin[PLAN_VARIANTS], window_steps[PLAN_VARIANTS], window_size[PLAN_VARIANTS];
    double knots[PLAN_SMOOTH][PLAN_KNOTS];
    double switches[3][PLAN_VARIANTS], sign[PLAN_VARIANTS];
} plan_variants_t;

typedef struct {
    track_t track;
    plan_weights_t weights;
    plan_variants_t variants;
    double catch_cost[4][4];
    double step_s, steps_number;
    double plans[PLAN_MOST_STEPS][PLAN_KEPT];
    int next;
    double candidates[PLAN_MOST_STEPS][PLAN_CANDIDATES];
    double costs[PLAN_CANDIDATES];
} swing_planner_t;

void swing_planner_reset(swing_planner_t *planner);

/* The drive to hold for the step that begins at `state`, at least -most_left and at most most_right. */
double swing_planner_drive(swing_planner_t *planner, const swing_model_t *model, const plant_state_t *state, double most_left,
                           double most_right);

#endif
