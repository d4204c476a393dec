/* The parameters of a cart, from the attributes of a `CartParams`. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "bit_generator.h"
#include "objects.h"

static const struct {
    const char *section, *name; /* section NULL: of the cart itself */
    size_t offset;
    double none; /* in place of None */
} numbers[] = {
#define NUMBER(section, name, member, none) {section, name, offsetof(cart_params_t, member), none}
    NUMBER("timing", "physics_step_s", plant.step_s, NAN),
    NUMBER("pole_cart", "mass_kg", plant.mass_kg, NAN),
    NUMBER("pole_cart", "hinge_inertia_kg_m2", plant.inertia_kg_m2, NAN),
    NUMBER("pole_cart", "coupling_kg_m", plant.coupling_kg_m, NAN),
    NUMBER("pole_cart", "gravity_m_s2", plant.gravity_m_s2, NAN),
    NUMBER("friction", "pole_viscous_n_m_s", plant.pole_viscous_n_m_s, NAN),
    NUMBER("friction", "cart_coulomb_n", plant.cart_coulomb_n, NAN),
    NUMBER("friction", "cart_static_n", plant.cart_static_n, NAN),
    NUMBER("friction", "pole_coulomb_n_m", plant.pole_coulomb_n_m, NAN),
    NUMBER("limits", "end_stop_m", plant.end_stop_m, INFINITY),
    NUMBER("motor", "stall_force_n", motor.stall_force_n, NAN),
    NUMBER("motor", "right_share", motor.right.share, NAN),
    NUMBER("motor", "right_slope_n", motor.right.slope_n, NAN),
    NUMBER("motor", "right_dead_zone_duty", motor.right.dead_zone_duty, NAN),
    NUMBER("motor", "left_share", motor.left.share, NAN),
    NUMBER("motor", "left_slope_n", motor.left.slope_n, NAN),
    NUMBER("motor", "left_dead_zone_duty", motor.left.dead_zone_duty, NAN),
    NUMBER("motor", "saturation", motor.saturation, NAN),
    NUMBER("motor", "lag_s", motor.lag_s, NAN),
    NUMBER("motor", "supply_voltage_v", motor.supply_voltage_v, NAN),
    NUMBER("motor", "stall_current_a", motor.stall_current_a, NAN),
    NUMBER("motor", "back_emf_n_s_m", back_emf_n_s_m, NAN),
    NUMBER(NULL, "damping_n_s_m", motor.damping_n_s_m, NAN),
    NUMBER("friction", "cart_viscous_n_s_m", motor.viscous_n_s_m, NAN),
    NUMBER("pole_cart", "cart_mass_kg", motor.cart_mass_kg, NAN),
    NUMBER("timing", "physics_step_s", motor.step_s, NAN),
    NUMBER("delay", "latency_s", delay.latency_s, NAN),
    NUMBER("delay", "jitter_s", delay.jitter_s, NAN),
    NUMBER("delay", "drop_probability", delay.drop_probability, NAN),
    NUMBER("timing", "physics_step_s", delay.step_s, NAN),
    NUMBER("timing", "control_period_s", delay.period_s, NAN),
};

static const struct {
    const char *name;
    size_t offset;
} stepper_numbers[] = {
#define STEPPER(name) {#name, offsetof(stepper_params_t, name)}
    STEPPER(steps_per_m),
    STEPPER(microsteps),
    STEPPER(maximum_speed_m_s),
    STEPPER(maximum_acceleration_m_s2),
    STEPPER(pull_out_force_n),
    STEPPER(corner_speed_m_s),
    STEPPER(pull_in_speed_m_s),
    STEPPER(settling_s),
};
#undef NUMBER
#undef STEPPER

/* The attribute `name` of `section` of `object`; NULL with an exception. */
static PyObject *attribute(PyObject *object, const char *section, const char *name)
{
    if (section == NULL)
        return PyObject_GetAttrString(object, name);
    PyObject *part = PyObject_GetAttrString(object, section);
    PyObject *found = part != NULL ? PyObject_GetAttrString(part, name) : NULL;
    Py_XDECREF(part);
    return found;
}

