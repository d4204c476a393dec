/* Types of a Python extension in the stable ABI of Python 3.11, for every extension of this project. */
#ifndef HEAP_TYPES_H
#define HEAP_TYPES_H

#include <Python.h>

/* Immutable, like a static type: its methods cannot be replaced. */
#define TYPE_FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE)

/* Makes a type and adds it to the module; NULL with an exception. The caller holds the reference. */
static inline PyTypeObject *make_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0)
        Py_CLEAR(type);
    return (PyTypeObject *)type;
}

/* As `make_type`, for a type that the C code does not name; -1 with an exception. */
static inline int add_type(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *type = make_type(module, spec);
    Py_XDECREF((PyObject *)type);
    return type != NULL ? 0 : -1;
}

/* Lets `*place` hold a reference to `object` in place of what it held. */
static inline void hold(PyObject **place, PyObject *object)
{
    PyObject *before = *place;
    *place = Py_NewRef(object);
    Py_XDECREF(before);
}

/* The last act of every `dealloc`: memory back, and the object's reference to its type. */
static inline void free_object(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    const freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

#endif
