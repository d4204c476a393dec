/* NativeCart.episode: a policy acts on the cart until a fall. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "boards/host/policy_api.h"
#include "cart_object.h"
#include "episode.h"

#define BETWEEN_CHECKS 4096 /* steps of an episode, between which other threads and signal handlers run */

/* What the policy object computes, with the numbers it expects of the cart; -1 with an exception for one that does not fit. */
static int read_policy(PyObject *policy, PyObject *duties, episode_rules_t *rules)
{
    const policy_api_t *api = PyCapsule_Import(POLICY_API_NAME, 0);
    policy_view_t view;
    if (api == NULL)
        return -1;
    if (api->version != POLICY_API_VERSION) {
        PyErr_Format(PyExc_ImportError, "firmware_bridge._host has policy interface %d, expected %d; install both again",
                     api->version, POLICY_API_VERSION);
        return -1;
    }
    if (!api->view(policy, &view)) {
        PyErr_Format(PyExc_TypeError, "expected a FloatPolicy, Int16Policy or HostPolicy with weights, got %R", policy);
        return -1;
    }
    if (rules->history_length < 1 || rules->history_length > HISTORY_MOST ||
        view.inputs != episode_inputs(rules->history_length)) {
        PyErr_Format(PyExc_ValueError, "a policy of %d inputs, which is none of history length %d", view.inputs,
                     rules->history_length);
        return -1;
    }
    const Py_ssize_t count = PyTuple_Size(duties);
    if (count < view.outputs || count > EPISODE_MOST_ACTIONS) {
        if (PyErr_Occurred() == NULL)
            PyErr_Format(PyExc_ValueError, "%zd duties, expected %d to %d: as many as the policy has actions", count,
                         view.outputs, EPISODE_MOST_ACTIONS);
        return -1;
    }
    for (Py_ssize_t k = 0; k < count; k++)
        rules->duties[k] = PyFloat_AsDouble(PyTuple_GetItem(duties, k));
    rules->act = view.act;
    rules->duty = view.duty;
    rules->policy = view.policy;
    return PyErr_Occurred() != NULL ? -1 : 0;
}

/* Runs the episode to its end, letting signal handlers and other threads run now and then; -1 with an exception of a handler. */
static int run(native_cart_object *self, const episode_rules_t *rules, int64_t most_steps, episode_t *episode,
               episode_sums_t *sums)
{
    episode_begin(episode, &self->reading);
    for (;;) {
        const int64_t until = most_steps - episode->steps > BETWEEN_CHECKS ? episode->steps + BETWEEN_CHECKS : most_steps;
        const int64_t before = episode->steps;
        episode_run(episode, rules, until, &self->cart, &self->uniform, &self->reading, sums);
        self->tick += episode->steps - before - (episode->end == EPISODE_DIVERGED);
        if (episode->end != EPISODE_RUNS || episode->steps >= most_steps)
            return 0;
        PyEval_RestoreThread(PyEval_SaveThread());
        if (PyErr_CheckSignals() < 0)
            return -1;
    }
}

/* episode(policy, duties, history_length, (position limit, angle limit), most_steps, (m^2, rad^2, W, reversals)) */
PyObject *native_cart_episode(PyObject *object, PyObject *args)
{
    native_cart_object *self = (native_cart_object *)object;
    PyObject *policy, *duties;
    long long most_steps, reversals;
    episode_rules_t rules = {0};
    episode_sums_t sums;
    episode_t episode;
    if (!PyArg_ParseTuple(args, "OOi(dd)L(dddL)", &policy, &duties, &rules.history_length, &rules.position_limit_m,
                          &rules.angle_limit_rad, &most_steps, &sums.square_m2, &sums.square_rad2, &sums.power_w,
                          &reversals) ||
        read_policy(policy, duties, &rules) < 0 || refuse_busy(self) < 0 || refuse_ahead(self) < 0 ||
        refuse_unplaced(self) < 0)
        return NULL;
    sums.reversals = reversals;
    self->is_busy = true; /* `args` holds the policy */
    const int outcome = run(self, &rules, most_steps, &episode, &sums);
    self->is_busy = false;
    PyObject *measurement = outcome == 0 ? written(self) : NULL;
    if (measurement == NULL)
        return NULL;
    Py_DECREF(measurement);
    PyObject *fault = episode.end == EPISODE_DIVERGED ? divergence(self) : Py_NewRef(Py_None);
    if (fault == NULL)
        return NULL;
    PyObject *is_terminated = episode.end == EPISODE_TERMINATED ? Py_True : Py_False;
    return Py_BuildValue("(LON(dddL))", (long long)episode.steps, is_terminated, fault, sums.square_m2, sums.square_rad2,
                         sums.power_w, (long long)sums.reversals);
}
