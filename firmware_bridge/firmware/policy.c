#include "policy.h"

#include <stddef.h>

#ifdef __AVR__
#pragma GCC optimize("Os") /* the network itself is in boards/avr/policy_image.c, and flash is short: 0.4 kB less */
#endif

#define LANES 8 /* partial sums the compiler may keep in vector registers; a fixed order of additions */

static uint8_t largest_float(const float *values, uint16_t count)
{
    uint8_t best = 0;
    for (uint8_t i = 1; i < count; i++) {
        if (values[i] > values[best])
            best = i;
    }
    return best;
}

uint8_t policy_float_act(const policy_float_t *policy, const float *observation, float *values)
{
    float activation[POLICY_MAX_HIDDEN];
    const size_t hidden = policy->hidden;

    for (size_t j = 0; j < hidden; j++)
        activation[j] = policy->hidden_bias[j];
    for (size_t i = 0; i < policy->inputs; i++) {
        const float input = observation[i] * policy->input_gain[i];
        const float *weight = policy->hidden_weight + i * hidden;
        for (size_t j = 0; j < hidden; j++)
            activation[j] += weight[j] * input;
    }
    for (size_t j = 0; j < hidden; j++)
        activation[j] = activation[j] > 0.0f ? activation[j] : 0.0f;

    for (size_t k = 0; k < policy->outputs; k++) {
        const float *weight = policy->output_weight + k * hidden;
        float partial[LANES] = {0.0f};
        size_t j = 0;
        for (; j + LANES <= hidden; j += LANES) {
            for (size_t lane = 0; lane < LANES; lane++)
                partial[lane] += weight[j + lane] * activation[j + lane];
        }
        float sum = policy->output_bias[k];
        for (; j < hidden; j++)
            sum += weight[j] * activation[j];
        for (size_t lane = 0; lane < LANES; lane++)
            sum += partial[lane];
        values[k] = sum;
    }
    return largest_float(values, policy->outputs);
}

void policy_quantize(uint16_t inputs, const float *gain, const float *observation, int16_t *quantized)
{
    for (uint16_t i = 0; i < inputs; i++) {
        float scaled = observation[i] * gain[i];
        if (scaled >= (float)INT16_MAX)
            quantized[i] = INT16_MAX;
        else if (scaled <= -(float)INT16_MAX)
            quantized[i] = -INT16_MAX;
        else if (scaled >= 0.0f)
            quantized[i] = (int16_t)(scaled + 0.5f);
        else if (scaled < 0.0f)
            quantized[i] = (int16_t)(scaled - 0.5f);
        else
            quantized[i] = 0;
    }
}

static int16_t fitted(const policy_fit_t *fit, int32_t count)
{
    const uint32_t size = count < 0 ? 0u - (uint32_t)count : (uint32_t)count;
    if (size > fit->largest)
        return (int16_t)(count < 0 ? -INT16_MAX : INT16_MAX);
    const int16_t number = (int16_t)((size * fit->multiplier + (1u << (POLICY_FIT_SHIFT - 1))) >> POLICY_FIT_SHIFT);
    return (int16_t)(count < 0 ? -number : number);
}

void policy_observe(const policy_fit_t *fit, const policy_counts_t *counts, int16_t *observation)
{
    observation[0] = fitted(fit, counts->cart_counts);
    observation[1] = fitted(fit + 1, counts->cart_speed);
    observation[2] = fitted(fit + 2, counts->pole_counts);
    observation[3] = fitted(fit + 3, counts->pole_speed);
}

void policy_age(int16_t *inputs, uint8_t count, int16_t duty)
{
    if (count == POLICY_COUNTS)
        return;
    for (uint8_t i = (uint8_t)(count - 1u); i >= POLICY_STEP; i--)
        inputs[i] = inputs[i - POLICY_STEP];
    inputs[POLICY_COUNTS] = duty;
}

void policy_fill(int16_t *inputs, uint8_t count)
{
    for (uint8_t i = POLICY_COUNTS; i < count; i++)
        inputs[i] = i == POLICY_COUNTS ? 0 : inputs[i - POLICY_STEP];
}

void policy_int16_begin(const policy_int16_t *policy, int32_t *values)
{
    for (uint16_t k = 0; k < policy->outputs; k++)
        values[k] = policy->output_bias[k];
}

void policy_int16_add(const policy_int16_t *policy, const int16_t *observation, int32_t *values, uint16_t first,
                      uint16_t end)
{
    const uint16_t inputs = policy->inputs;
    const uint16_t outputs = policy->outputs;
    const uint8_t shift = policy->hidden_shift;
    const int32_t half = shift == 0 ? 0 : (int32_t)1 << (shift - 1);
    const int16_t *hidden_weight = policy->hidden_weight + (size_t)first * inputs;

    for (uint16_t j = first; j < end; j++) {
        int32_t sum = policy->hidden_bias[j];
        for (uint16_t i = 0; i < inputs; i++)
            sum += (int32_t)*hidden_weight++ * observation[i];
        if (sum <= 0)
            continue; /* ReLU: this unit adds nothing */
        sum = (sum + half) >> shift;
        const int16_t activation = sum > INT16_MAX ? INT16_MAX : (int16_t)sum;
        const int16_t *weight = policy->output_weight + j;
        for (uint16_t k = 0; k < outputs; k++) {
            values[k] += (int32_t)*weight * activation;
            weight += policy->hidden;
        }
    }
}

uint8_t policy_largest(const int32_t *values, uint16_t outputs)
{
    uint8_t best = 0;
    for (uint8_t k = 1; k < outputs; k++) {
        if (values[k] > values[best])
            best = k;
    }
    return best;
}

uint8_t policy_int16_act(const policy_int16_t *policy, const int16_t *observation, int32_t *values)
{
    policy_int16_begin(policy, values);
    policy_int16_add(policy, observation, values, 0, policy->hidden);
    return policy_largest(values, policy->outputs);
}

/* The largest magnitude that bias + sum of weight * any int16_t can reach. */
static int64_t largest_sum(const int16_t *weight, uint16_t count, int32_t bias)
{
    int64_t sum = bias < 0 ? -(int64_t)bias : (int64_t)bias;
    for (uint16_t i = 0; i < count; i++) {
        int64_t magnitude = weight[i] < 0 ? -(int64_t)weight[i] : (int64_t)weight[i];
        sum += magnitude * -(int64_t)INT16_MIN;
    }
    return sum;
}

bool policy_int16_is_safe(const policy_int16_t *policy)
{
    if (policy->hidden_shift > 30)
        return false;
    const int64_t rounding = policy->hidden_shift == 0 ? 0 : (int64_t)1 << (policy->hidden_shift - 1);
    for (uint16_t j = 0; j < policy->hidden; j++) {
        const int16_t *weight = policy->hidden_weight + (size_t)j * policy->inputs;
        if (largest_sum(weight, policy->inputs, policy->hidden_bias[j]) + rounding > INT32_MAX)
            return false;
    }
    for (uint16_t k = 0; k < policy->outputs; k++) {
        const int16_t *weight = policy->output_weight + (size_t)k * policy->hidden;
        if (largest_sum(weight, policy->hidden, policy->output_bias[k]) > INT32_MAX)
            return false;
    }
    return true;
}
