/* Fleet: fleet.c as a Python object that reads and writes the caller's NumPy arrays. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <string.h>

#include "fleet.h"
#include "objects.h"

enum { TERMINATED, TRUNCATED, FAULTY, FLAGS };      /* the rows of `flags` */
enum { REWARD, REQUESTED, APPLIED, POWER, FIGURES }; /* the rows of `figures` */

static const char int64s[] = "lq", float64s[] = "d", float32s[] = "f", bools[] = "?";

typedef struct {
    PyObject_HEAD
    fleet_t *fleet;
    PyObject **random; /* of each cart the bit generator that it draws from; NULL until it is placed */
    double *duties;    /* of the actions */
    double *chosen;    /* of each cart, by its action */
    int64_t actions;
} fleet_object;

/* The memory of an array of `count` items of one of the `formats`; -1 with an exception. */
static int view(PyObject *array, const char *name, const char *formats, size_t item, size_t count, int flags,
                Py_buffer *buffer)
{
    if (PyObject_GetBuffer(array, buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags) < 0)
        return -1;
    const char *format = buffer->format;
    if (format != NULL && format[0] != '\0' && format[1] == '\0' && strchr(formats, format[0]) != NULL &&
        (size_t)buffer->itemsize == item && (size_t)buffer->len == item * count)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s has format %s and %zd bytes, expected %c and %zu", name,
                 format != NULL ? format : "B", buffer->len, formats[0], item * count);
    PyBuffer_Release(buffer);
    return -1;
}

static void release(Py_buffer *buffers, int count)
{
    while (count > 0)
        PyBuffer_Release(&buffers[--count]);
}

static int fleet_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"cart", "count", "duties", "limits", "most_steps", NULL};
    fleet_object *self = (fleet_object *)object;
    PyObject *cart, *duties;
    Py_ssize_t count;
    long long most_steps;
    cart_params_t params;
    fleet_task_t task;
    Py_buffer buffer;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OnO(dd)L", names, &cart, &count, &duties, &task.position_limit_m,
                                     &task.angle_limit_rad, &most_steps))
        return -1;
    const Py_ssize_t actions = PyObject_Size(duties);
    if (actions < 0 || read_whole_cart(cart, &params) < 0)
        return -1;
    if (self->fleet != NULL || count < 1) {
        PyErr_SetString(PyExc_ValueError, "a fleet is made once, with at least one cart");
        return -1;
    }
    if (view(duties, "duties", float64s, sizeof(double), (size_t)actions, 0, &buffer) < 0)
        return -1;
    self->actions = actions;
    self->duties = PyMem_Calloc((size_t)actions, sizeof *self->duties);
    if (self->duties != NULL)
        memcpy(self->duties, buffer.buf, (size_t)buffer.len);
    PyBuffer_Release(&buffer);
    task.most_steps = most_steps;
    self->chosen = PyMem_Calloc((size_t)count, sizeof *self->chosen);
    self->random = PyMem_Calloc((size_t)count, sizeof *self->random);
    self->fleet = fleet_new((size_t)count, &params, &task);
    if (self->fleet != NULL && self->random != NULL && self->duties != NULL && self->chosen != NULL)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static size_t held(const fleet_object *self)
{
    const bool is_whole = self->fleet != NULL && self->random != NULL && self->duties != NULL && self->chosen != NULL;
    return is_whole ? fleet_count(self->fleet) : 0;
}

