/* The firmware's C as a Python extension: firmware_bridge._host.
 *
 * FloatPolicy and Int16Policy hold their own copy of the weights, as HostPolicy does (host_policy_object.c). `act` takes any contiguous
 * buffer of `inputs` float32 or float64 numbers and returns an int; nothing is allocated on the way.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <string.h>

#include "../../../simavr/mailbox.h"
#include "../../policy.h"
#include "../../pulses.h"
#include "host_network.h"
#include "objects.h"
#include "policy_api.h"
#include "policy_arrays.h"

typedef struct {
    PyObject_HEAD
    policy_float_t policy;
    float input_gain[POLICY_MAX_INPUTS];
    float hidden_weight[POLICY_MAX_INPUTS * POLICY_MAX_HIDDEN];
    float hidden_bias[POLICY_MAX_HIDDEN];
    float output_weight[POLICY_MAX_OUTPUTS * POLICY_MAX_HIDDEN];
    float output_bias[POLICY_MAX_OUTPUTS];
} float_policy_object;

typedef struct {
    PyObject_HEAD
    policy_int16_t policy;
    float input_gain[POLICY_MAX_INPUTS];
    int16_t hidden_weight[POLICY_MAX_INPUTS * POLICY_MAX_HIDDEN];
    int32_t hidden_bias[POLICY_MAX_HIDDEN];
    int16_t output_weight[POLICY_MAX_OUTPUTS * POLICY_MAX_HIDDEN];
    int32_t output_bias[POLICY_MAX_OUTPUTS];
} int16_policy_object;

static int check_sizes(Py_ssize_t inputs, Py_ssize_t hidden, Py_ssize_t outputs)
{
    if (check_size("inputs", inputs, POLICY_MAX_INPUTS) < 0 || check_size("hidden", hidden, POLICY_MAX_HIDDEN) < 0)
        return -1;
    return check_size("outputs", outputs, POLICY_MAX_OUTPUTS);
}

/* ---- FloatPolicy ---- */

static int float_policy_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    float_policy_object *self = (float_policy_object *)object;
    if (refuse_second_init(self->policy.inputs) < 0)
        return -1;
    static char *names[] = {"inputs",      "hidden",        "outputs",     "input_gain", "hidden_weight",
                            "hidden_bias", "output_weight", "output_bias", NULL};
    Py_ssize_t inputs, hidden, outputs;
    PyObject *gain, *hidden_weight, *hidden_bias, *output_weight, *output_bias;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "nnnOOOOO", names, &inputs, &hidden, &outputs, &gain, &hidden_weight,
                                     &hidden_bias, &output_weight, &output_bias))
        return -1;
    if (check_sizes(inputs, hidden, outputs) < 0)
        return -1;
    const shape_t shapes[] = {{"input_gain", 'f', sizeof(float), 0, inputs},
                              {"hidden_weight", 'f', sizeof(float), inputs, hidden},
                              {"hidden_bias", 'f', sizeof(float), 0, hidden},
                              {"output_weight", 'f', sizeof(float), outputs, hidden},
                              {"output_bias", 'f', sizeof(float), 0, outputs}};
    if (copy_array(gain, &shapes[0], self->input_gain) < 0 ||
        copy_array(hidden_weight, &shapes[1], self->hidden_weight) < 0 ||
        copy_array(hidden_bias, &shapes[2], self->hidden_bias) < 0 ||
        copy_array(output_weight, &shapes[3], self->output_weight) < 0 ||
        copy_array(output_bias, &shapes[4], self->output_bias) < 0)
        return -1;
    self->policy = (policy_float_t){
        .inputs = (uint16_t)inputs,
        .hidden = (uint16_t)hidden,
        .outputs = (uint16_t)outputs,
        .input_gain = self->input_gain,
        .hidden_weight = self->hidden_weight,
        .hidden_bias = self->hidden_bias,
        .output_weight = self->output_weight,
        .output_bias = self->output_bias,
    };
    return 0;
}

