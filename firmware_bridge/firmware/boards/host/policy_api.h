/* The compiled policies, for another C extension that asks them for actions without Python in between.
 *
 * `firmware_bridge._host.POLICY_API` is a capsule of that name with a `policy_api_t` in it. */
#ifndef POLICY_API_H
#define POLICY_API_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#define POLICY_API_NAME "firmware_bridge._host.POLICY_API"
#define POLICY_API_VERSION 2

typedef struct {
    uint16_t inputs, outputs; /* no outputs: it answers with a duty */
    /* The action for inputs in SI units, or the duty in [-1, 1]: one of the two, the other is NULL. Neither needs an interpreter, and
     * the weights never change. */
    uint8_t (*act)(const void *policy, const float *inputs);
    double (*duty)(const void *policy, const float *inputs);
    const void *policy; /* lives as long as the object */
} policy_view_t;

typedef struct {
    int version;
    /* What a FloatPolicy, an Int16Policy or a HostPolicy computes; false for another object, and for one without weights. */
    bool (*view)(PyObject *object, policy_view_t *view);
} policy_api_t;

#endif
