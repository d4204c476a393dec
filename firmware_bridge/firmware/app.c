#include "app.h"

#include <string.h>

#include "limits.h"

#ifndef PROTOCOL_HASH /* of the declarations in protocol.h: the build gives it */
#error "compile with -DPROTOCOL_HASH=0x...: cartpole-robot firmware build does"
#endif
#ifndef FIRMWARE_ID
#define FIRMWARE_ID 0
#endif

_Static_assert(PROTOCOL_SPEED_PER_COUNT == ESTIMATOR_SPEED_PER_COUNT, "STATE has the estimator's unit of speed");

#define DEFAULT_PERIOD_MS 20
#define BEACON_MS 250 /* from one HELLO_ACK that nobody asked for to the next */
#define STALE_TICKS 2 /* an answer to a STATE older than this is no answer */

/* How CFG, MODE and STEPPER begin. */
typedef struct PACKED {
    uint8_t type;
    uint16_t session;
    uint8_t seq;
} request_t;

static void count(uint16_t *counter)
{
    if (*counter != UINT16_MAX)
        (*counter)++;
}

static void count_more(uint16_t *counter, uint8_t more)
{
    *counter = more < UINT16_MAX - *counter ? (uint16_t)(*counter + more) : UINT16_MAX;
}

void app_init(app_t *app, uint16_t session, uint8_t reset_cause, bool is_relay_doubted, const policy_image_t *image)
{
    memset(app, 0, sizeof *app);
    onboard_init(&app->onboard, image);
    safety_init(&app->safety);
    app->safety.is_relay_doubted = is_relay_doubted;
    frame_decoder_reset(&app->decoder);
    app->session = session;
    app->reset_cause = reset_cause;
    app->told_state = CART_BOOT;
}

static uint8_t period_of(const app_t *app)
{
    return app->safety.is_configured ? app->safety.limits.control_period_ms : DEFAULT_PERIOD_MS;
}

/* ---- sending ---- */

