/* Collector: collect.c as a Python object. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "boards/host/heap_types.h"
#include "collect.h"
#include "update_object.h"

enum { MOST_STEPS = 4096 }; /* in a call, which lets no signal handler run */

typedef struct {
    PyObject_HEAD
    collect_task_t task;
} collector_object;

static const cart_api_t *cart_api(void)
{
    const cart_api_t *api = PyCapsule_Import(CART_API_NAME, 0);
    if (api != NULL && api->version != CART_API_VERSION) {
        PyErr_Format(PyExc_ImportError, "cartpole_robot.simulation._native has cart interface %d, expected %d; install again",
                     api->version, CART_API_VERSION);
        return NULL;
    }
    return api;
}

/* The numbers of a tuple; -1 with an exception for fewer than `least` or more than `most`. */
static Py_ssize_t read_numbers(PyObject *tuple, const char *name, Py_ssize_t least, Py_ssize_t most, double *numbers)
{
    if (!PyTuple_Check(tuple)) {
        PyErr_Format(PyExc_TypeError, "%s: expected a tuple, got %R", name, tuple);
        return -1;
    }
    const Py_ssize_t count = PyTuple_Size(tuple);
    if (count < least || count > most) {
        PyErr_Format(PyExc_ValueError, "%s: expected %zd to %zd numbers, got %zd", name, least, most, count);
        return -1;
    }
    for (Py_ssize_t k = 0; k < count; k++)
        numbers[k] = PyFloat_AsDouble(PyTuple_GetItem(tuple, k));
    return PyErr_Occurred() != NULL ? -1 : count;
}

static int collector_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"cart", "requested", "sent", "limits", "history_length", NULL};
    collector_object *self = (collector_object *)object;
    PyObject *cart, *requested, *sent;
    collect_task_t task = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO(dd)i", names, &cart, &requested, &sent, &task.position_limit_m,
                                     &task.angle_limit_rad, &task.history_length))
        return -1;
    const Py_ssize_t count = read_numbers(requested, "requested", 1, COLLECT_MOST_ACTIONS, task.requested);
    if (count < 0 || read_numbers(sent, "sent", count, count, task.sent) < 0 || (task.api = cart_api()) == NULL)
        return -1;
    if (task.history_length < 1 || task.history_length > HISTORY_MOST) {
        PyErr_Format(PyExc_ValueError, "history_length = %d, expected 1 to %d", task.history_length, HISTORY_MOST);
        return -1;
    }
    task.actions = (int32_t)count;
    task.cart = self->task.cart;
    self->task = task;
    hold(&self->task.cart, cart);
    return 0;
}

static void collector_dealloc(PyObject *object)
{
    Py_XDECREF(((collector_object *)object)->task.cart);
    free_object(object);
}

