#include "config.h"

#include <stddef.h>

#include "framing.h"
#include "limits.h"

static uint8_t in_range(uint32_t value, uint32_t least, uint32_t most)
{
    return value >= least && value <= most;
}

/* A duty from 1 (or 0) to the ceiling; a negative one is far out of range as an unsigned number. */
static uint8_t is_duty(int16_t duty, uint32_t least, uint32_t most)
{
    return in_range((uint32_t)(int32_t)duty, least, most);
}

uint8_t config_check(const cfg_message_t *cfg)
{
    const uint32_t half_turn = (uint32_t)cfg->pole_counts_per_turn / 2u;
    const uint32_t flags = CFG_MOTOR_REVERSED | CFG_CART_REVERSED | CFG_POLE_REVERSED | CFG_APPLY_ON_ARRIVAL |
                           CFG_BRAKE_AT_ZERO | CFG_ESTOP_CUTS_SUPPLY;
    const uint8_t checks[] = {
        in_range(cfg->flags, 0, flags),
        in_range(cfg->control_period_ms, 1, CONTROL_PERIOD_CEILING_MS),
        in_range(cfg->command_timeout_ms, 1, COMMAND_TIMEOUT_CEILING_MS),
        is_duty(cfg->max_duty_q15, 1, DUTY_CEILING),
        in_range(cfg->travel_limit_counts, 1, TRAVEL_CEILING_COUNTS),
        in_range(cfg->brake_decel_counts_s2, 8, UINT32_MAX),
        in_range(cfg->pole_limit_counts, 1, half_turn / 2u), /* a quarter turn: the pole lies */
        in_range(cfg->arming_angle_counts, 1, cfg->pole_limit_counts),
        in_range(cfg->pole_counts_per_turn, POLE_COUNTS_PER_TURN_LEAST, POLE_COUNTS_PER_TURN_MOST),
        in_range(cfg->pole_half_period_ms, POLE_HALF_PERIOD_LEAST_MS, POLE_HALF_PERIOD_MOST_MS),
        in_range(cfg->homing_travel_counts, 1, 2u * TRAVEL_CEILING_COUNTS),
        in_range(cfg->homing_speed_counts_s, 1, UINT16_MAX),
        is_duty(cfg->homing_duty_q15, 1, HOMING_DUTY_CEILING),
        is_duty(cfg->moving_duty_q15, 1, DUTY_CEILING),
        in_range(cfg->still_travel_counts, 1, UINT16_MAX),
        is_duty(cfg->dead_zone_left_q15, 0, DUTY_CEILING / 2),
        is_duty(cfg->dead_zone_right_q15, 0, DUTY_CEILING / 2),
        is_duty(cfg->continuous_duty_q15, 1, DUTY_CEILING),
        in_range(cfg->reversals_per_s, 1, REVERSALS_CEILING_PER_S),
        in_range(cfg->supply_min_mv, SUPPLY_LEAST_MV, SUPPLY_MOST_MV),
        in_range(cfg->supply_max_mv, cfg->supply_min_mv, SUPPLY_MOST_MV),
        in_range(cfg->illegal_most, 1, ILLEGAL_MOST),
        cfg->bandgap_mv == 0 || in_range(cfg->bandgap_mv, BANDGAP_LEAST_MV, BANDGAP_MOST_MV),
        in_range(cfg->swing_timeout_ms, 0, SWING_CEILING_MS),
        in_range(cfg->upright_ms, UPRIGHT_LEAST_MS, UPRIGHT_MOST_MS),
    };
    for (uint8_t field = 0; field < sizeof checks; field++)
        if (!checks[field])
            return field;
    return CONFIG_IN_RANGE;
}

uint16_t config_crc(const cfg_message_t *cfg)
{
    const size_t begin = offsetof(cfg_message_t, flags);
    const uint16_t crc = framing_crc(FRAMING_CRC_START, (const uint8_t *)cfg + begin, sizeof *cfg - begin);
    return crc != 0 ? crc : 1;
}
