/* NativeCart, for the files that implement it. */
#ifndef CART_OBJECT_H
#define CART_OBJECT_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "cart.h"

typedef struct {
    PyObject_HEAD
    PyObject *measurement;
    PyObject *random; /* a NumPy bit generator, or NULL */
    uniform_t uniform;
    uint32_t period_us;
    int64_t tick;
    bool is_placed;
    bool is_busy; /* with an episode */
    bool is_ahead; /* by the period that the next step delivers (cart_api.h) */
    cart_t cart;
    cart_reading_t reading; /* the newest, since it was placed */
    struct {
        double duty;
        bool is_finite;
        cart_reading_t reading;
    } ahead;
} native_cart_object;

/* Each returns -1 with an exception. The second is for what would pass over a period that was taken ahead. */
int refuse_busy(const native_cart_object *self);
int refuse_ahead(const native_cart_object *self);
int refuse_unplaced(const native_cart_object *self);

/* The measurement with the reading written into it, a new reference; NULL with an exception. */
PyObject *written(native_cart_object *self);

/* What is wrong with a cart whose physics has no finite answer, a new reference; NULL with an exception. */
PyObject *divergence(const native_cart_object *self);

/* The method `episode`. */
PyObject *native_cart_episode(PyObject *object, PyObject *args);

/* Adds CART_API, for objects of that type, to the module; -1 with an exception. */
int add_cart_api(PyObject *module, PyTypeObject *type);

#endif
