#include "safety.h"

#include "config.h"
#include "counts.h"
#include "limits.h"

static bool is_driving(const safety_t *safety)
{
    return safety->state == CART_ARMED || safety->state == CART_HOMING;
}

static void enter(safety_t *safety, uint8_t state)
{
    if (is_driving(safety))
        drive_end(safety, state);
    safety->state = state;
    safety->is_swinging = false;
}

/* Nothing has been driven, heard or missed yet. */
static void begin_driving(safety_t *safety, const safety_inputs_t *inputs, uint8_t state)
{
    safety->state = state;
    safety->command_age_ms = 0;
    safety->command_valid_ms = COMMAND_TIMEOUT_CEILING_MS; /* for the first one: until then the duty is 0 */
    safety->homing_ms = 0;
    safety->quiet_ms = 0;
    safety->pole_still = (stillness_t){inputs->pole_counts, 0};
    safety->went = 0;
    safety->illegal_cart = safety->illegal_pole = safety->illegal_ms = 0;
    safety->supply_low_ms = safety->supply_high_ms = 0;
    drive_begin(safety, inputs);
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
    if (fault != FAULT_NONE)
        return fault;
    return drive_surroundings(inputs, check_relay(safety));
}

void safety_init(safety_t *safety)
{
    *safety = (safety_t){.state = CART_BOOT};
}

void safety_take_limits(safety_t *safety, uint16_t crc)
{
    if (crc == safety->limits_crc)
        return;
    safety->limits_crc = crc;
    safety->is_homed = false; /* other signs, another pole: the zeros were another cart's */
    if (safety->state == CART_READY)
        enter(safety, CART_DISARMED);
}

uint8_t safety_configure(safety_t *safety, const cfg_message_t *cfg, uint8_t *detail)
{
    if (!drive_may_begin(safety, !is_driving(safety)))
        return ACK_NOT_NOW;
    *detail = config_check(cfg);
    if (*detail != CONFIG_IN_RANGE)
        return ACK_OUT_OF_RANGE;
    const uint16_t crc = drive_crc(safety, cfg);
    const bool is_changed = crc != safety->limits_crc;
    safety->limits = *cfg;
    safety_take_limits(safety, crc);
    safety->is_configured = drive_configure(safety, is_changed);
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
    if (!drive_may_begin(safety, safety->state == CART_READY))
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
    if (!drive_may_begin(safety, safety->state == CART_DISARMED || safety->state == CART_READY))
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
    if (!drive_may_begin(safety, safety->state == CART_READY))
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
    drive_trip(safety, fault);
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
    drive_hear(safety);
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
    if (DRIVE_HAS_CART_ENCODER && (cart_noise || magnitude(inputs->cart_moved) > COUNTS_PER_TICK_MOST))
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

static uint8_t check_armed(safety_t *safety, const safety_inputs_t *inputs, int16_t duty_q15)
{
    safety->command_age_ms = (uint16_t)(safety->command_age_ms + 1u + inputs->missed_ticks);
    if (safety->command_age_ms >= safety->command_valid_ms)
        return FAULT_COMMAND_TIMEOUT;
    if (inputs->is_left_closed || inputs->is_right_closed)
        return drive_switch_fault(safety, inputs);
    if (drive_is_past_stopping(safety, inputs, duty_q15))
        return FAULT_TRAVEL_LIMIT;
    const uint8_t fault = check_angle(safety, inputs);
    if (fault != FAULT_NONE)
        return fault;
    const uint32_t most = safety->limits.still_travel_counts;
    if (stillness_has_lasted(&safety->pole_still, inputs->pole_counts, travelled(safety, inputs->cart_moved),
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

int16_t safety_clamped(safety_t *safety, int16_t want_q15, int16_t most)
{
    safety->was_clipped = magnitude(want_q15) > (uint32_t)most;
    if (!safety->was_clipped)
        return want_q15;
    return want_q15 < 0 ? (int16_t)-most : most;
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

NOT_INLINED motor_t safety_tick(safety_t *safety, const safety_inputs_t *inputs, int16_t want)
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
        return drive_rest(safety, inputs);

    uint8_t fault = check_machine(safety, inputs);
    int16_t duty_q15;
    if (safety->state == CART_ARMED) {
        duty_q15 = safety_clamped(safety, want, safety->limits.max_duty_q15);
        if (fault == FAULT_NONE)
            fault = check_armed(safety, inputs, duty_q15);
    } else {
        duty_q15 = drive_homing_duty(safety, inputs, want);
        if (fault == FAULT_NONE)
            fault = check_homing(safety, inputs);
    }
    if (fault == FAULT_NONE)
        fault = drive_check(safety, inputs, duty_q15);
    if (fault == FAULT_NONE && safety->state == CART_ARMED)
        fault = plausibility_check(&safety->plausibility, inputs, &safety->limits, duty_q15, safety->is_swinging);
    if (fault != FAULT_NONE) {
        safety_trip(safety, fault);
        return drive_rest(safety, inputs);
    }
    return drive_push(safety, duty_q15);
}
