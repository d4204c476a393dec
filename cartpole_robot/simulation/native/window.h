/* A window of a recording run through a cart: recorded commands in, the positions and angles at the recorded moments out.
 *
 * A command holds from a delay after its own moment until the next one does; one that takes effect within a physics step shares it
 * with the one before, in proportion. Before the first, the duty is 0. Moments between two steps are interpolated. */
#ifndef WINDOW_H
#define WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "cart.h"

#define WINDOW_SIGNALS 2 /* of a reading: position in m, angle in rad */

/* A recording of `count` entries, one a control period: a moment in whole microseconds, and the duty requested
 * there, NAN where the bridge is open. */
typedef struct {
    const int64_t *times_us;
    const double *duties;
    int64_t count;
} window_series_t;

/* Entries `first` to before `end` of a series; with the bridge open at the first, it is open throughout. */
typedef struct {
    window_series_t series;
    int64_t first, end;
} window_t;

/* One run of it. */
typedef struct {
    const cart_params_t *params;
    double delay_s;
    plant_state_t state; /* in: at the window's first entry, the motor without current; out: at its last */
    double *readings;    /* out: WINDOW_SIGNALS for each entry */
} window_run_t;

/* Runs `count` of them. */
void window_run(const window_t *window, window_run_t *runs, int count);

#endif
