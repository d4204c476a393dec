/* ChipMailbox: the world's end of an emulated chip's mailbox, as a Python object with the methods of Firmware. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "../firmware/boards/host/board_parts.h"
#include "../firmware/boards/host/objects.h"
#include "driver.h"
#include "mailbox.h"

#define PATIENCE_MS 20  /* between two looks at whether there is still somebody */
#define MOST_SKEW_PPM 100000

typedef struct {
    PyObject_HEAD
    mailbox_t *mailbox;
    PyObject *is_alive;  /* called with the ms of waiting while nothing answers; raises what ends that */
    uint32_t number;     /* of the last millisecond */
    bool is_begun;       /* it has not been ended */
    world_t next;        /* what goes with the next one */
    uint8_t kept[MAILBOX_LINE_BYTES]; /* bytes that the chip has sent */
    Py_ssize_t kept_length;
    uint8_t last_taken;  /* of them */
    unsigned naps;       /* see mailbox_look() */
    driver_t driver;
} mailbox_object;

static void equip(world_t *world, const board_parts_t *parts)
{
    world->rail_mv = parts->rail_mv;
    world->fuses[0] = parts->fuse_low;
    world->fuses[1] = parts->fuse_high;
    world->fuses[2] = parts->fuse_extended;
    world->lock_bits = parts->lock_bits;
    world->bootloader = parts->bootloader;
    world->signature = parts->chip;
}

static int mailbox_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"file", "is_alive", NULL};
    mailbox_object *self = (mailbox_object *)object;
    int file;
    PyObject *is_alive;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iO", names, &file, &is_alive))
        return -1;
    if (self->mailbox != NULL) {
        PyErr_SetString(PyExc_TypeError, "a mailbox is opened once");
        return -1;
    }
    void *memory = mmap(NULL, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    self->mailbox = memory;
    self->mailbox->version = MAILBOX_VERSION;
    self->mailbox->bytes = sizeof *self->mailbox;
    self->is_alive = Py_NewRef(is_alive);
    self->next.drive = WORLD_DRIVES_DC;
    equip(&self->next, &usual_parts);
    return 0;
}

static void mailbox_dealloc(PyObject *object)
{
    mailbox_object *self = (mailbox_object *)object;
    if (self->mailbox != NULL)
        munmap(self->mailbox, MAILBOX_BYTES);
    Py_XDECREF(self->is_alive);
    free_object(object);
}

/* Until the chip has driven its bridge; -1 with an exception where nobody does. */
static int wait_for_answer(mailbox_object *self)
{
    mailbox_t *mailbox = self->mailbox;
    if (mailbox_look(&mailbox->answered, self->number, &self->naps))
        return 0;
    for (int waited_ms = PATIENCE_MS;; waited_ms += PATIENCE_MS) {
        bool has_come;
        Py_BEGIN_ALLOW_THREADS
        has_come = mailbox_sleep(&mailbox->answered, self->number, &mailbox->is_world_asleep, PATIENCE_MS);
        Py_END_ALLOW_THREADS
        if (has_come)
            return 0;
        if (PyErr_CheckSignals() < 0)
            return -1;
        PyObject *result = PyObject_CallFunction(self->is_alive, "i", waited_ms);
        if (result == NULL)
            return -1;
        Py_DECREF(result);
    }
}

/* Waits for the answer to the millisecond that has begun, and keeps what was sent. */
static int finish(mailbox_object *self)
{
    if (wait_for_answer(self) < 0)
        return -1;
    self->is_begun = false;
    const chip_t *chip = &self->mailbox->chip;
    const Py_ssize_t room = MAILBOX_LINE_BYTES - self->kept_length;
    const Py_ssize_t length = chip->line_length < room ? chip->line_length : room;
    memcpy(self->kept + self->kept_length, chip->line, (size_t)length);
    self->kept_length += length;
    return 0;
}

/* As `board_api_t.tick`. */
static int tick(PyObject *object, int32_t cart, int32_t pole, unsigned inputs, unsigned supply_mv, double *drive)
{
    mailbox_object *self = (mailbox_object *)object;
    if (self->is_begun && finish(self) < 0) /* one that was interrupted, or whose chip is gone */
        return -1;
    mailbox_t *mailbox = self->mailbox;
    world_t *next = &self->next;
    next->cart_counts = self->driver.is_there && !self->driver.has_cart_encoder ? 0 : cart;
    next->pole_counts = pole;
    next->contacts = (uint8_t)inputs;
    next->supply_mv = (uint16_t)supply_mv;
    memcpy(&mailbox->world, next, offsetof(world_t, line) + next->line_length);
    next->line_length = 0;
    next->order = ORDER_NONE;
    self->number++;
    self->is_begun = true;
    mailbox_raise(&mailbox->asked, self->number, &mailbox->is_chip_asleep);
    if (finish(self) < 0)
        return -1;
    if (self->driver.is_there)
        return driver_take(&self->driver, &mailbox->chip, drive);
    *drive = mailbox->chip.pulses;
    return !mailbox->chip.is_open;
}

