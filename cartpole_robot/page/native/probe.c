/* The parts of the page on their own, for tests that compare each with its twin outside the browser. */
#include "page.h"

static board_t bare;
static uint8_t bytes[4096];

/* Where bytes for bare_feed() go, and those of bare_take() are. */
uint8_t *EXPORT(bytes_at)(void)
{
    return bytes;
}

void EXPORT(bare_begin)(int session)
{
    board_begin(&bare, (uint16_t)session, 0, NULL);
}

/* The pulses, or a stepper's steps; NAN where nothing is driven. */
double EXPORT(bare_tick)(int cart_counts, int pole_counts, int inputs, int supply_mv)
{
    double drive;
    const bool is_driven = board_tick(&bare, cart_counts, pole_counts, (unsigned)inputs, (unsigned)supply_mv, &drive);
    return is_driven ? drive : NAN;
}

void EXPORT(bare_feed)(int length)
{
    board_feed(&bare, bytes, (size_t)length);
}

int EXPORT(bare_take)(void)
{
    return (int)board_take(&bare, bytes, sizeof bytes);
}

void EXPORT(bare_disturb)(int cart, int pole, int missed)
{
    bare.cart.decoder.illegal = (uint8_t)(bare.cart.decoder.illegal + cart);
    bare.pole.decoder.illegal = (uint8_t)(bare.pole.decoder.illegal + pole);
    bare.missed = (uint8_t)missed;
}

int EXPORT(bare_duty_q15)(void)
{
    return board_duty_q15(&bare);
}

int EXPORT(bare_ramp_speed)(void)
{
    return board_ramp_speed(&bare);
}

/* 32 bits of host_t.traffic: the upper half with 1. */
uint32_t EXPORT(traffic_half)(int half)
{
    return (uint32_t)(page.host.traffic >> (half != 0 ? 32 : 0));
}

/* The plant alone, as BoardCart.place() and step() have it. */
void EXPORT(plant_place)(double position_m, double speed_m_s, double angle_rad, double rate_rad_s)
{
    cart_drive_place(&page.world, (plant_state_t){position_m, speed_m_s, angle_rad, rate_rad_s});
}

const plant_state_t *EXPORT(plant_step_under)(double output, int is_open)
{
    page.world.output = output;
    page.world.is_open = is_open != 0;
    world_move(&page.world);
    return &page.world.state;
}

/* The chosen controller alone. */
void EXPORT(controllers_restart)(void)
{
    controllers_begin(&page.controllers);
}

double EXPORT(controllers_answer)(double position_m, double speed_m_s, double angle_rad, double rate_rad_s)
{
    const observation_t seen = {(float)position_m, (float)speed_m_s, (float)angle_rad, (float)rate_rad_s};
    return controllers_duty(&page.controllers, seen);
}