static void send(app_t *app, const void *message, size_t length)
{
    uint8_t frame[FRAMING_MAX_FRAME];
    const size_t bytes = framing_encode(message, length, frame);
    const uint8_t used = (uint8_t)(app->send_head - app->send_tail);
    if (bytes > (size_t)(APP_SEND_BYTES - 1 - used)) {
        count(&app->send_overruns); /* whole frames are lost, never halves */
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        app->send[app->send_head++] = frame[i];
}

bool app_next_byte(app_t *app, uint8_t *byte)
{
    if (app->send_tail == app->send_head)
        return false;
    *byte = app->send[app->send_tail++];
    return true;
}

static void send_ack(app_t *app, uint8_t seq, uint8_t code, uint8_t detail)
{
    const ack_message_t ack = {MESSAGE_ACK, seq, code, detail, app->safety.limits_crc};
    send(app, &ack, sizeof ack);
}

static void send_hello_ack(app_t *app, uint16_t nonce)
{
    const hello_ack_message_t answer = {
        .type = MESSAGE_HELLO_ACK,
        .nonce = nonce,
        .protocol_hash = PROTOCOL_HASH,
        .session = app->session,
        .version = PROTOCOL_VERSION,
        .state = app->safety.state,
        .fault = app->safety.fault,
        .reset_cause = app->reset_cause,
        .time_us = app->time_us,
        .firmware_id = FIRMWARE_ID,
        .limits_crc = app->safety.limits_crc,
        .drive = DRIVE_KIND,
    };
    send(app, &answer, sizeof answer);
}

static bool is_on_board(const app_t *app)
{
    return onboard_is_there(&app->onboard) && app->safety.state == CART_ARMED && (app->options & OPTION_ON_BOARD) != 0;
}

/* The policy in the image drives, and what it decides keeps the watchdog quiet. */
static bool is_alone(const app_t *app)
{
    return is_on_board(app) && (app->options & OPTION_HOST_MAY_LEAVE) != 0;
}

static void send_state(app_t *app)
{
    const safety_t *safety = &app->safety;
    const unsigned inputs = (app->inputs.is_left_closed ? (unsigned)INPUT_LEFT_SWITCH : 0u) |
                            (app->inputs.is_right_closed ? (unsigned)INPUT_RIGHT_SWITCH : 0u) |
                            (app->inputs.is_estop_pressed ? (unsigned)INPUT_ESTOP : 0u) |
                            (safety->is_homed ? (unsigned)INPUT_HOMED : 0u) |
                            (safety_is_still(safety) ? (unsigned)INPUT_STILL : 0u) |
                            (safety->was_clipped ? (unsigned)INPUT_CLIPPED : 0u) |
                            (is_on_board(app) ? (unsigned)INPUT_ON_BOARD : 0u) |
                            (safety->is_swinging ? (unsigned)INPUT_SWINGING : 0u);
    const state_message_t state = {
        .type = MESSAGE_STATE,
        .session = app->session,
        .tick = app->tick,
        .time_us = app->time_us,
        .cart_counts = app->inputs.cart_counts,
        .pole_counts = app->inputs.pole_counts,
        .cart_speed = app->inputs.cart_speed,
        .pole_speed = estimator_speed(&app->pole_estimator),
        .applied_q15 = app->applied_q15,
        .supply_mv = app->inputs.supply_mv,
        .command_age_ms = app->has_command || is_alone(app) ? safety->command_age_ms : NO_COMMAND_MS,
        .state = safety->state,
        .fault = safety->fault,
        .inputs = (uint8_t)inputs,
    };
    send(app, &state, sizeof state);
}

static void send_health(app_t *app)
{
    const health_message_t health = {
        .type = MESSAGE_HEALTH,
        .frame_errors = app->decoder.errors,
        .refused = app->refused,
        .receive_overruns = app->board.receive_overruns,
        .send_overruns = app->send_overruns,
        .missed_ticks = app->missed_ticks,
        .longest_tick_us = app->board.longest_tick_us,
        .longest_interrupt_us = app->board.longest_interrupt_us,
        .stack_free = app->board.stack_free,
        .cart_illegal = app->cart_illegal_sum,
        .pole_illegal = app->pole_illegal_sum,
        .late_commands = app->late_commands,
        .rail_mv = app->rail.mv,
        .bandgap_steps = app->rail.steps,
        .pulse_top = app->pulse_top,
        .fuse_low = app->board.fuse_low,
        .fuse_high = app->board.fuse_high,
        .fuse_extended = app->board.fuse_extended,
        .bootloader = app->board.bootloader,
        .chip = app->board.chip,
        .pole_half_period_ms = app->homing.half_period_ms,
    };
    send(app, &health, sizeof health);
}

static void send_policy(app_t *app)
{
    policy_message_t policy = {.type = MESSAGE_POLICY};
    onboard_tell(&app->onboard, &policy);
    send(app, &policy, sizeof policy);
}

static void send_trace(app_t *app)
{
    app->trace.type = MESSAGE_TRACE;
    app->trace.supply_mv = app->inputs.supply_mv;
    app->trace.heat = drive_warmth(&app->safety);
    send(app, &app->trace, sizeof app->trace);
    app->trace.count = 0;
}

/* ---- receiving ---- */

#ifdef __AVR__
#pragma GCC push_options
#pragma GCC optimize("Os") /* between two ticks there is time, and flash is short */
#endif

static void take_hello(app_t *app, const hello_message_t *hello)
{
    safety_disarm(&app->safety); /* a host that says hello does not know what runs */
    app->is_session_live = hello->protocol_hash == PROTOCOL_HASH;
    app->has_answered = false;
    send_hello_ack(app, hello->nonce);
}

/* From the next control tick on, or at once. */
static void put_in_force(app_t *app, int16_t duty_q15, uint16_t valid_ms)
{
    app->pending = (command_t){duty_q15, valid_ms, true};
    if (app->safety.limits.flags & CFG_APPLY_ON_ARRIVAL)
        app->active = app->pending;
}

static void feed(app_t *app, uint16_t valid_ms)
{
    app->is_commanded = true;
    safety_feed(&app->safety, valid_ms);
}

static void take_command(app_t *app, const cmd_message_t *command)
{
    const uint32_t age = app->tick - command->tick; /* a tick of the future is very old */
    const bool is_older = app->has_command && (int32_t)(command->tick - app->last_command_tick) < 0;
    if (app->safety.state != CART_ARMED || age > STALE_TICKS || is_older || command->valid_ms == 0) {
        count(&app->refused);
        return;
    }
    app->has_command = true;
    app->last_command_tick = command->tick;
    if (!is_on_board(app))
        put_in_force(app, command->duty_q15, command->valid_ms);
    if (!is_alone(app))
        feed(app, command->valid_ms);
}

void app_decide(app_t *app, uint32_t now_us)
{
    const int16_t duty_q15 = onboard_decide(&app->onboard, now_us);
    if (!is_on_board(app)) /* no longer: it is nobody's */
        return;
    const uint16_t valid_ms = app->safety.limits.command_timeout_ms;
    put_in_force(app, duty_q15, valid_ms);
    if (is_alone(app))
        feed(app, valid_ms);
}

static uint8_t change_mode(app_t *app, uint8_t mode, uint8_t options, uint8_t *detail)
{
    safety_t *safety = &app->safety;
    const bool was_armed = safety->state == CART_ARMED;
    uint8_t code;
    switch (mode) {
    case MODE_DISARM:
        safety_disarm(safety);
        return ACK_DONE;
    case MODE_ARM:
        code = was_armed ? ACK_DONE : onboard_arm(&app->onboard, options, period_of(app), detail);
        if (code == ACK_DONE)
            code = safety_arm(safety, &app->inputs, (options & OPTION_SWING_UP) != 0, detail);
        if (code == ACK_DONE && !was_armed) {
            app->has_command = false;
            app->active = app->pending = (command_t){0};
            app->options = options;
            onboard_stop(&app->onboard);
            app->trace.count = 0;
        }
        return code;
    case MODE_HOME:
        code = safety_begin_homing(safety, &app->inputs, detail);
        if (code == ACK_DONE) {
            homing_begin(&app->homing, &app->inputs, &safety->limits, options);
            drive_prepare_homing(safety, &app->homing);
        }
        return code;
    case MODE_CENTRE:
        code = safety_begin_centring(safety, &app->inputs, detail);
        if (code == ACK_DONE)
            homing_begin_centring(&app->homing, &app->inputs);
        return code;
    case MODE_JOG_LEFT:
    case MODE_JOG_RIGHT:
        if (safety->state == CART_HOMING && app->homing.phase == HOMING_JOG)
            code = ACK_DONE; /* on with it */
        else if ((code = safety_begin_jogging(safety, &app->inputs, detail)) == ACK_DONE)
            app->homing.phase = HOMING_DONE; /* one that was cut short does not go on with its push */
        if (code == ACK_DONE)
            homing_jog(&app->homing, &app->inputs, mode == MODE_JOG_LEFT ? -1 : 1);
        return code;
    case MODE_CLEAR:
        return safety_clear(safety, &app->inputs, detail);
    default:
        return ACK_UNKNOWN;
    }
}

/* CFG and MODE come again until they are acknowledged: the same seq gets the same answer and does nothing twice. */
static void answer(app_t *app, uint8_t type, uint8_t seq, uint8_t code, uint8_t detail)
{
    app->has_answered = true;
    app->last_of_type = type;
    app->last_seq = seq;
    app->last_code = code;
    app->last_detail = detail;
    send_ack(app, seq, code, detail);
}

/* Whether the request is of another session, or a repeated one: it has its answer now. */
static NOT_INLINED bool is_answered(app_t *app, const request_t *request)
{
    uint8_t code = ACK_BAD_SESSION, detail = 0;
    if (!app->is_session_live || request->session != app->session) {
        count(&app->refused);
    } else {
        if (!app->has_answered || app->last_of_type != request->type || app->last_seq != request->seq)
            return false;
        code = app->last_code;
        detail = app->last_detail;
    }
    send_ack(app, request->seq, code, detail);
    return true;
}

static void take_mode(app_t *app, const mode_message_t *message)
{
    uint8_t detail = 0;
    if (message->mode == MODE_ESTOP) { /* from anybody, at any time */
        safety_trip(&app->safety, FAULT_ESTOP);
        send_ack(app, message->seq, ACK_DONE, 0);
        return;
    }
    if (is_answered(app, (const request_t *)message))
        return;
    const uint8_t code = change_mode(app, message->mode, message->options, &detail);
    answer(app, MESSAGE_MODE, message->seq, code, detail);
}

static int32_t signed_counts(int32_t raw, uint8_t flags, uint8_t reversed)
{
    return flags & reversed ? (int32_t)(0u - (uint32_t)raw) : raw;
}

static void take_cfg(app_t *app, const cfg_message_t *cfg)
{
    uint8_t detail = 0;
    if (is_answered(app, (const request_t *)cfg))
        return;
    const uint8_t flags = app->safety.limits.flags;
    const uint8_t code = safety_configure(&app->safety, cfg, &detail);
    const uint8_t turned = flags ^ app->safety.limits.flags; /* nothing has moved by that */
    app->cart_raw = signed_counts(app->cart_raw, turned, CFG_CART_REVERSED);
    app->pole_raw = signed_counts(app->pole_raw, turned, CFG_POLE_REVERSED);
    answer(app, MESSAGE_CFG, cfg->seq, code, detail);
}

/* What only one drive has a message for. */
static void take_drive(app_t *app, const request_t *request)
{
    uint8_t detail = 0;
    if (is_answered(app, request))
        return;
    const uint8_t code = drive_take_message(&app->safety, request, &detail);
    answer(app, request->type, request->seq, code, detail);
}

static void take_message(app_t *app, const uint8_t *bytes, uint8_t length, uint32_t time_us)
{
    union {
        hello_message_t hello;
        cmd_message_t cmd;
        cfg_message_t cfg;
        mode_message_t mode;
        ping_message_t ping;
        request_t request;
    } message;
    const uint8_t type = bytes[0];
    const uint8_t expected = type == MESSAGE_HELLO            ? sizeof message.hello
                             : type == MESSAGE_CMD            ? sizeof message.cmd
                             : type == MESSAGE_CFG            ? sizeof message.cfg
                             : type == MESSAGE_MODE           ? sizeof message.mode
                             : type == MESSAGE_PING           ? sizeof message.ping
                             : type == MESSAGE_HEALTH_REQUEST ? sizeof(health_request_message_t)
                             : type == MESSAGE_POLICY_REQUEST ? sizeof(policy_request_message_t)
                                                              : drive_message_bytes(type);
    if (length != expected) {
        count(&app->refused);
        return;
    }
    memcpy(&message, bytes, length < sizeof message ? length : sizeof message);
    safety_hear(&app->safety);
    if (drive_message_bytes(type) != 0) {
        take_drive(app, &message.request);
        return;
    }
    switch (type) {
    case MESSAGE_HELLO:
        take_hello(app, &message.hello);
        break;
    case MESSAGE_CMD:
        if (app->is_session_live && message.cmd.session == app->session)
            take_command(app, &message.cmd);
        else
            count(&app->refused);
        break;
    case MESSAGE_CFG:
        take_cfg(app, &message.cfg);
        break;
    case MESSAGE_MODE:
        take_mode(app, &message.mode);
        break;
    case MESSAGE_PING: {
        const pong_message_t pong = {MESSAGE_PONG, message.ping.host_us, time_us};
        send(app, &pong, sizeof pong);
        break;
    }
    case MESSAGE_POLICY_REQUEST:
        app->is_policy_asked = true;
        break;
    default:
        app->is_health_asked = true;
        break;
    }
}

void app_receive(app_t *app, uint8_t byte, uint32_t time_us)
{
    const uint8_t length = frame_decoder_push(&app->decoder, byte);
    if (length != 0)
        take_message(app, app->decoder.message, length, time_us);
}

#ifdef __AVR__
#pragma GCC pop_options
#endif

/* ---- ticking ---- */

static int32_t minus(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a - (uint32_t)b);
}

