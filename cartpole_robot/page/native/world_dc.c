#include "page.h"

void cart_drive_begin(world_t *world)
{
    (void)cart_counts_at(&world->params, &world->state, &world->cart_zero, &world->pole_zero);
}

void cart_drive_change(world_t *world)
{
    plant_t *plant = &world->params.plant;
    if (world->is_blocked)
        plant->cart_coulomb_n = plant->cart_static_n = BLOCKED_N;
}

void cart_drive_place(world_t *world, plant_state_t state)
{
    cart_drive_put(world, state);
}

void cart_drive_put(world_t *world, plant_state_t state)
{
    world->state = state;
    world->motor.drive_n = 0.0;
}

void cart_drive_hold(world_t *world, plant_state_t held)
{
    cart_drive_put(world, held);
}

void cart_drive_move(world_t *world)
{
    const uint32_t bridge_mv = world_bridge_mv(world);
    double duty = world->drive.is_swapped ? -world->output : world->output;
    if (bridge_mv != (uint32_t)world->around.nominal_mv)
        duty = duty * bridge_mv / (uint32_t)world->around.nominal_mv;
    const double force_n = motor_force(&world->motor, world->is_open ? 0.0 : duty, world->state.speed_m_s, world->is_open);
    plant_step(&world->params.plant, &world->state, force_n);
}

double cart_drive_grip_n(const world_t *world)
{
    return 2.0 * world->params.motor.stall_force_n;
}

unsigned cart_drive_inputs(const world_t *world)
{
    (void)world;
    return 0;
}

void cart_drive_take(world_t *world, bool is_driven, double drive)
{
    world->is_open = !is_driven;
    world->output = world->is_open ? 0.0 : drive * (1.0 / PULSE_PERIOD);
}

void cart_drive_reset(world_t *world)
{
    (void)cart_counts_at(&world->params, &world->state, &world->cart_zero, &world->pole_zero);
    world->is_open = true;
    world->output = 0.0;
}

double cart_drive_duty(const world_t *world)
{
    return world->output;
}

double cart_drive_lost_m(const world_t *world)
{
    (void)world;
    return NAN;
}

int board_duty_q15(const board_t *board)
{
    return board->app.motor.duty_q15;
}

int board_ramp_speed(const board_t *board)
{
    (void)board;
    return 0;
}

void EXPORT(swap_motor)(int is_swapped)
{
    page.world.drive.is_swapped = is_swapped != 0;
}
