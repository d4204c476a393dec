#include "swing_up.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
#define LOST_RAD 0.7
#define NO_DRIVE 1e-3
#define RUBBING_M_S 0.05
#define NUDGE_S 0.06
#define SPEED_SHARE 0.2

void swing_up_begin(swing_up_t *swing)
{
    swing_model_stretch(&swing->model, 1.0);
    swing->heat = 0.0;
    swing_up_reset(swing);
}

void swing_up_reset(swing_up_t *swing)
{
    swing->phase = SWING_PUMP;
    swing->catches = 0;
    memset(swing->drives, 0, sizeof swing->drives);
    swing_planner_reset(&swing->planner);
    regulator_reset(&swing->regulator);
    pole_estimate_reset(&swing->pole);
    swing->seen_m = swing->still_rad = swing->travelled_m = 0.0;
    swing->nudge_steps = swing->until_plan = swing->seen_count = 0;
    swing->nudged = swing->drive = 0.0;
}

/* The same direction in [-pi, pi), as Python's % has it. */
static double wrapped(double angle)
{
    double rest = fmod(angle + PI, 2.0 * PI);
    if (rest < 0.0)
        rest += 2.0 * PI;
    return rest - PI;
}

static bool is_within(const swing_up_t *swing, const double *seen)
{
    return fabs(seen[0]) <= swing->start[0] && fabs(seen[1]) <= fmax(swing->start[1], SPEED_SHARE * swing->scale[1]) &&
           fabs(wrapped(seen[2])) <= swing->start[2] && fabs(seen[3]) <= fmax(swing->start[3], SPEED_SHARE * swing->scale[3]);
}

static bool is_settled(const swing_up_t *swing)
{
    for (int k = 0; k < SWING_UP_SEEN; k++)
        if (!is_within(swing, swing->seen[k]))
            return false;
    return swing->seen_count >= SWING_UP_SEEN;
}

static double to_catch(const swing_up_t *swing, const plant_state_t *seen)
{
    const int size = 4 + swing->regulator.count;
    double z[SWING_UP_STATES] = {seen->position_m, seen->speed_m_s, seen->angle_rad, seen->rate_rad_s};
    memcpy(&z[4], swing->drives, (size_t)swing->regulator.count * sizeof z[0]);
    double cost = 0.0;
    for (int j = 0; j < size; j++) {
        double sum = 0.0;
        for (int i = 0; i < size; i++)
            sum += z[i] * swing->catch_cost[i * size + j];
        cost += sum * z[j];
    }
    return cost;
}

static void choose_phase(swing_up_t *swing, const plant_state_t *seen)
{
    if (swing->phase == SWING_PUMP) {
        if (fabs(seen->angle_rad) < LOST_RAD && to_catch(swing, seen) <= 1.0) {
            swing->phase = SWING_CATCH;
            swing->catches++;
        }
    } else if (fabs(seen->angle_rad) > LOST_RAD) {
        swing->phase = SWING_PUMP;
        swing->until_plan = 0;
        swing_planner_reset(&swing->planner);
    } else if (swing->phase == SWING_CATCH && is_settled(swing))
        swing->phase = SWING_BALANCE;
}

static bool passes_for_torn(swing_up_t *swing, double position_m, double angle_rad)
{
    swing->travelled_m += fabs(position_m - swing->seen_m);
    swing->seen_m = position_m;
    if (fabs(remainder(angle_rad - swing->still_rad, 2.0 * PI)) > swing->moved_rad) {
        swing->still_rad = angle_rad;
        swing->travelled_m = 0.0;
    }
    if (swing->travelled_m <= swing->most_still_m)
        return false;
    swing->travelled_m = 0.0;
    return true;
}

static void look_at_pole(swing_up_t *swing, const plant_state_t *seen)
{
    swing->nudge_steps--;
    if (passes_for_torn(swing, seen->position_m, seen->angle_rad)) {
        swing->nudge_steps = (int)ceil(NUDGE_S / swing->period_s);
        swing->nudged = -copysign(swing->nudge, seen->speed_m_s);
    }
}

static double duty_of(const swing_up_t *swing, double drive, const plant_state_t *state)
{
    if (fabs(drive) < NO_DRIVE) {
        if (swing->motor.brakes != 0.0)
            return 0.0;
        drive = copysign(NO_DRIVE, -state->speed_m_s);
    }
    return fmax(-1.0, fmin(1.0, swing_motor_duty(&swing->motor, drive)));
}

