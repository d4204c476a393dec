/* What a page simulates, as one: the module's exports act on it. */
#ifndef PAGE_H
#define PAGE_H

#include "controllers.h"
#include "host.h"
#include "world.h"

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(#name), used)) name
#else /* as part of a test's program */
#define EXPORT(name) name
#endif

typedef struct {
    cart_params_t cart;
    surroundings_t around;
    host_params_t host;
    regulator_t regulator;
    swing_up_t swing_up;
    double regulator_gains, swing_gains; /* how many past drives each regulator takes */
    double apply_brakes; /* duty 0 shorts the motor */
} page_params_t;

typedef struct {
    page_params_t params;
    world_t world;
    host_t host;
    controllers_t controllers;
} page_t;

extern page_t page;

#endif
