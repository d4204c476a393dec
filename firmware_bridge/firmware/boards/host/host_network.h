/* A policy's network in the forms that only a host computes: one or two hidden layers of ReLU or tanh, and at the end either one value
 * per action or one duty. `policy.h` has the form that a microcontroller computes, too. Nothing here allocates or keeps state; all is
 * float additions, products and quotients in a fixed order, so that every machine gets the same bits. */
#ifndef HOST_NETWORK_H
#define HOST_NETWORK_H

#include <stdint.h>

#include "../../policy.h"

#define HOST_NETWORK_MOST_LAYERS 3 /* two hidden ones and the outputs */

typedef enum { HOST_RELU, HOST_TANH, HOST_ACTIVATIONS } host_activation_t;

/* What the outputs are: one value per action, or a duty, clipped to [-1, 1] or squashed into it by tanh. */
typedef enum { HOST_TABLE, HOST_CLIPPED, HOST_SQUASHED, HOST_OUTPUTS } host_output_t;

typedef struct {
    uint16_t inputs, outputs;
    const float *weight; /* [inputs][outputs] */
    const float *bias;   /* [outputs] */
} host_layer_t;

typedef struct {
    uint16_t layers; /* 2 or 3 */
    host_layer_t layer[HOST_NETWORK_MOST_LAYERS];
    host_activation_t activation;
    host_output_t output;
    const float *input_gain;  /* [inputs]: the network sees observation * gain */
    const float *input_bound; /* [2][inputs]: observations are clipped to these lows and highs; NULL: they are not */
} host_network_t;

/* values[outputs] of an observation[inputs] in SI units. */
void host_network_values(const host_network_t *network, const float *observation, float *values);

/* The first of the largest values. */
uint8_t host_network_action(const host_network_t *network, const float *observation);

/* The duty in [-1, 1]; 0 for an observation that is not a number. */
double host_network_duty(const host_network_t *network, const float *observation);

/* tanh(x) within 5e-7, from a quotient of polynomials: no two mathematical libraries round it alike. Not a number stays one. */
float host_tanh(float x);

#endif
