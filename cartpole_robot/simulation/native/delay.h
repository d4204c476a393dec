/* The time between a measurement and the moment its command takes effect: one requested duty a control period becomes the duty of
 * each physics step. The rules are those of `CommandDelay` in Python, which explains them. */
#ifndef DELAY_H
#define DELAY_H

#include <stdbool.h>
#include <stdint.h>

#define DELAY_MOST 64 /* commands on their way at a time */

typedef enum { DELAY_AT_ONCE, DELAY_NEXT_TICK, DELAY_ON_ARRIVAL } delay_apply_t;

typedef struct {
    delay_apply_t apply;
    double latency_s, jitter_s, drop_probability;
    double step_s, period_s;
    int steps; /* physics steps in a control period */
} delay_params_t;

typedef struct {
    double effect; /* in physics steps from now */
    int64_t number;
    double duty;
} delay_waiting_t;

typedef struct {
    double moment_s; /* from now until it arrives */
    int64_t number;
} delay_coming_t;

typedef struct {
    delay_params_t params;
    delay_waiting_t waiting[DELAY_MOST];
    delay_coming_t coming[DELAY_MOST];
    int waiting_count, coming_count;
    int64_t sent, newest, active_number;
    double active_duty;
    double command_age_s; /* at the end of the last period, since the newest command had arrived; NAN before the first */
} delay_t;

/* A source of uniform numbers in [0, 1): the caller's random generator. */
typedef struct {
    double (*next)(void *state);
    void *state;
} uniform_t;

/* Whether a cart with this delay never has more commands on their way than fit. */
bool delay_fits(const delay_params_t *params);

/* When a command of a delay without jitter or losses takes effect: `periods` control periods and `steps` physics steps after its
 * measurement, the steps fewer than a period has. */
typedef struct {
    int periods;
    double steps;
} delay_moment_t;

/* Returns false for a delay with jitter or losses, which has no such moment. */
bool delay_moment(const delay_params_t *params, delay_moment_t *moment);

/* Fills `duties` as `delay_duties` does, with the command that takes effect in this period and the one that is in force before. */
void delay_certain_duties(const delay_params_t *params, delay_moment_t moment, double before, double after, double *duties);

/* An episode begins: nothing is on its way, duty 0 is in force. */
void delay_reset(delay_t *delay, const delay_params_t *params);

/* Fills `duties` with the duty of each of the period's physics steps, when `requested` is sent. Draws from `random` as the Python
 * class does: one number for a loss, one for the jitter of a command that is not lost; none where there is neither. */
void delay_duties(delay_t *delay, double requested, const uniform_t *random, double *duties);

#endif
