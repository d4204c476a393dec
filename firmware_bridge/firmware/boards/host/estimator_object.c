/* CartEstimator: the estimator of the cart and that of the pole, as one Python object. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../../estimator.h"
#include "objects.h"

typedef struct {
    PyObject_HEAD
    estimator_t cart;
    estimator_t pole;
} cart_estimator_object;

/* Counts wrap at 32 bits as they do in the microcontroller. Returns -1 with an exception for what is no integer. */
static int read_counts(PyObject *const *arguments, Py_ssize_t given, int32_t *cart, int32_t *pole)
{
    if (given != 2) {
        PyErr_Format(PyExc_TypeError, "expected cart counts and pole counts, got %zd arguments", given);
        return -1;
    }
    const unsigned long long cart_word = PyLong_AsUnsignedLongLongMask(arguments[0]);
    if (PyErr_Occurred() != NULL)
        return -1;
    const unsigned long long pole_word = PyLong_AsUnsignedLongLongMask(arguments[1]);
    if (PyErr_Occurred() != NULL)
        return -1;
    *cart = (int32_t)(uint32_t)cart_word;
    *pole = (int32_t)(uint32_t)pole_word;
    return 0;
}

static PyObject *cart_estimator_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", names))
        return NULL;
    cart_estimator_object *self = (cart_estimator_object *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    estimator_reset(&self->cart, 0);
    estimator_reset(&self->pole, 0);
    return (PyObject *)self;
}

static PyObject *cart_estimator_reset(PyObject *object, PyObject *const *arguments, Py_ssize_t given)
{
    cart_estimator_object *self = (cart_estimator_object *)object;
    int32_t cart, pole;
    if (read_counts(arguments, given, &cart, &pole) < 0)
        return NULL;
    estimator_reset(&self->cart, cart);
    estimator_reset(&self->pole, pole);
    Py_RETURN_NONE;
}

static PyObject *cart_estimator_update(PyObject *object, PyObject *const *arguments, Py_ssize_t given)
{
    cart_estimator_object *self = (cart_estimator_object *)object;
    int32_t cart, pole;
    if (read_counts(arguments, given, &cart, &pole) < 0)
        return NULL;
    estimator_update(&self->cart, cart);
    estimator_update(&self->pole, pole);
    Py_RETURN_NONE;
}

static PyObject *cart_estimator_speeds(PyObject *object, PyObject *unused)
{
    (void)unused;
    const cart_estimator_object *self = (const cart_estimator_object *)object;
    return Py_BuildValue("(ll)", (long)estimator_speed(&self->cart), (long)estimator_speed(&self->pole));
}

static PyMethodDef cart_estimator_methods[] = {
    {"reset", (PyCFunction)(void (*)(void))cart_estimator_reset, METH_FASTCALL,
     "reset(cart_counts, pole_counts): as if both encoders had stood there for ever."},
    {"update", (PyCFunction)(void (*)(void))cart_estimator_update, METH_FASTCALL,
     "update(cart_counts, pole_counts): one more millisecond."},
    {"speeds", cart_estimator_speeds, METH_NOARGS, "(cart, pole) speed, integers in 1/16 count per second."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cart_estimator_slots[] = {
    {Py_tp_doc, "The firmware's speed estimator (estimator.c) for cart and pole."},
    {Py_tp_new, cart_estimator_new},
    {Py_tp_dealloc, free_object},
    {Py_tp_methods, cart_estimator_methods},
    {0, NULL},
};

static PyType_Spec cart_estimator_spec = {
    .name = "firmware_bridge._host.CartEstimator",
    .basicsize = sizeof(cart_estimator_object),
    .flags = TYPE_FLAGS,
    .slots = cart_estimator_slots,
};

int add_cart_estimator(PyObject *module)
{
    return add_type(module, &cart_estimator_spec);
}
