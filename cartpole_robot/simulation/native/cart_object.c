/* NativeCart: cart.c as a Python object that writes each measurement into the caller's `Measurement`. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "cart.h"
#include "objects.h"

/* The start of NumPy's `bitgen_t` (numpy/random/bitgen.h), whose layout is part of its C API. */
typedef struct {
    void *state;
    uint64_t (*next_uint64)(void *state);
    uint32_t (*next_uint32)(void *state);
    double (*next_double)(void *state);
} bit_generator_t;

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

/* ---- parameters, from the attributes of a `CartParams` ---- */

static const struct {
    const char *section, *name; /* section NULL: of the cart itself */
    size_t offset;
    double none; /* in place of None */
} numbers[] = {
#define NUMBER(section, name, member, none) {section, name, offsetof(cart_params_t, member), none}
    NUMBER("timing", "physics_step_s", plant.step_s, NAN),
    NUMBER("pole_cart", "mass_kg", plant.mass_kg, NAN),
    NUMBER("pole_cart", "hinge_inertia_kg_m2", plant.inertia_kg_m2, NAN),
    NUMBER("pole_cart", "coupling_kg_m", plant.coupling_kg_m, NAN),
    NUMBER("pole_cart", "gravity_m_s2", plant.gravity_m_s2, NAN),
    NUMBER("friction", "pole_viscous_n_m_s", plant.pole_viscous_n_m_s, NAN),
    NUMBER("friction", "cart_coulomb_n", plant.cart_coulomb_n, NAN),
    NUMBER("friction", "cart_static_n", plant.cart_static_n, NAN),
    NUMBER("friction", "pole_coulomb_n_m", plant.pole_coulomb_n_m, NAN),
    NUMBER("limits", "end_stop_m", plant.end_stop_m, INFINITY),
    NUMBER("motor", "stall_force_n", motor.stall_force_n, NAN),
    NUMBER("motor", "slope_n", motor.slope_n, NAN),
    NUMBER("motor", "dead_zone_duty", motor.dead_zone_duty, NAN),
    NUMBER("motor", "saturation", motor.saturation, NAN),
    NUMBER("motor", "lag_s", motor.lag_s, NAN),
    NUMBER("motor", "supply_voltage_v", motor.supply_voltage_v, NAN),
    NUMBER("motor", "stall_current_a", motor.stall_current_a, NAN),
    NUMBER("motor", "back_emf_n_s_m", back_emf_n_s_m, NAN),
    NUMBER(NULL, "damping_n_s_m", motor.damping_n_s_m, NAN),
    NUMBER("friction", "cart_viscous_n_s_m", motor.viscous_n_s_m, NAN),
    NUMBER("pole_cart", "cart_mass_kg", motor.cart_mass_kg, NAN),
    NUMBER("timing", "physics_step_s", motor.step_s, NAN),
    NUMBER("delay", "latency_s", delay.latency_s, NAN),
    NUMBER("delay", "jitter_s", delay.jitter_s, NAN),
    NUMBER("delay", "drop_probability", delay.drop_probability, NAN),
    NUMBER("timing", "physics_step_s", delay.step_s, NAN),
    NUMBER("timing", "control_period_s", delay.period_s, NAN),
#undef NUMBER
};

/* The attribute `name` of `section` of `object`; NULL with an exception. */
static PyObject *attribute(PyObject *object, const char *section, const char *name)
{
    if (section == NULL)
        return PyObject_GetAttrString(object, name);
    PyObject *part = PyObject_GetAttrString(object, section);
    PyObject *found = part != NULL ? PyObject_GetAttrString(part, name) : NULL;
    Py_XDECREF(part);
    return found;
}

static int read_number(PyObject *cart, const char *section, const char *name, double none, double *number)
{
    PyObject *found = attribute(cart, section, name);
    if (found == NULL)
        return -1;
    *number = found == Py_None ? none : PyFloat_AsDouble(found);
    Py_DECREF(found);
    return PyErr_Occurred() != NULL ? -1 : 0;
}