static PyObject *float_policy_act(PyObject *object, PyObject *source)
{
    const policy_float_t *policy = &((float_policy_object *)object)->policy;
    float observation[POLICY_MAX_INPUTS];
    float values[POLICY_MAX_OUTPUTS];
    if (read_observation(source, policy->inputs, observation) < 0)
        return NULL;
    return PyLong_FromLong(policy_float_act(policy, observation, values));
}

static PyObject *float_policy_values(PyObject *object, PyObject *source)
{
    const policy_float_t *policy = &((float_policy_object *)object)->policy;
    float observation[POLICY_MAX_INPUTS];
    float values[POLICY_MAX_OUTPUTS];
    if (read_observation(source, policy->inputs, observation) < 0)
        return NULL;
    (void)policy_float_act(policy, observation, values);
    return float_tuple(values, policy->outputs);
}

static PyMethodDef float_policy_methods[] = {
    {"act", float_policy_act, METH_O, "The action for one observation: the index of the largest value, the first of equals."},
    {"values", float_policy_values, METH_O, "The network's outputs for one observation, a tuple of floats."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot float_policy_slots[] = {
    {Py_tp_doc, "The float form of a policy (policy.c)."},
    {Py_tp_init, float_policy_init},
    {Py_tp_dealloc, free_object},
    {Py_tp_methods, float_policy_methods},
    {0, NULL},
};

static PyType_Spec float_policy_spec = {
    .name = "firmware_bridge._host.FloatPolicy",
    .basicsize = sizeof(float_policy_object),
    .flags = TYPE_FLAGS,
    .slots = float_policy_slots,
};

/* ---- Int16Policy ---- */

static int int16_policy_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    int16_policy_object *self = (int16_policy_object *)object;
    if (refuse_second_init(self->policy.inputs) < 0)
        return -1;
    static char *names[] = {"inputs",        "hidden",      "outputs",       "hidden_shift", "input_gain",
                            "hidden_weight", "hidden_bias", "output_weight", "output_bias",  NULL};
    Py_ssize_t inputs, hidden, outputs, shift;
    PyObject *gain, *hidden_weight, *hidden_bias, *output_weight, *output_bias;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "nnnnOOOOO", names, &inputs, &hidden, &outputs, &shift, &gain,
                                     &hidden_weight, &hidden_bias, &output_weight, &output_bias))
        return -1;
    if (check_sizes(inputs, hidden, outputs) < 0)
        return -1;
    if (shift < 0 || shift > 30) {
        PyErr_Format(PyExc_ValueError, "hidden_shift = %zd, expected 0 to 30", shift);
        return -1;
    }
    const shape_t shapes[] = {{"input_gain", 'f', sizeof(float), 0, inputs},
                              {"hidden_weight", 'h', sizeof(int16_t), hidden, inputs},
                              {"hidden_bias", 'i', sizeof(int32_t), 0, hidden},
                              {"output_weight", 'h', sizeof(int16_t), outputs, hidden},
                              {"output_bias", 'i', sizeof(int32_t), 0, outputs}};
    if (copy_array(gain, &shapes[0], self->input_gain) < 0 ||
        copy_array(hidden_weight, &shapes[1], self->hidden_weight) < 0 ||
        copy_array(hidden_bias, &shapes[2], self->hidden_bias) < 0 ||
        copy_array(output_weight, &shapes[3], self->output_weight) < 0 ||
        copy_array(output_bias, &shapes[4], self->output_bias) < 0)
        return -1;
    const policy_int16_t policy = {
        .inputs = (uint16_t)inputs,
        .hidden = (uint16_t)hidden,
        .outputs = (uint16_t)outputs,
        .hidden_shift = (uint8_t)shift,
        .hidden_weight = self->hidden_weight,
        .hidden_bias = self->hidden_bias,
        .output_weight = self->output_weight,
        .output_bias = self->output_bias,
    };
    if (!policy_int16_is_safe(&policy)) {
        PyErr_SetString(PyExc_ValueError, "these weights can overflow a 32-bit sum; quantize with a smaller scale");
        return -1;
    }
    self->policy = policy;
    return 0;
}

