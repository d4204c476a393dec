/* HostPolicy: a network of host_network.h with its own copy of the weights. `act` takes what FloatPolicy's takes; it returns an action
 * or, where the network commands one, a duty. */
#include <stdlib.h>
#include <string.h>

#include "host_network.h"
#include "objects.h"
#include "policy_arrays.h"

typedef struct {
    PyObject_HEAD
    host_network_t network; /* layers = 0 before it has its weights */
    float *numbers;         /* what the network points into */
} host_policy_object;

PyTypeObject *host_policy_type;

const host_network_t *host_network_of(PyObject *object)
{
    return &((const host_policy_object *)object)->network;
}

static int read_sizes(PyObject *sizes, host_network_t *network)
{
    const Py_ssize_t count = PyTuple_Check(sizes) ? PyTuple_Size(sizes) : 0;
    if (count != 3 && count != 4) {
        PyErr_SetString(PyExc_ValueError, "sizes: expected a tuple of inputs, one or two hidden layers, and outputs");
        return -1;
    }
    Py_ssize_t before = 0;
    for (Py_ssize_t k = 0; k < count; k++) {
        const Py_ssize_t size = PyLong_AsSsize_t(PyTuple_GetItem(sizes, k));
        if (PyErr_Occurred() != NULL)
            return -1;
        const Py_ssize_t most = k == 0 ? POLICY_MAX_INPUTS : k == count - 1 ? POLICY_MAX_OUTPUTS : POLICY_MAX_HIDDEN;
        if (check_size(k == 0 ? "inputs" : k == count - 1 ? "outputs" : "hidden", size, most) < 0)
            return -1;
        if (k > 0)
            network->layer[k - 1] = (host_layer_t){.inputs = (uint16_t)before, .outputs = (uint16_t)size};
        before = size;
    }
    network->layers = (uint16_t)(count - 1);
    return 0;
}

static int read_kinds(int activation, int output, host_network_t *network)
{
    if (activation < 0 || activation >= HOST_ACTIVATIONS || output < 0 || output >= HOST_OUTPUTS) {
        PyErr_Format(PyExc_ValueError, "activation = %d, output = %d, expected 0 to %d and 0 to %d", activation, output,
                     HOST_ACTIVATIONS - 1, HOST_OUTPUTS - 1);
        return -1;
    }
    const uint16_t outputs = network->layer[network->layers - 1].outputs;
    if (output != HOST_TABLE && outputs != 1) {
        PyErr_Format(PyExc_ValueError, "outputs = %d, expected 1: a duty", outputs);
        return -1;
    }
    network->activation = (host_activation_t)activation;
    network->output = (host_output_t)output;
    return 0;
}

/* One member of `arrays` into `*place`, which moves past it. */
static int read_array(PyObject *arrays, Py_ssize_t index, const shape_t *shape, float **place, const float **at)
{
    if (copy_array(PyTuple_GetItem(arrays, index), shape, *place) < 0)
        return -1;
    *at = *place;
    *place += (shape->rows ? shape->rows : 1) * shape->columns;
    return 0;
}

/* The arrays: gain, bound or None, and for each layer its weight (inputs, outputs) and bias. */
static int read_arrays(PyObject *arrays, host_network_t *network, float *numbers)
{
    const Py_ssize_t inputs = network->layer[0].inputs, count = 2 + 2 * network->layers;
    if (!PyTuple_Check(arrays) || PyTuple_Size(arrays) != count) {
        PyErr_Format(PyExc_ValueError, "arrays: expected a tuple of %zd", count);
        return -1;
    }
    const Py_ssize_t size = (Py_ssize_t)sizeof(float);
    const shape_t gain = {"input_gain", 'f', size, 0, inputs}, bound = {"input_bound", 'f', size, 2, inputs};
    if (read_array(arrays, 0, &gain, &numbers, &network->input_gain) < 0)
        return -1;
    if (PyTuple_GetItem(arrays, 1) != Py_None && read_array(arrays, 1, &bound, &numbers, &network->input_bound) < 0)
        return -1;
    for (uint16_t k = 0; k < network->layers; k++) {
        host_layer_t *layer = &network->layer[k];
        const shape_t weight = {"weight", 'f', size, layer->inputs, layer->outputs};
        const shape_t bias = {"bias", 'f', size, 0, layer->outputs};
        if (read_array(arrays, 2 + 2 * k, &weight, &numbers, &layer->weight) < 0 ||
            read_array(arrays, 3 + 2 * k, &bias, &numbers, &layer->bias) < 0)
            return -1;
    }
    return 0;
}

