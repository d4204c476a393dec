/* The network of a policy bundle, with its history and its action table, as `policy.controllers` runs it. */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdbool.h>

#include "../../../firmware_bridge/firmware/boards/host/host_network.h"
#include "history.h"
#include "observation.h"

typedef struct {
    bool is_host_only; /* else the form that a microcontroller computes too */
    policy_float_t small;
    host_network_t host;
    double duties[POLICY_MAX_OUTPUTS];
    int history_length;
    bool swings_up; /* it sees the angle as sine and cosine */
    float inputs[HISTORY_STEP_INPUTS * HISTORY_MOST];
    double sent; /* of the newest step */
    bool is_begun;
} network_t;

/* An episode begins. */
void network_reset(network_t *network);

double network_duty(network_t *network, observation_t seen);

/* Another controller answered `seen` with `duty`. */
void network_watch(network_t *network, observation_t seen, double duty);

#endif