static double balanced(swing_up_t *swing, const plant_state_t *seen)
{
    const double duty = regulator_duty(&swing->regulator, seen);
    double drive = swing_motor_level(&swing->motor, duty);
    const bool rubs = swing->friction != 0.0 && duty != 0.0;
    if (rubs)
        drive += swing->friction * tanh(seen->speed_m_s / RUBBING_M_S);
    if (swing->nudge_steps > 0) {
        const double nudged = duty_of(swing, fmax(-1.0, fmin(1.0, drive + swing->nudged)), seen);
        regulator_sent(&swing->regulator, nudged);
        return nudged;
    }
    return rubs ? duty_of(swing, drive, seen) : duty;
}

static double sent_ago(const swing_up_t *swing, double steps)
{
    return swing->drives[(int)steps - 1];
}

static plant_state_t predicted(const swing_up_t *swing, const plant_state_t *seen)
{
    double cart, pole;
    swing_model_accelerations(&swing->model, seen, sent_ago(swing, swing->before), &cart, &pole);
    plant_state_t state = *seen;
    state.position_m -= swing->ahead_s * seen->speed_m_s;
    state.speed_m_s += (swing->lag_s - swing->ahead_s) * cart;
    state.rate_rad_s += swing->lag_s * pole;
    for (int k = 0; k < (int)swing->pieces; k++)
        state = swing_model_after(&swing->model, state, sent_ago(swing, swing->piece_age[k]), swing->piece_s[k]);
    return state;
}

static double most_duty(const swing_up_t *swing)
{
    const double bearable = swing->bearable;
    return bearable + (1.0 - bearable) * fmax(0.0, 1.0 - swing->heat / (0.8 * bearable * bearable));
}

static double past_track_m(const swing_up_t *swing, const plant_state_t *state)
{
    const track_t *track = &swing->planner.track;
    const double x = state->position_m, v = state->speed_m_s;
    const double rest = x + v * (track->late_s + fabs(v) / (2.0 * track->brake_m_s2));
    return fmax(fabs(rest) - track->stop_m, fabs(x + track->late_s * v) - track->position_m);
}

/* `drive`, or else the next that leaves the cart able to stop on its track one step later. */
static double stoppable(const swing_up_t *swing, const plant_state_t *state, double drive, double most)
{
    const double left = swing_motor_level(&swing->motor, -most), right = swing_motor_level(&swing->motor, most);
    const double choices[] = {drive, 0.5 * drive, 0.0, 0.5 * left, 0.5 * right, left, right};
    double least = INFINITY, chosen = drive;
    for (size_t k = 0; k < sizeof choices / sizeof choices[0]; k++) {
        const plant_state_t after = swing_model_after(&swing->model, *state, choices[k], swing->period_s);
        const double past = past_track_m(swing, &after);
        if (past <= 0.0)
            return choices[k];
        if (past < least) {
            least = past;
            chosen = choices[k];
        }
    }
    return chosen;
}

static double pumped(swing_up_t *swing, const plant_state_t *state)
{
    const double most = most_duty(swing);
    if (swing->until_plan <= 0) {
        swing->until_plan = (int)swing->held;
        swing_model_stretch(&swing->model, pole_estimate_scale(&swing->pole));
        swing->drive = swing_planner_drive(&swing->planner, &swing->model, state, -swing_motor_level(&swing->motor, -most),
                                           swing_motor_level(&swing->motor, most));
    }
    swing->until_plan--;
    double drive = swing->drive;
    if (swing->nudge_steps > 0 && fabs(drive) < swing->nudge)
        drive = swing->nudged;
    return duty_of(swing, stoppable(swing, state, drive, most), state);
}

double swing_up_duty(swing_up_t *swing, observation_t observation)
{
    const plant_state_t seen = {observation.position_m, observation.speed_m_s, wrapped(observation.angle_rad), observation.rate_rad_s};
    memcpy(swing->seen[swing->seen_count++ % SWING_UP_SEEN],
           (const double[]){seen.position_m, seen.speed_m_s, seen.angle_rad, seen.rate_rad_s}, sizeof swing->seen[0]);
    if (swing->seen_count == 2 * SWING_UP_SEEN)
        swing->seen_count = SWING_UP_SEEN;
    pole_estimate_update(&swing->pole, &seen, swing->period_s, swing->lag_s);
    choose_phase(swing, &seen);
    look_at_pole(swing, &seen);
    double duty;
    if (swing->phase == SWING_PUMP) {
        const plant_state_t state = predicted(swing, &seen);
        duty = pumped(swing, &state);
        regulator_remember(&swing->regulator, duty);
    } else
        duty = balanced(swing, &seen);
    memmove(&swing->drives[1], swing->drives, REGULATOR_MOST * sizeof swing->drives[0]);
    swing->drives[0] = swing_motor_level(&swing->motor, duty);
    const double at_bridge = swing_motor_at_bridge(&swing->motor, duty);
    swing->heat = swing->keep_heat * swing->heat + (1.0 - swing->keep_heat) * at_bridge * at_bridge;
    return duty;
}
