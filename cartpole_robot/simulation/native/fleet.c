#include "fleet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plant_step.h"
#include "trig.h"
#include "width.h"

#define BLOCK 64     /* carts: what the loops over them touch stays in the processor's nearest cache */
#define CACHE_LINE 64
#define SENT 64      /* commands of a cart that are remembered: a power of two, enough for `delay_fits` */
#define EXACT 1.0e12 /* counts: up to here the estimator's sums of them are exact in a float64 */

#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE inline
#endif

_Static_assert(SENT >= DELAY_MOST && (SENT & (SENT - 1)) == 0, "a command is remembered until it takes effect");

typedef struct {
    _Alignas(CACHE_LINE) double position_m[BLOCK];
    double speed_m_s[BLOCK], angle_rad[BLOCK], rate_rad_s[BLOCK], drive_n[BLOCK];
} states_t;

/* What the loops over a block's carts need, one entry a cart. */
typedef struct {
    states_t states;
    double mass_kg[BLOCK], inertia_kg_m2[BLOCK], coupling_kg_m[BLOCK], gravity_m_s2[BLOCK], pole_viscous_n_m_s[BLOCK];
    double cart_coulomb_n[BLOCK], cart_static_n[BLOCK], pole_coulomb_n_m[BLOCK];
    double counts_per_m[BLOCK], counts_per_rad[BLOCK];
    double largest_m[BLOCK], largest_rad[BLOCK]; /* the loops are valid below these */
} block_t;

/* A block's period. The counts are whole, and the moments are those of `estimator_t`. */
typedef struct {
    states_t states;
    double target_n[BLOCK], keep[BLOCK], damping_n_s_m[BLOCK], mean[BLOCK]; /* `motor_drive_t` */
    double cart_counts[BLOCK], pole_counts[BLOCK], cart_moments[BLOCK], pole_moments[BLOCK];
    double is_valid[BLOCK];                     /* 1 or 0 */
    double first_duty[BLOCK], last_duty[BLOCK]; /* of the period's physics steps */
    uint8_t mixed[BLOCK];                       /* the carts whose duty changes inside the period */
    int mixed_count;
    bool is_needed;                             /* some cart of the block moves in the loops */
} work_t;

typedef struct {
    motor_t motor; /* but for `drive_n`, which is in the block */
    delay_moment_t moment;
    double sent[SENT];
    int64_t steps; /* of the episode, in control periods */
    double m_per_count, rad_per_count, m_s_per_speed, rad_s_per_speed;
    double measured[FLEET_SIGNALS];
    bool is_single;
} one_t;

struct fleet {
    size_t count;
    cart_params_t params;
    cart_params_t *own; /* of each cart; NULL while all have the same */
    fleet_task_t task;
    block_t *blocks;
    one_t *ones;
    cart_t *singles;   /* of each cart; NULL while there is none */
    uniform_t *random; /* of each cart */
    double *duties;    /* of a block's carts: each of a period's physics steps */
};

static const cart_params_t *params_of(const fleet_t *fleet, size_t number)
{
    return fleet->own != NULL ? &fleet->own[number] : &fleet->params;
}

static bool has_window(const cart_params_t *params)
{
    return !params->has_encoders || params->delay.steps >= ESTIMATOR_WINDOW;
}

/* Puts the constants of a cart where the loops find them. Returns false without memory. */
static bool install(fleet_t *fleet, size_t number, const cart_params_t *params)
{
    one_t *one = &fleet->ones[number];
    block_t *block = &fleet->blocks[number / BLOCK];
    const size_t lane = number % BLOCK;
    const plant_t *plant = &params->plant;
    one->motor = motor_of(&params->motor);
    one->is_single = !delay_moment(&params->delay, &one->moment) || !has_window(params) || params->has_stepper;
    block->mass_kg[lane] = plant->mass_kg;
    block->inertia_kg_m2[lane] = plant->inertia_kg_m2;
    block->coupling_kg_m[lane] = plant->coupling_kg_m;
    block->gravity_m_s2[lane] = plant->gravity_m_s2;
    block->pole_viscous_n_m_s[lane] = plant->pole_viscous_n_m_s;
    block->cart_coulomb_n[lane] = plant->cart_coulomb_n;
    block->cart_static_n[lane] = plant->cart_static_n;
    block->pole_coulomb_n_m[lane] = plant->pole_coulomb_n_m;
    block->largest_m[lane] = plant->end_stop_m;
    block->largest_rad[lane] = TRIG_LARGEST_RAD;
    if (one->is_single && fleet->singles == NULL)
        fleet->singles = calloc(fleet->count, sizeof *fleet->singles);
    if (one->is_single && fleet->singles == NULL)
        return false;
    if (!params->has_encoders)
        return true;
    block->counts_per_m[lane] = params->counts_per_m;
    block->counts_per_rad[lane] = params->counts_per_rad;
    block->largest_m[lane] = fmin(block->largest_m[lane], EXACT / fabs(params->counts_per_m));
    block->largest_rad[lane] = fmin(block->largest_rad[lane], EXACT / fabs(params->counts_per_rad));
    one->m_per_count = 1.0 / params->counts_per_m;
    one->rad_per_count = 1.0 / params->counts_per_rad;
    one->m_s_per_speed = one->m_per_count / ESTIMATOR_SPEED_PER_COUNT;
    one->rad_s_per_speed = one->rad_per_count / ESTIMATOR_SPEED_PER_COUNT;
    return true;
}