static PyObject *int16_policy_act(PyObject *object, PyObject *source)
{
    int16_policy_object *self = (int16_policy_object *)object;
    float observation[POLICY_MAX_INPUTS];
    int16_t quantized[POLICY_MAX_INPUTS];
    int32_t values[POLICY_MAX_OUTPUTS];
    if (read_observation(source, self->policy.inputs, observation) < 0)
        return NULL;
    policy_quantize(self->policy.inputs, self->input_gain, observation, quantized);
    return PyLong_FromLong(policy_int16_act(&self->policy, quantized, values));
}

static PyObject *integer_tuple(const int32_t *numbers, uint16_t count)
{
    PyObject *result = PyTuple_New(count);
    for (uint16_t k = 0; result != NULL && k < count; k++) {
        PyObject *number = PyLong_FromLong(numbers[k]);
        if (number == NULL)
            Py_CLEAR(result);
        else
            PyTuple_SetItem(result, k, number);
    }
    return result;
}

static PyObject *int16_policy_quantize(PyObject *object, PyObject *source)
{
    int16_policy_object *self = (int16_policy_object *)object;
    float observation[POLICY_MAX_INPUTS];
    int16_t quantized[POLICY_MAX_INPUTS];
    int32_t widened[POLICY_MAX_INPUTS];
    if (read_observation(source, self->policy.inputs, observation) < 0)
        return NULL;
    policy_quantize(self->policy.inputs, self->input_gain, observation, quantized);
    for (uint16_t i = 0; i < self->policy.inputs; i++)
        widened[i] = quantized[i];
    return integer_tuple(widened, self->policy.inputs);
}

static PyObject *int16_policy_values(PyObject *object, PyObject *source)
{
    int16_policy_object *self = (int16_policy_object *)object;
    float observation[POLICY_MAX_INPUTS];
    int16_t quantized[POLICY_MAX_INPUTS];
    int32_t values[POLICY_MAX_OUTPUTS];
    if (read_observation(source, self->policy.inputs, observation) < 0)
        return NULL;
    policy_quantize(self->policy.inputs, self->input_gain, observation, quantized);
    (void)policy_int16_act(&self->policy, quantized, values);
    return integer_tuple(values, self->policy.outputs);
}

