/* What Firmware has of its motor, by the drive: a part of firmware_object.c. */
#ifndef FIRMWARE_MOTOR_H
#define FIRMWARE_MOTOR_H

#ifdef FIRMWARE_STEPPER

#define MODULE_NAME "firmware_bridge._stepper"
#define TICK_TEXT                                                                                                             \
    "the mean over the next one of the steps made since it was switched on, None with the driver disabled. `cart_counts` means "     \
    "nothing: the board counts its steps. Of `inputs`, 8 is a high alarm output."
#define MOTOR_METHODS
#define MOTOR_PROPERTIES                                                                                                       \
    {"duty_q15", firmware_duty_q15, NULL, "The acceleration that the last tick decided, in 1/32767 of the largest.", NULL},       \
    {"steps", firmware_steps, firmware_set_steps,                                                                              \
     "The steps until the next tick, to the right less those to the left. Set, the next tick finds that count.", NULL},           \
    {"speed", firmware_speed, firmware_set_speed,                                                                              \
     "What the last tick decided, in steps a second, positive to the right. Set, the next tick changes that speed.", NULL},

static PyObject *as_number(double drive)
{
    return PyFloat_FromDouble(drive);
}

static PyObject *firmware_duty_q15(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromLong(((firmware_object *)object)->board.app.safety.drive.applied_q15);
}

static PyObject *firmware_steps(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromLong(((firmware_object *)object)->board.motor.train.steps);
}

static PyObject *firmware_speed(PyObject *object, void *unused)
{
    (void)unused;
    return PyFloat_FromDouble(((firmware_object *)object)->board.app.safety.drive.ramp.speed / (double)RAMP_SPEED_PER_STEP);
}

/* -1 with an exception: what is no number has one already. */
static int refuse_deletion(const PyObject *value)
{
    if (value == NULL)
        PyErr_SetString(PyExc_AttributeError, "this number cannot be deleted");
    return -1;
}

static int firmware_set_steps(PyObject *object, PyObject *value, void *unused)
{
    (void)unused;
    long steps;
    if (value == NULL || read_number(value, &steps) < 0)
        return refuse_deletion(value);
    if (steps != (int32_t)steps) {
        PyErr_Format(PyExc_OverflowError, "%ld steps, expected what 32 bits hold", steps);
        return -1;
    }
    ((firmware_object *)object)->board.motor.train.steps = (int32_t)steps;
    return 0;
}

static int firmware_set_speed(PyObject *object, PyObject *value, void *unused)
{
    (void)unused;
    const double speed = value == NULL ? -1.0 : PyFloat_AsDouble(value);
    if (speed == -1.0 && (value == NULL || PyErr_Occurred() != NULL))
        return refuse_deletion(value);
    drive_t *drive = &((firmware_object *)object)->board.app.safety.drive;
    const double most = drive->ramp_limits.speed_most;
    if (!(speed >= -most && speed <= most)) {
        PyErr_SetString(PyExc_ValueError, "a speed beyond the largest that the host has set");
        return -1;
    }
    drive->ramp.speed = (int32_t)(speed * RAMP_SPEED_PER_STEP);
    return 0;
}

#else

#include "../../limits.h"

#define MODULE_NAME "firmware_bridge._host"
#define TICK_TEXT                                                                                                             \
    "how many of PULSE_PERIOD cycles the bridge drives from now on, 0 with the motor shorted, None with the bridge open."
#define MOTOR_METHODS {"warm", firmware_warm, METH_O, "warm(warmth): the motor is as warm as drive_warmth() tells it, 0 to 255."},
#define MOTOR_PROPERTIES                                                                                                       \
    {"duty_q15", firmware_duty_q15, NULL, "What the last tick decided, in 1/32767, before it becomes pulses.", NULL},

static PyObject *as_number(double drive)
{
    return PyLong_FromLong((long)drive);
}

static PyObject *firmware_duty_q15(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromLong(((firmware_object *)object)->board.app.motor.duty_q15);
}

static PyObject *firmware_warm(PyObject *object, PyObject *warmth)
{
    long number;
    if (read_number(warmth, &number) < 0)
        return NULL;
    if (number < 0 || number > UINT8_MAX)
        return PyErr_Format(PyExc_ValueError, "a warmth of %ld, expected 0 to 255", number);
    ((firmware_object *)object)->board.app.safety.drive.heat = (uint32_t)number << (7 + HEAT_SHIFT);
    Py_RETURN_NONE;
}

#endif

#endif
