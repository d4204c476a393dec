/* NativeCart: cart.c as a Python object that writes each measurement into the caller's `Measurement`. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cart_object.h"
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

/* An episode lets signal handlers and other threads run: what they call must not touch its cart. */
int refuse_busy(const native_cart_object *self)
{
    if (!self->is_busy)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "an episode runs on this cart; wait for its end");
    return -1;
}

int refuse_ahead(const native_cart_object *self)
{
    if (!self->is_ahead)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "the cart is ahead by a period that no step has delivered; step, or place it");
    return -1;
}

static int native_cart_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"cart", "measurement", NULL};
    native_cart_object *self = (native_cart_object *)object;
    PyObject *cart, *measurement;
    cart_params_t params;
    if (refuse_busy(self) < 0 || !PyArg_ParseTupleAndKeywords(args, kwargs, "OO", names, &cart, &measurement))
        return -1;
    if (read_whole_cart(cart, &params) < 0 || read_period(cart, &self->period_us) < 0)
        return -1;
    hold(&self->measurement, measurement);
    Py_CLEAR(self->random);
    self->uniform = (uniform_t){NULL, NULL};
    self->is_placed = self->is_ahead = false;
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

PyObject *written(native_cart_object *self)
{
    const cart_reading_t *reading = &self->reading;
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

PyObject *divergence(const native_cart_object *self)
{
    const plant_state_t *at = &self->cart.state;
    PyObject *state = Py_BuildValue("(dddd)", at->position_m, at->speed_m_s, at->angle_rad, at->rate_rad_s);
    PyObject *text = state != NULL ? PyUnicode_FromFormat("the simulation diverged at %R", state) : NULL;
    Py_XDECREF(state);
    return text;
}

static PyObject *diverged(const native_cart_object *self)
{
    PyObject *text = divergence(self);
    if (text != NULL)
        PyErr_SetObject(PyExc_ArithmeticError, text);
    Py_XDECREF(text);
    return NULL;
}

int refuse_unplaced(const native_cart_object *self)
{
    if (self->is_placed)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "the cart has not been placed yet");
    return -1;
}

static PyObject *native_cart_change(PyObject *object, PyObject *cart)
{
    native_cart_object *self = (native_cart_object *)object;
    cart_params_t params;
    if (read_whole_cart(cart, &params) < 0 || refuse_busy(self) < 0)
        return NULL;
    const plant_state_t state = self->cart.state;
    cart_begin(&self->cart, &params);
    self->cart.state = state;
    self->is_placed = self->is_ahead = false;
    Py_RETURN_NONE;
}

static PyObject *native_cart_place(PyObject *object, PyObject *args)
{
    native_cart_object *self = (native_cart_object *)object;
    plant_state_t state;
    PyObject *random;
    if (!PyArg_ParseTuple(args, "(dddd)O", &state.position_m, &state.speed_m_s, &state.angle_rad, &state.rate_rad_s,
                          &random))
        return NULL;
    uniform_t uniform;
    if (self->measurement == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the cart has no parameters");
    if (read_uniform(random, &uniform) < 0 || refuse_busy(self) < 0)
        return NULL;
    hold(&self->random, random);
    self->uniform = uniform;
    self->tick = 0;
    self->is_ahead = false;
    cart_reading_t reading;
    if (!cart_place(&self->cart, &state, &reading))
        return diverged(self);
    self->reading = reading;
    self->is_placed = true;
    return written(self);
}

/* A period that was taken ahead is delivered, not taken again. */
static PyObject *native_cart_step(PyObject *object, PyObject *duty)
{
    native_cart_object *self = (native_cart_object *)object;
    const double requested = PyFloat_AsDouble(duty);
    if (requested == -1.0 && PyErr_Occurred() != NULL)
        return NULL;
    if (refuse_busy(self) < 0 || refuse_unplaced(self) < 0)
        return NULL;
    cart_reading_t reading;
    if (self->is_ahead) {
        if (requested != self->ahead.duty)
            return PyErr_Format(PyExc_RuntimeError, "the cart is ahead by a period with another duty; step with that, or place it");
        self->is_ahead = false;
        self->tick++;
        if (!self->ahead.is_finite)
            return diverged(self);
        self->reading = self->ahead.reading;
        return written(self);
    }
    self->tick++;
    if (!cart_period(&self->cart, requested, &self->uniform, &reading))
        return diverged(self);
    self->reading = reading;
    return written(self);
}

/* The newest reading again, at tick 0. */
static PyObject *native_cart_restart(PyObject *object, PyObject *ignored)
{
    native_cart_object *self = (native_cart_object *)object;
    (void)ignored;
    if (refuse_busy(self) < 0 || refuse_ahead(self) < 0 || refuse_unplaced(self) < 0)
        return NULL;
    self->tick = 0;
    return written(self);
}

static PyObject *native_cart_push(PyObject *object, PyObject *args)
{
    native_cart_object *self = (native_cart_object *)object;
    double force_n, torque_n_m;
    if (!PyArg_ParseTuple(args, "dd", &force_n, &torque_n_m) || refuse_busy(self) < 0 || refuse_ahead(self) < 0)
        return NULL;
    self->cart.params.plant.cart_push_n = force_n;
    self->cart.params.plant.pole_push_n_m = torque_n_m;
    Py_RETURN_NONE;
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
    {"restart", native_cart_restart, METH_NOARGS, "restart(): the newest measurement again, at tick 0."},
    {"episode", native_cart_episode, METH_VARARGS,
     "episode(policy, duties, history_length, limits, most_steps, sums): the policy acts from the newest reading until a fall, at "
     "most `most_steps`; (steps, is_terminated, fault or None, sums), the sums with those of this episode added."},
    {"push", native_cart_push, METH_VARARGS,
     "push(force_n, torque_n_m): from now on a force on the cart and a torque about the hinge act from outside, until place()."},
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
    .flags = TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = native_cart_slots,
};

int add_native_cart(PyObject *module)
{
    for (int k = 0; k < FIELDS; k++)
        if (fields[k] == NULL && (fields[k] = PyUnicode_InternFromString(field_names[k])) == NULL)
            return -1;
    PyTypeObject *type = make_type(module, &native_cart_spec);
    const int outcome = type != NULL ? add_cart_api(module, type) : -1;
    Py_XDECREF((PyObject *)type);
    return outcome;
}