static PyObject *mailbox_tick(PyObject *object, PyObject *const *arguments, Py_ssize_t given)
{
    long numbers[4];
    double pulses;
    if (given != 4)
        return PyErr_Format(PyExc_TypeError,
                            "expected cart counts, pole counts, inputs and supply_mv, got %zd arguments", given);
    for (int k = 0; k < 4; k++) {
        numbers[k] = PyLong_AsLong(arguments[k]);
        if (numbers[k] == -1 && PyErr_Occurred() != NULL)
            return NULL;
    }
    const int is_driven = tick(object, (int32_t)(uint32_t)numbers[0], (int32_t)(uint32_t)numbers[1],
                               (unsigned)numbers[2], (unsigned)numbers[3], &pulses);
    if (is_driven < 0)
        return NULL;
    if (is_driven == 0)
        Py_RETURN_NONE;
    if (((mailbox_object *)object)->driver.is_there)
        return PyFloat_FromDouble(pulses);
    return PyLong_FromLong((long)pulses);
}

static int feed(PyObject *object, const uint8_t *bytes, Py_ssize_t length)
{
    world_t *next = &((mailbox_object *)object)->next;
    if (length > MAILBOX_LINE_BYTES - next->line_length) {
        PyErr_Format(PyExc_OverflowError, "%zd bytes at once, and the line holds %d", length,
                     MAILBOX_LINE_BYTES - next->line_length);
        return -1;
    }
    memcpy(next->line + next->line_length, bytes, (size_t)length);
    next->line_length = (uint16_t)(next->line_length + length);
    return 0;
}

static PyObject *mailbox_feed(PyObject *object, PyObject *bytes)
{
    Py_buffer view;
    if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    const int outcome = feed(object, view.buf, view.len);
    PyBuffer_Release(&view);
    return outcome < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *mailbox_take(PyObject *object, PyObject *unused)
{
    (void)unused;
    mailbox_object *self = (mailbox_object *)object;
    const Py_ssize_t length = self->kept_length;
    if (length > 0)
        self->last_taken = self->kept[length - 1];
    self->kept_length = 0;
    return PyBytes_FromStringAndSize((const char *)self->kept, length);
}

static bool has_sent(PyObject *object)
{
    const mailbox_object *self = (const mailbox_object *)object;
    uint8_t before = self->last_taken; /* a frame begins with a 0 too: the end is one that follows something */
    for (Py_ssize_t k = 0; k < self->kept_length; k++) {
        if (self->kept[k] == 0 && before != 0)
            return true;
        before = self->kept[k];
    }
    return false;
}

static PyObject *mailbox_has_sent(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(has_sent(object));
}

static PyObject *mailbox_restart(PyObject *object, PyObject *cause)
{
    world_t *next = &((mailbox_object *)object)->next;
    const long number = PyLong_AsLong(cause);
    if (number == -1 && PyErr_Occurred() != NULL)
        return NULL;
    next->order = ORDER_RESET;
    next->reset_cause = (uint8_t)number;
    Py_RETURN_NONE;
}

static PyObject *mailbox_hang(PyObject *object, PyObject *program)
{
    const int is_program = PyObject_IsTrue(program);
    if (is_program < 0)
        return NULL;
    ((mailbox_object *)object)->next.order = is_program ? ORDER_HANG_PROGRAM : ORDER_LOSE_TICK;
    Py_RETURN_NONE;
}

static PyObject *mailbox_wire(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"cut", "swapped", "spiked", "spikes", NULL};
    unsigned char cut = 0, swapped = 0, spiked = 0, spikes = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|bbbb", names, &cut, &swapped, &spiked, &spikes))
        return NULL;
    if (spikes > 50) {
        PyErr_Format(PyExc_ValueError, "%d spikes in a millisecond, expected at most 50", spikes);
        return NULL;
    }
    world_t *next = &((mailbox_object *)object)->next;
    next->cut = cut;
    next->swapped = swapped;
    next->spiked = spiked;
    next->spikes = spikes;
    Py_RETURN_NONE;
}