fleet_t *fleet_new(size_t count, const cart_params_t *params, const fleet_task_t *task)
{
    const size_t blocks = (count + BLOCK - 1) / BLOCK;
    fleet_t *fleet = calloc(1, sizeof *fleet);
    if (fleet == NULL)
        return NULL;
    *fleet = (fleet_t){
        .count = count,
        .params = *params,
        .task = *task,
        .blocks = aligned_alloc(CACHE_LINE, blocks * sizeof(block_t)),
        .ones = calloc(blocks * BLOCK, sizeof(one_t)),
        .random = calloc(count, sizeof(uniform_t)),
        .duties = calloc((size_t)params->delay.steps * BLOCK, sizeof(double)),
    };
    if (fleet->blocks == NULL || fleet->ones == NULL || fleet->random == NULL || fleet->duties == NULL) {
        fleet_free(fleet);
        return NULL;
    }
    memset(fleet->blocks, 0, blocks * sizeof(block_t));
    for (size_t number = 0; number < blocks * BLOCK; number++) /* also where no cart is, for the loops */
        if (!install(fleet, number, params)) {
            fleet_free(fleet);
            return NULL;
        }
    return fleet;
}

void fleet_free(fleet_t *fleet)
{
    if (fleet == NULL)
        return;
    free(fleet->own);
    free(fleet->blocks);
    free(fleet->ones);
    free(fleet->singles);
    free(fleet->random);
    free(fleet->duties);
    free(fleet);
}

size_t fleet_count(const fleet_t *fleet)
{
    return fleet->count;
}

bool fleet_change(fleet_t *fleet, size_t number, const cart_params_t *params)
{
    if (params->delay.steps != fleet->params.delay.steps || params->has_encoders != fleet->params.has_encoders)
        return false;
    if (fleet->own == NULL) {
        fleet->own = malloc(fleet->count * sizeof *fleet->own);
        if (fleet->own == NULL)
            return false;
        for (size_t k = 0; k < fleet->count; k++)
            fleet->own[k] = fleet->params;
    }
    fleet->own[number] = *params;
    return install(fleet, number, params);
}

static plant_state_t state_in(const states_t *states, size_t lane)
{
    return (plant_state_t){states->position_m[lane], states->speed_m_s[lane], states->angle_rad[lane],
                           states->rate_rad_s[lane]};
}

static void set_state(states_t *states, size_t lane, const plant_state_t *state, double drive_n)
{
    states->position_m[lane] = state->position_m;
    states->speed_m_s[lane] = state->speed_m_s;
    states->angle_rad[lane] = state->angle_rad;
    states->rate_rad_s[lane] = state->rate_rad_s;
    states->drive_n[lane] = drive_n;
}

/* Remembers what was measured, and writes it as an observation. */
static void observe(one_t *one, const cart_reading_t *reading, float *observation)
{
    const double signals[FLEET_SIGNALS] = {reading->position_m, reading->speed_m_s, reading->angle_rad,
                                           reading->rate_rad_s};
    for (int k = 0; k < FLEET_SIGNALS; k++)
        observation[k] = (float)(one->measured[k] = signals[k]);
}

