#include "config.h"

#include <stddef.h>

#include "drive.h"
#include "framing.h"
#include "hal.h"
#include "limits.h"

#ifdef __AVR__
#pragma GCC optimize("Os") /* flash is short, and a cart is configured rarely */
#endif

static NOT_INLINED uint8_t in_range(uint16_t value, uint16_t least, uint16_t most)
{
    return value >= least && value <= most;
}

/* From 1 to `most`; a negative duty is far out of range as an unsigned number. */
static NOT_INLINED uint8_t is_up_to(uint16_t value, uint16_t most)
{
    return (uint16_t)(value - 1u) < most;
}

static NOT_INLINED uint8_t is_way(uint32_t counts, uint32_t most)
{
    return counts - 1u < most;
}

uint8_t config_check(const cfg_message_t *cfg)
{
    const uint16_t quarter_turn = cfg->pole_counts_per_turn / 4u;
    const uint8_t checks[] = {
        drive_takes_flags(cfg->flags),
        is_up_to(cfg->control_period_ms, CONTROL_PERIOD_CEILING_MS),
        is_up_to(cfg->command_timeout_ms, COMMAND_TIMEOUT_CEILING_MS),
        is_up_to((uint16_t)cfg->max_duty_q15, DUTY_CEILING),
        is_way(cfg->travel_limit_counts, TRAVEL_CEILING_COUNTS),
        cfg->brake_decel_counts_s2 >= 8,
        is_up_to(cfg->pole_limit_counts, quarter_turn), /* there the pole lies */
        is_up_to(cfg->arming_angle_counts, cfg->pole_limit_counts),
        in_range(cfg->pole_counts_per_turn, POLE_COUNTS_PER_TURN_LEAST, POLE_COUNTS_PER_TURN_MOST),
        in_range(cfg->pole_half_period_ms, POLE_HALF_PERIOD_LEAST_MS, POLE_HALF_PERIOD_MOST_MS),
        is_way(cfg->homing_travel_counts, 2u * TRAVEL_CEILING_COUNTS),
        is_up_to(cfg->homing_speed_counts_s, UINT16_MAX),
        is_up_to((uint16_t)cfg->homing_duty_q15, HOMING_DUTY_CEILING),
        is_up_to((uint16_t)cfg->moving_duty_q15, DUTY_CEILING),
        is_up_to(cfg->still_travel_counts, UINT16_MAX),
        (uint16_t)cfg->dead_zone_left_q15 <= DUTY_CEILING / 2,
        (uint16_t)cfg->dead_zone_right_q15 <= DUTY_CEILING / 2,
        is_up_to((uint16_t)cfg->continuous_duty_q15, DUTY_CEILING),
        is_up_to(cfg->reversals_per_s, REVERSALS_CEILING_PER_S),
        in_range(cfg->supply_min_mv, SUPPLY_LEAST_MV, SUPPLY_MOST_MV),
        in_range(cfg->supply_max_mv, cfg->supply_min_mv, SUPPLY_MOST_MV),
        is_up_to(cfg->illegal_most, ILLEGAL_MOST),
        cfg->bandgap_mv == 0 || in_range(cfg->bandgap_mv, BANDGAP_LEAST_MV, BANDGAP_MOST_MV),
        cfg->swing_timeout_ms <= SWING_CEILING_MS,
        in_range(cfg->upright_ms, UPRIGHT_LEAST_MS, UPRIGHT_MOST_MS),
        false, /* ends the search */
    };
    uint8_t field = 0;
    while (checks[field])
        field++;
    return field == sizeof checks - 1 ? CONFIG_IN_RANGE : field;
}

uint16_t config_crc(const cfg_message_t *cfg)
{
    const size_t begin = offsetof(cfg_message_t, flags);
    const uint16_t crc = framing_crc(FRAMING_CRC_START, (const uint8_t *)cfg + begin, sizeof *cfg - begin);
    return crc != 0 ? crc : 1;
}