static PyObject *mailbox_equip(PyObject *object, PyObject *args, PyObject *kwargs)
{
    const world_t *now = &((mailbox_object *)object)->next;
    board_parts_t parts = {
        .rail_mv = now->rail_mv,
        .bandgap_mv = usual_parts.bandgap_mv,
        .pulse_top = usual_parts.pulse_top,
        .fuse_low = now->fuses[0],
        .fuse_high = now->fuses[1],
        .fuse_extended = now->fuses[2],
        .lock_bits = now->lock_bits,
        .bootloader = now->bootloader,
        .chip = now->signature,
    };
    if (take_parts(args, kwargs, &parts) < 0)
        return NULL;
    if (parts.bandgap_mv != usual_parts.bandgap_mv || parts.pulse_top != usual_parts.pulse_top)
        return PyErr_Format(PyExc_ValueError, "simavr's chip has a reference of 1100 mV, and its image sets the timer");
    equip(&((mailbox_object *)object)->next, &parts);
    Py_RETURN_NONE;
}

static PyObject *mailbox_skew(PyObject *object, PyObject *ppm)
{
    const long number = PyLong_AsLong(ppm);
    if (number == -1 && PyErr_Occurred() != NULL)
        return NULL;
    if (number < -MOST_SKEW_PPM || number > MOST_SKEW_PPM)
        return PyErr_Format(PyExc_ValueError, "a clock skew of %ld ppm, expected at most %d either way", number,
                            MOST_SKEW_PPM);
    ((mailbox_object *)object)->next.skew_ppm = (int32_t)number;
    Py_RETURN_NONE;
}

static PyObject *mailbox_figures(PyObject *object, PyObject *unused)
{
    (void)unused;
    const chip_t *chip = &((mailbox_object *)object)->mailbox->chip;
    return Py_BuildValue("{s:I,s:I,s:K,s:K,s:K,s:I,s:I,s:I}", "ticks", chip->ticks, "resets", chip->resets, "cycles",
                         (unsigned long long)chip->cycles, "awake_cycles", (unsigned long long)chip->awake_cycles,
                         "policy_cycles", (unsigned long long)chip->policy_cycles, "longest_latency_cycles",
                         chip->longest_latency, "longest_interrupt_cycles",
                         chip->longest_interrupt, "bytes_lost", chip->bytes_lost);
}

static PyObject *mailbox_steps(PyObject *object, PyObject *unused)
{
    (void)unused;
    const chip_t *chip = &((mailbox_object *)object)->mailbox->chip;
    return Py_BuildValue("iiiB", chip->steps, chip->step_area, (int)chip->is_left, chip->enable);
}

static PyObject *mailbox_wire_driver(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"is_enable_low", "is_reversed", "is_powered", "misses_every", "has_cart_encoder", NULL};
    int is_enable_low = 1, is_reversed = 0, is_powered = 1, has_cart_encoder = 0;
    unsigned misses_every = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|pppIp", names, &is_enable_low, &is_reversed, &is_powered, &misses_every,
                                     &has_cart_encoder))
        return NULL;
    mailbox_object *self = (mailbox_object *)object;
    self->next.drive = WORLD_DRIVES_STEPPER;
    driver_t *driver = &self->driver;
    driver->is_there = true;
    driver->is_enable_low = is_enable_low;
    driver->is_reversed = is_reversed;
    driver->is_powered = is_powered;
    driver->has_cart_encoder = has_cart_encoder;
    driver->misses_every = misses_every;
    Py_RETURN_NONE;
}

/* None for a time that there was none of. */
static PyObject *shortest(uint32_t cycles)
{
    if (cycles == UINT32_MAX)
        return Py_NewRef(Py_None);
    return PyLong_FromUnsignedLong(cycles);
}

static PyObject *mailbox_step_figures(PyObject *object, PyObject *unused)
{
    (void)unused;
    const chip_t *chip = &((mailbox_object *)object)->mailbox->chip;
    const step_times_t *times = &chip->step_times;
    return Py_BuildValue("{s:N,s:N,s:N,s:N,s:N,s:I,s:I}", "high_cycles", shortest(times->high), "low_cycles", shortest(times->low),
                         "period_cycles", shortest(times->period), "setup_cycles", shortest(times->setup), "hold_cycles",
                         shortest(times->hold), "longest_write_cycles", chip->longest_step_write, "lost_bottoms",
                         chip->lost_bottoms);
}