static size_t numbers_of(const host_network_t *network)
{
    size_t count = 3 * (size_t)network->layer[0].inputs;
    for (uint16_t k = 0; k < network->layers; k++)
        count += ((size_t)network->layer[k].inputs + 1) * network->layer[k].outputs;
    return count;
}

static int host_policy_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    host_policy_object *self = (host_policy_object *)object;
    if (refuse_second_init(self->network.layers) < 0)
        return -1;
    static char *names[] = {"sizes", "activation", "output", "arrays", NULL};
    PyObject *sizes, *arrays;
    int activation, output;
    host_network_t network = {0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OiiO", names, &sizes, &activation, &output, &arrays) ||
        read_sizes(sizes, &network) < 0 || read_kinds(activation, output, &network) < 0)
        return -1;
    float *numbers = malloc(numbers_of(&network) * sizeof(float));
    if (numbers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (read_arrays(arrays, &network, numbers) < 0) {
        free(numbers);
        return -1;
    }
    if (self->network.layers != 0) { /* reading an array ran code of its object, which gave it weights */
        free(numbers);
        return refuse_second_init(self->network.layers);
    }
    self->numbers = numbers;
    self->network = network;
    return 0;
}

static void host_policy_dealloc(PyObject *object)
{
    free(((host_policy_object *)object)->numbers);
    free_object(object);
}

static PyObject *host_policy_act(PyObject *object, PyObject *source)
{
    const host_network_t *network = host_network_of(object);
    float observation[POLICY_MAX_INPUTS];
    if (read_observation(source, network->layer[0].inputs, observation) < 0)
        return NULL;
    if (network->output == HOST_TABLE)
        return PyLong_FromLong(host_network_action(network, observation));
    return PyFloat_FromDouble(host_network_duty(network, observation));
}

static PyObject *host_policy_values(PyObject *object, PyObject *source)
{
    const host_network_t *network = host_network_of(object);
    float observation[POLICY_MAX_INPUTS], values[POLICY_MAX_OUTPUTS];
    if (read_observation(source, network->layer[0].inputs, observation) < 0)
        return NULL;
    host_network_values(network, observation, values);
    return float_tuple(values, network->layer[network->layers - 1].outputs);
}

static PyMethodDef host_policy_methods[] = {
    {"act", host_policy_act, METH_O, "For one observation the action, the first of the largest values, or the duty in [-1, 1]."},
    {"values", host_policy_values, METH_O, "The network's outputs for one observation, a tuple of floats."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot host_policy_slots[] = {
    {Py_tp_doc, "A policy of a form that only a host computes (host_network.c)."},
    {Py_tp_init, host_policy_init},
    {Py_tp_dealloc, host_policy_dealloc},
    {Py_tp_methods, host_policy_methods},
    {0, NULL},
};

static PyType_Spec host_policy_spec = {
    .name = "firmware_bridge._host.HostPolicy",
    .basicsize = sizeof(host_policy_object),
    .flags = TYPE_FLAGS,
    .slots = host_policy_slots,
};

int add_host_policy(PyObject *module)
{
    host_policy_type = make_type(module, &host_policy_spec);
    return host_policy_type != NULL ? 0 : -1;
}