/* What a bouncing contact is: what it was, until it has been something else for some ticks in a row. */
static bool settled(uint8_t *samples, bool was_closed, bool is_closed)
{
    if (is_closed == was_closed)
        *samples = 0;
    else if (++*samples >= CONTACT_SAMPLES) {
        *samples = 0;
        return is_closed;
    }
    return was_closed;
}

NOT_INLINED static void read_inputs(app_t *app, const board_inputs_t *board)
{
    const uint8_t flags = app->safety.limits.flags;
    const int32_t cart = signed_counts(board->cart_counts, flags, CFG_CART_REVERSED);
    const int32_t pole = signed_counts(board->pole_counts, flags, CFG_POLE_REVERSED);
    estimator_update(&app->cart_estimator, cart);
    estimator_update(&app->pole_estimator, pole);
    const int32_t turn = app->safety.limits.pole_counts_per_turn;
    int32_t pole_counts = minus(pole, app->pole_zero);
    if (app->safety.is_homed && turn > 0) { /* within half a turn of upright, where a pole that hangs does not jump */
        if (pole_counts >= turn / 2 + WRAP_COUNTS)
            app->pole_zero = (int32_t)((uint32_t)app->pole_zero + (uint32_t)turn);
        else if (pole_counts < -(turn / 2) - WRAP_COUNTS)
            app->pole_zero = minus(app->pole_zero, turn);
        pole_counts = minus(pole, app->pole_zero);
    }
    rail_update(&app->rail, board->bandgap_steps, app->safety.limits.bandgap_mv);
    app->pulse_top = board->pulse_top;
    const int32_t cart_moved = minus(cart, app->cart_raw), pole_moved = minus(pole, app->pole_raw);
    safety_inputs_t *inputs = &app->inputs;
    inputs->cart_counts = minus(cart, app->cart_zero);
    inputs->pole_counts = pole_counts;
    inputs->cart_speed = estimator_speed(&app->cart_estimator);
    inputs->pole_speed = plausibility_is_due(&app->safety.plausibility) ? estimator_speed(&app->pole_estimator) : 0;
    inputs->cart_moved = cart_moved;
    inputs->pole_moved = pole_moved;
    inputs->cart_illegal = 0;
    if (DRIVE_HAS_CART_ENCODER)
        inputs->cart_illegal = safety_illegal((uint8_t)(board->cart_illegal - app->cart_illegal),
                                              (uint8_t)(board->cart_edges - app->cart_edges), cart_moved, board->missed_ticks);
    inputs->pole_illegal = safety_illegal((uint8_t)(board->pole_illegal - app->pole_illegal),
                                       (uint8_t)(board->pole_edges - app->pole_edges), pole_moved, board->missed_ticks);
    inputs->is_left_closed = settled(&app->left_samples, app->inputs.is_left_closed, board->is_left_closed);
    inputs->is_right_closed = settled(&app->right_samples, app->inputs.is_right_closed, board->is_right_closed);
    inputs->is_estop_pressed = board->is_estop_pressed;
    inputs->supply_mv = rail_corrected(&app->rail, board->supply_mv);
    inputs->rail_mv = app->rail.mv;
    inputs->has_pulse_period = board->pulse_top == DRIVE_PULSE_TOP;
    inputs->missed_ticks = board->missed_ticks;
    drive_read(&app->safety, inputs, board);
    app->cart_raw = cart;
    app->pole_raw = pole;
    app->cart_illegal = board->cart_illegal;
    app->pole_illegal = board->pole_illegal;
    app->cart_edges = board->cart_edges;
    app->pole_edges = board->pole_edges;
    count_more(&app->cart_illegal_sum, app->inputs.cart_illegal);
    count_more(&app->pole_illegal_sum, app->inputs.pole_illegal);
    count_more(&app->missed_ticks, board->missed_ticks);
}

