#include "host_parts.h"

#include <math.h>

#include "../../../firmware_bridge/firmware/limits.h"

#define HELLO_EVERY_MS 250
#define RAISE_MS 60000
#define HOMING_MS (HOMING_MOST_MS + 20000)

static void command(host_t *host, world_t *world, double duty)
{
    host->requested_q15 = (int16_t)nearbyint(fmax(-1.0, fmin(1.0, duty)) * PROTOCOL_DUTY_ONE);
    const cmd_message_t message = {MESSAGE_CMD, host->session, host->state.tick, host->requested_q15,
                                   host->params.limits.command_timeout_ms};
    host_write(host, world, &message, sizeof message, true);
}

static observation_t observed(const host_t *host)
{
    const state_message_t *state = &host->state;
    const host_params_t *params = &host->params;
    return (observation_t){.position_m = (float)(state->cart_counts * params->m_per_count),
                           .speed_m_s = (float)(state->cart_speed * (params->m_per_count / PROTOCOL_SPEED_PER_COUNT)),
                           .angle_rad = (float)(state->pole_counts * params->rad_per_count),
                           .rate_rad_s = (float)(state->pole_speed * (params->rad_per_count / PROTOCOL_SPEED_PER_COUNT))};
}

static void answer(host_t *host, world_t *world, controllers_t *controllers)
{
    command(host, world, controllers_duty(controllers, observed(host)));
    host->commands++;
}

static bool is_far_out(const host_t *host, const controllers_t *controllers)
{
    const double most_m = controllers_swing_up(controllers) ? host->params.swing_share_m : host->params.centred_m;
    return fabs(host->state.cart_counts * host->params.m_per_count) > most_m;
}

/* The cart is at rest with both zeros known: on to what the operator wants. */
static void go_on_ready(host_t *host, world_t *world, const controllers_t *controllers)
{
    if (host->goal != GOAL_ARM) {
        host->goal = GOAL_NONE;
        host_go(host, world, HOST_IDLE);
    } else if (is_far_out(host, controllers) && host->phase != HOST_CENTRING) {
        host_request(host, world, HOST_CENTRE, MODE_CENTRE, 0);
    } else {
        if (!controllers_swing_up(controllers))
            hand_grab(world, host->params.start);
        host_go(host, world, HOST_RAISE);
    }
}

static void look(host_t *host, world_t *world, const controllers_t *controllers)
{
    const uint8_t state = host->state.state;
    if (state == CART_FAULT && host->phase != HOST_CLEARED)
        host_request(host, world, HOST_CLEAR, MODE_CLEAR, 0);
    else if (state == CART_FAULT)
        host_give_up(host, world, TROUBLE_FAULT);
    else if (host->goal == GOAL_CLEAR) {
        host->goal = GOAL_NONE;
        host_go(host, world, HOST_IDLE);
    } else if (state != CART_READY || host->goal == GOAL_HOME) {
        hand_hang(world);
        host_request(host, world, HOST_HOME, MODE_HOME, 0);
    } else
        go_on_ready(host, world, controllers);
}

/* The pole is where it must be for the cart to be armed, as far as the newest STATE shows. */
static void try_to_arm(host_t *host, world_t *world, const controllers_t *controllers)
{
    const int32_t counts = host->state.pole_counts, size = counts < 0 ? -counts : counts;
    const cfg_message_t *limits = &host->params.limits;
    const bool is_upright = size <= limits->arming_angle_counts && (host->state.inputs & INPUT_STILL) != 0;
    const bool hangs = 4 * size > limits->pole_counts_per_turn;
    if (controllers_swing_up(controllers)) {
        if (is_upright || hangs)
            host_request(host, world, HOST_ARM, MODE_ARM, is_upright ? 0 : OPTION_SWING_UP);
    } else if (hand_has_arrived(world) && is_upright)
        host_request(host, world, HOST_ARM, MODE_ARM, 0);
}

static bool may_retry(uint8_t code)
{
    return code == ACK_NOT_STILL || code == ACK_POLE_NOT_UPRIGHT || code == ACK_CART_OUTSIDE ||
           code == ACK_POLE_NOT_HANGING;
}

/* The cart has its limits. */
static void begin_goal(host_t *host, world_t *world)
{
    if (host->goal != GOAL_NONE)
        host_request(host, world, HOST_DISARM, MODE_DISARM, 0);
    else
        host_go(host, world, HOST_IDLE);
}