static PyMethodDef int16_policy_methods[] = {
    {"act", int16_policy_act, METH_O, "The action for one observation in SI units, decided in integers."},
    {"values", int16_policy_values, METH_O, "The network's outputs for one observation, a tuple of 32-bit integers."},
    {"quantize", int16_policy_quantize, METH_O, "The observation as the integers the network sees."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot int16_policy_slots[] = {
    {Py_tp_doc, "The int16 form of a policy (policy.c), bit for bit what the microcontroller computes."},
    {Py_tp_init, int16_policy_init},
    {Py_tp_dealloc, free_object},
    {Py_tp_methods, int16_policy_methods},
    {0, NULL},
};

static PyType_Spec int16_policy_spec = {
    .name = "firmware_bridge._host.Int16Policy",
    .basicsize = sizeof(int16_policy_object),
    .flags = TYPE_FLAGS,
    .slots = int16_policy_slots,
};

/* ---- POLICY_API ---- */

static PyTypeObject *float_policy_type, *int16_policy_type;

static uint8_t float_action(const void *policy, const float *inputs)
{
    float values[POLICY_MAX_OUTPUTS];
    return policy_float_act(policy, inputs, values);
}

static uint8_t int16_action(const void *object, const float *inputs)
{
    const int16_policy_object *self = object;
    int16_t quantized[POLICY_MAX_INPUTS];
    int32_t values[POLICY_MAX_OUTPUTS];
    policy_quantize(self->policy.inputs, self->input_gain, inputs, quantized);
    return policy_int16_act(&self->policy, quantized, values);
}

static uint8_t host_action(const void *network, const float *inputs)
{
    return host_network_action(network, inputs);
}

static double host_duty(const void *network, const float *inputs)
{
    return host_network_duty(network, inputs);
}

static bool view_host_policy(const host_network_t *network, policy_view_t *view)
{
    if (network->layers == 0)
        return false;
    *view = (policy_view_t){.inputs = network->layer[0].inputs, .policy = network};
    if (network->output == HOST_TABLE) {
        view->outputs = network->layer[network->layers - 1].outputs;
        view->act = host_action;
    } else {
        view->duty = host_duty;
    }
    return true;
}

static bool view_policy(PyObject *object, policy_view_t *view)
{
    if (Py_TYPE(object) == float_policy_type) {
        const policy_float_t *policy = &((const float_policy_object *)object)->policy;
        *view = (policy_view_t){policy->inputs, policy->outputs, float_action, NULL, policy};
    } else if (Py_TYPE(object) == int16_policy_type) {
        const policy_int16_t *policy = &((const int16_policy_object *)object)->policy;
        *view = (policy_view_t){policy->inputs, policy->outputs, int16_action, NULL, object};
    } else if (Py_TYPE(object) == host_policy_type) {
        return view_host_policy(host_network_of(object), view);
    } else {
        return false;
    }
    return view->inputs != 0;
}

static policy_api_t policy_api = {.version = POLICY_API_VERSION, .view = view_policy};

static PyMethodDef functions[] = {
    {"pulses_of", duty_pulses, METH_O, "pulses_of(duty_q15): cycles of PULSE_PERIOD that the bridge drives, with the duty's sign (pulses.h)."},
    {"encode_frame", encode_frame, METH_O, "encode_frame(message): the frame that carries it (framing.c)."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_host",
    .m_doc = "The firmware's C, built for this machine.",
    .m_size = -1,
    .m_methods = functions,
};

/* Under the last part of `name`, as PyCapsule_Import wants it. */
static int add_api(PyObject *to, void *api, const char *name)
{
    PyObject *capsule = PyCapsule_New(api, name, NULL);
    const int outcome = capsule != NULL ? PyModule_AddObjectRef(to, strrchr(name, '.') + 1, capsule) : -1;
    Py_XDECREF(capsule);
    return outcome;
}

PyMODINIT_FUNC PyInit__host(void)
{
    PyObject *self = PyModule_Create(&module);
    if (self == NULL)
        return NULL;
    float_policy_type = make_type(self, &float_policy_spec);
    int16_policy_type = float_policy_type != NULL ? make_type(self, &int16_policy_spec) : NULL;
    if (int16_policy_type == NULL || add_host_policy(self) < 0 || add_cart_estimator(self) < 0 ||
        add_policy_image(self) < 0 || add_firmware(self) < 0 || add_frame_decoder(self) < 0 || add_mailbox(self) < 0 ||
        add_api(self, &board_api, BOARD_API_NAME) < 0 ||
        add_api(self, &chip_api, CHIP_API_NAME) < 0 || add_api(self, &policy_api, POLICY_API_NAME) < 0 ||
        PyModule_AddIntConstant(self, "POLICY_FIT_SHIFT", POLICY_FIT_SHIFT) < 0 ||
        PyModule_AddIntConstant(self, "POLICY_IMAGE_VERSION", POLICY_IMAGE_VERSION) < 0 ||
        PyModule_AddIntConstant(self, "POLICY_IMAGE_INPUTS", POLICY_IMAGE_INPUTS) < 0 ||
        PyModule_AddIntConstant(self, "MAILBOX_BYTES", MAILBOX_BYTES) < 0 ||
        PyModule_AddIntConstant(self, "PULSE_PERIOD", (long)PULSE_PERIOD) < 0 ||
        PyModule_AddIntConstant(self, "PROTOCOL_HASH", (long)PROTOCOL_HASH) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}