bool fleet_place(fleet_t *fleet, size_t number, const plant_state_t *state, uniform_t random, float *observation)
{
    one_t *one = &fleet->ones[number];
    cart_reading_t reading;
    cart_t placed;
    cart_t *cart = one->is_single ? &fleet->singles[number] : &placed;
    cart_begin(cart, params_of(fleet, number));
    fleet->random[number] = random;
    one->steps = 0;
    set_state(&fleet->blocks[number / BLOCK].states, number % BLOCK, state, 0.0);
    if (!cart_place(cart, state, &reading))
        return false;
    observe(one, &reading, observation);
    return true;
}

plant_state_t fleet_state(const fleet_t *fleet, size_t number)
{
    return state_in(&fleet->blocks[number / BLOCK].states, number % BLOCK);
}

const double *fleet_measured(const fleet_t *fleet, size_t number)
{
    return fleet->ones[number].measured;
}

static void set_drive(work_t *work, size_t lane, const motor_t *motor, double duty)
{
    const motor_drive_t drive = motor_drive(motor, duty, false);
    work->target_n[lane] = drive.target_n;
    work->keep[lane] = drive.keep;
    work->damping_n_s_m[lane] = drive.damping_n_s_m;
    work->mean[lane] = drive.mean;
}

/* The count nearest to `position`, as a whole number. */
static inline double nearest_count(double position, double counts_per_unit)
{
    const double exact = position * counts_per_unit + 0.5;
    const double nearest = (exact + TRIG_TO_NEAREST) - TRIG_TO_NEAREST;
    return nearest > exact ? nearest - 1.0 : nearest;
}

/* One physics step of every cart of a block. With `is_counted` the counts are taken into the estimators with that weight. */
static ALWAYS_INLINE void advance(const block_t *restrict block, work_t *restrict work, double step_s, bool is_counted,
                                  double weight)
{
    states_t *states = &work->states;
    for (int k = 0; k < BLOCK; k++) {
        const plant_t plant = {
            .step_s = step_s,
            .mass_kg = block->mass_kg[k],
            .inertia_kg_m2 = block->inertia_kg_m2[k],
            .coupling_kg_m = block->coupling_kg_m[k],
            .gravity_m_s2 = block->gravity_m_s2[k],
            .pole_viscous_n_m_s = block->pole_viscous_n_m_s[k],
            .cart_coulomb_n = block->cart_coulomb_n[k],
            .cart_static_n = block->cart_static_n[k],
            .pole_coulomb_n_m = block->pole_coulomb_n_m[k],
        };
        const motor_drive_t drive = {work->target_n[k], work->keep[k], work->damping_n_s_m[k], work->mean[k]};
        plant_state_t state = {states->position_m[k], states->speed_m_s[k], states->angle_rad[k], states->rate_rad_s[k]};
        double drive_n = states->drive_n[k], sine, cosine;
        sine_cosine_small(state.angle_rad, &sine, &cosine);
        const double force_n = motor_push(&drive, &drive_n, state.speed_m_s);
        plant_step_at(&plant, &state, force_n, sine, cosine, false);
        states->position_m[k] = state.position_m;
        states->speed_m_s[k] = state.speed_m_s;
        states->angle_rad[k] = state.angle_rad;
        states->rate_rad_s[k] = state.rate_rad_s;
        states->drive_n[k] = drive_n;
        work->is_valid[k] = fabs(state.position_m) < block->largest_m[k] ? work->is_valid[k] : 0.0;
        work->is_valid[k] = fabs(state.angle_rad) < block->largest_rad[k] ? work->is_valid[k] : 0.0;
        if (is_counted) {
            work->cart_counts[k] = nearest_count(state.position_m, block->counts_per_m[k]);
            work->pole_counts[k] = nearest_count(state.angle_rad, block->counts_per_rad[k]);
            work->cart_moments[k] += weight * work->cart_counts[k];
            work->pole_moments[k] += weight * work->pole_counts[k];
        }
    }
}

/* The drives of the carts whose duty at step `k` is not that of the step before. */
static void change_drives(work_t *work, const one_t *ones, const double *duties, int steps, int k)
{
    for (int m = 0; m < work->mixed_count; m++) {
        const size_t lane = work->mixed[m];
        const double *row = &duties[lane * (size_t)steps];
        if (row[k] != row[k - 1])
            set_drive(work, lane, &ones[lane].motor, row[k]);
    }
}

