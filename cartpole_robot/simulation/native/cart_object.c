/* NativeCart: cart.c as a Python object that writes each measurement into the caller's `Measurement`. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "objects.h"

enum {
    TICK,
    MCU_TIME,
    CART_COUNTS,
    POLE_COUNTS,
    POSITION,
    SPEED,
    ANGLE,
    RATE,
    APPLIED_DUTY,
    MOTOR_POWER,
    COMMAND_AGE,
    FIELDS
};
static const char *const field_names[FIELDS] = {
    [TICK] = "tick",
    [MCU_TIME] = "mcu_time_us",
    [CART_COUNTS] = "cart_counts",
    [POLE_COUNTS] = "pole_counts",
    [POSITION] = "cart_position_m",
    [SPEED] = "cart_speed_m_s",
    [ANGLE] = "pole_angle_rad",
    [RATE] = "pole_speed_rad_s",
    [APPLIED_DUTY] = "applied_duty",
    [MOTOR_POWER] = "motor_power_w",
    [COMMAND_AGE] = "command_age_s",
};
static PyObject *fields[FIELDS]; /* interned, made once */

typedef struct {
    PyObject_HEAD
    PyObject *measurement;
    PyObject *random; /* a NumPy bit generator, or NULL */
    uniform_t uniform;
    uint32_t period_us;
    int64_t tick;
    bool is_placed;
    cart_t cart;
} native_cart_object;

static int native_cart_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"cart", "measurement", NULL};
    native_cart_object *self = (native_cart_object *)object;
    PyObject *cart, *measurement;
    cart_params_t params;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO", names, &cart, &measurement))
        return -1;
    if (read_cart(cart, &params) < 0 || read_period(cart, &self->period_us) < 0)
        return -1;
    hold(&self->measurement, measurement);
    Py_CLEAR(self->random);
    self->uniform = (uniform_t){NULL, NULL};
    self->is_placed = false;
    cart_begin(&self->cart, &params);
    return 0;
}

static int native_cart_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(((native_cart_object *)object)->measurement);
    Py_VISIT(((native_cart_object *)object)->random);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int native_cart_clear(PyObject *object)
{
    Py_CLEAR(((native_cart_object *)object)->measurement);
    Py_CLEAR(((native_cart_object *)object)->random);
    return 0;
}

static void native_cart_dealloc(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    native_cart_clear(object);
    free_object(object);
}

static int set(native_cart_object *self, int field, PyObject *value)
{
    if (value == NULL)
        return -1;
    const int outcome = PyObject_SetAttr(self->measurement, fields[field], value);
    Py_DECREF(value);
    return outcome;
}

/* The measurement with a reading written into it, a new reference; NULL with an exception. */
static PyObject *written(native_cart_object *self, const cart_reading_t *reading)
{
    const bool has_encoders = self->cart.params.has_encoders;
    if (set(self, TICK, PyLong_FromLongLong(self->tick)) < 0 ||
        set(self, MCU_TIME, PyLong_FromUnsignedLong((uint32_t)((uint64_t)self->tick * self->period_us))) < 0 ||
        set(self, POSITION, PyFloat_FromDouble(reading->position_m)) < 0 ||
        set(self, SPEED, PyFloat_FromDouble(reading->speed_m_s)) < 0 ||
        set(self, ANGLE, PyFloat_FromDouble(reading->angle_rad)) < 0 ||
        set(self, RATE, PyFloat_FromDouble(reading->rate_rad_s)) < 0 ||
        set(self, APPLIED_DUTY, PyFloat_FromDouble(reading->applied_duty)) < 0)
        return NULL;
    if (has_encoders && (set(self, CART_COUNTS, PyLong_FromLongLong(reading->cart_counts)) < 0 ||
                         set(self, POLE_COUNTS, PyLong_FromLongLong(reading->pole_counts)) < 0 ||
                         set(self, MOTOR_POWER, PyFloat_FromDouble(reading->motor_power_w)) < 0 ||
                         set(self, COMMAND_AGE, PyFloat_FromDouble(reading->command_age_s)) < 0))
        return NULL;
    return Py_NewRef(self->measurement);
}

