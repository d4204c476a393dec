#include "motor.h"

#include <math.h>

motor_t motor_of(const motor_params_t *params)
{
    const double step_s = params->step_s, mass_kg = params->cart_mass_kg;
    return (motor_t){
        .params = *params,
        .mean = 1.0 / (1.0 + 0.5 * params->damping_n_s_m * step_s / mass_kg),
        .mean_coasting = 1.0 / (1.0 + 0.5 * params->viscous_n_s_m * step_s / mass_kg),
        .keep = params->lag_s > 0.0 ? exp(-step_s / params->lag_s) : 0.0,
    };
}

static const motor_side_t *side_of(const motor_params_t *params, double duty)
{
    return duty > 0.0 ? &params->right : &params->left;
}

double motor_level(const motor_params_t *params, double duty)
{
    const motor_side_t *side = side_of(params, duty);
    const double past = fabs(duty) - side->dead_zone_duty;
    if (past <= 0.0)
        return 0.0;
    double drive = past / (1.0 - side->dead_zone_duty);
    if (params->saturation > 0.0) {
        const double square = drive * drive;
        drive = (drive - params->saturation * square * square * drive) / (1.0 - params->saturation);
    }
    return copysign(drive * side->share, duty);
}

motor_drive_t motor_drive(const motor_t *motor, double duty, bool is_open)
{
    const motor_params_t *params = &motor->params;
    const motor_side_t *side = side_of(params, duty);
    const double past = fabs(duty) - side->dead_zone_duty;
    motor_drive_t drive = {.keep = motor->keep, .damping_n_s_m = params->damping_n_s_m, .mean = motor->mean};
    if (past > 0.0) {
        if (params->saturation > 0.0)
            drive.target_n = params->stall_force_n * motor_level(params, duty);
        else
            drive.target_n = side->slope_n * copysign(past, duty);
    } else if (!params->brakes_at_zero || is_open) {
        /* An open bridge carries no current, whatever the winding held: only viscous friction acts. */
        drive = (motor_drive_t){.damping_n_s_m = params->viscous_n_s_m, .mean = motor->mean_coasting};
    }
    return drive;
}

double motor_force(motor_t *motor, double duty, double speed_m_s, bool is_open)
{
    const motor_drive_t drive = motor_drive(motor, duty, is_open);
    return motor_push(&drive, &motor->drive_n, speed_m_s);
}

double motor_power_w(const motor_params_t *params, double back_emf_n_s_m, double duty, double speed_m_s)
{
    const double level = motor_level(params, duty);
    if (isnan(params->supply_voltage_v) || isnan(params->stall_current_a))
        return NAN;
    if (level == 0.0)
        return 0.0;
    const double share = fabs(level) - copysign(back_emf_n_s_m * speed_m_s, level * speed_m_s) / params->stall_force_n;
    return fmax(0.0, fabs(duty) * params->supply_voltage_v * params->stall_current_a * share);
}
