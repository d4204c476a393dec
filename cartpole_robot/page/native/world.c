#include "world.h"

#include <math.h>

#define PI 3.14159265358979323846
#define GRIP_RAD_S 40.0   /* the visitor's hand is a spring: angular frequency of what it holds, critically damped */
#define GRIP_M_S2 60.0    /* the most it accelerates what it holds, on top of what the motor and gravity need */
#define PUSH_MS 10

static const plant_state_t hanging = {.angle_rad = PI};

void world_begin(world_t *world, const cart_params_t *cart, const surroundings_t *around)
{
    *world = (world_t){.nominal = *cart,
                       .params = *cart,
                       .around = *around,
                       .state = hanging,
                       .is_open = true,
                       .friction = 1.0,
                       .relay_share = 1.0,
                       .supply_mv = (uint32_t)around->nominal_mv};
    world->motor = motor_of(&cart->motor);
    world->motor.keep = around->keep; /* the host's exp(), whose last bit may be another than this library's */
    board_begin(&world->board, 1, 0, NULL);
    cart_drive_begin(world);
}

void world_change(world_t *world)
{
    const double factor = world->friction;
    const cart_params_t *nominal = &world->nominal;
    plant_t *plant = &world->params.plant;
    const double drive_n = world->motor.drive_n;
    world->params = *nominal;
    if (factor != 1.0) {
        motor_params_t *motor = &world->params.motor;
        plant->cart_coulomb_n *= factor;
        plant->cart_static_n *= factor;
        plant->pole_coulomb_n_m *= factor;
        plant->pole_viscous_n_m_s *= factor;
        motor->viscous_n_s_m *= factor;
        motor->damping_n_s_m += motor->viscous_n_s_m - nominal->motor.viscous_n_s_m;
    }
    cart_drive_change(world);
    world->motor = motor_of(&world->params.motor);
    world->motor.keep = world->around.keep;
    world->motor.drive_n = drive_n;
}

uint32_t world_bridge_mv(const world_t *world)
{
    if (world->relay_share == 1.0)
        return world->supply_mv;
    return (uint32_t)nearbyint(world->supply_mv * world->relay_share);
}

static void pass_relay(world_t *world)
{
    const surroundings_t *around = &world->around;
    if (world->is_estop_pressed && around->estop_cuts_supply != 0.0)
        world->relay_share *= around->relay_falls;
    else if (world->relay_share < 1.0) {
        world->relay_share = 1.0 - (1.0 - world->relay_share) * around->relay_rises;
        if (world->relay_share >= around->relay_closes)
            world->relay_share = 1.0;
    }
}

/* ---- the simulated hand ---- */

static plant_state_t hand_place(const hand_t *hand)
{
    const double part = hand->ms * 0.001 / (HAND_LIFT_MS * 0.001), share = part < 1.0 ? part : 1.0;
    const double eased = share * share * (3.0 - 2.0 * share);
    const plant_state_t *begin = &hand->begin, *goal = &hand->goal;
    return (plant_state_t){.position_m = begin->position_m + eased * (goal->position_m - begin->position_m),
                           .angle_rad = begin->angle_rad + eased * (goal->angle_rad - begin->angle_rad)};
}

void hand_grab(world_t *world, plant_state_t goal)
{
    goal.angle_rad += 2.0 * PI * nearbyint((world->state.angle_rad - goal.angle_rad) / (2.0 * PI));
    world->hand = (hand_t){.begin = world->state, .goal = goal, .is_there = true};
}

void hand_hang(world_t *world)
{
    hand_grab(world, (plant_state_t){.position_m = world->state.position_m, .angle_rad = PI});
    world->hand.will_let_go = true;
    world->hand.release_ms = world->time_ms + HAND_LIFT_MS;
}

bool hand_has_arrived(const world_t *world)
{
    return world->hand.is_there && world->hand.ms >= HAND_LIFT_MS;
}

void hand_let_go_at(world_t *world, uint32_t time_us, uint32_t period_ms)
{
    const int32_t passed_us = (int32_t)(world->board.time_us - time_us);
    uint32_t due_ms = world->time_ms - (uint32_t)(passed_us / 1000);
    while ((int32_t)(due_ms - world->time_ms) <= 0)
        due_ms += period_ms;
    world->hand.will_let_go = true;
    world->hand.release_ms = due_ms;
}