static int fleet_traverse(PyObject *object, visitproc visit, void *arg)
{
    fleet_object *self = (fleet_object *)object;
    for (size_t k = 0; k < held(self); k++)
        Py_VISIT(self->random[k]);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int fleet_clear(PyObject *object)
{
    fleet_object *self = (fleet_object *)object;
    for (size_t k = 0; k < held(self); k++)
        Py_CLEAR(self->random[k]);
    return 0;
}

static void fleet_dealloc(PyObject *object)
{
    fleet_object *self = (fleet_object *)object;
    PyObject_GC_UnTrack(object);
    fleet_clear(object);
    fleet_free(self->fleet);
    PyMem_Free(self->random);
    PyMem_Free(self->duties);
    PyMem_Free(self->chosen);
    free_object(object);
}

/* Whether there is a cart of that number; else an exception is set. */
static bool is_cart(const fleet_object *self, int64_t number)
{
    if (number >= 0 && (size_t)number < held(self))
        return true;
    PyErr_Format(PyExc_IndexError, "cart %lld of a fleet of %zu", (long long)number, held(self));
    return false;
}

static PyObject *fleet_object_change(PyObject *object, PyObject *args)
{
    fleet_object *self = (fleet_object *)object;
    long long number;
    PyObject *cart;
    cart_params_t params;
    if (!PyArg_ParseTuple(args, "LO", &number, &cart) || !is_cart(self, number) || read_whole_cart(cart, &params) < 0)
        return NULL;
    if (!fleet_change(self->fleet, (size_t)number, &params))
        return PyErr_Format(PyExc_ValueError, "the cart does not fit the fleet: it has another number of physics steps in a "
                                              "control period, or encoders where the others have none");
    Py_CLEAR(self->random[number]); /* to be placed */
    Py_RETURN_NONE;
}

static PyObject *tuple_of(plant_state_t state)
{
    return Py_BuildValue("(dddd)", state.position_m, state.speed_m_s, state.angle_rad, state.rate_rad_s);
}

/* As NumPy's `Generator.uniform(-high, high)` draws it. */
static plant_state_t drawn_within(const double *high, const uniform_t *uniform)
{
    double drawn[FLEET_SIGNALS];
    for (int k = 0; k < FLEET_SIGNALS; k++)
        drawn[k] = -high[k] + (high[k] - -high[k]) * uniform->next(uniform->state);
    return (plant_state_t){drawn[0], drawn[1], drawn[2], drawn[3]};
}

static int place_one(fleet_object *self, int64_t number, const double *state, bool is_drawn, PyObject *random,
                     float *observations)
{
    uniform_t uniform;
    if (random == NULL || !is_cart(self, number) || read_uniform(random, &uniform) < 0)
        return -1;
    hold(&self->random[number], random);
    const plant_state_t start =
        is_drawn ? drawn_within(state, &uniform) : (plant_state_t){state[0], state[1], state[2], state[3]};
    if (fleet_place(self->fleet, (size_t)number, &start, uniform, &observations[number * FLEET_SIGNALS]))
        return 0;
    Py_CLEAR(self->random[number]);
    PyObject *at = tuple_of(start);
    if (at != NULL)
        PyErr_Format(PyExc_ArithmeticError, "the simulation diverged at %R", at);
    Py_XDECREF(at);
    return -1;
}

/* Places carts at the states given, one a row, or with `is_drawn` each within the one row of `states`. */
static PyObject *place_all(fleet_object *self, PyObject *args, bool is_drawn)
{
    PyObject *numbers, *states, *random, *observations;
    Py_buffer buffers[3];
    if (!PyArg_ParseTuple(args, "OOOO", &numbers, &states, &random, &observations))
        return NULL;
    const Py_ssize_t count = PyObject_Size(random);
    const size_t rows = is_drawn ? 1 : (size_t)count;
    if (count < 0 || view(numbers, "numbers", int64s, sizeof(int64_t), (size_t)count, 0, &buffers[0]) < 0)
        return NULL;
    if (view(states, "states", float64s, sizeof(double), FLEET_SIGNALS * rows, 0, &buffers[1]) < 0) {
        release(buffers, 1);
        return NULL;
    }
    if (view(observations, "observations", float32s, sizeof(float), FLEET_SIGNALS * held(self), PyBUF_WRITABLE,
             &buffers[2]) < 0) {
        release(buffers, 2);
        return NULL;
    }
    const double *state = buffers[1].buf;
    int outcome = 0;
    for (Py_ssize_t k = 0; k < count && outcome == 0; k++) {
        PyObject *generator = PySequence_GetItem(random, k);
        outcome = place_one(self, ((const int64_t *)buffers[0].buf)[k], is_drawn ? state : &state[k * FLEET_SIGNALS],
                            is_drawn, generator, buffers[2].buf);
        Py_XDECREF(generator);
    }
    release(buffers, 3);
    if (outcome < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *fleet_object_place(PyObject *object, PyObject *args)
{
    return place_all((fleet_object *)object, args, false);
}

static PyObject *fleet_object_draw(PyObject *object, PyObject *args)
{
    return place_all((fleet_object *)object, args, true);
}

/* Whether every cart that does not rest has been placed; else an exception is set. */
static bool can_step(const fleet_object *self, const bool *resting)
{
    for (size_t k = 0; k < held(self); k++)
        if (!resting[k] && self->random[k] == NULL) {
            PyErr_Format(PyExc_RuntimeError, "cart %zu has not been placed yet", k);
            return false;
        }
    return true;
}

/* The duty of each action of a cart that does not rest; NULL with an exception for one that is not in the table. */
static const double *duties_of(fleet_object *self, const int64_t *actions, const bool *resting)
{
    for (size_t k = 0; k < held(self); k++) {
        if (resting[k])
            continue;
        if (actions[k] < 0 || actions[k] >= self->actions) {
            PyErr_Format(PyExc_ValueError, "action %lld of environment %zu, expected a whole number from 0 to %lld",
                         (long long)actions[k], k, (long long)(self->actions - 1));
            return NULL;
        }
        self->chosen[k] = self->duties[actions[k]];
    }
    return self->chosen;
}

/* The duties themselves; NULL with an exception where one of a cart that does not rest is not finite. */
static const double *checked_duties(const fleet_object *self, const double *duties, const bool *resting)
{
    for (size_t k = 0; k < held(self); k++)
        if (!resting[k] && !isfinite(duties[k])) {
            PyErr_Format(PyExc_ValueError, "the duty of environment %zu is not finite, expected one in [-1, 1]", k);
            return NULL;
        }
    return duties;
}

static PyObject *step_all(fleet_object *self, PyObject *args, bool has_duties)
{
    const struct {
        const char *name, *formats;
        size_t item, items; /* a cart */
        int flags;
    } wanted[] = {
        {has_duties ? "duties" : "actions", has_duties ? float64s : int64s,
         has_duties ? sizeof(double) : sizeof(int64_t), 1, 0},
        {"resting", bools, sizeof(bool), 1, 0},
        {"observations", float32s, sizeof(float), FLEET_SIGNALS, PyBUF_WRITABLE},
        {"flags", bools, sizeof(bool), FLAGS, PyBUF_WRITABLE},
        {"figures", float64s, sizeof(double), FIGURES, PyBUF_WRITABLE},
    };
    enum { ARRAYS = sizeof wanted / sizeof wanted[0] };
    PyObject *arrays[ARRAYS];
    Py_buffer buffers[ARRAYS];
    const size_t count = held(self);
    if (count == 0)
        return PyErr_Format(PyExc_RuntimeError, "the fleet has no carts");
    if (!PyArg_ParseTuple(args, "OOOOO", &arrays[0], &arrays[1], &arrays[2], &arrays[3], &arrays[4]))
        return NULL;
    for (int k = 0; k < ARRAYS; k++)
        if (view(arrays[k], wanted[k].name, wanted[k].formats, wanted[k].item, wanted[k].items * count, wanted[k].flags,
                 &buffers[k]) < 0) {
            release(buffers, k);
            return NULL;
        }
    const bool *resting = buffers[1].buf;
    bool *flags = buffers[3].buf;
    double *figures = buffers[4].buf;
    const fleet_outcome_t outcome = {
        .observations = buffers[2].buf,
        .terminated = &flags[TERMINATED * count],
        .truncated = &flags[TRUNCATED * count],
        .faulty = &flags[FAULTY * count],
        .rewards = &figures[REWARD * count],
        .requested = &figures[REQUESTED * count],
        .applied = &figures[APPLIED * count],
        .power_w = &figures[POWER * count],
    };
    PyObject *faulty = NULL;
    if (can_step(self, resting)) {
        const double *duties = has_duties ? checked_duties(self, buffers[0].buf, resting)
                                          : duties_of(self, buffers[0].buf, resting);
        if (duties != NULL)
            faulty = PyLong_FromSize_t(fleet_step(self->fleet, duties, resting, &outcome));
    }
    release(buffers, ARRAYS);
    return faulty;
}

static PyObject *fleet_object_step(PyObject *object, PyObject *args)
{
    return step_all((fleet_object *)object, args, false);
}

static PyObject *fleet_object_step_duties(PyObject *object, PyObject *args)
{
    return step_all((fleet_object *)object, args, true);
}

static PyObject *fleet_object_state(PyObject *object, PyObject *number)
{
    const fleet_object *self = (const fleet_object *)object;
    const long long k = PyLong_AsLongLong(number);
    if ((k == -1 && PyErr_Occurred() != NULL) || !is_cart(self, k))
        return NULL;
    return tuple_of(fleet_state(self->fleet, (size_t)k));
}

static PyObject *fleet_object_measured(PyObject *object, PyObject *number)
{
    const fleet_object *self = (const fleet_object *)object;
    const long long k = PyLong_AsLongLong(number);
    if ((k == -1 && PyErr_Occurred() != NULL) || !is_cart(self, k))
        return NULL;
    const double *at = fleet_measured(self->fleet, (size_t)k);
    return tuple_of((plant_state_t){at[0], at[1], at[2], at[3]});
}

static PyMethodDef fleet_methods[] = {
    {"change", fleet_object_change, METH_VARARGS, "change(number, cart): one cart becomes that CartParams; place it next."},
    {"place", fleet_object_place, METH_VARARGS,
     "place(numbers, states, bit_generators, observations): episodes of those carts begin there."},
    {"draw", fleet_object_draw, METH_VARARGS,
     "draw(numbers, spread, bit_generators, observations): as place(), each start drawn from its generator within +-spread."},
    {"step", fleet_object_step, METH_VARARGS,
     "step(actions, resting, observations, flags, figures): one control period of the carts that do not rest; how many are faulty."},
    {"step_duties", fleet_object_step_duties, METH_VARARGS,
     "step_duties(duties, resting, observations, flags, figures): as step(), with a duty for each cart."},
    {"state", fleet_object_state, METH_O, "state(number): the true state: position, speed, angle, angular speed."},
    {"measured", fleet_object_measured, METH_O, "measured(number): the same as last measured."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot fleet_slots[] = {
    {Py_tp_doc, "Fleet(cart, count, duties, limits, most_steps): that many carts that take their control periods together."},
    {Py_tp_init, fleet_init},
    {Py_tp_dealloc, fleet_dealloc},
    {Py_tp_traverse, fleet_traverse},
    {Py_tp_clear, fleet_clear},
    {Py_tp_methods, fleet_methods},
    {0, NULL},
};

static PyType_Spec fleet_spec = {
    .name = "cartpole_robot.simulation._native.Fleet",
    .basicsize = sizeof(fleet_object),
    .flags = TYPE_FLAGS | Py_TPFLAGS_HAVE_GC,
    .slots = fleet_slots,
};

int add_fleet(PyObject *module)
{
    return add_type(module, &fleet_spec);
}
