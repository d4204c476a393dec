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
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && (add_native_cart(made) < 0 || add_board_cart(made) < 0 || add_fleet(made) < 0 ||
                         add_windows(made) < 0 || add_stepper_drive(made) < 0))
        Py_CLEAR(made);
    return made;
}
