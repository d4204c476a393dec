/* Windows: window.c over all windows of some recordings, for many carts in one call. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "objects.h"
#include "window.h"

#define STATE_SIGNALS 4 /* of a start state: position, speed, angle, angular speed */

typedef struct {
    PyObject_HEAD
    Py_buffer times_us, duties; /* of all series, one after the other */
    window_t *windows;
    Py_ssize_t count;
    Py_ssize_t entries; /* of all windows */
} windows_object;

#define ANY_SIZE (-1)

/* A type of array elements, 8 bytes each: its name in NumPy, and the codes of it in the buffer protocol. */
typedef struct {
    const char *name, *codes;
} element_t;

static const element_t FLOAT64 = {"float64", "d"}, INT64 = {"int64", "lq"};

/* The values of a contiguous array of that type, `size` of them; -1 with an exception for any other object. */
static int read_array(PyObject *array, const char *name, element_t type, Py_ssize_t size, int flags, Py_buffer *view)
{
    if (PyObject_GetBuffer(array, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | flags) < 0)
        return -1;
    const char *format = view->format != NULL ? view->format : "B";
    const bool is_right = view->itemsize == 8 && strlen(format) == 1 && strchr(type.codes, format[0]) != NULL;
    const Py_ssize_t found = is_right ? view->len / 8 : 0;
    if (is_right && (size == ANY_SIZE || size == found))
        return 0;
    if (!is_right)
        PyErr_Format(PyExc_ValueError, "%s: expected an array of %s, got values of format %s", name, type.name, format);
    else
        PyErr_Format(PyExc_ValueError, "%s: expected %zd values, got %zd", name, size, found);
    PyBuffer_Release(view);
    return -1;
}

static void release(windows_object *self)
{
    PyBuffer_Release(&self->times_us); /* releasing twice does nothing */
    PyBuffer_Release(&self->duties);
    PyMem_Free(self->windows);
    self->windows = NULL;
    self->count = self->entries = 0;
}

/* One of the windows: where its series begins and ends among all values, and where it does. */
static int add_window(windows_object *self, PyObject *edges)
{
    const int64_t values = self->times_us.len / (Py_ssize_t)sizeof(double);
    long long begin, finish, first, end;
    if (!PyTuple_Check(edges)) {
        PyErr_Format(PyExc_TypeError, "window %zd: expected a tuple of four numbers, got %R", self->count, edges);
        return -1;
    }
    if (!PyArg_ParseTuple(edges, "LLLL", &begin, &finish, &first, &end))
        return -1;
    if (!(0 <= begin && begin <= first && first + 2 <= end && end <= finish && finish <= values)) {
        PyErr_Format(PyExc_ValueError, "window %zd: expected two entries or more, inside its series; got %R", self->count, edges);
        return -1;
    }
    const int64_t *times_us = self->times_us.buf;
    const double *duties = self->duties.buf;
    if (!(times_us[end - 1] > times_us[first])) {
        PyErr_Format(PyExc_ValueError, "window %zd: its last time is not after its first", self->count);
        return -1;
    }
    self->windows[self->count++] =
        (window_t){.series = {times_us + begin, duties + begin, finish - begin}, .first = first - begin, .end = end - begin};
    self->entries += (Py_ssize_t)(end - first);
    return 0;
}

static int windows_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"times_us", "duties", "windows", NULL};
    windows_object *self = (windows_object *)object;
    PyObject *times_us, *duties, *windows;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO", names, &times_us, &duties, &windows))
        return -1;
    release(self);
    if (read_array(times_us, names[0], INT64, ANY_SIZE, 0, &self->times_us) < 0 ||
        read_array(duties, names[1], FLOAT64, self->times_us.len / (Py_ssize_t)sizeof(double), 0, &self->duties) < 0)
        return -1;
    const Py_ssize_t count = PySequence_Size(windows);
    if (count < 0)
        return -1;
    self->windows = PyMem_Calloc((size_t)count + 1, sizeof(window_t));
    if (self->windows == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t k = 0; k < count; k++) {
        PyObject *edges = PySequence_GetItem(windows, k);
        const int outcome = edges != NULL ? add_window(self, edges) : -1;
        Py_XDECREF(edges);
        if (outcome < 0)
            return -1;
    }
    return 0;
}

static void windows_dealloc(PyObject *object)
{
    release((windows_object *)object);
    free_object(object);
}