static int16_t wanted(app_t *app)
{
    safety_t *safety = &app->safety;
    if (safety->state == CART_ARMED)
        return drive_commanded(safety, app->active.duty_q15, app->active.is_there);
    if (safety->state != CART_HOMING)
        return 0;
    const int16_t want = homing_tick(&app->homing, &app->inputs, &safety->limits);
    if (app->homing.phase == HOMING_FAILED) {
        safety_trip(safety, app->homing.fault);
    } else if (app->homing.phase == HOMING_DONE && app->homing.jog_side != 0) {
        app->homing.jog_side = 0;
        safety_disarm(safety);
    } else if (app->homing.phase == HOMING_DONE) {
        if (!app->homing.is_centring_only) {
            app->cart_zero = (int32_t)((uint32_t)app->cart_zero + (uint32_t)homing_centre(&app->homing));
            app->pole_zero = (int32_t)((uint32_t)app->pole_zero +
                                       (uint32_t)homing_upright(&app->homing, &safety->limits));
            drive_homed(safety, &app->homing);
            app->inputs.cart_counts = minus(app->cart_raw, app->cart_zero);
            app->inputs.pole_counts = minus(app->pole_raw, app->pole_zero);
        }
        safety_homed(safety, app->homing.half_period_ms);
    }
    return want;
}

