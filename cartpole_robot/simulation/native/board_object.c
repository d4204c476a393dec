/* BoardCart: a cart whose bridge a board drives, a millisecond at a time: physics, then the board's tick.
 *
 * With firmware_bridge's `Firmware` or `ChipMailbox` for a board, `run` takes as many milliseconds in one call as pass before the host receives
 * something. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>

#include "boards/host/board_api.h"
#include "objects.h"

#define LEFT_SWITCH 1u /* bits of enum input_flag */
#define RIGHT_SWITCH 2u

#define APIS 3

typedef struct {
    PyObject_HEAD
    cart_params_t params;
    plant_state_t state;
    motor_t motor;
    int64_t time_ms;
    double drive; /* the duty at the bridge, NAN with the bridge open; of a stepper the board's mean count, NAN with the driver disabled */
    double pulse; /* the duty of one pulse cycle; 1 for a stepper */
    stepper_t stepper;
    double counted;   /* the board's last mean count */
    int32_t steps_at_0; /* the steps of `stepper` where the board counts 0 */
    const board_api_t *apis[APIS]; /* of a Firmware, of a ChipMailbox, of a stepper's Firmware */
} board_cart_object;

/* The motor holds the cart where it is, whatever the board has counted. */
static void hold_there(board_cart_object *self)
{
    const int32_t steps = stepper_place(&self->stepper, self->state.position_m, self->state.speed_m_s);
    self->steps_at_0 = (int32_t)((uint32_t)steps - (uint32_t)(int32_t)lrint(self->counted));
}

static void take(board_cart_object *self, const cart_params_t *params)
{
    self->params = *params;
    self->motor = motor_of(&params->motor);
    if (params->has_stepper) {
        stepper_begin(&self->stepper, &params->stepper, &params->plant);
        hold_there(self);
    }
}

static int board_cart_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"cart", "pulse_period", NULL};
    board_cart_object *self = (board_cart_object *)object;
    PyObject *cart;
    int pulse_period;
    cart_params_t params;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oi", names, &cart, &pulse_period) || read_cart(cart, &params) < 0)
        return -1;
    if (!params.has_encoders) {
        PyErr_SetString(PyExc_ValueError, "a cart without encoders has no board");
        return -1;
    }
    static const char *const api_names[APIS] = {BOARD_API_NAME, CHIP_API_NAME, STEPPER_API_NAME};
    for (int k = 0; k < APIS; k++) {
        self->apis[k] = PyCapsule_Import(api_names[k], 0);
        if (self->apis[k] == NULL)
            return -1;
        if (self->apis[k]->version != BOARD_API_VERSION) {
            PyErr_Format(PyExc_ImportError, "firmware_bridge._host has board interface %d, expected %d; install both again",
                         self->apis[k]->version, BOARD_API_VERSION);
            return -1;
        }
    }
    self->state = (plant_state_t){0};
    self->counted = 0.0;
    take(self, &params);
    self->drive = NAN;
    self->pulse = params.has_stepper ? 1.0 : 1.0 / pulse_period;
    return 0;
}

static PyObject *board_cart_change(PyObject *object, PyObject *cart)
{
    board_cart_object *self = (board_cart_object *)object;
    cart_params_t params;
    if (read_cart(cart, &params) < 0)
        return NULL;
    take(self, &params);
    Py_RETURN_NONE;
}

/* The counts at the state; -1 with an exception where there are none. */
static int count(const board_cart_object *self, int64_t *cart_counts, int64_t *pole_counts)
{
    const plant_state_t *at = &self->state;
    if (cart_counts_at(&self->params, at, cart_counts, pole_counts))
        return 0;
    PyErr_SetString(PyExc_OverflowError, "the simulation diverged; use a shorter physics step");
    return -1;
}

static PyObject *counts_tuple(const board_cart_object *self)
{
    int64_t cart_counts, pole_counts;
    if (count(self, &cart_counts, &pole_counts) < 0)
        return NULL;
    return Py_BuildValue("(LL)", (long long)cart_counts, (long long)pole_counts);
}

static PyObject *board_cart_place(PyObject *object, PyObject *state)
{
    board_cart_object *self = (board_cart_object *)object;
    plant_state_t at;
    if (!PyArg_ParseTuple(state, "dddd", &at.position_m, &at.speed_m_s, &at.angle_rad, &at.rate_rad_s))
        return NULL;
    self->state = at;
    self->motor.drive_n = 0.0;
    if (self->params.has_stepper)
        hold_there(self);
    return counts_tuple(self);
}

