/* The Python types that extension.c puts into its module. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <Python.h>

#include "board_api.h"
#include "policy_image.h"

extern const board_api_t board_api;
extern PyTypeObject cart_estimator_type;
extern PyTypeObject firmware_type;
extern PyTypeObject frame_decoder_type;
extern PyTypeObject mailbox_type;
extern PyTypeObject policy_image_type;

typedef struct {
    PyObject_HEAD
    policy_image_t image;
} policy_image_object;

PyObject *encode_frame(PyObject *module, PyObject *message);
PyObject *duty_pulses(PyObject *module, PyObject *duty_q15);

#endif
