/* How a policy object reads the arrays and observations that Python hands it. */
#ifndef POLICY_ARRAYS_H
#define POLICY_ARRAYS_H

#include <Python.h>
#include <stdint.h>

typedef struct {
    const char *name;
    char format;     /* buffer format character */
    Py_ssize_t size; /* bytes of one number */
    Py_ssize_t rows; /* 0: one-dimensional */
    Py_ssize_t columns;
} shape_t;

/* Copies an array of exactly that type and shape; sets an exception and returns -1 otherwise. */
int copy_array(PyObject *source, const shape_t *shape, void *target);

/* -1 with an exception unless 1 <= size <= most. */
int check_size(const char *name, Py_ssize_t size, Py_ssize_t most);

/* Reads an observation of `inputs` numbers into floats; sets an exception and returns -1 when it is something else. */
int read_observation(PyObject *source, uint16_t inputs, float *observation);

/* Weights are written once: `act` may be running on them in another place. -1 with an exception where `inputs` is not 0. */
int refuse_second_init(uint16_t inputs);

/* A tuple of `count` floats; NULL with an exception. */
PyObject *float_tuple(const float *numbers, uint16_t count);

#endif
