#include "network.h"

#include <math.h>

void network_reset(network_t *network)
{
    network->is_begun = false;
    network->sent = 0.0;
}

static void observe(network_t *network, observation_t seen)
{
    const double signals[HISTORY_SIGNALS] = {seen.position_m, seen.speed_m_s, seen.angle_rad, seen.rate_rad_s};
    if (network->is_begun)
        history_remember(network->inputs, network->history_length, network->sent, signals);
    else
        for (int k = 0; k < network->history_length; k++) {
            history_observe(&network->inputs[HISTORY_STEP_INPUTS * k], signals);
            network->inputs[HISTORY_STEP_INPUTS * k + HISTORY_SIGNALS] = 0.0f;
        }
    network->is_begun = true;
}

double network_duty(network_t *network, observation_t seen)
{
    const float *inputs = network->inputs;
    const float turning[] = {seen.position_m, seen.speed_m_s, (float)sin((double)seen.angle_rad),
                             (float)cos((double)seen.angle_rad), seen.rate_rad_s};
    if (network->swings_up)
        inputs = turning;
    else
        observe(network, seen);
    if (network->is_host_only && network->host.output != HOST_TABLE)
        network->sent = host_network_duty(&network->host, inputs);
    else if (network->is_host_only)
        network->sent = network->duties[host_network_action(&network->host, inputs)];
    else {
        float values[POLICY_MAX_OUTPUTS];
        network->sent = network->duties[policy_float_act(&network->small, inputs, values)];
    }
    return network->sent;
}

void network_watch(network_t *network, observation_t seen, double duty)
{
    observe(network, seen);
    network->sent = duty;
}
