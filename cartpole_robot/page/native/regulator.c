#include "regulator.h"

#include <math.h>
#include <string.h>

void regulator_reset(regulator_t *regulator)
{
    memset(regulator->past, 0, sizeof regulator->past);
}

static void push(regulator_t *regulator, double wanted)
{
    if (regulator->count == 0)
        return;
    memmove(&regulator->past[1], regulator->past, (size_t)(regulator->count - 1) * sizeof regulator->past[0]);
    regulator->past[0] = wanted;
}

double regulator_duty(regulator_t *regulator, const plant_state_t *seen)
{
    const double *gain = regulator->state_gain;
    const double of_state = gain[0] * seen->position_m + gain[1] * seen->speed_m_s + gain[2] * seen->angle_rad +
                            gain[3] * seen->rate_rad_s;
    double of_past = 0.0;
    for (int k = 0; k < regulator->count; k++)
        of_past += regulator->duty_gain[k] * regulator->past[k];
    double wanted = -of_state - of_past;
    const int side = wanted > 0.0;
    const double dead_zone = regulator->dead_zone[side], share = regulator->share[side];
    wanted = fmin(share, fmax(-share, wanted));
    push(regulator, wanted);
    return wanted != 0.0 ? copysign(dead_zone + (1.0 - dead_zone) * (fabs(wanted) / share), wanted) : 0.0;
}

static double beyond(const regulator_t *regulator, double duty)
{
    const int side = duty > 0.0;
    const double dead_zone = regulator->dead_zone[side];
    return copysign(regulator->share[side] * fmax(0.0, fabs(duty) - dead_zone) / (1.0 - dead_zone), duty);
}

void regulator_remember(regulator_t *regulator, double duty)
{
    push(regulator, beyond(regulator, duty));
}

void regulator_sent(regulator_t *regulator, double duty)
{
    if (regulator->count != 0)
        regulator->past[0] = beyond(regulator, duty);
}