/* A control period of a block's carts, from what `begin` left in `work`. */
ANY_WIDTH static void run(const block_t *restrict block, work_t *restrict work, const one_t *restrict ones,
                          const double *restrict duties, const delay_params_t *timing, bool has_encoders)
{
    const int window = has_encoders ? timing->steps - ESTIMATOR_WINDOW : timing->steps;
    for (int k = 0; k < timing->steps; k++) {
        if (k > 0 && work->mixed_count > 0)
            change_drives(work, ones, duties, timing->steps, k);
        if (k < window)
            advance(block, work, timing->step_s, false, 0.0);
        else
            advance(block, work, timing->step_s, true, 2 * (k - window) - (ESTIMATOR_WINDOW - 1));
    }
}

/* The command that was sent `age` periods ago, the newest being 0; 0 before the episode's first. */
static double sent_before(const one_t *one, int age)
{
    return one->steps >= age ? one->sent[(one->steps - age) & (SENT - 1)] : 0.0;
}

/* Sends a block's commands, and prepares the loops. */
static void begin(const fleet_t *fleet, size_t first, size_t count, const double *duties, const bool *resting,
                  work_t *work)
{
    const block_t *block = &fleet->blocks[first / BLOCK];
    work->states = block->states;
    work->mixed_count = 0;
    work->is_needed = false;
    for (size_t lane = 0; lane < BLOCK; lane++) {
        work->cart_moments[lane] = work->pole_moments[lane] = 0.0;
        work->is_valid[lane] = fabs(work->states.position_m[lane]) < block->largest_m[lane] &&
                                       fabs(work->states.angle_rad[lane]) < block->largest_rad[lane]
                                   ? 1.0
                                   : 0.0;
    }
    for (size_t lane = 0; lane < count; lane++) {
        one_t *one = &fleet->ones[first + lane];
        if (resting[first + lane] || one->is_single)
            continue;
        work->is_needed = true;
        double duty = duties[first + lane];
        if (!(duty >= -1.0 && duty <= 1.0))
            duty = copysign(1.0, duty);
        one->sent[one->steps & (SENT - 1)] = duty;
        const double after = sent_before(one, one->moment.periods);
        work->first_duty[lane] = work->last_duty[lane] = after;
        if (one->moment.steps > 0.0) {
            double *row = &fleet->duties[lane * (size_t)fleet->params.delay.steps];
            delay_certain_duties(&fleet->params.delay, one->moment, sent_before(one, one->moment.periods + 1), after, row);
            work->first_duty[lane] = row[0];
            work->last_duty[lane] = row[fleet->params.delay.steps - 1];
            work->mixed[work->mixed_count++] = (uint8_t)lane;
        }
        set_drive(work, lane, &one->motor, work->first_duty[lane]);
    }
}

/* The period of one cart that the loops are not valid for. Returns as `cart_run`. */
static bool run_alone(fleet_t *fleet, size_t number, const work_t *work, cart_reading_t *reading)
{
    states_t *states = &fleet->blocks[number / BLOCK].states;
    const size_t lane = number % BLOCK;
    const int steps = fleet->params.delay.steps;
    double *row = &fleet->duties[lane * (size_t)steps];
    if (fleet->ones[number].moment.steps == 0.0)
        for (int k = 0; k < steps; k++)
            row[k] = work->first_duty[lane];
    cart_t cart;
    cart_begin(&cart, params_of(fleet, number));
    cart.state = state_in(states, lane);
    cart.motor.drive_n = states->drive_n[lane];
    estimator_reset(&cart.cart_estimator, 0); /* the period fills its window */
    estimator_reset(&cart.pole_estimator, 0);
    const bool is_finite = cart_run(&cart, row, steps, reading);
    set_state(states, lane, &cart.state, cart.motor.drive_n);
    return is_finite;
}

/* A cart of its own takes its period. Returns as `cart_run`. */
static bool run_single(fleet_t *fleet, size_t number, double duty, cart_reading_t *reading)
{
    cart_t *cart = &fleet->singles[number];
    const bool is_finite = cart_period(cart, duty, &fleet->random[number], reading);
    set_state(&fleet->blocks[number / BLOCK].states, number % BLOCK, &cart->state, 0.0);
    return is_finite;
}

/* The speed in 1/16 count per second of an estimator with that moment. */
static double speed_of(double moment)
{
    const estimator_t estimator = {.moment = (uint32_t)(int64_t)moment};
    return (double)estimator_speed(&estimator);
}