/* The cart has answered the request of the phase. */
static void take_answer(host_t *host, world_t *world, controllers_t *controllers)
{
    const uint8_t code = host->ack.code;
    if (code == ACK_BAD_SESSION) {
        host_open_session(host, world);
        return;
    }
    if (host->phase == HOST_CONFIGURE && code == ACK_NOT_NOW && DRIVE_KIND == DRIVE_STEPPER) { /* it brakes first */
        host_request(host, world, HOST_STOP, MODE_DISARM, 0);
        return;
    }
    if (host->phase == HOST_CONFIGURE && code == ACK_NOT_NOW) {
        host_post(host, world, MODE_DISARM);
        host_request(host, world, HOST_CONFIGURE, 0, 0);
        return;
    }
    if (host->phase == HOST_ARM && may_retry(code)) {
        if (code == ACK_CART_OUTSIDE && controllers_swing_up(controllers))
            host_request(host, world, HOST_CENTRE, MODE_CENTRE, 0);
        else
            host->phase = HOST_RAISE; /* its time continues */
        return;
    }
    if (code != ACK_DONE) {
        host_give_up(host, world, TROUBLE_REFUSED);
        return;
    }
    switch (host->phase) {
    case HOST_CONFIGURE:
        if (DRIVE_KIND == DRIVE_STEPPER)
            host_request(host, world, HOST_CONFIGURE_STEPPER, 0, 0);
        else
            begin_goal(host, world);
        break;
    case HOST_CONFIGURE_STEPPER:
        begin_goal(host, world);
        break;
    case HOST_ARM:
        host->has_state = false;
        if (!controllers_swing_up(controllers))
            hand_let_go_at(world, host->state.time_us, host->params.limits.control_period_ms);
        controllers_begin(controllers);
        host->commands = 0;
        host_go(host, world, HOST_ARMED);
        break;
    default:
        host->has_state = false;
        host_go(host, world, (host_phase_t)(host->phase + 1));
        break;
    }
}

void host_continue(host_t *host, world_t *world, controllers_t *controllers)
{
    switch (host->phase) {
    case HOST_OFF:
        return;
    case HOST_HELLO:
        if (host->has_hello && host->hello.nonce == host->nonce) {
            host->has_hello = false;
            if (host->hello.protocol_hash != PROTOCOL_HASH) {
                host->trouble = TROUBLE_OTHER_PROTOCOL;
                host_kill(host);
                return;
            }
            host->session = host->hello.session;
            host->has_session = true;
            host->has_state = false;
            host_request(host, world, HOST_CONFIGURE, 0, 0);
        } else if (world->time_ms - host->asked_ms >= HELLO_EVERY_MS)
            host_say_hello(host, world);
        return;
    case HOST_IDLE:
        (void)host_next_state(host);
        return;
    case HOST_STOPPING:
        if (host_next_state(host) && host->state.applied_q15 == 0)
            host_request(host, world, HOST_CONFIGURE, 0, 0);
        return;
    case HOST_LOOK:
    case HOST_CLEARED:
        if (host_next_state(host) && host->state.applied_q15 == 0) /* a stepper's cart brakes first */
            look(host, world, controllers);
        return;
    case HOST_HOMING:
    case HOST_CENTRING:
        if (!host_next_state(host))
            return;
        if (host->state.state == CART_READY)
            go_on_ready(host, world, controllers);
        else if (host->state.state != CART_HOMING || world->time_ms - host->phase_ms > HOMING_MS)
            host_give_up(host, world, TROUBLE_FAULT);
        return;
    case HOST_RAISE:
        if (!host_next_state(host))
            return;
        if (host->state.state == CART_FAULT)
            host_give_up(host, world, TROUBLE_FAULT);
        else if (world->time_ms - host->phase_ms > RAISE_MS)
            host_give_up(host, world, TROUBLE_NOT_RAISED);
        else
            try_to_arm(host, world, controllers);
        return;
    case HOST_ARMED:
    case HOST_RUNNING:
        if (!host_next_state(host))
            return;
        if (host->phase == HOST_ARMED) {
            hand_let_go(world);
            host->goal = GOAL_NONE;
        }
        if (host->state.state != CART_ARMED) {
            host->requested_q15 = 0;
            host_give_up(host, world, host->state.state == CART_FAULT ? TROUBLE_FAULT : TROUBLE_NONE);
            return;
        }
        host_go(host, world, HOST_RUNNING);
        answer(host, world, controllers);
        return;
    default:
        if (host_is_acknowledged(host, world))
            take_answer(host, world, controllers);
    }
}
