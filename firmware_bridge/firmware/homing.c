#include "homing.h"

#include "counts.h"
#include "hal.h"
#include "homing_parts.h"
#include "limits.h"

#ifdef __AVR__
#pragma GCC optimize("Os") /* while it homes there is time, and flash is short: 1 kB less */
#endif

#define HANG_STILL_MS 500     /* hanging still means still for so long, */
#define HANG_SHARE 256        /* or within this share of a turn for a whole period */
#define LEFT_SHARE 8          /* of the travel limit: so far along a leg the other switch is open and the pole has swung the right way */
#define BRAKE_AFTER_MS 1000   /* until then a hand may still it */
#define BRAKE_MOST_MS 60000   /* then it must have become slow */
#define BRAKE_SHARE 8         /* while it brakes the pole the cart stays within this share of the travel limit of its place, */
#define BRAKE_EXACT 6         /* in 1/256 of which it is driven */
#define BRAKE_SHIFT 6         /* the pole's speed is how far its mean of the last 2^6 ms stays behind, in 1/256 count */
#define BRAKE_SLOW 4289UL     /* times a turn over the half period in ms: that of a swing of 30 degrees, 256 * 2^6 * pi / 12 */
#define BRAKE_STILL 384       /* a count and a half: less is no swing that this could brake */
#define CREEP_STUCK_MS 1000   /* creeping without moving */
#define SETTLE_MS 200         /* at the middle, before the swing is watched */
#define POLARITY_SHARE 32     /* moved the wrong way by 1/32 of the travel limit: no overshoot, the signs are wrong */
#define SWING_COUNTS 4        /* beyond this the pole is on a side */
#define SWING_CROSSINGS 5     /* the first only starts the clock: four half periods are taken */
#define ANY_PERIODS 3         /* half periods that one may take where any is welcome; 2 else. Four times fit 16 bits */
#define KICK_MS 60 /* the second takes twice as long, the third three times */
#define KICKS_MOST 3
#define CENTRE_SHARE 128      /* the middle is reached within 1/128 of the track */

NOT_INLINED void homing_enter(homing_t *homing, uint8_t phase, const safety_inputs_t *inputs)
{
    homing->phase = phase;
    homing->phase_ms = 0;
    homing->drive_q15 = 0;
    homing->from_cart = inputs->cart_counts;
    homing->still_from = inputs->cart_counts;
    homing->still_ms = 0;
}

int16_t homing_fail(homing_t *homing, uint8_t fault)
{
    homing->phase = HOMING_FAILED;
    homing->fault = fault;
    return 0;
}

void homing_begin(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits, uint8_t options)
{
    *homing = (homing_t){0};
    homing->is_any_period = (options & HOME_ANY_PERIOD) != 0;
    homing->slow_lag = homing->peak_lag =
        (int32_t)(BRAKE_SLOW * limits->pole_counts_per_turn / limits->pole_half_period_ms);
    homing_enter(homing, HOMING_STILL, inputs);
}

void homing_begin_centring(homing_t *homing, const safety_inputs_t *inputs)
{
    homing->is_centring_only = true;
    homing->jog_side = 0;
    homing_enter(homing, HOMING_CENTRE, inputs);
}

int32_t homing_centre(const homing_t *homing)
{
    return (int32_t)((uint32_t)homing->left + (uint32_t)(difference(homing->right, homing->left) / 2));
}

int32_t homing_upright(const homing_t *homing, const cfg_message_t *limits)
{
    return difference(homing->rest_pole, limits->pole_counts_per_turn / 2);
}

/* What is wrong with a leg toward `side`, FAULT_NONE where nothing is. */
static uint8_t check_leg(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits, int8_t side)
{
    const int32_t moved = difference(inputs->cart_counts, homing->from_cart);
    if (magnitude(moved) > limits->homing_travel_counts)
        return FAULT_HOMING_TRAVEL;
    if ((side < 0) != (moved < 0) && magnitude(moved) > limits->travel_limit_counts / POLARITY_SHARE)
        return FAULT_POLARITY;
    if (magnitude(difference(inputs->cart_counts, homing->still_from)) >= STILL_COUNTS) {
        homing->still_from = inputs->cart_counts;
        homing->still_ms = 0;
    } else if (DRIVE_HAS_CART_ENCODER && ++homing->still_ms >= CREEP_STUCK_MS) {
        return FAULT_CART_STUCK;
    }
    return FAULT_NONE;
}