static int read_number(PyObject *cart, const char *section, const char *name, double none, double *number)
{
    PyObject *found = attribute(cart, section, name);
    if (found == NULL)
        return -1;
    *number = found == Py_None ? none : PyFloat_AsDouble(found);
    Py_DECREF(found);
    return PyErr_Occurred() != NULL ? -1 : 0;
}

static int read_apply(PyObject *cart, delay_apply_t *apply)
{
    static const char *const names[] = {
        [DELAY_AT_ONCE] = "at_once", [DELAY_NEXT_TICK] = "next_tick", [DELAY_ON_ARRIVAL] = "on_arrival"};
    PyObject *found = attribute(cart, "delay", "apply");
    const char *word = found != NULL ? PyUnicode_AsUTF8AndSize(found, NULL) : NULL;
    int outcome = -1;
    for (int k = 0; word != NULL && k < 3; k++)
        if (strcmp(word, names[k]) == 0) {
            *apply = (delay_apply_t)k;
            outcome = 0;
        }
    if (outcome < 0 && PyErr_Occurred() == NULL)
        PyErr_Format(PyExc_ValueError, "delay.apply = %R is not known to the native engine", found);
    Py_XDECREF(found);
    return outcome;
}

static int read_stepper(PyObject *cart, cart_params_t *params)
{
    PyObject *found = PyObject_GetAttrString(cart, "stepper");
    if (found == NULL)
        return -1;
    params->has_stepper = found != Py_None;
    Py_DECREF(found);
    for (size_t k = 0; params->has_stepper && k < sizeof stepper_numbers / sizeof stepper_numbers[0]; k++)
        if (read_number(cart, "stepper", stepper_numbers[k].name, NAN,
                        (double *)((char *)&params->stepper + stepper_numbers[k].offset)) < 0)
            return -1;
    return 0;
}

int read_cart(PyObject *cart, cart_params_t *params)
{
    *params = (cart_params_t){0};
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
        if (read_number(cart, numbers[k].section, numbers[k].name, numbers[k].none,
                        (double *)((char *)params + numbers[k].offset)) < 0)
            return -1;
    double steps;
    if (read_number(cart, "timing", "physics_steps_per_period", NAN, &steps) < 0 ||
        read_apply(cart, &params->delay.apply) < 0 || read_stepper(cart, params) < 0)
        return -1;
    PyObject *found = PyObject_GetAttrString(cart, "encoders");
    if (found == NULL)
        return -1;
    params->has_encoders = found != Py_None;
    Py_DECREF(found);
    if (params->has_encoders &&
        (read_number(cart, "encoders", "cart_counts_per_m", NAN, &params->counts_per_m) < 0 ||
         read_number(cart, "encoders", "pole_counts_per_rad", NAN, &params->counts_per_rad) < 0))
        return -1;
    found = attribute(cart, "motor", "brakes_at_zero");
    if (found == NULL)
        return -1;
    const int brakes = PyObject_IsTrue(found);
    Py_DECREF(found);
    if (brakes < 0)
        return -1;
    params->motor.brakes_at_zero = brakes;
    if (!params->has_encoders)
        params->plant.end_stop_m = INFINITY; /* an ideal cart's track has no end */
    params->delay.steps = steps < INT_MAX ? (int)steps : INT_MAX;
    return 0;
}

int read_whole_cart(PyObject *cart, cart_params_t *params)
{
    if (read_cart(cart, params) < 0)
        return -1;
    if (params->delay.steps > CART_MOST_STEPS) {
        PyErr_Format(PyExc_ValueError, "%d physics steps in a control period, the native engine takes at most %d",
                     params->delay.steps, CART_MOST_STEPS);
        return -1;
    }
    if (!delay_fits(&params->delay)) {
        PyErr_Format(PyExc_ValueError, "more than %d commands on their way at a time, the native engine takes no more",
                     DELAY_MOST);
        return -1;
    }
    return 0;
}

int read_period(PyObject *cart, uint32_t *period_us)
{
    double number;
    if (read_number(cart, "timing", "control_period_us", NAN, &number) < 0)
        return -1;
    *period_us = (uint32_t)number;
    return 0;
}

int read_uniform(PyObject *bit_generator, uniform_t *uniform)
{
    const bit_generator_t *bits = read_bit_generator(bit_generator);
    if (bits == NULL)
        return -1;
    *uniform = (uniform_t){bits->next_double, bits->state};
    return 0;
}
