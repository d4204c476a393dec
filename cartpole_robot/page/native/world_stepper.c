#include "page.h"

#define MISSED_SHARE 0.5 /* of the pulses to the left, by a driver that misses some */
#define GRIP_SHARE 1.5   /* of the largest force of the motor: a hand may well be stronger */

static bool is_on(const world_t *world)
{
    const bool *has = world->drive.has;
    const uint32_t nominal_mv = (uint32_t)world->around.nominal_mv;
    return !world->is_open && !has[DRIVER_UNPOWERED] && !has[DRIVER_ALARMED] && world_bridge_mv(world) >= nominal_mv / 2u;
}

void cart_drive_begin(world_t *world)
{
    cart_drive_t *drive = &world->drive;
    (void)cart_counts_at(&world->params, &world->state, &world->cart_zero, &world->pole_zero);
    stepper_begin(&drive->stepper, &world->params.stepper, &world->params.plant);
    drive->stepper.keep = world->around.keep; /* the host's exp() */
    drive->homed_m = NAN;
    cart_drive_place(world, world->state);
}

void cart_drive_place(world_t *world, plant_state_t state)
{
    cart_drive_t *drive = &world->drive;
    world->state = state;
    const int32_t steps = stepper_place(&drive->stepper, state.position_m, state.speed_m_s);
    drive->offset_steps = steps - (double)lrint(drive->counted);
}

void cart_drive_change(world_t *world)
{
    world->drive.stepper.coulomb_n = world->params.plant.cart_coulomb_n;
    world->drive.stepper.static_n = world->params.plant.cart_static_n;
}

void cart_drive_put(world_t *world, plant_state_t state)
{
    if (!is_on(world)) {
        cart_drive_place(world, state);
        return;
    }
    world->state.angle_rad = state.angle_rad;
    world->state.rate_rad_s = state.rate_rad_s;
}

void cart_drive_hold(world_t *world, plant_state_t held)
{
    plant_t *plant = &world->params.plant;
    plant->cart_push_n = plant->pole_push_n_m = 0.0;
    cart_drive_put(world, held);
    if (!is_on(world))
        return;
    cart_drive_move(world);
    cart_drive_put(world, held);
}

void cart_drive_move(world_t *world)
{
    cart_drive_t *drive = &world->drive;
    const bool is_enabled = is_on(world);
    if (is_enabled)
        drive->counted = world->output;
    const step_pulses_t pulses = {drive->counted + drive->offset_steps, is_enabled};
    stepper_aim_t aim = stepper_aim(&drive->stepper, &pulses, &world->state);
    if (world->is_blocked) /* stronger than the motor, which loses its steps meanwhile */
        aim = (stepper_aim_t){0.0, BLOCKED_N};
    const double rubbing_n = motor_force(&world->motor, 0.0, world->state.speed_m_s, true);
    plant_step_driven(&world->params.plant, &world->state, rubbing_n, aim.speed_m_s, aim.force_n);
}

double cart_drive_grip_n(const world_t *world)
{
    return GRIP_SHARE * world->params.stepper.pull_out_force_n;
}

unsigned cart_drive_inputs(const world_t *world)
{
    const bool is_low = (world->around.alarm_is_low != 0.0) == world->drive.has[DRIVER_ALARMED];
    return is_low ? 0u : BOARD_ALARM;
}

/* How far the cart is off what the board has sent, as the motor holds it, or as it stands; a driver that is off sees nothing. */
static double off_m(const world_t *world)
{
    const cart_drive_t *drive = &world->drive;
    const stepper_t *stepper = &drive->stepper;
    const double slipped_m = stepper->is_locked ? stepper->offset_m : world->state.position_m - stepper->field_m;
    const double unseen_steps = is_on(world) ? 0.0 : world->output - drive->counted;
    return slipped_m + (drive->offset_steps - unseen_steps) * stepper->m_per_step;
}

void cart_drive_take(world_t *world, bool is_driven, double sent)
{
    cart_drive_t *drive = &world->drive;
    const double steps = sent - world->output;
    double taken = steps;
    if (drive->has[DRIVER_MISSES] && steps < 0.0)
        taken *= 1.0 - MISSED_SHARE;
    if (drive->has[DRIVER_REVERSED])
        taken = -taken;
    if (taken != steps)
        drive->offset_steps += taken - steps;
    world->output = sent;
    world->is_open = !is_driven;
    const safety_t *safety = &world->board.app.safety;
    if (safety->is_homed && !drive->was_homed)
        drive->homed_m = off_m(world);
    else if (safety->state == CART_HOMING && !safety->is_homed)
        drive->homed_m = NAN;
    drive->was_homed = safety->is_homed;
}

void cart_drive_reset(world_t *world)
{
    cart_drive_t *drive = &world->drive;
    int64_t cart_counts;
    (void)cart_counts_at(&world->params, &world->state, &cart_counts, &world->pole_zero);
    drive->offset_steps += drive->counted;
    world->output = drive->counted = 0.0;
    drive->homed_m = NAN;
    world->is_open = true;
}

double cart_drive_duty(const world_t *world)
{
    return board_duty_q15(&world->board) * (1.0 / PROTOCOL_DUTY_ONE);
}

double cart_drive_lost_m(const world_t *world)
{
    return off_m(world) - world->drive.homed_m;
}

int board_duty_q15(const board_t *board)
{
    return board->app.safety.drive.applied_q15;
}

int board_ramp_speed(const board_t *board)
{
    return board->app.safety.drive.ramp.speed;
}

/* enum driver_problem_t */
void EXPORT(break_driver)(int problem, int is_broken)
{
    page.world.drive.has[problem] = is_broken != 0;
}