static PyObject *diverged(const native_cart_object *self)
{
    const plant_state_t *at = &self->cart.state;
    PyObject *state = Py_BuildValue("(dddd)", at->position_m, at->speed_m_s, at->angle_rad, at->rate_rad_s);
    if (state != NULL)
        PyErr_Format(PyExc_ArithmeticError, "the simulation diverged at %R", state);
    Py_XDECREF(state);
    return NULL;
}

static PyObject *native_cart_change(PyObject *object, PyObject *cart)
{
    native_cart_object *self = (native_cart_object *)object;
    cart_params_t params;
    if (read_cart(cart, &params) < 0)
        return NULL;
    const plant_state_t state = self->cart.state;
    cart_begin(&self->cart, &params);
    self->cart.state = state;
    self->is_placed = false;
    Py_RETURN_NONE;
}

static PyObject *native_cart_place(PyObject *object, PyObject *args)
{
    native_cart_object *self = (native_cart_object *)object;
    plant_state_t state;
    PyObject *random;
    cart_reading_t reading;
    if (!PyArg_ParseTuple(args, "(dddd)O", &state.position_m, &state.speed_m_s, &state.angle_rad, &state.rate_rad_s,
                          &random))
        return NULL;
    uniform_t uniform;
    if (read_uniform(random, &uniform) < 0)
        return NULL;
    hold(&self->random, random);
    self->uniform = uniform;
    self->tick = 0;
    if (!cart_place(&self->cart, &state, &reading))
        return diverged(self);
    self->is_placed = true;
    return written(self, &reading);
}

static PyObject *native_cart_step(PyObject *object, PyObject *duty)
{
    native_cart_object *self = (native_cart_object *)object;
    const double requested = PyFloat_AsDouble(duty);
    if (requested == -1.0 && PyErr_Occurred() != NULL)
        return NULL;
    if (!self->is_placed)
        return PyErr_Format(PyExc_RuntimeError, "the cart has not been placed yet");
    cart_reading_t reading;
    self->tick++;
    if (!cart_period(&self->cart, requested, &self->uniform, &reading))
        return diverged(self);
    return written(self, &reading);
}

static PyObject *native_cart_state(PyObject *object, PyObject *unused)
{
    (void)unused;
    const plant_state_t *at = &((const native_cart_object *)object)->cart.state;
    return Py_BuildValue("(dddd)", at->position_m, at->speed_m_s, at->angle_rad, at->rate_rad_s);
}

static PyMethodDef native_cart_methods[] = {
    {"change", native_cart_change, METH_O, "change(cart): become that CartParams; call place() next."},
    {"place", native_cart_place, METH_VARARGS,
     "place(state, bit_generator): begin an episode there, with the random numbers of that NumPy bit generator; the measurement."},
    {"step", native_cart_step, METH_O, "step(duty): the measurement one control period later."},
    {"state", native_cart_state, METH_NOARGS, "The true state: position, speed, angle, angular speed."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot native_cart_slots[] = {
    {Py_tp_doc, "NativeCart(cart, measurement): the CartParams `cart`, simulated; each reading goes into `measurement`."},
    {Py_tp_init, native_cart_init},
    {Py_tp_dealloc, native_cart_dealloc},
    {Py_tp_traverse, native_cart_traverse},
    {Py_tp_clear, native_cart_clear},
    {Py_tp_methods, native_cart_methods},
    {0, NULL},
};

static PyType_Spec native_cart_spec = {
    .name = "cartpole_robot.simulation._native.NativeCart",
    .basicsize = sizeof(native_cart_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = native_cart_slots,
};

int add_native_cart(PyObject *module)
{
    for (int k = 0; k < FIELDS; k++)
        if (fields[k] == NULL && (fields[k] = PyUnicode_InternFromString(field_names[k])) == NULL)
            return -1;
    return add_type(module, &native_cart_spec);
}