static void tell_event(app_t *app)
{
    const safety_t *safety = &app->safety;
    if (safety->state == app->told_state && safety->fault == app->told_fault)
        return;
    app->told_state = safety->state;
    app->told_fault = safety->fault;
    if (!app->is_session_live)
        return;
    const event_message_t event = {MESSAGE_EVENT, app->time_us, safety->state, safety->fault,
                                   app->inputs.cart_counts};
    send(app, &event, sizeof event);
}

/* A control tick has come and the answer to the last one has not. */
static void take_late(app_t *app)
{
    count(&app->late_commands);
    if (app->options & OPTION_LATE_DISARMS)
        safety_trip(&app->safety, FAULT_COMMAND_LATE);
    else if (app->options & OPTION_LATE_BRAKES)
        app->active = (command_t){0};
}

static int8_t as_int8(int32_t counts)
{
    return (int8_t)(counts > INT8_MAX ? INT8_MAX : counts < -INT8_MAX ? -INT8_MAX : counts);
}

static uint8_t as_nibble(uint8_t number)
{
    return number < 15 ? number : 15;
}

/* The tick that has passed; the one that disarms is the last. */
static void trace_tick(app_t *app)
{
    const bool is_armed = app->safety.state == CART_ARMED;
    const safety_inputs_t *inputs = &app->inputs;
    trace_message_t *trace = &app->trace;
    if (inputs->missed_ticks != 0 && trace->count != 0)
        send_trace(app); /* what comes now has a time of its own */
    if (app->options & OPTION_TRACE && (is_armed || app->was_armed) && trace->count < PROTOCOL_TRACE_SAMPLES) {
        if (trace->count == 0) {
            trace->time_us = app->time_us;
            trace->cart_counts = inputs->cart_counts;
            trace->pole_counts = (int16_t)inputs->pole_counts;
            trace->missed = inputs->missed_ticks;
        }
        const unsigned flags = (inputs->is_left_closed ? (unsigned)TRACE_LEFT_SWITCH : 0u) |
                               (inputs->is_right_closed ? (unsigned)TRACE_RIGHT_SWITCH : 0u) |
                               (inputs->is_estop_pressed ? (unsigned)TRACE_ESTOP : 0u) |
                               (app->is_commanded ? (unsigned)TRACE_COMMAND : 0u) |
                               (app->tick_ms == 0 ? (unsigned)TRACE_CONTROL_TICK : 0u);
        trace->samples[trace->count++] = (trace_sample_t){
            .cart_moved = as_int8(inputs->cart_moved),
            .pole_moved = as_int8(inputs->pole_moved),
            .flags = (uint8_t)flags,
            .illegal = (uint8_t)(as_nibble(inputs->cart_illegal) | as_nibble(inputs->pole_illegal) << 4),
            .duty_q15 = app->active.duty_q15,
        };
    }
    app->is_commanded = false;
    app->was_armed = is_armed;
}