static int read_apply(PyObject *cart, delay_apply_t *apply)
{
    static const char *const names[] = {
        [DELAY_AT_ONCE] = "at_once", [DELAY_NEXT_TICK] = "next_tick", [DELAY_ON_ARRIVAL] = "on_arrival"};
    PyObject *found = attribute(cart, "delay", "apply");
    const char *word = found != NULL ? PyUnicode_AsUTF8(found) : NULL;
    int outcome = -1;
    for (int k = 0; word != NULL && k < 3; k++)
        if (strcmp(word, names[k]) == 0) {
            *apply = (delay_apply_t)k;
            outcome = 0;
        }
    if (outcome < 0 && PyErr_Occurred() == NULL)
        PyErr_Format(PyExc_ValueError, "delay.apply = %R is not known to the native engine", found);
    Py_XDECREF(found);
    return outcome;
}

int read_cart(PyObject *cart, cart_params_t *params)
{
    *params = (cart_params_t){0};
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
        if (read_number(cart, numbers[k].section, numbers[k].name, numbers[k].none,
                        (double *)((char *)params + numbers[k].offset)) < 0)
            return -1;
    double steps;
    if (read_number(cart, "timing", "physics_steps_per_period", NAN, &steps) < 0 ||
        read_apply(cart, &params->delay.apply) < 0)
        return -1;
    PyObject *found = PyObject_GetAttrString(cart, "encoders");
    if (found == NULL)
        return -1;
    params->has_encoders = found != Py_None;
    Py_DECREF(found);
    if (params->has_encoders &&
        (read_number(cart, "encoders", "cart_counts_per_m", NAN, &params->counts_per_m) < 0 ||
         read_number(cart, "encoders", "pole_counts_per_rad", NAN, &params->counts_per_rad) < 0))
        return -1;
    found = attribute(cart, "motor", "brakes_at_zero");
    if (found == NULL)
        return -1;
    params->motor.brakes_at_zero = found == Py_True;
    Py_DECREF(found);
    if (!params->has_encoders)
        params->plant.end_stop_m = INFINITY; /* an ideal cart's track has no end */
    if (steps > CART_MOST_STEPS) {
        PyErr_Format(PyExc_ValueError, "%d physics steps in a control period, the native engine takes at most %d",
                     (int)steps, CART_MOST_STEPS);
        return -1;
    }
    params->delay.steps = (int)steps;
    if (!delay_fits(&params->delay)) {
        PyErr_Format(PyExc_ValueError, "more than %d commands on their way at a time, the native engine takes no more",
                     DELAY_MOST);
        return -1;
    }
    return 0;
}

static int read_period(PyObject *cart, uint32_t *period_us)
{
    double number;
    if (read_number(cart, "timing", "control_period_us", NAN, &number) < 0)
        return -1;
    *period_us = (uint32_t)number;
    return 0;
}

/* ---- the object ---- */

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
    Py_INCREF(measurement);
    Py_XSETREF(self->measurement, measurement);
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
    Py_TYPE(object)->tp_free(object);
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
    PyObject *capsule = PyObject_GetAttrString(random, "capsule");
    if (capsule == NULL)
        return NULL;
    bit_generator_t *bits = PyCapsule_GetPointer(capsule, "BitGenerator"); /* inside `random`, which outlives the capsule */
    Py_DECREF(capsule);
    if (bits == NULL)
        return NULL;
    Py_INCREF(random);
    Py_XSETREF(self->random, random);
    self->uniform = (uniform_t){bits->next_double, bits->state};
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

PyTypeObject native_cart_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cartpole_robot.simulation._native.NativeCart",
    .tp_doc = "NativeCart(cart, measurement): the CartParams `cart`, simulated; each reading goes into `measurement`.",
    .tp_basicsize = sizeof(native_cart_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_init = native_cart_init,
    .tp_dealloc = native_cart_dealloc,
    .tp_traverse = native_cart_traverse,
    .tp_clear = native_cart_clear,
    .tp_methods = native_cart_methods,
};

int prepare_native_cart(void)
{
    for (int k = 0; k < FIELDS; k++)
        if (fields[k] == NULL && (fields[k] = PyUnicode_InternFromString(field_names[k])) == NULL)
            return -1;
    return PyType_Ready(&native_cart_type);
}
