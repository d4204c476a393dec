/* Firmware: the firmware on a simulated board, as a Python object. One tick is one millisecond of its clock. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "board_parts.h"
#include "objects.h"

typedef struct {
    PyObject_HEAD
    board_t board;
    PyObject *policy; /* a policy_image_object, or NULL */
} firmware_object;

static int read_number(PyObject *source, long *number)
{
    *number = PyLong_AsLong(source);
    return *number == -1 && PyErr_Occurred() != NULL ? -1 : 0;
}

#include "firmware_motor.h" /* what one drive's board has of its own */

static const policy_image_t *image_of(const firmware_object *self)
{
    return self->policy != NULL ? &((policy_image_object *)self->policy)->image : NULL;
}

static int firmware_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"session", "time_us", "policy", NULL};
    firmware_object *self = (firmware_object *)object;
    unsigned short session = 1;
    unsigned long time_us = 0;
    PyObject *policy = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|HkO", names, &session, &time_us, &policy))
        return -1;
    if (policy != Py_None && !PyObject_TypeCheck(policy, policy_image_type)) {
        PyErr_Format(PyExc_TypeError, "policy: expected a PolicyImage, got %R", policy);
        return -1;
    }
    Py_CLEAR(self->policy);
    if (policy != Py_None)
        hold(&self->policy, policy);
    board_begin(&self->board, session, (uint32_t)time_us, image_of(self));
    return 0;
}

static void firmware_dealloc(PyObject *object)
{
    Py_XDECREF(((firmware_object *)object)->policy);
    free_object(object);
}

/* -1 with an exception for a place that is impossibly far from where the encoder stands. */
static int check_jump(const board_encoder_t *encoder, int32_t counts)
{
    const int32_t way = board_jump(encoder, counts);
    if (way <= BOARD_MOST_EDGES && way >= -BOARD_MOST_EDGES)
        return 0;
    PyErr_Format(PyExc_OverflowError, "an encoder jumped by %d counts in a millisecond", (int)way);
    return -1;
}

/* As `board_api_t.tick`. */
static int tick(PyObject *object, int32_t cart, int32_t pole, unsigned inputs, unsigned supply_mv, double *drive)
{
    board_t *board = &((firmware_object *)object)->board;
    if ((DRIVE_HAS_CART_ENCODER && check_jump(&board->cart, cart) < 0) || check_jump(&board->pole, pole) < 0)
        return -1;
    return board_tick(board, cart, pole, inputs, supply_mv, drive);
}

static PyObject *firmware_tick(PyObject *object, PyObject *const *arguments, Py_ssize_t given)
{
    long cart, pole, inputs, supply_mv;
    double drive;
    if (given != 4) {
        PyErr_Format(PyExc_TypeError, "expected cart counts, pole counts, inputs and supply_mv, got %zd arguments",
                     given);
        return NULL;
    }
    if (read_number(arguments[0], &cart) < 0 || read_number(arguments[1], &pole) < 0 ||
        read_number(arguments[2], &inputs) < 0 || read_number(arguments[3], &supply_mv) < 0)
        return NULL;
    const int is_driven = tick(object, (int32_t)(uint32_t)cart, (int32_t)(uint32_t)pole, (unsigned)inputs,
                               (unsigned)supply_mv, &drive);
    if (is_driven < 0)
        return NULL;
    if (is_driven == 0)
        Py_RETURN_NONE;
    return as_number(drive);
}

static int feed(PyObject *object, const uint8_t *bytes, Py_ssize_t length)
{
    board_feed(&((firmware_object *)object)->board, bytes, (size_t)length);
    return 0;
}

static bool has_sent(PyObject *object)
{
    return board_has_sent(&((firmware_object *)object)->board);
}

board_api_t board_api = {.version = BOARD_API_VERSION, .tick = tick, .feed = feed, .has_sent = has_sent};

static PyObject *firmware_feed(PyObject *object, PyObject *bytes)
{
    Py_buffer view;
    if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    (void)feed(object, view.buf, view.len);
    PyBuffer_Release(&view);
    Py_RETURN_NONE;
}

