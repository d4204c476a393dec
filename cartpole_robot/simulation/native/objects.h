/* What the files of the extension share. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <Python.h>

#include "cart.h"

extern PyTypeObject board_cart_type;
extern PyTypeObject native_cart_type;

int prepare_native_cart(void); /* -1 with an exception */

/* The parameters of a `CartParams`; -1 with an exception, a ValueError for a cart that this engine cannot represent. */
int read_cart(PyObject *cart, cart_params_t *params);

#endif
