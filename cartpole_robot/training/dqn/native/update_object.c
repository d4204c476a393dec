/* Update: update.c as a Python object. It holds the buffers it works on, so that they outlive it. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "boards/host/heap_types.h"
#include "bit_generator.h"
#include "update_object.h"

enum { MOST_UNITS = 1 << 20 };

PyTypeObject *update_type;

/* The data of a contiguous array of `count` numbers, held by `self`; NULL with an exception for another format or size. */
static void *hold_array(update_object *self, PyObject *array, const char *name, bool is_integer, Py_ssize_t count)
{
    Py_buffer *view = &self->buffers[self->held];
    if (PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE) < 0)
        return NULL;
    self->held++;
    const char *format = view->format != NULL ? view->format : "B";
    const bool fits = is_integer ? strcmp(format, "l") == 0 || strcmp(format, "q") == 0 : strcmp(format, "f") == 0;
    const Py_ssize_t size = is_integer ? (Py_ssize_t)sizeof(int64_t) : (Py_ssize_t)sizeof(float);
    if (!fits || view->itemsize != size || view->len != count * size) {
        PyErr_Format(PyExc_ValueError, "%s: expected %zd numbers of %s, got %zd bytes of format '%s'", name, count,
                     is_integer ? "int64" : "float32", view->len, format);
        return NULL;
    }
    return view->buf;
}

static int hold_tensors(update_object *self, PyObject *tuple, const char *name, float *tensors[UPDATE_TENSORS],
                        const Py_ssize_t counts[UPDATE_TENSORS])
{
    if (PyTuple_Size(tuple) != UPDATE_TENSORS) {
        PyErr_Format(PyExc_ValueError, "%s: expected %d arrays, got %zd", name, UPDATE_TENSORS, PyTuple_Size(tuple));
        return -1;
    }
    for (int k = 0; k < UPDATE_TENSORS; k++) {
        tensors[k] = hold_array(self, PyTuple_GetItem(tuple, k), name, false, counts[k]);
        if (tensors[k] == NULL)
            return -1;
    }
    return 0;
}

static int hold_memory(update_object *self, PyObject *tuple, Py_ssize_t capacity)
{
    static const char *const names[MEMORY_ARRAYS] = {"observations", "next_observations", "actions",
                                                     "rewards",      "dones",             "timeouts"};
    if (PyTuple_Size(tuple) != MEMORY_ARRAYS) {
        PyErr_Format(PyExc_ValueError, "memory: expected %d arrays, got %zd", MEMORY_ARRAYS, PyTuple_Size(tuple));
        return -1;
    }
    void *found[MEMORY_ARRAYS];
    for (int k = 0; k < MEMORY_ARRAYS; k++) {
        const Py_ssize_t count = k < 2 ? capacity * self->shape.inputs : capacity;
        found[k] = hold_array(self, PyTuple_GetItem(tuple, k), names[k], k == 2, count);
        if (found[k] == NULL)
            return -1;
    }
    self->memory = (update_memory_t){.observation = found[0],
                                     .following = found[1],
                                     .action = found[2],
                                     .reward = found[3],
                                     .done = found[4],
                                     .timeout = found[5],
                                     .capacity = capacity};
    return 0;
}

