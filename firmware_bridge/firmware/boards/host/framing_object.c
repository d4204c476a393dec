/* Framing and pulses, for the host's end of the line. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../../framing.h"
#include "objects.h"
#include "simulated_board.h"

PyObject *duty_pulses(PyObject *module, PyObject *duty_q15)
{
    (void)module;
    const long number = PyLong_AsLong(duty_q15);
    if (number == -1 && PyErr_Occurred() != NULL)
        return NULL;
    if (number < -PROTOCOL_DUTY_ONE || number > PROTOCOL_DUTY_ONE)
        return PyErr_Format(PyExc_ValueError, "a duty of %ld, expected at most %d either way", number, PROTOCOL_DUTY_ONE);
    return PyLong_FromLong(signed_pulses((int16_t)number));
}

PyObject *encode_frame(PyObject *module, PyObject *message)
{
    (void)module;
    Py_buffer view;
    if (PyObject_GetBuffer(message, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    uint8_t frame[FRAMING_MAX_FRAME];
    const size_t length = framing_encode((const uint8_t *)view.buf, (size_t)view.len, frame);
    const Py_ssize_t given = view.len;
    PyBuffer_Release(&view);
    if (length == 0)
        return PyErr_Format(PyExc_ValueError, "a message of %zd bytes, expected at most %d", given,
                            PROTOCOL_MAX_MESSAGE);
    return PyBytes_FromStringAndSize((const char *)frame, (Py_ssize_t)length);
}

typedef struct {
    PyObject_HEAD
    frame_decoder_t decoder;
} frame_decoder_object;

static PyObject *frame_decoder_feed(PyObject *object, PyObject *bytes)
{
    frame_decoder_object *self = (frame_decoder_object *)object;
    Py_buffer view;
    if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *messages = PyList_New(0);
    for (Py_ssize_t i = 0; messages != NULL && i < view.len; i++) {
        const uint8_t length = frame_decoder_push(&self->decoder, ((const uint8_t *)view.buf)[i]);
        if (length == 0)
            continue;
        PyObject *message = PyBytes_FromStringAndSize((const char *)self->decoder.message, length);
        if (message == NULL || PyList_Append(messages, message) < 0)
            Py_CLEAR(messages);
        Py_XDECREF(message);
    }
    PyBuffer_Release(&view);
    return messages;
}

static PyObject *frame_decoder_errors(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromLong(((frame_decoder_object *)object)->decoder.errors);
}

static PyMethodDef frame_decoder_methods[] = {
    {"feed", frame_decoder_feed, METH_O, "feed(bytes): the whole, sound messages that end in them, a list."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef frame_decoder_properties[] = {
    {"errors", frame_decoder_errors, NULL, "Frames refused so far, 65535 at most.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot frame_decoder_slots[] = {
    {Py_tp_doc, "The firmware's frame decoder (framing.c), for the host's end."},
    {Py_tp_dealloc, free_object},
    {Py_tp_methods, frame_decoder_methods},
    {Py_tp_getset, frame_decoder_properties},
    {0, NULL},
};

static PyType_Spec frame_decoder_spec = {
    .name = "firmware_bridge._host.FrameDecoder",
    .basicsize = sizeof(frame_decoder_object),
    .flags = TYPE_FLAGS,
    .slots = frame_decoder_slots,
};

int add_frame_decoder(PyObject *module)
{
    return add_type(module, &frame_decoder_spec);
}
