/* PolicyImage: the policy that a firmware carries, as a Python object: what the microcontroller makes of a STATE, one step after the
 * other where it has history. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "objects.h"

PyTypeObject *policy_image_type;

static int policy_image_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"image", NULL};
    policy_image_object *self = (policy_image_object *)object;
    Py_buffer view;
    if (self->image.head.outputs != 0) {
        PyErr_SetString(PyExc_TypeError, "this image has its bytes already; make a new one");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*", names, &view))
        return -1;
    const bool is_good = policy_image_open(&self->image, (const uint8_t *)view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    if (!is_good) {
        self->image.head.outputs = 0;
        PyErr_SetString(PyExc_ValueError, "these bytes are no policy image of this version, or their sums can overflow");
        return -1;
    }
    return 0;
}

/* -1 with an exception where the arguments are no STATE's counts, or there is no image. */
static int read_counts(const policy_image_object *self, PyObject *const *arguments, Py_ssize_t given,
                       policy_counts_t *observed)
{
    int32_t counts[POLICY_COUNTS];
    if (self->image.head.outputs == 0) {
        PyErr_SetString(PyExc_RuntimeError, "this image was never given its bytes");
        return -1;
    }
    if (given != POLICY_COUNTS) {
        PyErr_Format(PyExc_TypeError, "expected cart_counts, cart_speed, pole_counts and pole_speed, got %zd arguments",
                     given);
        return -1;
    }
    for (Py_ssize_t k = 0; k < given; k++) {
        const long number = PyLong_AsLong(arguments[k]);
        if (number == -1 && PyErr_Occurred() != NULL)
            return -1;
        if (number < INT32_MIN || number > INT32_MAX) {
            PyErr_Format(PyExc_OverflowError, "a count of %ld, expected 32 bits", number);
            return -1;
        }
        counts[k] = (int32_t)number;
    }
    *observed = (policy_counts_t){counts[0], counts[1], counts[2], counts[3]};
    return 0;
}

static PyObject *policy_image_observe(PyObject *object, PyObject *const *arguments, Py_ssize_t given)
{
    const policy_image_object *self = (const policy_image_object *)object;
    policy_counts_t counts;
    int16_t observation[POLICY_COUNTS];
    if (read_counts(self, arguments, given, &counts) < 0)
        return NULL;
    policy_observe(self->image.head.fit, &counts, observation);
    return Py_BuildValue("(hhhh)", observation[0], observation[1], observation[2], observation[3]);
}

static PyObject *policy_image_act(PyObject *object, PyObject *const *arguments, Py_ssize_t given)
{
    policy_image_object *self = (policy_image_object *)object;
    const policy_head_t *head = &self->image.head;
    policy_counts_t counts;
    int32_t values[POLICY_MAX_OUTPUTS];
    if (read_counts(self, arguments, given, &counts) < 0)
        return NULL;
    if (self->is_old)
        policy_age(self->inputs, head->inputs, self->duty_input);
    policy_observe(head->fit, &counts, self->inputs);
    if (!self->is_old)
        policy_fill(self->inputs, head->inputs);
    self->is_old = true;
    const uint8_t action = policy_int16_act(&self->image.network, self->inputs, values);
    self->duty_input = self->image.duty_input[action];
    return PyLong_FromLong(action);
}

static PyObject *policy_image_reset(PyObject *object, PyObject *unused)
{
    (void)unused;
    ((policy_image_object *)object)->is_old = false;
    Py_RETURN_NONE;
}

static PyObject *policy_image_duty(PyObject *object, PyObject *action)
{
    const policy_image_t *image = &((const policy_image_object *)object)->image;
    const long number = PyLong_AsLong(action);
    if (number == -1 && PyErr_Occurred() != NULL)
        return NULL;
    if (number < 0 || number >= image->head.outputs)
        return PyErr_Format(PyExc_ValueError, "action %ld, expected 0 to %d", number, image->head.outputs - 1);
    return PyLong_FromLong(image->duty_q15[number]);
}

static PyObject *policy_image_facts(PyObject *object, void *unused)
{
    (void)unused;
    const policy_head_t *head = &((const policy_image_object *)object)->image.head;
    return Py_BuildValue("{s:I,s:I,s:I,s:i,s:i,s:i,s:i,s:i,s:i}", "hash_high", head->hash_high, "hash_low", head->hash_low,
                         "fit_crc", head->fit_crc, "control_period_ms", head->control_period_ms, "inputs", head->inputs, "hidden", head->hidden,
                         "outputs", head->outputs, "hidden_shift", head->hidden_shift, "examples", head->examples);
}

static PyMethodDef policy_image_methods[] = {
    {"observe", (PyCFunction)(void (*)(void))policy_image_observe, METH_FASTCALL,
     "observe(cart_counts, cart_speed, pole_counts, pole_speed): the integers that the network sees of a STATE."},
    {"act", (PyCFunction)(void (*)(void))policy_image_act, METH_FASTCALL,
     "act(cart_counts, cart_speed, pole_counts, pole_speed): the action on the next STATE, as the microcontroller decides."},
    {"reset", policy_image_reset, METH_NOARGS, "reset(): the next STATE is an episode's first."},
    {"duty_q15", policy_image_duty, METH_O, "duty_q15(action): what that action asks of the motor."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef policy_image_properties[] = {
    {"facts", policy_image_facts, NULL, "What its head says.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot policy_image_slots[] = {
    {Py_tp_doc, "PolicyImage(image): the policy that a firmware carries (policy_image.h), and what it decides."},
    {Py_tp_init, policy_image_init},
    {Py_tp_dealloc, free_object},
    {Py_tp_methods, policy_image_methods},
    {Py_tp_getset, policy_image_properties},
    {0, NULL},
};

static PyType_Spec policy_image_spec = {
    .name = "firmware_bridge._host.PolicyImage",
    .basicsize = sizeof(policy_image_object),
    .flags = TYPE_FLAGS,
    .slots = policy_image_slots,
};

int add_policy_image(PyObject *module)
{
    policy_image_type = make_type(module, &policy_image_spec);
    return policy_image_type != NULL ? 0 : -1;
}
