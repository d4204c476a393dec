/* cartpole_robot.simulation._native: the simulated cart in C. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "objects.h"

int add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    if (type == NULL)
        return -1;
    const int outcome = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return outcome;
}

void hold(PyObject **place, PyObject *object)
{
    PyObject *before = *place;
    *place = Py_NewRef(object);
    Py_XDECREF(before);
}

void free_object(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    const freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_native",
    .m_doc = "The simulated cart in C, a control period in one call.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && (add_native_cart(made) < 0 || add_board_cart(made) < 0 || add_fleet(made) < 0 ||
                         add_windows(made) < 0))
        Py_CLEAR(made);
    return made;
}
