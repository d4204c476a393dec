/* The Python types that extension.c puts into its module. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <Python.h>

extern PyTypeObject cart_estimator_type;

#endif
