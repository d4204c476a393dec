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

#define POLICY_MAX_INPUTS 32 /* an observation is 4; a policy with history has up to 29 */
#define POLICY_MAX_HIDDEN 256
#define POLICY_MAX_OUTPUTS 8
#define POLICY_COUNTS 4u   /* that make an observation: those of a STATE */
#define POLICY_STEP 5u     /* inputs of an earlier step: its duty and its observation */
#define POLICY_FIT_SHIFT 16

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

/* How one number of a STATE becomes a number of the quantized observation. */
typedef struct {
    uint32_t multiplier; /* by 2^POLICY_FIT_SHIFT */
    uint32_t largest;    /* magnitude whose product still rounds to INT16_MAX */
} policy_fit_t;

/* What STATE tells, in its order: counts, and speeds in 1/16 count per second. */
typedef struct {
    int32_t cart_counts, cart_speed, pole_counts, pole_speed;
} policy_counts_t;

/* values[outputs] of an observation[inputs] in SI units; returns the action. */
uint8_t policy_float_act(const policy_float_t *policy, const float *observation, float *values);

/* An observation in SI units as the int16 form takes it: observation * gain, rounded to nearest (ties away from zero),
 * at most INT16_MAX in magnitude. Not a number becomes 0. For hosts and tests; a microcontroller starts from counts. */
void policy_quantize(uint16_t inputs, const float *gain, const float *observation, int16_t *quantized);

/* The quantized observation[POLICY_COUNTS] of what a STATE tells: rounded to nearest (ties away from zero), at most INT16_MAX in
 * magnitude. Integers alone: what the microcontroller does. */
void policy_observe(const policy_fit_t *fit, const policy_counts_t *counts, int16_t *observation);

/* A policy with history sees this step's observation, then for each earlier step its duty and its observation. Before
 * policy_observe(), in every step of an episode but the first: each step in inputs[count] becomes one older, and the last one has
 * that duty. `count` is POLICY_COUNTS, without history, or POLICY_STEP more for each earlier step. */
void policy_age(int16_t *inputs, uint8_t count, int16_t duty);

/* After policy_observe(), in an episode's first step: the earlier observations are the first one, the earlier duties 0. */
void policy_fill(int16_t *inputs, uint8_t count);

/* values[outputs] of a quantized observation[inputs]; returns the action. */
uint8_t policy_int16_act(const policy_int16_t *policy, const int16_t *observation, int32_t *values);

/* The same in steps: values without any hidden unit, what the hidden units from `first` up to `end` add, the action. */
void policy_int16_begin(const policy_int16_t *policy, int32_t *values);
void policy_int16_add(const policy_int16_t *policy, const int16_t *observation, int32_t *values, uint16_t first,
                      uint16_t end);
uint8_t policy_largest(const int32_t *values, uint16_t outputs);

/* Whether no observation whatever can overflow a 32-bit sum of this policy. */
bool policy_int16_is_safe(const policy_int16_t *policy);

#endif
