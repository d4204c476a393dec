/* What the files of the extension share. */
#ifndef UPDATE_OBJECT_H
#define UPDATE_OBJECT_H

#include <Python.h>

#include "update.h"

enum { MEMORY_ARRAYS = 6, BUFFERS = 5 * UPDATE_TENSORS + 1 + MEMORY_ARRAYS };

typedef struct {
    PyObject_HEAD
    update_shape_t shape;
    update_tensors_t tensors;
    update_memory_t memory;
    Py_buffer buffers[BUFFERS];
    int held;
} update_object;

/* -1 with an exception for an update that was never given its arrays. */
int refuse_unready(const update_object *self);

extern PyTypeObject *update_type;

/* Adds the collector; -1 with an exception. */
int add_collector(PyObject *module);

#endif
