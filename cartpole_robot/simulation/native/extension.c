/* cartpole_robot.simulation._native: the simulated cart in C. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "objects.h"

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_native",
    .m_doc = "The simulated cart in C, a control period in one call.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__native(void)
{
    if (prepare_native_cart() < 0)
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && (PyModule_AddObjectRef(made, "NativeCart", (PyObject *)&native_cart_type) < 0 ||
                         PyModule_AddType(made, &board_cart_type) < 0))
        Py_CLEAR(made);
    return made;
}