void hand_let_go(world_t *world)
{
    if (!world->hand.is_there)
        return;
    cart_drive_put(world, hand_has_arrived(world) ? world->hand.goal : hand_place(&world->hand));
    world->hand = (hand_t){0};
}

/* ---- the visitor's hand and pushes ---- */

void world_push(world_t *world, double impulse_n_s, bool is_on_pole)
{
    world->push_n = impulse_n_s / (PUSH_MS * 0.001);
    world->push_ms = PUSH_MS;
    world->is_push_on_pole = is_on_pole;
}

static double limited(double value, double most)
{
    return value < -most ? -most : value > most ? most : value;
}

/* A spring that is critically damped for that inertia, its force limited. */
static double grip(double inertia, double away, double speed, double most)
{
    return limited(inertia * GRIP_RAD_S * (GRIP_RAD_S * away - 2.0 * speed), most);
}

static void act_from_outside(world_t *world)
{
    plant_t *plant = &world->params.plant;
    const plant_state_t *at = &world->state;
    double cart_n = 0.0, pole_n_m = 0.0;
    if (world->held == HELD_POLE) {
        const double arm_m = plant->inertia_kg_m2 / plant->coupling_kg_m;
        const double most = plant->coupling_kg_m * plant->gravity_m_s2 + plant->inertia_kg_m2 * GRIP_M_S2 / arm_m;
        pole_n_m = grip(plant->inertia_kg_m2, world->held_at - at->angle_rad, at->rate_rad_s, most);
    } else if (world->held == HELD_CART) {
        const double most = cart_drive_grip_n(world) + plant->mass_kg * GRIP_M_S2;
        cart_n = grip(plant->mass_kg, world->held_at - at->position_m, at->speed_m_s, most);
    }
    if (world->push_ms > 0) {
        world->push_ms--;
        cart_n += world->push_n;
        if (world->is_push_on_pole)
            pole_n_m += world->push_n * world->around.pole_length_m * cos(at->angle_rad);
    }
    plant->cart_push_n = cart_n;
    plant->pole_push_n_m = pole_n_m;
}

/* ---- a millisecond ---- */

void world_move(world_t *world)
{
    pass_relay(world);
    if (world->hand.is_there) {
        world->hand.ms++;
        cart_drive_hold(world, hand_place(&world->hand));
        return;
    }
    act_from_outside(world);
    cart_drive_move(world);
}

void world_tick(world_t *world)
{
    int64_t cart_counts, pole_counts;
    if (!cart_counts_at(&world->params, &world->state, &cart_counts, &pole_counts)) {
        world->is_broken = true;
        return;
    }
    unsigned inputs = world->inputs_set | (world->is_estop_pressed ? (unsigned)INPUT_ESTOP : 0u) | cart_drive_inputs(world);
    if (!((double)cart_counts > world->around.left_counts && (double)cart_counts < world->around.right_counts))
        inputs |= cart_counts < 0 ? (unsigned)INPUT_LEFT_SWITCH : (unsigned)INPUT_RIGHT_SWITCH;
    const int32_t cart = (int32_t)(uint32_t)(cart_counts - world->cart_zero);
    const int32_t pole = (int32_t)(uint32_t)(pole_counts - world->pole_zero);
    const int32_t cart_jump = DRIVE_HAS_CART_ENCODER ? board_jump(&world->board.cart, cart) : 0;
    const int32_t pole_jump = board_jump(&world->board.pole, pole);
    if (cart_jump > BOARD_MOST_EDGES || cart_jump < -BOARD_MOST_EDGES || pole_jump > BOARD_MOST_EDGES ||
        pole_jump < -BOARD_MOST_EDGES) {
        world->is_broken = true;
        return;
    }
    double drive;
    const bool is_driven = board_tick(&world->board, cart, pole, inputs, world_bridge_mv(world), &drive);
    cart_drive_take(world, is_driven, drive);
    if (world->hand.is_there && world->hand.will_let_go && (int32_t)(world->time_ms - world->hand.release_ms) >= 0)
        hand_let_go(world);
}