static int update_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    update_object *self = (update_object *)object;
    static char *names[] = {"inputs", "hidden", "outputs", "capacity", "parameters", "targets",
                            "first",  "second", "steps",   "gain",     "memory",     "symmetry", NULL};
    Py_ssize_t inputs, hidden, outputs, capacity;
    PyObject *parameters, *targets, *first, *second, *steps, *gain, *memory;
    int symmetry = UPDATE_PLAIN;
    if (self->held != 0) {
        PyErr_SetString(PyExc_TypeError, "this update has its arrays already; make a new one");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "nnnnO!O!O!O!O!OO!|i", names, &inputs, &hidden, &outputs, &capacity,
                                     &PyTuple_Type, &parameters, &PyTuple_Type, &targets, &PyTuple_Type, &first,
                                     &PyTuple_Type, &second, &PyTuple_Type, &steps, &gain, &PyTuple_Type, &memory,
                                     &symmetry))
        return -1;
    if (inputs < 1 || hidden < 1 || outputs < 1 || capacity < 1 || inputs > MOST_UNITS || hidden > MOST_UNITS ||
        outputs > MOST_UNITS || hidden > MOST_UNITS / inputs || hidden > MOST_UNITS / outputs ||
        capacity > PTRDIFF_MAX / (Py_ssize_t)sizeof(float) / inputs) {
        PyErr_Format(PyExc_ValueError, "a network %zd -> %zd -> %zd on %zd steps, expected 1 to %d weights a layer", inputs,
                     hidden, outputs, capacity, MOST_UNITS);
        return -1;
    }
    if (symmetry < UPDATE_PLAIN || symmetry > UPDATE_ODD || (symmetry == UPDATE_ODD && hidden % 2 != 0)) {
        PyErr_Format(PyExc_ValueError, "symmetry %d of %zd hidden units, expected 0 to 2, and for 2 an even number", symmetry,
                     hidden);
        return -1;
    }
    self->shape = (update_shape_t){.inputs = (int32_t)inputs,
                                   .hidden = (int32_t)hidden,
                                   .outputs = (int32_t)outputs,
                                   .symmetry = (update_symmetry_t)symmetry,
                                   .width = update_width((int32_t)hidden)};
    const Py_ssize_t counts[UPDATE_TENSORS] = {hidden * inputs, hidden, outputs * hidden, outputs};
    const Py_ssize_t ones[UPDATE_TENSORS] = {1, 1, 1, 1};
    if (hold_tensors(self, parameters, "parameters", self->tensors.parameter, counts) < 0 ||
        hold_tensors(self, targets, "targets", self->tensors.target, counts) < 0 ||
        hold_tensors(self, first, "first", self->tensors.first, counts) < 0 ||
        hold_tensors(self, second, "second", self->tensors.second, counts) < 0 ||
        hold_tensors(self, steps, "steps", self->tensors.step, ones) < 0 || hold_memory(self, memory, capacity) < 0)
        return -1;
    self->tensors.gain = hold_array(self, gain, "gain", false, inputs);
    if (self->tensors.gain == NULL)
        return -1;
    const int64_t floats = update_work_floats((int32_t)inputs, (int32_t)hidden, (int32_t)outputs);
    float *work = PyMem_Calloc((size_t)floats, sizeof(float));
    if (work == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->shape.work = work; /* set last: without it every method refuses to work */
    return 0;
}

static void update_dealloc(PyObject *object)
{
    update_object *self = (update_object *)object;
    for (int k = 0; k < self->held; k++)
        PyBuffer_Release(&self->buffers[k]);
    PyMem_Free(self->shape.work);
    free_object(object);
}

int refuse_unready(const update_object *self)
{
    if (self->shape.work != NULL)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "this update was never given its arrays");
    return -1;
}

static int refuse_bad_actions(const update_object *self, const int64_t *index, Py_ssize_t batch)
{
    for (Py_ssize_t k = 0; k < batch; k++) {
        const int64_t action = self->memory.action[index[k]];
        if (action < 0 || action >= self->shape.outputs) {
            PyErr_Format(PyExc_IndexError, "action %lld, expected 0 to %d", (long long)action, self->shape.outputs - 1);
            return -1;
        }
    }
    return 0;
}

/* A batch as NumPy's RandomState.randint(0, stored, batch) draws it. */
static void draw(const bit_generator_t *bits, int64_t stored, int64_t *index, Py_ssize_t batch)
{
    const uint32_t most = (uint32_t)(stored - 1);
    uint32_t mask = most;
    for (int shift = 1; shift < 32; shift *= 2)
        mask |= mask >> shift;
    for (Py_ssize_t k = 0; k < batch; k++) {
        uint32_t step = 0;
        if (most > 0)
            while ((step = bits->next_uint32(bits->state) & mask) > most)
                continue;
        index[k] = step;
    }
}

int read_lesson(const update_object *self, PyObject *tuple, lesson_t *lesson)
{
    int is_mse, is_adagrad;
    update_loss_t *loss = &lesson->loss;
    update_optimizer_t *rule = &lesson->rule;
    if (!PyArg_ParseTuple(tuple, "nn(ifpd)(pddddd)", &lesson->times, &lesson->batch, &loss->n_steps, &loss->gamma, &is_mse,
                          &loss->max_grad_norm, &is_adagrad, &rule->learning_rate, &rule->epsilon, &rule->weight_decay,
                          &rule->beta1, &rule->beta2) ||
        refuse_unready(self) < 0)
        return -1;
    if (loss->n_steps < 1) {
        PyErr_Format(PyExc_ValueError, "n_steps = %d, expected at least 1", loss->n_steps);
        return -1;
    }
    if (lesson->times < 0 || lesson->times > MOST_UNITS || lesson->batch < 1 || lesson->batch > MOST_UNITS) {
        PyErr_Format(PyExc_ValueError, "%zd updates on batches of %zd, expected 0 to %d on 1 to %d", lesson->times,
                     lesson->batch, MOST_UNITS, MOST_UNITS);
        return -1;
    }
    loss->is_mse = is_mse;
    rule->is_adagrad = is_adagrad;
    return 0;
}