/* How far the pole is from where it hung. */
static int16_t swing_of(const homing_t *homing, const safety_inputs_t *inputs)
{
    return (int16_t)difference(inputs->pole_counts, homing->rest_pole);
}

/* The pole's first clear swing after it hung still: a push to the left drags the hinge, and the counts go down. */
static void watch_first_swing(homing_t *homing, const safety_inputs_t *inputs, int8_t pushed)
{
    const int16_t swung = swing_of(homing, inputs);
    if (homing->first_swing != 0 || (swung < 0 ? -swung : swung) < homing->clearance)
        return;
    homing->first_swing = swung < 0 ? -1 : 1;
    homing->first_push = pushed;
}

/* Whether the pole stands still; or nearly, for a whole period: it then hangs in the middle. */
static bool hangs_still(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    const int16_t at = homing->at = (int16_t)(homing->at + inputs->pole_moved);
    if (at < homing->lowest)
        homing->lowest = at;
    if (at > homing->highest)
        homing->highest = at;
    const uint16_t width = (uint16_t)(homing->highest - homing->lowest);
    homing->swing_ms++;
    if (width > limits->pole_counts_per_turn / HANG_SHARE + STILL_COUNTS)
        homing->at = homing->lowest = homing->highest = 0, homing->swing_ms = 0;
    homing->strayed = (int16_t)(homing->strayed + inputs->pole_moved);
    homing->still_ms++;
    if ((uint16_t)(homing->strayed + STILL_COUNTS - 1) > 2 * (STILL_COUNTS - 1))
        homing->strayed = 0, homing->still_ms = 0;
    homing->rest_pole = inputs->pole_counts;
    homing->clearance = SWING_COUNTS;
    if (homing->still_ms >= HANG_STILL_MS && !homing->is_braked)
        return true; /* one that the cart has swung takes its time to turn back */
    homing->rest_pole -= (int16_t)(homing->at - (homing->lowest + homing->highest) / 2);
    homing->clearance = (uint8_t)(SWING_COUNTS + width / 2u);
    return homing->swing_ms >= 2u * limits->pole_half_period_ms;
}

/* The cart stands off its place by a share of the pole's speed, so that the pole's pivot gives way to each of its swings. */
static int16_t brake_pole(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    const int32_t most = (int32_t)(limits->travel_limit_counts / BRAKE_SHARE) + 1;
    const int32_t lag = homing->lag += (int32_t)(int16_t)inputs->pole_moved * 256 - (homing->lag >> BRAKE_SHIFT);
    const int32_t size = (int32_t)magnitude(lag);
    homing->peak_lag -= (homing->peak_lag - homing->slow_lag) >> 12;
    if (size > homing->peak_lag)
        homing->peak_lag = size;
    homing->phase_ms++;
    if (homing->phase_ms >= BRAKE_MOST_MS)
        return homing_fail(homing, homing->peak_lag > 2 * homing->slow_lag ? FAULT_POLE_SIGN : FAULT_HOMING_TIMEOUT);
    if (homing->phase_ms < BRAKE_AFTER_MS) {
        homing->from_cart = inputs->cart_counts;
        homing->was_closed = false;
    }
    /* Away from a switch that it has come to, once: from one whose wire is cut it would run on and on. */
    const bool is_closed = inputs->is_left_closed || inputs->is_right_closed;
    if (is_closed && !homing->was_closed)
        homing->from_cart = inputs->cart_counts + (inputs->is_left_closed ? most : -most);
    homing->was_closed = is_closed;
    const int32_t away = difference(inputs->cart_counts, homing->from_cart);
    if (magnitude(away) > 2u * (uint32_t)most)
        return homing_fail(homing, FAULT_POLARITY);
    if (is_closed && magnitude(away) < (uint32_t)most / 4u)
        return homing_fail(homing, FAULT_HOMING_SWITCH);
    /* As it will be a sixteenth of a second from now: that eases it in. */
    int16_t left = (int16_t)-((away + (inputs->cart_speed >> 8)) * 256 / most);
    if (size >= BRAKE_STILL)
        left = (int16_t)(left + lag * 256 / homing->peak_lag);
    const uint16_t far = (uint16_t)(left < 0 ? -left : left);
    int32_t drive = 0;
    /* A push, once begun, moves the cart by more than its encoder's flicker. */
    if (homing->phase_ms >= BRAKE_AFTER_MS && far >= (homing->drive_q15 == 0 ? BRAKE_EXACT : 1)) {
        drive = homing_push(limits, far, most);
        homing->is_braked = true;
    }
    homing->drive_q15 = (int16_t)(left < 0 ? -drive : drive);
    return homing->drive_q15;
}