static PyMethodDef mailbox_methods[] = {
    {"tick", (PyCFunction)(void (*)(void))mailbox_tick, METH_FASTCALL,
     "tick(cart_counts, pole_counts, inputs, supply_mv): one millisecond, as Firmware.tick."},
    {"feed", mailbox_feed, METH_O, "feed(bytes): what the host sends, from the next millisecond on."},
    {"take", mailbox_take, METH_NOARGS, "The bytes that have left the chip since the last call."},
    {"has_sent", mailbox_has_sent, METH_NOARGS, "Whether take() would give the end of a frame."},
    {"restart", mailbox_restart, METH_O, "restart(cause): a reset by that enum reset_cause, in the next millisecond."},
    {"hang", mailbox_hang, METH_O,
     "hang(program): from the next millisecond on the main program runs in circles; False: the tick's interrupt is lost."},
    {"wire", (PyCFunction)(void (*)(void))mailbox_wire, METH_VARARGS | METH_KEYWORDS,
     "wire(cut=0, swapped=0, spiked=0, spikes=0): the encoders' wires from the next millisecond on. Channels are bits: 1 "
     "the cart's B, 2 its A, 4 the pole's B, 8 its A; `swapped` has 1 for the cart's encoder and 2 for the pole's; `spikes` hit "
     "the channels `spiked` in each millisecond, all at once, for 6 us."},
    {"equip", (PyCFunction)(void (*)(void))mailbox_equip, METH_VARARGS | METH_KEYWORDS, EQUIP_TEXT},
    {"skew", mailbox_skew, METH_O, "skew(ppm): how much faster the chip's clock runs from the next millisecond on."},
    {"figures", mailbox_figures, METH_NOARGS,
     "What the emulator counted: ticks since the last reset, resets, cycles, awake_cycles and policy_cycles, the longest ways "
     "from a tick to the bridge and through an interrupt in cycles, received bytes lost."},
    {"wire_driver", (PyCFunction)(void (*)(void))mailbox_wire_driver, METH_VARARGS | METH_KEYWORDS,
     "wire_driver(is_enable_low=True, is_reversed=False, is_powered=True, misses_every=0, has_cart_encoder=False): a stepper's driver "
     "is at PB0 to PB2 in place of a bridge, from the next millisecond on, and tick() gives where the pulses it has taken stand on "
     "the mean of the millisecond."},
    {"steps", mailbox_steps, METH_NOARGS,
     "What a stepper's driver has seen by the end of the millisecond: pulses with DIR low less those with DIR high, which wraps at 32 "
     "bits; of this millisecond's, how long ago they ended, added up in half microseconds with their signs; the level of DIR; "
     "ENABLE: 0 let go of, 1 driven low, 2 driven high."},
    {"step_figures", mailbox_step_figures, METH_NOARGS,
     "The shortest times at a stepper driver's pins so far, in cycles, None where there was none: STEP high, low, and from one "
     "rising edge to the next; DIR before a rising edge, and after one; then the longest time from a BOTTOM of Timer1 to the "
     "last write to its compare registers, and how many BOTTOMs found the interrupt of the one before still waiting."},
    {NULL, NULL, 0, NULL},
};

static PyObject *mailbox_time_us(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong((uint32_t)(((mailbox_object *)object)->mailbox->chip.ticks * 1000u));
}

static PyGetSetDef mailbox_properties[] = {
    {"time_us", mailbox_time_us, NULL, "What the chip's clock showed at its last tick; wraps at 32 bits.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot mailbox_slots[] = {
    {Py_tp_doc, "ChipMailbox(file, is_alive): the world's end of an emulated chip's mailbox, in that file's memory; "
     "is_alive(waited_ms) is called while nothing answers, and ends the wait by what it raises."},
    {Py_tp_init, mailbox_init},
    {Py_tp_dealloc, mailbox_dealloc},
    {Py_tp_methods, mailbox_methods},
    {Py_tp_getset, mailbox_properties},
    {0, NULL},
};

static PyType_Spec mailbox_spec = {
    .name = "firmware_bridge._host.ChipMailbox",
    .basicsize = sizeof(mailbox_object),
    .flags = TYPE_FLAGS,
    .slots = mailbox_slots,
};

board_api_t chip_api = {.version = BOARD_API_VERSION, .tick = tick, .feed = feed, .has_sent = has_sent};

int add_mailbox(PyObject *module)
{
    chip_api.type = make_type(module, &mailbox_spec);
    return chip_api.type != NULL ? 0 : -1;
}