NOT_INLINED motor_t app_tick(app_t *app, uint32_t time_us, const board_inputs_t *board)
{
    app->time_us = time_us;
    read_inputs(app, board);
    const bool is_control_tick = ++app->tick_ms >= period_of(app);
    if (is_control_tick) {
        app->tick_ms = 0;
        app->tick++;
        if (app->pending.is_there)
            app->active = app->pending;
        else if (is_on_board(app) ? onboard_is_deciding(&app->onboard)
                                  : app->safety.state == CART_ARMED && app->has_command)
            take_late(app);
        app->pending.is_there = false;
    }
    const int16_t want = wanted(app);
    const bool is_reversed = (app->safety.limits.flags & CFG_MOTOR_REVERSED) != 0;
    app->applied_q15 = drive_applied(&app->safety, app->motor, is_reversed);
    app->motor = safety_tick(&app->safety, &app->inputs, want);
    if (is_reversed)
        app->motor = drive_reversed(app->motor);
    return app->motor;
}

/* On what STATE tells. */
static void decide(app_t *app)
{
    const policy_counts_t counts = {
        .cart_counts = app->inputs.cart_counts,
        .cart_speed = app->inputs.cart_speed,
        .pole_counts = app->inputs.pole_counts,
        .pole_speed = estimator_speed(&app->pole_estimator),
    };
    onboard_begin(&app->onboard, app->time_us, &counts);
}