static int16_t wait_hanging(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    if (inputs->is_left_closed && inputs->is_right_closed)
        return homing_fail(homing, FAULT_HOMING_SWITCH);
    if (!hangs_still(homing, inputs, limits))
        return brake_pole(homing, inputs, limits);
    homing_enter(homing, inputs->is_left_closed ? HOMING_LEAVE : HOMING_LEFT, inputs);
    return 0;
}

/* Whether the cart is so far from where the leg began that the switch there must be open. */
NOT_INLINED bool homing_has_left_behind(const homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    return magnitude(difference(inputs->cart_counts, homing->from_cart)) > limits->travel_limit_counts / LEFT_SHARE;
}

/* A pole that stood upright so still that it passed for one that hangs. The legs swing that one by a few degrees. A stepper loses its
 * zeros when it lets go after a long hold, and by then a pole that has balanced may still stand on its friction. */
static bool has_fallen(const homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    const int16_t swung = swing_of(homing, inputs);
    return (swung < 0 ? -swung : swung) > (int16_t)(limits->pole_counts_per_turn / 4u);
}

static int16_t begin_again(homing_t *homing, const safety_inputs_t *inputs)
{
    homing_enter(homing, HOMING_STILL, inputs);
    homing->swing_ms = 0;
    homing->first_swing = 0;
    return 0;
}

int16_t homing_leg(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits, int8_t side)
{
    const uint8_t fault = check_leg(homing, inputs, limits, side);
    if (fault != FAULT_NONE)
        return homing_fail(homing, fault);
    watch_first_swing(homing, inputs, side);
    if (!DRIVE_HAS_CART_ENCODER && has_fallen(homing, inputs, limits))
        return begin_again(homing, inputs);
    /* Only once the cart is seen to go where it is pushed: a wrong sign there would look like one of the pole's. */
    if (DRIVE_HAS_CART_ENCODER && homing->first_swing != homing->first_push && homing_has_left_behind(homing, inputs, limits))
        return homing_fail(homing, FAULT_POLE_SIGN);
    return homing_creep(homing, inputs, limits, side, limits->homing_speed_counts_s);
}

static int16_t go_left(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    const uint8_t fault = homing_wrong_switch(homing, inputs, limits);
    if (fault != FAULT_NONE)
        return homing_fail(homing, fault);
    if (!inputs->is_left_closed)
        return homing_leg(homing, inputs, limits, -1);
    homing->left = homing_closed_at(inputs);
    homing_enter(homing, HOMING_RIGHT, inputs);
    return 0;
}

static int16_t go_right(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    if (inputs->is_left_closed && homing_has_left_behind(homing, inputs, limits))
        return homing_fail(homing, FAULT_HOMING_SWITCH);
    if (!inputs->is_right_closed)
        return homing_leg(homing, inputs, limits, 1);
    homing->right = homing_closed_at(inputs);
    if ((uint32_t)difference(homing->right, homing->left) / 2u <= limits->travel_limit_counts)
        return homing_fail(homing, FAULT_TRACK_SHORT);
    homing_enter(homing, HOMING_AFTER_RIGHT, inputs);
    return 0;
}

static int16_t go_to_centre(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    const int32_t target = homing->is_centring_only ? 0 : homing_centre(homing);
    const int32_t left = difference(target, inputs->cart_counts);
    const uint32_t tolerance = (uint32_t)difference(homing->right, homing->left) / CENTRE_SHARE + STILL_COUNTS;
    /* Once it is there, the encoder's flicker does not send it on: the push would begin again at 0 each time. */
    if (magnitude(left) <= tolerance + (homing->phase_ms > 0 ? STILL_COUNTS : 0u)) {
        if (++homing->phase_ms >= SETTLE_MS) {
            homing_enter(homing, homing->is_centring_only ? HOMING_DONE : HOMING_SWING, inputs);
            homing->crossing_ms = 0;
        }
        homing->drive_q15 = 0;
        return 0;
    }
    homing->phase_ms = 0;
    const int8_t side = left < 0 ? -1 : 1;
    const uint8_t fault = check_leg(homing, inputs, limits, side);
    /* It may overshoot the middle: the leg began on the other side then, and polarity was seen on the legs before. */
    if (fault != FAULT_NONE && fault != FAULT_POLARITY)
        return homing_fail(homing, fault);
    uint32_t speed = limits->homing_speed_counts_s;
    if (magnitude(left) < speed / 2u) /* the last half second slower and slower */
        speed = magnitude(left) * 2u;
    return homing_creep(homing, inputs, limits, side, speed);
}

