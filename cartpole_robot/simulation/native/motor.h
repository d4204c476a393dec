/* Bridge and motor: duties to the force on the cart. */
#ifndef MOTOR_H
#define MOTOR_H

#include <stdbool.h>

/* The side to which a duty pushes: right for a positive one. */
typedef struct {
    double share;          /* of the stall force, which is the mean of both sides */
    double slope_n;        /* of the force over the duty, at the end of the dead zone */
    double dead_zone_duty; /* positive on both sides */
} motor_side_t;

/* What of a cart the motor needs, as its file's properties have it: see `Motor`, `Friction` and `CartParams` in Python. */
typedef struct {
    double stall_force_n;
    motor_side_t right, left;
    double saturation;
    double lag_s;
    double damping_n_s_m;      /* back-EMF and viscous friction, while the bridge is not open */
    double viscous_n_s_m;      /* viscous friction alone, while it is */
    double cart_mass_kg;       /* without the pole */
    double supply_voltage_v, stall_current_a; /* NAN if unknown; for the power only */
    double step_s;
    bool brakes_at_zero;       /* duty 0 shorts the motor; else it coasts */
} motor_params_t;

/* Back-EMF and viscous friction act on the step's mean speed (the trapezoidal rule for a cart of this mass), not on the speed at its
 * beginning: with a strong gear motor the latter is off by a per cent at 1 ms. The lag is solved exactly for a duty that is
 * constant over the step. */
typedef struct {
    motor_params_t params;
    double mean, mean_coasting; /* the step's mean speed, as a share of what it would be without the damping */
    double keep;                /* of the drive, the share that a step leaves: exp(-step / lag) */
    double drive_n;             /* the state of the lag */
} motor_t;

motor_t motor_of(const motor_params_t *params);

/* The share of the stall force at `duty` in [-1, 1]: 0 in the dead zone, the side's share at full duty. */
double motor_level(const motor_params_t *params, double duty);

/* What a duty makes of the motor for as long as it is constant. */
typedef struct {
    double target_n; /* of the lag */
    double keep, damping_n_s_m, mean;
} motor_drive_t;

/* With `is_open` the bridge carries no current. */
motor_drive_t motor_drive(const motor_t *motor, double duty, bool is_open);

/* The mean force in N over the next step at that speed; `drive_n` is the state of the lag. */
static inline double motor_push(const motor_drive_t *drive, double *drive_n, double speed_m_s)
{
    *drive_n = drive->target_n + drive->keep * (*drive_n - drive->target_n);
    return (*drive_n - drive->damping_n_s_m * speed_m_s) * drive->mean;
}

/* The mean force in N over the next step, at that duty and cart speed; with `is_open` the bridge carries no current. */
double motor_force(motor_t *motor, double duty, double speed_m_s, bool is_open);

/* Power drawn from the supply in W, at a steady duty and speed; NAN where voltage or current are unknown. A bridge feeds nothing
 * back: never below 0. */
double motor_power_w(const motor_params_t *params, double back_emf_n_s_m, double duty, double speed_m_s);

#endif
