/* The firmware of a stepper, built for this machine: firmware_bridge._stepper. What both drives share is in firmware_bridge._host. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "objects.h"

PyTypeObject *policy_image_type; /* that of firmware_bridge._host: a PolicyImage serves both drives */

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_stepper",
    .m_doc = "The firmware's C for a stepper, built for this machine.",
    .m_size = -1,
};

static int take_policy_image(void)
{
    PyObject *host = PyImport_ImportModule("firmware_bridge._host");
    if (host == NULL)
        return -1;
    policy_image_type = (PyTypeObject *)PyObject_GetAttrString(host, "PolicyImage");
    Py_DECREF(host);
    return policy_image_type != NULL ? 0 : -1;
}

PyMODINIT_FUNC PyInit__stepper(void)
{
    PyObject *self = PyModule_Create(&module);
    if (self == NULL)
        return NULL;
    PyObject *api = PyCapsule_New(&board_api, STEPPER_API_NAME, NULL);
    if (api == NULL || PyModule_AddObjectRef(self, strrchr(STEPPER_API_NAME, '.') + 1, api) < 0 || take_policy_image() < 0 ||
        add_firmware(self) < 0)
        Py_CLEAR(self);
    Py_XDECREF(api);
    return self;
}
