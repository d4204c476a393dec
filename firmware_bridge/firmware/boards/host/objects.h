/* What the files of the extension share. They use the stable ABI of Python 3.11 alone. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <Python.h>

#include "board_api.h"
#include "heap_types.h"
#include "host_network.h"
#include "policy_image.h"

extern board_api_t board_api, chip_api;
extern PyTypeObject *policy_image_type, *host_policy_type;

/* Each adds its types to the module; -1 with an exception. */
int add_cart_estimator(PyObject *module);
int add_firmware(PyObject *module); /* after the policy image */
int add_frame_decoder(PyObject *module);
int add_host_policy(PyObject *module);
int add_mailbox(PyObject *module);
int add_policy_image(PyObject *module);

typedef struct {
    PyObject_HEAD
    policy_image_t image;
    int16_t inputs[POLICY_IMAGE_INPUTS]; /* of the last act(), and those before it */
    int16_t duty_input;
    bool is_old; /* something was observed in this episode */
} policy_image_object;

/* The network of a HostPolicy; without layers before it has its weights. */
const host_network_t *host_network_of(PyObject *object);

PyObject *encode_frame(PyObject *module, PyObject *message);
PyObject *duty_pulses(PyObject *module, PyObject *duty_q15);

#endif