static PyObject *board_cart_turn(PyObject *object, PyObject *args)
{
    board_cart_object *self = (board_cart_object *)object;
    double angle_rad, rate_rad_s;
    if (!PyArg_ParseTuple(args, "dd", &angle_rad, &rate_rad_s))
        return NULL;
    self->state.angle_rad = angle_rad;
    self->state.rate_rad_s = rate_rad_s;
    return counts_tuple(self);
}

static PyObject *board_cart_counts(PyObject *object, PyObject *unused)
{
    (void)unused;
    return counts_tuple((board_cart_object *)object);
}

static PyObject *board_cart_state(PyObject *object, PyObject *unused)
{
    (void)unused;
    const plant_state_t *at = &((board_cart_object *)object)->state;
    return Py_BuildValue("(dddd)", at->position_m, at->speed_m_s, at->angle_rad, at->rate_rad_s);
}

/* One physics step at the duty or the count `at_motor`; NAN: with the bridge open or the driver disabled. */
static void step(board_cart_object *self, double at_motor)
{
    const bool is_open = isnan(at_motor);
    if (self->params.has_stepper) {
        if (!is_open)
            self->counted = at_motor;
        const step_pulses_t pulses = {self->counted + self->steps_at_0, !is_open};
        const stepper_aim_t aim = stepper_aim(&self->stepper, &pulses, &self->state);
        const double rubbing_n = motor_force(&self->motor, 0.0, self->state.speed_m_s, true);
        plant_step_driven(&self->params.plant, &self->state, rubbing_n, aim.speed_m_s, aim.force_n);
        return;
    }
    const double force_n = motor_force(&self->motor, is_open ? 0.0 : at_motor, self->state.speed_m_s, is_open);
    plant_step(&self->params.plant, &self->state, force_n);
}

static int read_drive(PyObject *object, double *drive)
{
    *drive = object == Py_None ? NAN : PyFloat_AsDouble(object);
    return PyErr_Occurred() != NULL ? -1 : 0;
}

static PyObject *board_cart_step(PyObject *object, PyObject *drive)
{
    board_cart_object *self = (board_cart_object *)object;
    double at_motor;
    if (read_drive(drive, &at_motor) < 0)
        return NULL;
    step(self, at_motor);
    return counts_tuple(self);
}

/* Feeds the board what the line brings until `now_ms`; `waiting` is a deque of (due ms, bytes). */
static int deliver(const board_api_t *api, PyObject *board, PyObject *waiting, int64_t now_ms)
{
    for (;;) {
        const Py_ssize_t length = PyObject_Length(waiting);
        if (length <= 0)
            return (int)length;
        PyObject *first = PySequence_GetItem(waiting, 0);
        if (first == NULL)
            return -1;
        long long due_ms;
        PyObject *bytes;
        if (!PyTuple_Check(first))
            PyErr_Format(PyExc_TypeError, "expected a tuple of due time and bytes, got %R", first);
        if (PyErr_Occurred() != NULL || !PyArg_ParseTuple(first, "LS", &due_ms, &bytes) || due_ms > now_ms) {
            Py_DECREF(first);
            return PyErr_Occurred() != NULL ? -1 : 0;
        }
        const int outcome = api->feed(board, (const uint8_t *)PyBytes_AsString(bytes), PyBytes_Size(bytes));
        Py_DECREF(first);
        if (outcome < 0)
            return -1;
        PyObject *gone = PyObject_CallMethod(waiting, "popleft", NULL);
        if (gone == NULL)
            return -1;
        Py_DECREF(gone);
    }
}

/* What the motor gets of the drive: at another supply a bridge's share of another voltage, a driver nothing below half. */
static double at_motor(const board_cart_object *self, unsigned supply_mv, unsigned nominal_mv)
{
    if (self->params.has_stepper)
        return supply_mv < nominal_mv / 2u ? NAN : self->drive;
    return supply_mv == nominal_mv ? self->drive : self->drive * supply_mv / nominal_mv;
}

