#include "controllers.h"

void controllers_begin(controllers_t *controllers)
{
    for (int k = 0; k < controllers->networks; k++)
        network_reset(&controllers->network[k]);
    regulator_reset(&controllers->regulator);
    swing_up_reset(&controllers->swing_up);
}

void controllers_choose(controllers_t *controllers, chosen_t chosen, int network)
{
    controllers->chosen = chosen;
    controllers->chosen_network = network;
    if (chosen == CHOSEN_SWING_UP)
        swing_up_reset(&controllers->swing_up);
}

bool controllers_swing_up(const controllers_t *controllers)
{
    return controllers->chosen == CHOSEN_SWING_UP ||
           (controllers->chosen == CHOSEN_NETWORK && controllers->network[controllers->chosen_network].swings_up);
}

double controllers_duty(controllers_t *controllers, observation_t seen)
{
    const plant_state_t at = {seen.position_m, seen.speed_m_s, seen.angle_rad, seen.rate_rad_s};
    double duty = 0.0;
    switch (controllers->chosen) {
    case CHOSEN_NONE:
        break;
    case CHOSEN_REGULATOR:
        duty = regulator_duty(&controllers->regulator, &at);
        break;
    case CHOSEN_SWING_UP:
        duty = swing_up_duty(&controllers->swing_up, seen);
        break;
    case CHOSEN_NETWORK:
        duty = network_duty(&controllers->network[controllers->chosen_network], seen);
        break;
    }
    for (int k = 0; k < controllers->networks; k++)
        if (controllers->chosen != CHOSEN_NETWORK || controllers->chosen_network != k)
            network_watch(&controllers->network[k], seen, duty);
    if (controllers->chosen != CHOSEN_REGULATOR)
        regulator_remember(&controllers->regulator, duty);
    return duty;
}