PyObject *learn(update_object *self, const lesson_t *lesson, const bit_generator_t *bits, int64_t stored, int64_t at)
{
    const Py_ssize_t times = lesson->times, batch = lesson->batch;
    if (stored < 1 || stored > self->memory.capacity || stored > UINT32_MAX)
        return PyErr_Format(PyExc_ValueError, "updates on %lld steps, expected 1 to %lld", (long long)stored,
                            (long long)self->memory.capacity);
    int64_t *index = PyMem_Malloc((size_t)(batch * times + 1) * sizeof *index);
    if (index == NULL)
        return PyErr_NoMemory();
    update_loss_t loss = lesson->loss;
    loss.newest = (at > 0 ? at : self->memory.capacity) - 1;
    draw(bits, stored, index, batch * times);
    PyObject *losses = PyTuple_New(times);
    for (Py_ssize_t k = 0; losses != NULL && k < times; k++) {
        PyObject *number = NULL;
        if (refuse_bad_actions(self, &index[k * batch], batch) == 0)
            number = PyFloat_FromDouble(update_once(&self->shape, &self->tensors, &self->memory, &index[k * batch], batch,
                                                    (times - 1 - k) * batch, &loss, &lesson->rule));
        if (number == NULL || PyTuple_SetItem(losses, k, number) < 0)
            Py_CLEAR(losses);
    }
    PyMem_Free(index);
    return losses;
}

/* learn((times, batch, loss, optimizer), random, stored, at) */
static PyObject *update_learn(PyObject *object, PyObject *args)
{
    update_object *self = (update_object *)object;
    PyObject *tuple, *random;
    Py_ssize_t stored, at;
    lesson_t lesson = {0};
    if (!PyArg_ParseTuple(args, "O!Onn", &PyTuple_Type, &tuple, &random, &stored, &at) ||
        read_lesson(self, tuple, &lesson) < 0)
        return NULL;
    const bit_generator_t *bits = read_bit_generator(random);
    return bits != NULL ? learn(self, &lesson, bits, stored, at) : NULL;
}

static PyObject *update_follow_target(PyObject *object, PyObject *tau)
{
    update_object *self = (update_object *)object;
    const double share = PyFloat_AsDouble(tau);
    if ((share == -1.0 && PyErr_Occurred() != NULL) || refuse_unready(self) < 0)
        return NULL;
    update_follow(&self->shape, &self->tensors, share);
    Py_RETURN_NONE;
}

static PyObject *update_act(PyObject *object, PyObject *observation)
{
    update_object *self = (update_object *)object;
    Py_buffer view;
    if (refuse_unready(self) < 0 || PyObject_GetBuffer(observation, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0)
        return NULL;
    PyObject *result = NULL;
    if (view.format == NULL || strcmp(view.format, "f") != 0 || view.len != self->shape.inputs * (Py_ssize_t)sizeof(float))
        PyErr_Format(PyExc_ValueError, "expected an observation of %d numbers, float32", self->shape.inputs);
    else
        result = PyLong_FromLong(update_greedy(&self->shape, &self->tensors, view.buf));
    PyBuffer_Release(&view);
    return result;
}

static PyMethodDef methods[] = {
    {"learn", update_learn, METH_VARARGS,
     "learn((times, batch, (n_steps, gamma, is_mse, max_grad_norm), (is_adagrad, learning_rate, epsilon, weight_decay, beta1, "
     "beta2)), random, stored, at): update on batches of the `stored` steps of the memory, the next of which will be at `at`; the "
     "loss before each update."},
    {"follow", update_follow_target, METH_O, "follow(tau): move the target network by that share towards the network."},
    {"act", update_act, METH_O, "act(observation): the action with the largest value, the first of equals."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot update_slots[] = {
    {Py_tp_doc, "A DQN's update, in place on the given arrays (update.h)."},
    {Py_tp_init, update_init},
    {Py_tp_dealloc, update_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec update_spec = {
    .name = "cartpole_robot.training.dqn._update.Update",
    .basicsize = sizeof(update_object),
    .flags = TYPE_FLAGS,
    .slots = update_slots,
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_update",
    .m_doc = "Updates of a DQN in C, and the steps between them.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__update(void)
{
    PyObject *self = PyModule_Create(&module);
    if (self != NULL && ((update_type = make_type(self, &update_spec)) == NULL || add_collector(self) < 0))
        Py_CLEAR(self);
    return self;
}
