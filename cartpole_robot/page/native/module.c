/* What JavaScript calls: the millisecond, what the visitor does, and what the page shows. simulation.js has the names. */
#include <math.h>

#include "page.h"

#define HISTORY_ROWS 2048
#define HISTORY_MS 10

page_t page;

/* In the order of SNAPSHOT in simulation.js. */
typedef struct {
    double time_s, position_m, speed_m_s, angle_rad, rate_rad_s, requested_duty, applied_duty, supply_v, state, fault;
    double phase, trouble, trouble_mode, trouble_code, trouble_detail, is_homed, is_still, has_hand, is_broken, swing_phase, commands, lost_m;
} snapshot_t;

#define HISTORY_COLUMNS 10

static snapshot_t snapshot;
static double history[HISTORY_ROWS][HISTORY_COLUMNS];
static uint32_t history_count;

static void take_snapshot(void)
{
    const world_t *world = &page.world;
    const host_t *host = &page.host;
    const safety_t *safety = &world->board.app.safety;
    snapshot = (snapshot_t){
        .time_s = world->time_ms * 0.001,
        .position_m = world->state.position_m,
        .speed_m_s = world->state.speed_m_s,
        .angle_rad = remainder(world->state.angle_rad, 2.0 * 3.14159265358979323846),
        .rate_rad_s = world->state.rate_rad_s,
        .requested_duty = host->requested_q15 * (1.0 / PROTOCOL_DUTY_ONE),
        .applied_duty = cart_drive_duty(world),
        .supply_v = world_bridge_mv(world) * 0.001,
        .state = safety->state,
        .fault = safety->fault,
        .phase = host->phase,
        .trouble = host->trouble,
        .trouble_mode = host->trouble_mode,
        .trouble_code = host->trouble_code,
        .trouble_detail = host->trouble_detail,
        .is_homed = safety->is_homed,
        .is_still = safety_is_still(safety),
        .has_hand = world->hand.is_there,
        .is_broken = world->is_broken,
        .swing_phase = page.controllers.swing_up.phase,
        .commands = host->commands,
        .lost_m = cart_drive_lost_m(world),
    };
}

const snapshot_t *EXPORT(snapshot_at)(void)
{
    take_snapshot();
    return &snapshot;
}

const double *EXPORT(history_at)(void)
{
    return &history[0][0];
}

int EXPORT(history_rows)(void)
{
    return HISTORY_ROWS;
}

/* How many rows there have been; the newest is the one before this, modulo history_rows(). */
uint32_t EXPORT(history_taken)(void)
{
    return history_count;
}

/* Once numbers, arrays, limits and networks are set: everything from the start. */
void EXPORT(begin)(void)
{
    page_params_t *params = &page.params;
    params->cart.has_encoders = true;
    params->cart.has_stepper = DRIVE_KIND == DRIVE_STEPPER;
    params->cart.motor.step_s = params->cart.plant.step_s;
    params->cart.motor.brakes_at_zero = params->apply_brakes != 0.0;
    params->regulator.count = (int)params->regulator_gains;
    swing_up_t *swing = &params->swing_up;
    swing->regulator.count = (int)params->swing_gains;
    for (int side = 0; side < 2; side++) {
        swing->regulator.dead_zone[side] = swing->motor.dead_zone[side] = params->regulator.dead_zone[side];
        swing->regulator.share[side] = swing->motor.share[side] = params->regulator.share[side];
    }
    const plant_t *plant = &params->cart.plant;
    swing_model_t *model = &swing->model;
    model->inertia_kg_m2 = plant->inertia_kg_m2;
    model->coupling_kg_m = plant->coupling_kg_m;
    model->pole_viscous = plant->pole_viscous_n_m_s;
    model->pole_coulomb = plant->pole_coulomb_n_m;
    model->gravity_m_s2 = swing->pole.gravity = plant->gravity_m_s2;
    world_begin(&page.world, &params->cart, &params->around);
    host_begin(&page.host, &params->host);
    page.controllers.regulator = params->regulator;
    page.controllers.swing_up = *swing;
    page.controllers.chosen = CHOSEN_NONE;
    swing_up_begin(&page.controllers.swing_up);
    controllers_begin(&page.controllers);
    history_count = 0;
}