static PyObject *firmware_take(PyObject *object, PyObject *unused)
{
    (void)unused;
    uint8_t bytes[APP_SEND_BYTES];
    const size_t length = board_take(&((firmware_object *)object)->board, bytes, sizeof bytes);
    return PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)length);
}

static PyObject *firmware_has_sent(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(has_sent(object));
}

static PyObject *firmware_restart(PyObject *object, PyObject *cause)
{
    firmware_object *self = (firmware_object *)object;
    long number;
    if (read_number(cause, &number) < 0)
        return NULL;
    board_restart(&self->board, (uint8_t)number, image_of(self));
    Py_RETURN_NONE;
}

static PyObject *firmware_disturb(PyObject *object, PyObject *const *arguments, Py_ssize_t given)
{
    board_t *board = &((firmware_object *)object)->board;
    long cart, pole, missed;
    if (given != 3) {
        PyErr_Format(PyExc_TypeError, "expected cart, pole and missed ticks, got %zd arguments", given);
        return NULL;
    }
    if (read_number(arguments[0], &cart) < 0 || read_number(arguments[1], &pole) < 0 ||
        read_number(arguments[2], &missed) < 0)
        return NULL;
    board->cart.decoder.illegal = (uint8_t)(board->cart.decoder.illegal + cart); /* the pins stay: the next edges are to count */
    board->pole.decoder.illegal = (uint8_t)(board->pole.decoder.illegal + pole);
    board->missed = (uint8_t)missed;
    Py_RETURN_NONE;
}

static PyObject *firmware_equip(PyObject *object, PyObject *args, PyObject *kwargs)
{
    if (take_parts(args, kwargs, &((firmware_object *)object)->board.parts) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef firmware_methods[] = {
    {"tick", (PyCFunction)(void (*)(void))firmware_tick, METH_FASTCALL,
     "tick(cart_counts, pole_counts, inputs, supply_mv): one millisecond; " TICK_TEXT " `inputs` are the first three of enum "
     "input_flag."},
    {"feed", firmware_feed, METH_O, "feed(bytes): what the serial port receives."},
    {"take", firmware_take, METH_NOARGS, "The bytes that the serial port has sent since the last call."},
    {"has_sent", firmware_has_sent, METH_NOARGS, "Whether take() would give anything."},
    {"restart", firmware_restart, METH_O, "restart(cause): a reset by that enum reset_cause; a new session."},
    {"disturb", (PyCFunction)(void (*)(void))firmware_disturb, METH_FASTCALL,
     "disturb(cart, pole, missed): so many illegal transitions at each encoder, so many missed ticks before the next."},
    {"equip", (PyCFunction)(void (*)(void))firmware_equip, METH_VARARGS | METH_KEYWORDS, EQUIP_TEXT},
    MOTOR_METHODS
    {NULL, NULL, 0, NULL},
};

static PyObject *firmware_time_us(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(((firmware_object *)object)->board.time_us);
}

static PyGetSetDef firmware_properties[] = {
    MOTOR_PROPERTIES
    {"time_us", firmware_time_us, NULL, "What its clock showed at the last tick; wraps at 32 bits.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot firmware_slots[] = {
    {Py_tp_doc, "Firmware(session=1, time_us=0, policy=None): the firmware on a simulated board, with a PolicyImage in it."},
    {Py_tp_init, firmware_init},
    {Py_tp_dealloc, firmware_dealloc},
    {Py_tp_methods, firmware_methods},
    {Py_tp_getset, firmware_properties},
    {0, NULL},
};

static PyType_Spec firmware_spec = {
    .name = MODULE_NAME ".Firmware",
    .basicsize = sizeof(firmware_object),
    .flags = TYPE_FLAGS,
    .slots = firmware_slots,
};

int add_firmware(PyObject *module)
{
    board_api.type = make_type(module, &firmware_spec);
    return board_api.type != NULL ? 0 : -1;
}
