/* PolicyImage: the policy that a firmware carries, as a Python object: what the microcontroller makes of a STATE. */
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
                       int16_t *observation)
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
    const policy_counts_t observed = {counts[0], counts[1], counts[2], counts[3]};
    policy_observe(self->image.head.fit, &observed, observation);
    return 0;
}

static PyObject *policy_image_observe(PyObject *object, PyObject *const *arguments, Py_ssize_t given)
{
    int16_t observation[POLICY_COUNTS];
    if (read_counts((const policy_image_object *)object, arguments, given, observation) < 0)
        return NULL;
    return Py_BuildValue("(hhhh)", observation[0], observation[1], observation[2], observation[3]);
}

static PyObject *policy_image_act(PyObject *object, PyObject *const *arguments, Py_ssize_t given)
{
    const policy_image_object *self = (const policy_image_object *)object;
    int16_t observation[POLICY_COUNTS];
    int32_t values[POLICY_MAX_OUTPUTS];
    if (read_counts(self, arguments, given, observation) < 0)
        return NULL;
    return PyLong_FromLong(policy_int16_act(&self->image.network, observation, values));
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
    return Py_BuildValue("{s:I,s:I,s:I,s:i,s:i,s:i,s:i,s:i}", "hash_high", head->hash_high, "hash_low", head->hash_low,
                         "fit_crc", head->fit_crc, "control_period_ms", head->control_period_ms, "hidden", head->hidden,
                         "outputs", head->outputs, "hidden_shift", head->hidden_shift, "examples", head->examples);
}

static PyMethodDef policy_image_methods[] = {
    {"observe", (PyCFunction)(void (*)(void))policy_image_observe, METH_FASTCALL,
     "observe(cart_counts, cart_speed, pole_counts, pole_speed): the integers that the network sees of a STATE."},
    {"act", (PyCFunction)(void (*)(void))policy_image_act, METH_FASTCALL,
     "act(cart_counts, cart_speed, pole_counts, pole_speed): the action on a STATE, as the microcontroller decides."},
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