/* Four half periods about the place where the pole hung. A pole at rest is kicked, three times at most. */
static int16_t watch_swing(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    const int16_t swung = swing_of(homing, inputs);
    const uint16_t expected_ms = limits->pole_half_period_ms;
    const uint8_t most_periods = homing->is_any_period ? ANY_PERIODS : 2;
    if (homing->kicks > 0)
        watch_first_swing(homing, inputs, 1);
    if (homing->first_swing != homing->first_push)
        return homing_fail(homing, FAULT_POLE_SIGN);
    homing->crossing_ms++;
    homing->phase_ms++;
    if (swung >= SWING_COUNTS || swung <= -SWING_COUNTS) {
        const int8_t side = swung < 0 ? -1 : 1;
        if (side == -homing->side) {
            if (homing->crossings++ > 0)
                homing->half_periods_ms = (uint16_t)(homing->half_periods_ms + homing->crossing_ms);
            homing->crossing_ms = 0;
        }
        homing->side = side;
    }
    if (homing->crossings >= SWING_CROSSINGS) {
        const uint16_t found_ms = (uint16_t)(homing->half_periods_ms / (SWING_CROSSINGS - 1));
        const uint16_t off_ms = (uint16_t)(found_ms > expected_ms ? found_ms - expected_ms : expected_ms - found_ms);
        homing->half_period_ms = found_ms;
        if (off_ms > expected_ms / 4u && !homing->is_any_period)
            return homing_fail(homing, FAULT_POLE_PERIOD);
        homing->phase = HOMING_DONE;
        return 0;
    }
    if (homing->crossing_ms <= (uint16_t)(most_periods * expected_ms))
        return homing->phase_ms <= KICK_MS * homing->kicks && !homing_has_left_behind(homing, inputs, limits) ? homing_kick(limits)
                                                                                                        : 0;
    if (homing->kicks++ >= KICKS_MOST)
        return homing_fail(homing, homing->crossings > 0 ? FAULT_POLE_PERIOD : FAULT_POLE_STUCK);
    homing->crossings = 0;
    homing->side = 0; /* the way to where the kick throws it is no half period */
    homing->half_periods_ms = 0;
    homing->crossing_ms = 0;
    homing->phase_ms = 0;
    return 0;
}

void homing_jog(homing_t *homing, const safety_inputs_t *inputs, int8_t side)
{
    if (homing->phase != HOMING_JOG || homing->jog_side != side)
        homing_enter(homing, HOMING_JOG, inputs);
    homing->jog_side = side;
    homing->phase_ms = 0;
}

static int16_t jog(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    if (++homing->phase_ms <= JOG_MS)
        return homing_creep(homing, inputs, limits, homing->jog_side, limits->homing_speed_counts_s);
    homing->phase = HOMING_DONE;
    return 0;
}

int16_t homing_tick(homing_t *homing, const safety_inputs_t *inputs, const cfg_message_t *limits)
{
    switch (homing->phase) {
    case HOMING_STILL:
        return wait_hanging(homing, inputs, limits);
    case HOMING_LEAVE:
        if (inputs->is_left_closed)
            return homing_leave(homing, inputs, limits);
        homing_enter(homing, HOMING_LEFT, inputs);
        return 0;
    case HOMING_LEFT:
        return go_left(homing, inputs, limits);
    case HOMING_RIGHT:
        return go_right(homing, inputs, limits);
    case HOMING_CENTRE:
        return go_to_centre(homing, inputs, limits);
    case HOMING_SWING:
        return watch_swing(homing, inputs, limits);
    case HOMING_JOG:
        return jog(homing, inputs, limits);
    default:
        return homing_go_on(homing, inputs, limits);
    }
}