/* What the loops leave of one cart. */
static void take(fleet_t *fleet, size_t number, const work_t *work, cart_reading_t *reading)
{
    const one_t *one = &fleet->ones[number];
    const size_t lane = number % BLOCK;
    const plant_state_t state = state_in(&work->states, lane);
    set_state(&fleet->blocks[number / BLOCK].states, lane, &state, work->states.drive_n[lane]);
    reading->applied_duty = work->last_duty[lane];
    if (!fleet->params.has_encoders) {
        reading->position_m = state.position_m;
        reading->speed_m_s = state.speed_m_s;
        reading->angle_rad = state.angle_rad;
        reading->rate_rad_s = state.rate_rad_s;
        reading->motor_power_w = NAN;
        return;
    }
    reading->position_m = work->cart_counts[lane] * one->m_per_count;
    reading->angle_rad = work->pole_counts[lane] * one->rad_per_count;
    reading->speed_m_s = speed_of(work->cart_moments[lane]) * one->m_s_per_speed;
    reading->rate_rad_s = speed_of(work->pole_moments[lane]) * one->rad_s_per_speed;
    reading->motor_power_w = motor_power_w(&one->motor.params, params_of(fleet, number)->back_emf_n_s_m,
                                           reading->applied_duty, reading->speed_m_s);
}

/* Writes the outcome of a cart that has moved, or with `reading` NULL of one whose physics had no finite answer. */
static void conclude(fleet_t *fleet, size_t number, double requested, const cart_reading_t *reading,
                     const fleet_outcome_t *outcome)
{
    one_t *one = &fleet->ones[number];
    one->steps++;
    outcome->requested[number] = requested;
    outcome->truncated[number] = reading == NULL || one->steps >= fleet->task.most_steps;
    outcome->faulty[number] = reading == NULL;
    outcome->rewards[number] = reading == NULL ? 0.0 : 1.0;
    outcome->applied[number] = outcome->power_w[number] = 0.0;
    outcome->terminated[number] = false;
    float *observation = &outcome->observations[number * FLEET_SIGNALS];
    if (reading == NULL) {
        for (int k = 0; k < FLEET_SIGNALS; k++)
            observation[k] = (float)one->measured[k];
        return;
    }
    observe(one, reading, observation);
    outcome->terminated[number] = fabs(reading->position_m) > fleet->task.position_limit_m ||
                                  fabs(reading->angle_rad) > fleet->task.angle_limit_rad;
    outcome->applied[number] = reading->applied_duty;
    outcome->power_w[number] = reading->motor_power_w;
}

/* The outcome of a cart that rests. */
static void rest(const fleet_t *fleet, size_t number, const fleet_outcome_t *outcome)
{
    for (int k = 0; k < FLEET_SIGNALS; k++)
        outcome->observations[number * FLEET_SIGNALS + (size_t)k] = (float)fleet->ones[number].measured[k];
    outcome->terminated[number] = outcome->truncated[number] = outcome->faulty[number] = false;
    outcome->rewards[number] = outcome->requested[number] = outcome->applied[number] = outcome->power_w[number] = 0.0;
}

size_t fleet_step(fleet_t *fleet, const double *duties, const bool *resting, const fleet_outcome_t *outcome)
{
    size_t faulty = 0;
    work_t work;
    memset(&work, 0, sizeof work);
    for (size_t first = 0; first < fleet->count; first += BLOCK) {
        const size_t left = fleet->count - first, count = left < BLOCK ? left : BLOCK;
        begin(fleet, first, count, duties, resting, &work);
        if (work.is_needed)
            run(&fleet->blocks[first / BLOCK], &work, &fleet->ones[first], fleet->duties, &fleet->params.delay,
                fleet->params.has_encoders);
        for (size_t lane = 0; lane < count; lane++) {
            const size_t number = first + lane;
            if (resting[number]) {
                rest(fleet, number, outcome);
                continue;
            }
            const double requested = duties[number];
            cart_reading_t reading;
            bool is_finite = true;
            if (fleet->ones[number].is_single)
                is_finite = run_single(fleet, number, requested, &reading);
            else if (work.is_valid[lane] != 0.0)
                take(fleet, number, &work, &reading);
            else
                is_finite = run_alone(fleet, number, &work, &reading);
            conclude(fleet, number, requested, is_finite ? &reading : NULL, outcome);
            faulty += !is_finite;
        }
    }
    return faulty;
}
