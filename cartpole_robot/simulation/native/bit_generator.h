/* The numbers of a NumPy bit generator. */
#ifndef BIT_GENERATOR_H
#define BIT_GENERATOR_H

#include <Python.h>
#include <stdint.h>

/* The start of NumPy's `bitgen_t` (numpy/random/bitgen.h), whose layout is part of its C API. */
typedef struct {
    void *state;
    uint64_t (*next_uint64)(void *state);
    uint32_t (*next_uint32)(void *state);
    double (*next_double)(void *state);
} bit_generator_t;

/* Lives as long as the generator, whose capsule only points to it; NULL with an exception. */
static inline const bit_generator_t *read_bit_generator(PyObject *bit_generator)
{
    PyObject *capsule = PyObject_GetAttrString(bit_generator, "capsule");
    const bit_generator_t *bits = capsule != NULL ? PyCapsule_GetPointer(capsule, "BitGenerator") : NULL;
    Py_XDECREF(capsule);
    return bits;
}

#endif