/* That many milliseconds; returns how many: fewer where the physics has come apart. */
int EXPORT(advance)(int most_ms)
{
    world_t *world = &page.world;
    host_t *host = &page.host;
    int ms = 0;
    for (; ms < most_ms && !world->is_broken; ms++) {
        world_move(world);
        world->time_ms++;
        host_deliver(host, world);
        world_tick(world);
        host_hear(host, world, &page.controllers);
        if (world->time_ms % HISTORY_MS == 0) {
            take_snapshot();
            const double *numbers = &snapshot.time_s;
            for (int k = 0; k < HISTORY_COLUMNS; k++)
                history[history_count % HISTORY_ROWS][k] = numbers[k];
            history_count++;
        }
    }
    return ms;
}

/* ---- the host and the operator ---- */

void EXPORT(start_host)(void)
{
    host_start(&page.host, &page.world);
    host_deliver(&page.host, &page.world);
    host_hear(&page.host, &page.world, &page.controllers);
}

void EXPORT(kill_host)(void)
{
    host_kill(&page.host);
    hand_let_go(&page.world);
}

/* enum host_goal_t */
void EXPORT(want)(int goal)
{
    hand_let_go(&page.world);
    host_want(&page.host, &page.world, (host_goal_t)goal);
    host_deliver(&page.host, &page.world);
    host_hear(&page.host, &page.world, &page.controllers);
}

void EXPORT(post_mode)(int mode)
{
    hand_let_go(&page.world);
    host_post(&page.host, &page.world, (uint8_t)mode);
    host_deliver(&page.host, &page.world);
    host_hear(&page.host, &page.world, &page.controllers);
}

void EXPORT(reset_board)(void)
{
    board_restart(&page.world.board, RESET_EXTERNAL, NULL);
    cart_drive_reset(&page.world);
}

/* enum chosen_t, and which network */
void EXPORT(choose)(int chosen, int network)
{
    controllers_choose(&page.controllers, (chosen_t)chosen, network);
}

/* ---- the visitor ---- */

/* enum held_t, and where to in m or rad; the pole by the nearest way. */
void EXPORT(hold)(int held, double at)
{
    world_t *world = &page.world;
    const double around = 2.0 * 3.14159265358979323846;
    if (held == HELD_POLE)
        at += around * nearbyint((world->state.angle_rad - at) / around);
    world->held = (held_t)held;
    world->held_at = at;
}

void EXPORT(push)(double impulse_n_s, int is_on_pole)
{
    world_push(&page.world, impulse_n_s, is_on_pole != 0);
}

void EXPORT(set_friction)(double factor)
{
    page.world.friction = factor;
    world_change(&page.world);
}

void EXPORT(set_late_ms)(double ms)
{
    page.host.added_late_ms = ms;
}

void EXPORT(set_supply_mv)(int mv)
{
    page.world.supply_mv = (uint32_t)mv;
}

/* `cut` has channel A as bit 1 and B as bit 0. */
void EXPORT(wire)(int is_pole, int cut, int is_swapped)
{
    board_encoder_t *encoder = is_pole ? &page.world.board.pole : &page.world.board.cart;
    encoder->wires = (encoder_wires_t){(uint8_t)cut, is_swapped != 0};
}

void EXPORT(press_estop)(int is_pressed)
{
    page.world.is_estop_pressed = is_pressed != 0;
}

void EXPORT(block_cart)(int is_blocked)
{
    page.world.is_blocked = is_blocked != 0;
    world_change(&page.world);
}

void EXPORT(close_switch)(int is_right, int is_closed)
{
    const unsigned flag = is_right ? INPUT_RIGHT_SWITCH : INPUT_LEFT_SWITCH;
    page.world.inputs_set = is_closed ? page.world.inputs_set | flag : page.world.inputs_set & ~flag;
}

/* That many ticks are missed before the next one. */
void EXPORT(miss_ticks)(int missed)
{
    page.world.board.missed = (uint8_t)missed;
}