/* The parameters of each of `carts`, which all have one physics step; NULL with an exception. */
static cart_params_t *read_carts(PyObject *carts, Py_ssize_t count)
{
    cart_params_t *params = PyMem_Calloc((size_t)count + 1, sizeof(cart_params_t));
    if (params == NULL)
        return (cart_params_t *)PyErr_NoMemory();
    for (Py_ssize_t k = 0; k < count; k++) {
        PyObject *cart = PySequence_GetItem(carts, k);
        const int outcome = cart != NULL ? read_cart(cart, &params[k]) : -1;
        Py_XDECREF(cart);
        const bool is_of_one_drive = params[k].has_stepper == params[0].has_stepper;
        if (outcome == 0 && params[k].plant.step_s == params[0].plant.step_s && is_of_one_drive)
            continue;
        if (outcome == 0)
            PyErr_SetString(PyExc_ValueError, is_of_one_drive ? "carts of different physics steps" : "carts of different drives");
        PyMem_Free(params);
        return NULL;
    }
    return params;
}

/* Every window of every run; `runs` has room for one of each cart. */
static void run_all(const windows_object *self, window_run_t *runs, const cart_params_t *carts, Py_ssize_t count,
                    const double *delays_s, const double *starts, double *readings, double *ends)
{
    Py_ssize_t entry = 0;
    for (Py_ssize_t w = 0; w < self->count; w++) {
        const window_t *window = &self->windows[w];
        for (Py_ssize_t k = 0; k < count; k++) {
            const double *at = starts + STATE_SIGNALS * (k * self->count + w);
            runs[k] = (window_run_t){
                .params = &carts[k],
                .delay_s = delays_s[k],
                .state = {at[0], at[1], at[2], at[3]},
                .readings = readings + WINDOW_SIGNALS * (k * self->entries + entry),
            };
        }
        window_run(window, runs, (int)count);
        for (Py_ssize_t k = 0; k < count; k++) {
            double *end = ends + STATE_SIGNALS * (k * self->count + w);
            end[0] = runs[k].state.position_m;
            end[1] = runs[k].state.speed_m_s;
            end[2] = runs[k].state.angle_rad;
            end[3] = runs[k].state.rate_rad_s;
        }
        entry += (Py_ssize_t)(window->end - window->first);
    }
}

static PyObject *windows_run(PyObject *object, PyObject *args)
{
    windows_object *self = (windows_object *)object;
    PyObject *carts, *arrays[4];
    Py_buffer views[4];
    if (!PyArg_ParseTuple(args, "OOOOO", &carts, &arrays[0], &arrays[1], &arrays[2], &arrays[3]))
        return NULL;
    const Py_ssize_t count = PySequence_Size(carts);
    if (count < 0)
        return NULL;
    const Py_ssize_t states = STATE_SIGNALS * count * self->count;
    const Py_ssize_t sizes[] = {count, states, WINDOW_SIGNALS * count * self->entries, states};
    static const char *const names[] = {"delays_s", "starts", "readings", "ends"};
    int known = 0;
    for (; known < 4; known++)
        if (read_array(arrays[known], names[known], FLOAT64, sizes[known], known < 2 ? 0 : PyBUF_WRITABLE, &views[known]) < 0)
            break;
    cart_params_t *params = known == 4 ? read_carts(carts, count) : NULL;
    window_run_t *runs = params != NULL ? PyMem_Calloc((size_t)count + 1, sizeof(window_run_t)) : NULL;
    const bool is_ready = runs != NULL;
    if (is_ready) {
        Py_BEGIN_ALLOW_THREADS
        run_all(self, runs, params, count, views[0].buf, views[1].buf, views[2].buf, views[3].buf);
        Py_END_ALLOW_THREADS
    } else if (params != NULL) {
        PyErr_NoMemory();
    }
    PyMem_Free(runs);
    PyMem_Free(params);
    while (known > 0)
        PyBuffer_Release(&views[--known]);
    return is_ready ? Py_NewRef(Py_None) : NULL;
}

static PyMethodDef windows_methods[] = {
    {"run", windows_run, METH_VARARGS,
     "run(carts, delays_s, starts, readings, ends): every window under each of the CartParams `carts`. float64 arrays, with n the "
     "number of carts: delays_s (n,) and starts (n, windows, 4) are read, readings (n, entries of all windows, 2) and ends "
     "(n, windows, 4) are written."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot windows_slots[] = {
    {Py_tp_doc, "Windows(times_us, duties, windows): arrays of all series' entries, int64 and float64; of each window, the first entry of its "
                "series, one past its last, the first of the window and one past its last."},
    {Py_tp_init, windows_init},
    {Py_tp_dealloc, windows_dealloc},
    {Py_tp_methods, windows_methods},
    {0, NULL},
};

static PyType_Spec windows_spec = {
    .name = "cartpole_robot.simulation._native.Windows",
    .basicsize = sizeof(windows_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = windows_slots,
};

int add_windows(PyObject *module)
{
    return add_type(module, &windows_spec);
}