/* run(board, waiting, most_ms, time_ms, drive, (supply_mv, nominal_mv, set, cleared, left, right, cart_zero, pole_zero)) */
static PyObject *board_cart_run(PyObject *object, PyObject *args)
{
    board_cart_object *self = (board_cart_object *)object;
    PyObject *board, *waiting, *drive;
    long long most_ms, time_ms, left, right, cart_zero, pole_zero;
    unsigned supply_mv, nominal_mv, set, cleared;
    if (!PyArg_ParseTuple(args, "OOLLO(IIIILLLL)", &board, &waiting, &most_ms, &time_ms, &drive, &supply_mv, &nominal_mv,
                          &set, &cleared, &left, &right, &cart_zero, &pole_zero) ||
        read_drive(drive, &self->drive) < 0)
        return NULL;
    if (self->apis[1] == NULL)
        return PyErr_Format(PyExc_RuntimeError, "the cart has no parameters");
    const board_api_t *api = NULL;
    for (int k = 0; k < APIS; k++)
        if (PyObject_TypeCheck(board, self->apis[k]->type))
            api = self->apis[k];
    if (api == NULL)
        return PyErr_Format(PyExc_TypeError, "expected a Firmware or a ChipMailbox, got %R", board);
    if (time_ms < 0 || most_ms < 0 || most_ms > INT64_MAX - time_ms)
        return PyErr_Format(PyExc_ValueError, "%lld ms from %lld ms on, expected neither negative nor endless", most_ms, time_ms);
    self->time_ms = time_ms;
    for (const int64_t end_ms = time_ms + most_ms; self->time_ms < end_ms;) {
        int64_t cart_counts, pole_counts;
        double pulses;
        step(self, at_motor(self, supply_mv, nominal_mv));
        self->time_ms++;
        if (count(self, &cart_counts, &pole_counts) < 0 || deliver(api, board, waiting, self->time_ms) < 0)
            return NULL;
        unsigned inputs = 0;
        if (!(left < cart_counts && cart_counts < right))
            inputs = cart_counts < 0 ? LEFT_SWITCH : RIGHT_SWITCH;
        inputs = (inputs | set) & ~cleared;
        const int is_driven = api->tick(board, (int32_t)(uint32_t)(cart_counts - cart_zero),
                                        (int32_t)(uint32_t)(pole_counts - pole_zero), inputs, supply_mv, &pulses);
        if (is_driven < 0)
            return NULL;
        self->drive = is_driven ? pulses * self->pulse : NAN;
        if (api->has_sent(board))
            break;
    }
    Py_RETURN_NONE;
}

static PyMethodDef board_cart_methods[] = {
    {"change", board_cart_change, METH_O, "change(cart): become that CartParams; call place() next."},
    {"place", board_cart_place, METH_O, "place(state): be there, motor without current; (cart counts, pole counts)."},
    {"turn", board_cart_turn, METH_VARARGS, "turn(angle_rad, rate_rad_s): the pole is there; (cart counts, pole counts)."},
    {"counts", board_cart_counts, METH_NOARGS, "(cart counts, pole counts) of the state."},
    {"state", board_cart_state, METH_NOARGS, "The true state: position, speed, angle, angular speed."},
    {"step", board_cart_step, METH_O, "step(drive): one physics step at that duty, or a stepper's count; None with the bridge open, the driver disabled. The counts."},
    {"run", board_cart_run, METH_VARARGS,
     "run(board, waiting, most_ms, time_ms, drive, surroundings): until the board has sent something, at most `most_ms`. "
     "`time_ms` and `drive` then have what is in force, after an exception too."},
    {NULL, NULL, 0, NULL},
};

static PyObject *board_cart_time_ms(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromLongLong(((board_cart_object *)object)->time_ms);
}

static PyObject *board_cart_drive(PyObject *object, void *unused)
{
    (void)unused;
    const double drive = ((board_cart_object *)object)->drive;
    if (isnan(drive))
        Py_RETURN_NONE;
    return PyFloat_FromDouble(drive);
}

static PyGetSetDef board_cart_properties[] = {
    {"time_ms", board_cart_time_ms, NULL, "The time at the end of the last run.", NULL},
    {"drive", board_cart_drive, NULL, "The duty at the bridge at the end of the last run, None with the bridge open.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot board_cart_slots[] = {
    {Py_tp_doc, "BoardCart(cart, pulse_period): the CartParams `cart` in front of a board."},
    {Py_tp_init, board_cart_init},
    {Py_tp_dealloc, free_object},
    {Py_tp_methods, board_cart_methods},
    {Py_tp_getset, board_cart_properties},
    {0, NULL},
};

static PyType_Spec board_cart_spec = {
    .name = "cartpole_robot.simulation._native.BoardCart",
    .basicsize = sizeof(board_cart_object),
    .flags = TYPE_FLAGS,
    .slots = board_cart_slots,
};

int add_board_cart(PyObject *module)
{
    return add_type(module, &board_cart_spec);
}