/* A number, the same for each step, or the tuple of a `StepPrice`. */
static int read_reward(PyObject *object, collect_reward_t *reward)
{
    double numbers[5];
    if (!PyTuple_Check(object)) {
        reward->constant = PyFloat_AsDouble(object);
        return PyErr_Occurred() != NULL ? -1 : 0;
    }
    if (read_numbers(object, "reward", 5, 5, numbers) < 0)
        return -1;
    *reward = (collect_reward_t){true, 0.0, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
    return 0;
}

static int refuse_unfit(const collector_object *self, PyObject *object, Py_ssize_t at)
{
    if (self->task.cart == NULL || !Py_IS_TYPE(object, update_type)) {
        PyErr_Format(PyExc_TypeError, "expected a collector with its cart and an Update, got %R", object);
        return -1;
    }
    const update_object *update = (const update_object *)object;
    if (refuse_unready(update) < 0)
        return -1;
    const int32_t inputs = HISTORY_STEP_INPUTS * self->task.history_length - 1;
    if (update->shape.inputs != inputs || update->shape.outputs != self->task.actions || at < 0 ||
        at >= update->memory.capacity) {
        PyErr_Format(PyExc_ValueError, "a network %d -> %d and step %zd of a memory, expected %d -> %d and 0 to %lld",
                     update->shape.inputs, update->shape.outputs, at, inputs, self->task.actions,
                     (long long)update->memory.capacity - 1);
        return -1;
    }
    return 0;
}

static int read_observation(PyObject *observation, int32_t inputs, float *numbers)
{
    Py_buffer view;
    if (PyObject_GetBuffer(observation, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0)
        return -1;
    const bool fits =
        view.format != NULL && strcmp(view.format, "f") == 0 && view.len == inputs * (Py_ssize_t)sizeof(float);
    if (fits)
        memcpy(numbers, view.buf, (size_t)view.len);
    else
        PyErr_Format(PyExc_ValueError, "expected an observation of %d numbers, float32", inputs);
    PyBuffer_Release(&view);
    return fits ? 0 : -1;
}

/* When the learner updates between the steps: never, if `lesson.batch` is 0. */
typedef struct {
    Py_ssize_t first, every; /* steps up to the first time, and from each to the next */
    lesson_t lesson;
    double rate[MOST_STEPS]; /* the learning rate of each time */
    Py_ssize_t rates;
} plan_t;

static int read_plan(const update_object *update, PyObject *object, plan_t *plan)
{
    PyObject *lesson, *rates;
    if (object == Py_None)
        return 0;
    if (!PyTuple_Check(object)) { /* of another sequence the parts might not outlive the parsing */
        PyErr_Format(PyExc_TypeError, "plan: expected a tuple or None, got %R", object);
        return -1;
    }
    if (!PyArg_ParseTuple(object, "nnO!O!", &plan->first, &plan->every, &PyTuple_Type, &lesson, &PyTuple_Type, &rates) ||
        read_lesson(update, lesson, &plan->lesson) < 0)
        return -1;
    if (plan->first < 0 || plan->every < 1 || plan->every > INT32_MAX) {
        PyErr_Format(PyExc_ValueError, "updates after %zd and every %zd steps, expected at least 0 and 1 to %d", plan->first,
                     plan->every, INT32_MAX);
        return -1;
    }
    plan->rates = read_numbers(rates, "rates", 0, MOST_STEPS, plan->rate);
    return plan->rates < 0 ? -1 : 0;
}

/* Takes the steps, updating in between but not after the last; how many, -1 with an exception. `*losses` are those of the newest
 * updates, NULL without any, and `*times` how often the learner has updated. */
static int32_t run(const collector_object *self, update_object *own, const collect_reward_t *reward,
                   const collect_random_t *random, const double *epsilon, int32_t steps, plan_t *plan, collect_state_t *state,
                   int32_t *action, PyObject **losses, Py_ssize_t *times)
{
    int32_t taken = 0;
    for (;;) {
        const Py_ssize_t until = plan->lesson.batch > 0 ? plan->first + *times * plan->every : steps;
        const int32_t end = until < steps ? (int32_t)until : steps;
        taken += collect_steps(&self->task, &own->shape, &own->tensors, &own->memory, reward, random, &epsilon[taken],
                               end - taken, state, action);
        if (taken < end || taken == steps)
            return taken;
        if (*times == plan->rates) {
            PyErr_Format(PyExc_ValueError, "%zd learning rates, expected one for each time of updating", plan->rates);
            return -1;
        }
        plan->lesson.rule.learning_rate = plan->rate[(*times)++];
        Py_XDECREF(*losses);
        *losses = learn(own, &plan->lesson, random->whether, state->stored, state->at);
        if (*losses == NULL)
            return -1;
    }
}

/* take(update, observation, epsilons, (at, stored), reward, side, whether, which, (calls, every, tau), plan) */
static PyObject *collector_take(PyObject *object, PyObject *args)
{
    const collector_object *self = (const collector_object *)object;
    const collect_task_t *task = &self->task;
    PyObject *update, *observation, *epsilons, *price, *whether, *which, *planned;
    Py_ssize_t at, stored, calls, every;
    double epsilon[MOST_STEPS];
    collect_reward_t reward = {0};
    collect_state_t state = {0};
    plan_t plan = {0};
    if (!PyArg_ParseTuple(args, "OOO(nn)OdOO(nnd)O", &update, &observation, &epsilons, &at, &stored, &price, &state.side,
                          &whether, &which, &calls, &every, &state.tau, &planned) ||
        refuse_unfit(self, update, at) < 0 || read_reward(price, &reward) < 0)
        return NULL;
    update_object *own = (update_object *)update;
    const collect_random_t random = {read_bit_generator(whether), read_bit_generator(which)};
    const Py_ssize_t steps = read_numbers(epsilons, "epsilons", 0, MOST_STEPS, epsilon);
    if (random.whether == NULL || random.which == NULL || steps < 0 || read_plan(own, planned, &plan) < 0 ||
        read_observation(observation, own->shape.inputs, state.inputs) < 0 || !task->api->check(task->cart))
        return NULL;
    if (stored < 0 || stored > own->memory.capacity || calls < 0 || every < 1)
        return PyErr_Format(PyExc_ValueError, "%zd steps stored, %zd taken, the target follows every %zd", stored, calls, every);
    state.at = at;
    state.stored = stored;
    state.calls = calls;
    state.every = every;
    int32_t action = -1;
    PyObject *losses = NULL;
    Py_ssize_t times = 0;
    const int32_t taken = run(self, own, &reward, &random, epsilon, (int32_t)steps, &plan, &state, &action, &losses, &times);
    if (taken < 0 || (taken > 0 && task->api->write(task->cart) < 0)) {
        Py_XDECREF(losses);
        return NULL;
    }
    return Py_BuildValue("(iidnN)", taken, action, state.side, times, losses != NULL ? losses : PyTuple_New(0));
}

static PyObject *drawn(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *generator;
    int count;
    if (!PyArg_ParseTuple(args, "Oi", &generator, &count))
        return NULL;
    const bit_generator_t *bits = read_bit_generator(generator);
    return bits != NULL ? PyLong_FromLong(collect_integer(bits, count)) : NULL;
}

static PyMethodDef functions[] = {
    {"drawn", drawn, METH_VARARGS, "drawn(bit_generator, count): an action as the collector draws it."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef methods[] = {
    {"take", collector_take, METH_VARARGS,
     "take(update, observation, epsilons, (at, stored), reward, side, whether, which, (calls, every, tau), plan): a step for each "
     "epsilon, with updates in between by the plan (first, every, lesson, rates) or None; (steps, action, side, times, losses)."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Steps of a NativeCart into the replay memory of an Update (collect.h)."},
    {Py_tp_init, collector_init},
    {Py_tp_dealloc, collector_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "cartpole_robot.training.dqn._update.Collector",
    .basicsize = sizeof(collector_object),
    .flags = TYPE_FLAGS,
    .slots = slots,
};

int add_collector(PyObject *module)
{
    return PyModule_AddFunctions(module, functions) < 0 ? -1 : add_type(module, &spec);
}
