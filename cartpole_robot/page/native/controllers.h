/* What decides the duty: the networks of policy bundles, the regulator, the swing-up controller; one at a time.
 *
 * The others see what it does, so that the visitor may change over while the cart runs. */
#ifndef CONTROLLERS_H
#define CONTROLLERS_H

#include <stdbool.h>

#include "network.h"
#include "regulator.h"
#include "swing_up.h"

#define CONTROLLERS_NETWORKS 8

typedef enum { CHOSEN_NONE, CHOSEN_REGULATOR, CHOSEN_SWING_UP, CHOSEN_NETWORK } chosen_t;

typedef struct {
    network_t network[CONTROLLERS_NETWORKS];
    int networks;
    regulator_t regulator;
    swing_up_t swing_up;
    chosen_t chosen;
    int chosen_network;
} controllers_t;

/* An episode begins. */
void controllers_begin(controllers_t *controllers);

/* `network` counts where a network is chosen. The new one starts from what the cart does now. */
void controllers_choose(controllers_t *controllers, chosen_t chosen, int network);

/* Whether the chosen one starts from a hanging pole. */
bool controllers_swing_up(const controllers_t *controllers);

double controllers_duty(controllers_t *controllers, observation_t seen);

#endif
