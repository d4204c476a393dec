/* What the files of the extension share. They use the stable ABI of Python 3.11 alone. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <Python.h>

#include "boards/host/heap_types.h"
#include "cart.h"

/* Each adds one type to the module; -1 with an exception. */
int add_board_cart(PyObject *module);
int add_native_cart(PyObject *module);
int add_fleet(PyObject *module);
int add_windows(PyObject *module);
int add_stepper_drive(PyObject *module);

/* The parameters of a `CartParams`; -1 with an exception, a ValueError for a rule of the delay that is not known. The second is for
 * those who simulate the delay too: a ValueError for one that this engine cannot represent. */
int read_cart(PyObject *cart, cart_params_t *params);
int read_whole_cart(PyObject *cart, cart_params_t *params);
int read_period(PyObject *cart, uint32_t *period_us);

/* The uniform numbers of a NumPy bit generator, which must outlive them; -1 with an exception. */
int read_uniform(PyObject *bit_generator, uniform_t *uniform);

#endif
