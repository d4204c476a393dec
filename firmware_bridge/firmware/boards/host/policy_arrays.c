#include "policy_arrays.h"

#include <string.h>

int copy_array(PyObject *source, const shape_t *shape, void *target)
{
    Py_buffer view;
    if (PyObject_GetBuffer(source, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0)
        return -1;
    const int dimensions = shape->rows ? 2 : 1;
    const int fits = view.ndim == dimensions && view.format != NULL && view.format[0] == shape->format &&
                     view.format[1] == '\0' && view.itemsize == shape->size &&
                     view.shape[dimensions - 1] == shape->columns &&
                     (dimensions == 1 || view.shape[0] == shape->rows);
    if (fits)
        memcpy(target, view.buf, (size_t)view.len);
    else if (dimensions == 2)
        PyErr_Format(PyExc_ValueError, "%s: expected a C-contiguous array of format '%c' and shape (%zd, %zd)",
                     shape->name, shape->format, shape->rows, shape->columns);
    else
        PyErr_Format(PyExc_ValueError, "%s: expected a contiguous array of format '%c' and shape (%zd,)", shape->name,
                     shape->format, shape->columns);
    PyBuffer_Release(&view);
    return fits ? 0 : -1;
}

int check_size(const char *name, Py_ssize_t size, Py_ssize_t most)
{
    if (size >= 1 && size <= most)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s = %zd, expected 1 to %zd", name, size, most);
    return -1;
}

int read_observation(PyObject *source, uint16_t inputs, float *observation)
{
    Py_buffer view;
    if (inputs == 0) {
        PyErr_SetString(PyExc_RuntimeError, "this policy was never given its weights");
        return -1;
    }
    if (PyObject_GetBuffer(source, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0)
        return -1;
    const char kind = view.format != NULL && view.format[1] == '\0' ? view.format[0] : '\0';
    int result = 0;
    if (kind == 'f' && view.len == (Py_ssize_t)(inputs * sizeof(float))) {
        memcpy(observation, view.buf, (size_t)view.len);
    } else if (kind == 'd' && view.len == (Py_ssize_t)(inputs * sizeof(double))) {
        for (uint16_t i = 0; i < inputs; i++) {
            double number; /* the buffer need not be aligned */
            memcpy(&number, (const char *)view.buf + i * sizeof number, sizeof number);
            observation[i] = (float)number;
        }
    } else {
        PyErr_Format(PyExc_ValueError,
                     "expected an observation of %d numbers, float32 or float64, got %zd bytes of format '%s'", inputs,
                     view.len, view.format != NULL ? view.format : "B");
        result = -1;
    }
    PyBuffer_Release(&view);
    return result;
}

int refuse_second_init(uint16_t inputs)
{
    if (inputs == 0)
        return 0;
    PyErr_SetString(PyExc_TypeError, "this policy has its weights already; make a new one");
    return -1;
}

PyObject *float_tuple(const float *numbers, uint16_t count)
{
    PyObject *result = PyTuple_New(count);
    for (uint16_t k = 0; result != NULL && k < count; k++) {
        PyObject *number = PyFloat_FromDouble((double)numbers[k]);
        if (number == NULL)
            Py_CLEAR(result);
        else
            PyTuple_SetItem(result, k, number);
    }
    return result;
}
