#include "safety.h"

#include "config.h"
#include "limits.h"

static uint32_t magnitude(int32_t value)
{
    return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

/* Wrapping difference of two counters. */
static int32_t difference(int32_t to, int32_t from)
{
    return (int32_t)((uint32_t)to - (uint32_t)from);
}

static bool is_driving(const safety_t *safety)
{
    return safety->state == CART_ARMED || safety->state == CART_HOMING;
}

static void enter(safety_t *safety, uint8_t state)
{
    if (is_driving(safety))
        safety->brake_ms = safety->is_swinging && state == CART_FAULT ? SWING_BRAKE_MS : BRAKE_MS;
    safety->state = state;
    safety->is_swinging = false;
}

/* Nothing has been driven, heard or missed yet; heat stays. */
static void begin_driving(safety_t *safety, const safety_inputs_t *inputs, uint8_t state)
{
    safety->state = state;
    safety->command_age_ms = 0;
    safety->command_valid_ms = COMMAND_TIMEOUT_CEILING_MS; /* for the first one: until then the duty is 0 */
    safety->homing_ms = 0;
    safety->quiet_ms = 0;
    safety->cart_still = (stillness_t){inputs->cart_counts, 0};
    safety->pushed = 0;
    safety->pole_still = (stillness_t){inputs->pole_counts, 0};
    safety->went = 0;
    safety->illegal_cart = safety->illegal_pole = safety->illegal_ms = 0;
    safety->supply_low_ms = safety->supply_high_ms = 0;
    safety->reversals = safety->reversals_ms = 0;
    safety->last_side = 0;
    plausibility_begin(&safety->plausibility);
    safety->was_clipped = false;
}

/* What of the board itself forbids to drive, FAULT_NONE where nothing does. */
static uint8_t check_board(const safety_inputs_t *inputs)
{
    if (!inputs->has_pulse_period)
        return FAULT_PULSE_PERIOD;
    return inputs->rail_mv != 0 && inputs->rail_mv < RAIL_LEAST_MV ? FAULT_RAIL_LOW : FAULT_NONE;
}

static uint8_t check_relay(const safety_t *safety)
{
    const bool is_asked_for = (safety->limits.flags & CFG_ESTOP_CUTS_SUPPLY) != 0;
    return is_asked_for && safety->is_relay_doubted ? FAULT_RELAY_WELDED : FAULT_NONE;
}

/* What of the surroundings forbids to drive, FAULT_NONE where nothing does. */
static uint8_t surroundings(const safety_t *safety, const safety_inputs_t *inputs)
{
    if (inputs->is_estop_pressed)
        return FAULT_ESTOP;
    if (safety->is_configured && inputs->supply_mv < safety->limits.supply_min_mv)
        return FAULT_SUPPLY_LOW;
    if (safety->is_configured && inputs->supply_mv > safety->limits.supply_max_mv)
        return FAULT_SUPPLY_HIGH;
    const uint8_t fault = check_board(inputs);
    return fault != FAULT_NONE ? fault : check_relay(safety);
}

/* duty^2 in 1/32768. */
static uint32_t heat_of(uint16_t size_q15)
{
    return (uint32_t)size_q15 * size_q15 * 2u >> 16;
}

void safety_init(safety_t *safety)
{
    *safety = (safety_t){.state = CART_BOOT};
}

uint8_t safety_configure(safety_t *safety, const cfg_message_t *cfg, uint8_t *detail)
{
    if (is_driving(safety))
        return ACK_NOT_NOW;
    *detail = config_check(cfg);
    if (*detail != CONFIG_IN_RANGE)
        return ACK_OUT_OF_RANGE;
    const uint16_t crc = config_crc(cfg);
    if (crc != safety->limits_crc) {
        safety->is_homed = false; /* other signs, another pole: the zeros were another cart's */
        if (safety->state == CART_READY)
            enter(safety, CART_DISARMED);
    }
    safety->limits = *cfg;
    safety->limits_crc = crc;
    safety->bearable_heat = heat_of((uint16_t)cfg->continuous_duty_q15);
    safety->is_configured = true;
    return ACK_DONE;
}

bool safety_is_still(const safety_t *safety)
{
    return safety->cart_standing.ms >= ARM_STILL_MS && safety->pole_standing.ms >= ARM_STILL_MS;
}

/* Where the pole must be: a cart that swings it up begins below the horizontal, any other upright. ACK_DONE where it is. */
static uint8_t check_arming_angle(const safety_t *safety, const safety_inputs_t *inputs, bool is_swing_up)
{
    const uint32_t angle = magnitude(inputs->pole_counts);
    if (is_swing_up)
        return angle > safety->limits.pole_counts_per_turn / 4u ? ACK_DONE : ACK_POLE_NOT_HANGING;
    return angle <= safety->limits.arming_angle_counts ? ACK_DONE : ACK_POLE_NOT_UPRIGHT;
}

uint8_t safety_arm(safety_t *safety, const safety_inputs_t *inputs, bool is_swing_up, uint8_t *detail)
{
    if (safety->state == CART_ARMED)
        return ACK_DONE;
    if (!safety->is_configured)
        return ACK_NO_LIMITS;
    if (safety->state == CART_DISARMED)
        return ACK_NOT_HOMED;
    if (safety->state != CART_READY)
        return ACK_NOT_NOW;
    if (is_swing_up && safety->limits.swing_timeout_ms == 0)
        return ACK_NO_LIMITS;
    *detail = surroundings(safety, inputs);
    if (*detail == FAULT_NONE && (inputs->is_left_closed || inputs->is_right_closed))
        *detail = FAULT_END_SWITCH;
    if (*detail != FAULT_NONE)
        return ACK_UNHEALTHY;
    if (magnitude(inputs->cart_counts) >= safety->limits.travel_limit_counts)
        return ACK_CART_OUTSIDE;
    const uint8_t code = check_arming_angle(safety, inputs, is_swing_up);
    if (code != ACK_DONE)
        return code;
    if (is_swing_up ? safety->cart_resting.ms < ARM_STILL_MS : !safety_is_still(safety))
        return ACK_NOT_STILL;
    begin_driving(safety, inputs, CART_ARMED);
    safety->is_swinging = is_swing_up;
    safety->swing_ms = safety->upright_ms = 0;
    return ACK_DONE;
}

static uint8_t begin_homing(safety_t *safety, const safety_inputs_t *inputs, uint8_t *detail)
{
    *detail = surroundings(safety, inputs);
    if (*detail != FAULT_NONE)
        return ACK_UNHEALTHY;
    begin_driving(safety, inputs, CART_HOMING);
    return ACK_DONE;
}

uint8_t safety_begin_jogging(safety_t *safety, const safety_inputs_t *inputs, uint8_t *detail)
{
    if (!safety->is_configured)
        return ACK_NO_LIMITS;
    if (safety->state != CART_DISARMED && safety->state != CART_READY)
        return ACK_NOT_NOW;
    return begin_homing(safety, inputs, detail);
}

uint8_t safety_begin_homing(safety_t *safety, const safety_inputs_t *inputs, uint8_t *detail)
{
    const uint8_t code = safety_begin_jogging(safety, inputs, detail);
    if (code == ACK_DONE)
        safety->is_homed = false;
    return code;
}

uint8_t safety_begin_centring(safety_t *safety, const safety_inputs_t *inputs, uint8_t *detail)
{
    if (safety->state == CART_DISARMED)
        return ACK_NOT_HOMED;
    if (safety->state != CART_READY)
        return ACK_NOT_NOW;
    return begin_homing(safety, inputs, detail);
}

uint8_t safety_clear(safety_t *safety, const safety_inputs_t *inputs, uint8_t *detail)
{
    if (safety->state != CART_FAULT)
        return ACK_DONE;
    *detail = surroundings(safety, inputs);
    if (*detail != FAULT_NONE)
        return ACK_UNHEALTHY;
    safety->fault = FAULT_NONE;
    safety->state = safety->is_homed ? CART_READY : CART_DISARMED;
    return ACK_DONE;
}

void safety_disarm(safety_t *safety)
{
    if (is_driving(safety))
        enter(safety, safety->is_homed ? CART_READY : CART_DISARMED);
}

void safety_homed(safety_t *safety, uint16_t half_period_ms)
{
    safety->is_homed = true;
    safety->half_period_ms = half_period_ms;
    enter(safety, CART_READY);
}

void safety_trip(safety_t *safety, uint8_t fault)
{
    if (safety->state == CART_FAULT)
        return;
    /* A wrong or a lost count makes both zeros worthless. */
    if (fault == FAULT_CART_ENCODER || fault == FAULT_POLE_ENCODER || fault == FAULT_CART_STUCK ||
        fault == FAULT_POLE_STILL || fault == FAULT_POLARITY || fault == FAULT_POLE_SIGN || fault == FAULT_POLE_ZERO ||
        safety->state == CART_HOMING)
        safety->is_homed = false;
    safety->fault = fault;
    enter(safety, CART_FAULT);
}

void safety_feed(safety_t *safety, uint16_t valid_ms)
{
    const uint16_t most = safety->limits.command_timeout_ms;
    safety->command_age_ms = 0;
    safety->command_valid_ms = valid_ms < most ? valid_ms : most;
}

void safety_hear(safety_t *safety)
{
    safety->quiet_ms = 0;
}

/* Whether the brake can no longer stop the cart before the travel limit: v^2 / 2a against what is left. */
static bool is_past_stopping(const safety_t *safety, const safety_inputs_t *inputs)
{
    const uint32_t limit = safety->limits.travel_limit_counts;
    const uint32_t distance = magnitude(inputs->cart_counts);
    if (distance >= limit)
        return true;
    if ((inputs->cart_counts < 0) != (inputs->cart_speed < 0))
        return false; /* toward the middle: the whole track is ahead */
    const uint32_t speed = magnitude(inputs->cart_speed) >> 6; /* in 4 counts a second: the square fits 32 bits */
    if (speed > UINT16_MAX)
        return true;
    /* (4 s)^2 / 2a is s^2 / (a / 8); multiplied out, for a division takes the microcontroller 500 cycles */
    const uint32_t eighth_decel = safety->limits.brake_decel_counts_s2 >> 3;
    return speed * speed >= (uint64_t)(limit - distance) * eighth_decel;
}

/* Adds `driven` where nothing moved, forgets it where something did; true when it has become `most`. */
static bool has_stood(stillness_t *stillness, int32_t counts, uint32_t driven, uint32_t most)
{
    if (magnitude(difference(counts, stillness->from_counts)) >= MOVED_COUNTS)
        *stillness = (stillness_t){counts, 0};
    else
        stillness->driven += driven;
    return stillness->driven >= most;
}

/* How far the cart went in this tick: a count that an encoder takes back at an edge is no way. */
static uint32_t travelled(safety_t *safety, int32_t moved)
{
    const int8_t side = (int8_t)((moved > 0) - (moved < 0));
    const bool is_taken_back = side != 0 && side == -safety->went && magnitude(moved) == 1;
    if (side != 0)
        safety->went = side;
    return is_taken_back ? 0u : magnitude(moved);
}

static uint8_t saturating_sum(uint8_t a, uint8_t b)
{
    return (uint8_t)(a > UINT8_MAX - b ? UINT8_MAX : a + b);
}

uint8_t safety_illegal(uint8_t illegal, uint8_t edges, int32_t moved, uint8_t missed_ticks)
{
    const uint8_t way = (uint8_t)moved; /* no more than 200 where it matters, and either way */
    if (edges == (uint8_t)(moved < 0 ? 0u - way : way))
        return illegal;
    const uint8_t astray = (uint8_t)(edges - (moved < 0 ? 0u - way : way)) >> 1;
    const uint8_t turns_back = saturating_sum(TURNS_BACK_PER_TICK, missed_ticks);
    return astray > turns_back ? saturating_sum(illegal, (uint8_t)(astray - turns_back)) : illegal;
}

static bool has_noise(uint8_t *seen, uint8_t illegal, uint8_t most)
{
    if (illegal != 0)
        *seen = saturating_sum(*seen, illegal);
    return *seen > most;
}

static bool has_lasted(uint8_t *ms, bool is_so)
{
    if (!is_so)
        *ms = 0;
    else
        (*ms)++;
    return *ms >= SUPPLY_MS;
}

/* What makes driving unsafe whoever drives, FAULT_NONE where nothing does. */
static uint8_t check_machine(safety_t *safety, const safety_inputs_t *inputs)
{
    if (++safety->illegal_ms >= ILLEGAL_MS)
        safety->illegal_cart = safety->illegal_pole = safety->illegal_ms = 0;
    const bool cart_noise = has_noise(&safety->illegal_cart, inputs->cart_illegal, safety->limits.illegal_most);
    const bool pole_noise = has_noise(&safety->illegal_pole, inputs->pole_illegal, safety->limits.illegal_most);
    const bool is_low = has_lasted(&safety->supply_low_ms, inputs->supply_mv < safety->limits.supply_min_mv);
    const bool is_high = has_lasted(&safety->supply_high_ms, inputs->supply_mv > safety->limits.supply_max_mv);
    if (safety->missed_in_a_row > MISSED_TICKS_MOST)
        return FAULT_MISSED_TICKS;
    if (cart_noise || magnitude(inputs->cart_moved) > COUNTS_PER_TICK_MOST)
        return FAULT_CART_ENCODER;
    if (pole_noise || magnitude(inputs->pole_moved) > COUNTS_PER_TICK_MOST)
        return FAULT_POLE_ENCODER;
    if (is_low)
        return FAULT_SUPPLY_LOW;
    if (is_high)
        return FAULT_SUPPLY_HIGH;
    return check_board(inputs);
}

/* A pole that is swung up may be anywhere, for a while, until it has stayed within its limit. */
static uint8_t check_angle(safety_t *safety, const safety_inputs_t *inputs)
{
    const bool is_upright = magnitude(inputs->pole_counts) <= safety->limits.pole_limit_counts;
    if (!safety->is_swinging)
        return is_upright ? FAULT_NONE : FAULT_POLE_ANGLE;
    safety->swing_ms = (uint16_t)(safety->swing_ms + 1u + inputs->missed_ticks);
    safety->upright_ms = is_upright ? (uint16_t)(safety->upright_ms + 1u) : 0u;
    if (safety->upright_ms >= safety->limits.upright_ms)
        safety->is_swinging = false;
    else if (safety->swing_ms >= safety->limits.swing_timeout_ms)
        return FAULT_SWING_TIMEOUT;
    return FAULT_NONE;
}

static uint8_t check_armed(safety_t *safety, const safety_inputs_t *inputs)
{
    safety->command_age_ms = (uint16_t)(safety->command_age_ms + 1u + inputs->missed_ticks);
    if (safety->command_age_ms >= safety->command_valid_ms)
        return FAULT_COMMAND_TIMEOUT;
    if (inputs->is_left_closed || inputs->is_right_closed)
        return FAULT_END_SWITCH;
    if (is_past_stopping(safety, inputs))
        return FAULT_TRAVEL_LIMIT;
    const uint8_t fault = check_angle(safety, inputs);
    if (fault != FAULT_NONE)
        return fault;
    const uint32_t most = safety->limits.still_travel_counts;
    if (has_stood(&safety->pole_still, inputs->pole_counts, travelled(safety, inputs->cart_moved),
                  safety->is_swinging ? most * SWING_STILL : most))
        return FAULT_POLE_STILL;
    return FAULT_NONE;
}

static uint8_t check_homing(safety_t *safety, const safety_inputs_t *inputs)
{
    safety->quiet_ms = (uint16_t)(safety->quiet_ms + 1u + inputs->missed_ticks);
    if (safety->quiet_ms >= HOST_QUIET_MS)
        return FAULT_HOST_SILENT;
    return ++safety->homing_ms > HOMING_MOST_MS ? FAULT_HOMING_TIMEOUT : FAULT_NONE;
}

static int16_t clamped(safety_t *safety, int16_t want_q15, int16_t most)
{
    safety->was_clipped = magnitude(want_q15) > (uint32_t)most;
    if (!safety->was_clipped)
        return want_q15;
    return want_q15 < 0 ? (int16_t)-most : most;
}

/* The long mean of duty^2, in 1/32768. A shift by 16 costs the microcontroller nothing, one by 14 a loop; heat stays below 2^30. */
static uint32_t mean_heat(const safety_t *safety)
{
    return safety->heat << (16 - HEAT_SHIFT) >> 16;
}

uint8_t safety_warmth(const safety_t *safety)
{
    return (uint8_t)(mean_heat(safety) >> 7); /* at most 32766 / 128 */
}

static bool is_stuck(safety_t *safety, const safety_inputs_t *inputs, int16_t duty_q15)
{
    const uint16_t size = (uint16_t)magnitude(duty_q15), moving = (uint16_t)safety->limits.moving_duty_q15;
    uint8_t weight = STUCK_WEIGHT;
    if (size < moving)
        weight = 0;
    else if (safety->is_swinging && size / STUCK_WEAK < moving)
        weight = STUCK_WEIGHT / 2;
    if (safety->cart_still.driven == 0)
        safety->pole_from_counts = inputs->pole_counts;
    uint16_t most = STUCK_EITHER_WAY_MS * STUCK_WEIGHT;
    if (safety->is_swinging)
        most = STUCK_SWING_MS * STUCK_WEIGHT;
    else if (magnitude(difference(inputs->pole_counts, safety->pole_from_counts)) < STILL_COUNTS)
        most = STUCK_CALM_MS * STUCK_WEIGHT;
    const bool has_long_stood = has_stood(&safety->cart_still, inputs->cart_counts, weight, most);
    if (safety->cart_still.driven == 0)
        safety->pushed = 0;
    else
        safety->pushed = (int16_t)(safety->pushed + (duty_q15 < 0 ? -weight : weight));
    return has_long_stood || magnitude(safety->pushed) >= STUCK_MS * STUCK_WEIGHT;
}

/* The motor's own limits, seen from what it was just given. */
static uint8_t check_motor(safety_t *safety, const safety_inputs_t *inputs, int16_t duty_q15)
{
    const uint16_t size = (uint16_t)magnitude(duty_q15);
    safety->heat += heat_of(size) - mean_heat(safety);
    if (duty_q15 != 0) {
        const int8_t side = duty_q15 < 0 ? -1 : 1;
        safety->reversals = (uint16_t)(safety->reversals + (side == -safety->last_side));
        safety->last_side = side;
    }
    if (++safety->reversals_ms >= TICK_HZ) {
        const bool is_too_many = safety->reversals > safety->limits.reversals_per_s;
        safety->reversals = safety->reversals_ms = 0;
        if (is_too_many)
            return FAULT_REVERSALS;
    }
    if (mean_heat(safety) > safety->bearable_heat)
        return FAULT_MOTOR_HOT;
    return is_stuck(safety, inputs, duty_q15) ? FAULT_CART_STUCK : FAULT_NONE;
}

static motor_t at_rest(safety_t *safety)
{
    safety->heat -= mean_heat(safety);
    if (safety->brake_ms == 0)
        return (motor_t){0, false};
    safety->brake_ms--;
    return (motor_t){0, true};
}

static void stand(standing_t *standing, int32_t counts, uint32_t moves)
{
    if (magnitude(difference(counts, standing->at_counts)) >= moves)
        *standing = (standing_t){counts, 0};
    else if (standing->ms < ARM_STILL_MS)
        standing->ms++;
}

/* A pole that nobody drives swings about hanging, or upright is not where homing found it. */
static void watch_zero(safety_t *safety, const safety_inputs_t *inputs)
{
    if (safety->state != CART_READY || inputs->missed_ticks != 0)
        safety->pole_zero.points = 0;
    else if (pole_zero_is_off(&safety->pole_zero, inputs, &safety->limits, safety->half_period_ms))
        safety_trip(safety, FAULT_POLE_ZERO);
}

/* A contact that opens also the relay takes the supply away, as soon as the capacitors behind it are empty: they may take seconds. A
 * contact that bounces on its way back does so before they are full again. */
static void watch_relay(safety_t *safety, const safety_inputs_t *inputs)
{
    const uint16_t least_mv = safety->is_configured ? safety->limits.supply_min_mv : SUPPLY_LEAST_MV;
    if (inputs->supply_mv >= least_mv) {
        safety->cut_ms = 0;
        safety->is_relay_doubted |= inputs->is_estop_pressed;
    } else if (safety->cut_ms < SUPPLY_MS) {
        safety->cut_ms++;
    } else {
        safety->is_relay_doubted = false;
    }
}

NOT_INLINED motor_t safety_tick(safety_t *safety, const safety_inputs_t *inputs, int16_t want_q15)
{
    if (safety->state == CART_BOOT)
        safety->state = CART_DISARMED;
    stand(&safety->cart_standing, inputs->cart_counts, STILL_COUNTS);
    stand(&safety->pole_standing, inputs->pole_counts, STILL_COUNTS);
    stand(&safety->cart_resting, inputs->cart_counts, STILL_COUNTS + safety->limits.travel_limit_counts / REST_SHARE);
    watch_relay(safety, inputs);
    watch_zero(safety, inputs);
    const uint8_t missed_before = inputs->missed_ticks != 0 ? safety->missed_in_a_row : 0;
    safety->missed_in_a_row = saturating_sum(missed_before, inputs->missed_ticks);
    if (inputs->is_estop_pressed)
        safety_trip(safety, FAULT_ESTOP);
    if (!is_driving(safety))
        return at_rest(safety);

    uint8_t fault = check_machine(safety, inputs);
    int16_t duty_q15;
    if (safety->state == CART_ARMED) {
        duty_q15 = clamped(safety, want_q15, safety->limits.max_duty_q15);
        if (fault == FAULT_NONE)
            fault = check_armed(safety, inputs);
    } else {
        duty_q15 = clamped(safety, want_q15, safety->limits.homing_duty_q15);
        if ((inputs->is_left_closed && duty_q15 < 0) || (inputs->is_right_closed && duty_q15 > 0))
            duty_q15 = 0;
        if (fault == FAULT_NONE)
            fault = check_homing(safety, inputs);
    }
    if (fault == FAULT_NONE)
        fault = check_motor(safety, inputs, duty_q15);
    if (fault == FAULT_NONE && safety->state == CART_ARMED)
        fault = plausibility_check(&safety->plausibility, inputs, &safety->limits, duty_q15, safety->is_swinging);
    if (fault != FAULT_NONE) {
        safety_trip(safety, fault);
        return at_rest(safety);
    }
    return (motor_t){duty_q15, (safety->limits.flags & CFG_BRAKE_AT_ZERO) != 0};
}
