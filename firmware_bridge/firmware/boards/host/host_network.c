#include "host_network.h"

#include <stddef.h>

/* The coefficients of Eigen's float tanh (Eigen/src/Core/MathFunctionsImpl.h); beyond the limit float tanh is 1. */
#define TANH_LIMIT 7.90531110763549805f

float host_tanh(float x)
{
    x = x < -TANH_LIMIT ? -TANH_LIMIT : x > TANH_LIMIT ? TANH_LIMIT : x;
    const float square = x * x;
    float above = -2.76076847742355e-16f;
    above = above * square + 2.00018790482477e-13f;
    above = above * square + -8.60467152213735e-11f;
    above = above * square + 5.12229709037114e-08f;
    above = above * square + 1.48572235717979e-05f;
    above = above * square + 6.37261928875436e-04f;
    above = above * square + 4.89352455891786e-03f;
    float below = 1.19825839466702e-06f;
    below = below * square + 1.18534705686654e-04f;
    below = below * square + 2.26843463243900e-03f;
    below = below * square + 4.89352518554385e-03f;
    return x * above / below;
}

static void add_up(const host_layer_t *layer, const float *inputs, float *sums)
{
    const size_t outputs = layer->outputs;
    for (size_t k = 0; k < outputs; k++)
        sums[k] = layer->bias[k];
    for (size_t i = 0; i < layer->inputs; i++) {
        const float input = inputs[i];
        const float *weight = layer->weight + i * outputs;
        for (size_t k = 0; k < outputs; k++)
            sums[k] += weight[k] * input;
    }
}

static void activate(host_activation_t activation, uint16_t count, float *sums)
{
    if (activation == HOST_TANH) {
        for (size_t k = 0; k < count; k++)
            sums[k] = host_tanh(sums[k]);
    } else {
        for (size_t k = 0; k < count; k++)
            sums[k] = sums[k] < 0.0f ? 0.0f : sums[k];
    }
}

void host_network_values(const host_network_t *network, const float *observation, float *values)
{
    float one[POLICY_MAX_HIDDEN], other[POLICY_MAX_HIDDEN];
    float *inputs = one, *sums = other;
    const uint16_t count = network->layer[0].inputs;
    for (size_t i = 0; i < count; i++) {
        float number = observation[i];
        if (network->input_bound != NULL) {
            const float low = network->input_bound[i], high = network->input_bound[count + i];
            number = number < low ? low : number > high ? high : number;
        }
        inputs[i] = number * network->input_gain[i];
    }
    const uint16_t last = (uint16_t)(network->layers - 1);
    for (uint16_t k = 0; k < last; k++) {
        add_up(&network->layer[k], inputs, sums);
        activate(network->activation, network->layer[k].outputs, sums);
        float *swapped = inputs;
        inputs = sums;
        sums = swapped;
    }
    add_up(&network->layer[last], inputs, values);
}

uint8_t host_network_action(const host_network_t *network, const float *observation)
{
    float values[POLICY_MAX_OUTPUTS];
    host_network_values(network, observation, values);
    uint8_t best = 0;
    for (uint8_t k = 1; k < network->layer[network->layers - 1].outputs; k++) {
        if (values[k] > values[best])
            best = k;
    }
    return best;
}

double host_network_duty(const host_network_t *network, const float *observation)
{
    float duty;
    host_network_values(network, observation, &duty);
    if (network->output == HOST_SQUASHED)
        duty = host_tanh(duty);
    if (duty >= 1.0f)
        return 1.0;
    if (duty <= -1.0f)
        return -1.0;
    return duty == duty ? (double)duty : 0.0;
}
