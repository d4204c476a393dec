#include "swing_parts.h"

#include <math.h>
#include <string.h>

#define LEAST_SCALE 0.6
#define MOST_SCALE 1.6
#define KEPT 0.9
#define MOST_STEPS 50 /* of Newton's method */
#define SAME_LEVEL 1e-15
#define POWER 5

/* ---- the motor ---- */

static int side_of(double duty)
{
    return copysign(1.0, duty) > 0.0;
}

static double fifth(double number)
{
    const double square = number * number;
    return square * square * number;
}

double swing_motor_level(const swing_motor_t *motor, double duty)
{
    const int side = side_of(duty);
    const double dead_zone = motor->dead_zone[side], past = fabs(duty) - dead_zone;
    if (past <= 0.0)
        return 0.0;
    double drive = past / (1.0 - dead_zone);
    if (motor->saturation > 0.0)
        drive = (drive - motor->saturation * fifth(drive)) / (1.0 - motor->saturation);
    return copysign(drive * motor->share[side], duty);
}

double swing_motor_duty(const swing_motor_t *motor, double level)
{
    const int side = side_of(level);
    double drive = fabs(level) / motor->share[side];
    if (0.0 < drive && drive < 1.0 && motor->saturation > 0.0) {
        const double asked = drive * (1.0 - motor->saturation);
        drive = 0.0;
        for (int k = 0; k < MOST_STEPS; k++) {
            const double missing = asked - drive + motor->saturation * fifth(drive);
            if (missing <= SAME_LEVEL)
                break;
            const double square = drive * drive;
            drive += missing / (1.0 - POWER * motor->saturation * (square * square));
        }
    }
    return copysign(motor->dead_zone[side] + (1.0 - motor->dead_zone[side]) * drive, level);
}

double swing_motor_at_bridge(const swing_motor_t *motor, double duty)
{
    const double zone = motor->bridge_dead_zone[side_of(duty)];
    return duty != 0.0 ? copysign(zone + (1.0 - zone) * fabs(duty), duty) : 0.0;
}

/* ---- the pole's length ---- */

void pole_estimate_reset(pole_estimate_t *pole)
{
    pole->squares = pole->prior;
    pole->products = pole->prior * pole->expected;
    pole->has_last = false;
    pole->steps = 0;
    pole->cause = pole->gain = 0.0;
}

double pole_estimate_scale(const pole_estimate_t *pole)
{
    if (pole->products <= 0.0)
        return MOST_SCALE;
    return fmin(MOST_SCALE, fmax(LEAST_SCALE, pole->expected * pole->squares / pole->products));
}

void pole_estimate_update(pole_estimate_t *pole, const plant_state_t *seen, double step_s, double lag_s)
{
    const double angle = seen->angle_rad - lag_s * seen->rate_rad_s;
    const double now[4] = {sin(angle), seen->speed_m_s, cos(angle), seen->rate_rad_s};
    double last[4];
    memcpy(last, pole->last, sizeof last);
    memcpy(pole->last, now, sizeof now);
    if (!pole->has_last) {
        pole->has_last = true;
        return;
    }
    const double rate = 0.5 * (last[3] + now[3]);
    pole->cause += 0.5 * pole->gravity * step_s * (last[0] + now[0]);
    pole->cause -= 0.5 * (last[2] + now[2]) * (now[1] - last[1]);
    pole->gain += now[3] - last[3] + step_s * (pole->viscous * rate + copysign(pole->coulomb, rate));
    pole->steps++;
    if (pole->steps == (int)pole->window) {
        pole->squares = KEPT * pole->squares + pole->cause * pole->cause;
        pole->products = KEPT * pole->products + pole->cause * pole->gain;
        pole->steps = 0;
        pole->cause = pole->gain = 0.0;
    }
}
