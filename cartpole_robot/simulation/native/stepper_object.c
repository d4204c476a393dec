/* StepperDrive: stepper.c for a rigid body that Python simulates, a physics step at a time. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "objects.h"

typedef struct {
    PyObject_HEAD
    stepper_params_t params;
    stepper_t stepper;
    step_source_t source;
    smooth_source_t smooth;
} stepper_drive_object;

static int take(stepper_drive_object *self, PyObject *cart)
{
    cart_params_t params;
    if (read_cart(cart, &params) < 0)
        return -1;
    if (!params.has_stepper) {
        PyErr_SetString(PyExc_ValueError, "a cart without a stepper");
        return -1;
    }
    self->params = params.stepper;
    stepper_begin(&self->stepper, &params.stepper, &params.plant);
    step_source_begin(&self->source, &params.stepper);
    return 0;
}

static int stepper_drive_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"cart", NULL};
    PyObject *cart;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &cart))
        return -1;
    return take((stepper_drive_object *)object, cart);
}

static PyObject *stepper_drive_place(PyObject *object, PyObject *args)
{
    stepper_drive_object *self = (stepper_drive_object *)object;
    double position_m, speed_m_s;
    if (!PyArg_ParseTuple(args, "dd", &position_m, &speed_m_s))
        return NULL;
    const int32_t steps = stepper_place(&self->stepper, position_m, speed_m_s);
    step_source_place(&self->source, steps, speed_m_s * self->params.steps_per_m);
    return PyLong_FromLong(steps);
}

static PyObject *aimed(stepper_drive_object *self, const step_pulses_t *pulses, double position_m, double speed_m_s)
{
    const plant_state_t state = {.position_m = position_m, .speed_m_s = speed_m_s};
    const stepper_aim_t aim = stepper_aim(&self->stepper, pulses, &state);
    return Py_BuildValue("(ddl)", aim.speed_m_s, aim.force_n, (long)step_source_steps(&self->source));
}

static PyObject *stepper_drive_tick(PyObject *object, PyObject *args)
{
    stepper_drive_object *self = (stepper_drive_object *)object;
    double duty, position_m, speed_m_s;
    if (!PyArg_ParseTuple(args, "ddd", &duty, &position_m, &speed_m_s))
        return NULL;
    if (!(duty >= -1.0 && duty <= 1.0))
        return PyErr_Format(PyExc_ValueError, "a duty outside -1 to 1");
    const step_pulses_t pulses = step_source_tick(&self->source, duty);
    return aimed(self, &pulses, position_m, speed_m_s);
}

static PyObject *stepper_drive_follow(PyObject *object, PyObject *args)
{
    step_pulses_t pulses;
    double position_m, speed_m_s;
    int is_enabled;
    if (!PyArg_ParseTuple(args, "dpdd", &pulses.mean_steps, &is_enabled, &position_m, &speed_m_s))
        return NULL;
    pulses.is_enabled = is_enabled != 0;
    return aimed((stepper_drive_object *)object, &pulses, position_m, speed_m_s);
}

static PyObject *stepper_drive_trail(PyObject *object, PyObject *args)
{
    stepper_drive_object *self = (stepper_drive_object *)object;
    plant_state_t state = {0};
    double position_m, speed_m_s, duty;
    if (!PyArg_ParseTuple(args, "ddd", &position_m, &speed_m_s, &duty))
        return NULL;
    if (!(duty >= -1.0 && duty <= 1.0))
        return PyErr_Format(PyExc_ValueError, "a duty outside -1 to 1");
    smooth_source_begin(&self->smooth, &self->params, position_m, speed_m_s);
    stepper_trail(&self->stepper, position_m, speed_m_s, smooth_source_acceleration_m_s2(&self->smooth, duty), &state);
    return Py_BuildValue("(dd)", state.position_m, state.speed_m_s);
}

static PyObject *stepper_drive_glide(PyObject *object, PyObject *args)
{
    stepper_drive_object *self = (stepper_drive_object *)object;
    plant_state_t state = {0};
    double duty;
    if (!PyArg_ParseTuple(args, "ddd", &duty, &state.position_m, &state.speed_m_s))
        return NULL;
    if (!(duty >= -1.0 && duty <= 1.0))
        return PyErr_Format(PyExc_ValueError, "a duty outside -1 to 1");
    const step_pulses_t pulses = smooth_source_tick(&self->smooth, duty);
    const stepper_aim_t aim = stepper_aim(&self->stepper, &pulses, &state);
    return Py_BuildValue("(dddd)", aim.speed_m_s, aim.force_n, smooth_source_place_m(&self->smooth),
                         smooth_source_speed_m_s(&self->smooth));
}

static PyMethodDef stepper_drive_methods[] = {
    {"place", stepper_drive_place, METH_VARARGS,
     "place(position_m, speed_m_s): the motor holds the cart there, moving so; the steps at which the count stands."},
    {"tick", stepper_drive_tick, METH_VARARGS,
     "tick(duty, position_m, speed_m_s): a physics step of a cart that is there; (the speed in m/s to which the joint is to be "
     "brought, by no more than that force in N, the steps at its end)."},
    {"follow", stepper_drive_follow, METH_VARARGS,
     "follow(mean_steps, is_enabled, position_m, speed_m_s): as tick(), under the pulses of a board: the mean of its count over the "
     "step."},
    {"trail", stepper_drive_trail, METH_VARARGS,
     "trail(position_m, speed_m_s, duty): the pulses stand there, move so and have long been accelerated at that duty; (position, "
     "speed) of the cart that follows them."},
    {"glide", stepper_drive_glide, METH_VARARGS,
     "glide(duty, position_m, speed_m_s): as tick(), with pulses divided at will: (speed in m/s, force in N, where the pulses stand "
     "at the step's end in m, their speed in m/s)."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot stepper_drive_slots[] = {
    {Py_tp_doc, "StepperDrive(cart): the stepper of the CartParams `cart`, with its pulses. Raises ValueError without one."},
    {Py_tp_init, stepper_drive_init},
    {Py_tp_dealloc, free_object},
    {Py_tp_methods, stepper_drive_methods},
    {0, NULL},
};

static PyType_Spec stepper_drive_spec = {
    .name = "cartpole_robot.simulation._native.StepperDrive",
    .basicsize = sizeof(stepper_drive_object),
    .flags = TYPE_FLAGS,
    .slots = stepper_drive_slots,
};

int add_stepper_drive(PyObject *module)
{
    return add_type(module, &stepper_drive_spec);
}
