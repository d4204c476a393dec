/* The exported policy: one hidden layer of ReLU, then one value per action; the action is the first of the largest.
 *
 * Two forms of the same network. The float form is for a host. The int16 form is for a microcontroller without a
 * floating-point unit and is integers from the quantized observation to the action, so that every compiler and machine gets
 * the same bits. Nothing here allocates, prints or keeps state.
 */
#ifndef POLICY_H
#define POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define POLICY_MAX_INPUTS 16
#define POLICY_MAX_HIDDEN 256
#define POLICY_MAX_OUTPUTS 8

typedef struct {
    uint16_t inputs;
    uint16_t hidden;
    uint16_t outputs;
    const float *input_gain;    /* [inputs] the network sees observation * gain */
    const float *hidden_weight; /* [inputs][hidden] */
    const float *hidden_bias;   /* [hidden] */
    const float *output_weight; /* [outputs][hidden] */
    const float *output_bias;   /* [outputs] */
} policy_float_t;

typedef struct {
    uint16_t inputs;
    uint16_t hidden;
    uint16_t outputs;
    uint8_t hidden_shift;         /* hidden activation = relu(sum) / 2^hidden_shift, rounded, at most INT16_MAX */
    const int16_t *hidden_weight; /* [hidden][inputs] */
    const int32_t *hidden_bias;   /* [hidden] */
    const int16_t *output_weight; /* [outputs][hidden] */
    const int32_t *output_bias;   /* [outputs] */
} policy_int16_t;

/* values[outputs] of an observation[inputs] in SI units; returns the action. */
uint8_t policy_float_act(const policy_float_t *policy, const float *observation, float *values);

/* An observation in SI units as the int16 form takes it: observation * gain, rounded to nearest (ties away from zero),
 * at most INT16_MAX in magnitude. Not a number becomes 0. For hosts and tests; a microcontroller starts from counts. */
void policy_quantize(uint16_t inputs, const float *gain, const float *observation, int16_t *quantized);

/* values[outputs] of a quantized observation[inputs]; returns the action. */
uint8_t policy_int16_act(const policy_int16_t *policy, const int16_t *observation, int32_t *values);

/* Whether no observation whatever can overflow a 32-bit sum of this policy. */
bool policy_int16_is_safe(const policy_int16_t *policy);

#endif
