/* CART_API: periods of a NativeCart that another extension takes ahead of the steps in Python (cart_api.h). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cart_api.h"
#include "cart_object.h"
#include "objects.h"

static PyTypeObject *native_cart_type;

static bool check(PyObject *cart)
{
    if (!Py_IS_TYPE(cart, native_cart_type)) {
        PyErr_Format(PyExc_TypeError, "expected a NativeCart, got %R", cart);
        return false;
    }
    const native_cart_object *self = (const native_cart_object *)cart;
    return refuse_busy(self) == 0 && refuse_ahead(self) == 0 && refuse_unplaced(self) == 0;
}

static bool take_ahead(PyObject *cart, double duty, double signals[4])
{
    native_cart_object *self = (native_cart_object *)cart;
    cart_reading_t *reading = &self->ahead.reading;
    self->ahead.duty = duty;
    self->ahead.is_finite = cart_period(&self->cart, duty, &self->uniform, reading);
    self->is_ahead = true;
    signals[0] = reading->position_m;
    signals[1] = reading->speed_m_s;
    signals[2] = reading->angle_rad;
    signals[3] = reading->rate_rad_s;
    return self->ahead.is_finite;
}

static void accept(PyObject *cart)
{
    native_cart_object *self = (native_cart_object *)cart;
    self->reading = self->ahead.reading;
    self->is_ahead = false;
    self->tick++;
}

static int write_measurement(PyObject *cart)
{
    PyObject *measurement = written((native_cart_object *)cart);
    Py_XDECREF(measurement);
    return measurement != NULL ? 0 : -1;
}

static const cart_api_t cart_api = {CART_API_VERSION, check, take_ahead, accept, write_measurement};

int add_cart_api(PyObject *module, PyTypeObject *type)
{
    hold((PyObject **)&native_cart_type, (PyObject *)type);
    PyObject *capsule = PyCapsule_New((void *)&cart_api, CART_API_NAME, NULL);
    const int outcome = capsule != NULL ? PyModule_AddObjectRef(module, "CART_API", capsule) : -1;
    Py_XDECREF(capsule);
    return outcome;
}
