/* NativeCart for another C extension that steps it without Python in between.
 *
 * `cartpole_robot.simulation._native.CART_API` is a capsule of that name with a `cart_api_t` in it. */
#ifndef CART_API_H
#define CART_API_H

#include <Python.h>
#include <stdbool.h>

#define CART_API_NAME "cartpole_robot.simulation._native.CART_API"
#define CART_API_VERSION 1

typedef struct {
    int version;
    /* Whether the object is a NativeCart that may take a period now; false with an exception. */
    bool (*check)(PyObject *cart);
    /* Takes the period of `NativeCart.step(duty)` ahead of it; the measured position, speed, angle and angular speed. False when the
     * physics has no finite answer. Nothing but `accept` or that step may follow. */
    bool (*take_ahead)(PyObject *cart, double duty, double signals[4]);
    /* The period that was taken ahead counts: no `step` delivers it. */
    void (*accept)(PyObject *cart);
    /* Writes the newest period that counts into the caller's `Measurement`; -1 with an exception. */
    int (*write)(PyObject *cart);
} cart_api_t;

#endif
