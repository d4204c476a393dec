/* What the files of the extension share. */
#ifndef UPDATE_OBJECT_H
#define UPDATE_OBJECT_H

#include <Python.h>

#include "bit_generator.h"
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

/* Updates in a row, from the tuple that `Update.learn` takes. */
typedef struct {
    Py_ssize_t times, batch;
    update_loss_t loss;
    update_optimizer_t rule;
} lesson_t;

/* -1 with an exception. */
int read_lesson(const update_object *self, PyObject *tuple, lesson_t *lesson);

/* Updates on batches of the `stored` steps, the next of which will be at `at`; the losses, NULL with an exception. */
PyObject *learn(update_object *self, const lesson_t *lesson, const bit_generator_t *bits, int64_t stored, int64_t at);

/* -1 with an exception for an update that was never given its arrays. */
int refuse_unready(const update_object *self);

extern PyTypeObject *update_type;

/* Adds the collector; -1 with an exception. */
int add_collector(PyObject *module);

#endif