/* Before the first session: a host that listens need not ask, which a bootloader could take for a command. */
static void show_up(app_t *app)
{
    if (app->is_session_live || ++app->silent_ms < BEACON_MS)
        return;
    app->silent_ms = 0;
    send_hello_ack(app, 0);
}

/* The long answers wait for a tick that says nothing else: made at once they would delay the next one by a quarter millisecond. */
static void tell_asked(app_t *app)
{
    if (app->is_health_asked) {
        app->is_health_asked = false;
        send_health(app);
    } else if (app->is_policy_asked) {
        app->is_policy_asked = false;
        send_policy(app);
    }
}

NOT_INLINED void app_tell(app_t *app)
{
    tell_event(app);
    show_up(app);
    if (!is_on_board(app))
        onboard_stop(&app->onboard);
    else if (app->tick_ms == 0)
        decide(app);
    const bool has_state = app->tick_ms == 0 && app->is_session_live;
    if (has_state)
        send_state(app);
    trace_tick(app);
    const bool is_due = app->trace.count == PROTOCOL_TRACE_SAMPLES || app->tick_ms + 1u >= period_of(app) ||
                        app->safety.state != CART_ARMED;
    const bool has_trace = app->trace.count != 0 && is_due;
    if (has_trace)
        send_trace(app);
    if ((!has_state && !has_trace) || period_of(app) <= 2)
        tell_asked(app);
}
