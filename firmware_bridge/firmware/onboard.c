#include "onboard.h"

#include "framing.h"

#define CHECKED_AT_ONCE 32 /* bytes of a slice: some 600 cycles */

enum work { WORK_NONE = 0, WORK_CHECK = 1, WORK_OBSERVE = 2, WORK_ADD = 3, WORK_DECIDE = 4 };

static void read_head(const onboard_t *onboard, policy_head_t *head)
{
    policy_image_read(onboard->image, 0, head, sizeof *head);
}

/* Where the duties begin: of each the one for the motor, then of each the one for the network. */
static uint16_t duties_at(const onboard_t *onboard)
{
    return (uint16_t)(sizeof(policy_head_t) + onboard->outputs * sizeof(int32_t));
}

static uint16_t example_bytes(const onboard_t *onboard)
{
    return (uint16_t)(onboard->inputs * sizeof(int16_t));
}

void onboard_init(onboard_t *onboard, const policy_image_t *image)
{
    *onboard = (onboard_t){.image = image, .self_test = SELF_TEST_NONE, .work = WORK_NONE, .is_new = true};
    if (image == NULL)
        return;
    policy_head_t head;
    read_head(onboard, &head);
    onboard->hidden = head.hidden;
    onboard->inputs = head.inputs;
    onboard->outputs = head.outputs;
    onboard->bytes = head.bytes;
    onboard->self_test = SELF_TEST_RUNNING;
    onboard->work = WORK_CHECK;
    onboard->at = offsetof(policy_head_t, bytes);
    onboard->crc = FRAMING_CRC_START;
}

void onboard_begin(onboard_t *onboard, uint32_t time_us, const policy_counts_t *counts)
{
    if (onboard->self_test != SELF_TEST_PASSED)
        return;
    onboard->tick_us = time_us;
    onboard->counts = *counts;
    onboard->work = WORK_OBSERVE;
}

void onboard_stop(onboard_t *onboard)
{
    onboard->is_new = true;
    if (onboard_is_deciding(onboard))
        onboard->work = WORK_NONE;
}

bool onboard_is_deciding(const onboard_t *onboard)
{
    return onboard->self_test == SELF_TEST_PASSED && onboard->work != WORK_NONE;
}

static void end_self_test(onboard_t *onboard, uint8_t result)
{
    onboard->self_test = result;
    onboard->work = WORK_NONE;
}

/* Every byte, whatever the golden examples make of it. */
static void check(onboard_t *onboard)
{
    uint8_t bytes[CHECKED_AT_ONCE];
    const uint16_t left = (uint16_t)(onboard->bytes - onboard->at);
    const uint16_t count = left < CHECKED_AT_ONCE ? left : CHECKED_AT_ONCE;
    policy_image_read(onboard->image, onboard->at, bytes, count);
    onboard->crc = framing_crc(onboard->crc, bytes, count);
    onboard->at = (uint16_t)(onboard->at + count);
    if (onboard->at < onboard->bytes)
        return;
    policy_head_t head;
    read_head(onboard, &head);
    if (onboard->crc != head.crc)
        end_self_test(onboard, SELF_TEST_FAILED);
    else
        onboard->work = WORK_OBSERVE;
}

/* A step of the episode: the inputs keep those before it. */
static void observe_cart(onboard_t *onboard, const policy_fit_t *fit)
{
    int16_t *inputs = onboard->sums.inputs;
    if (!onboard->is_new)
        policy_age(inputs, onboard->inputs, onboard->duty_input);
    policy_observe(fit, &onboard->counts, inputs);
    if (onboard->is_new)
        policy_fill(inputs, onboard->inputs);
    onboard->is_new = false;
}

static void observe(onboard_t *onboard)
{
    policy_head_t head;
    read_head(onboard, &head);
    if (onboard->self_test == SELF_TEST_PASSED) {
        observe_cart(onboard, head.fit);
    } else {
        const uint16_t bytes = example_bytes(onboard);
        const uint16_t left = (uint16_t)((uint8_t)(head.examples - onboard->example) * bytes + head.examples);
        policy_image_read(onboard->image, (uint16_t)(onboard->bytes - left), onboard->sums.inputs, bytes);
    }
    policy_image_read(onboard->image, sizeof(policy_head_t), onboard->sums.values,
                      (uint16_t)(onboard->outputs * sizeof(int32_t)));
    onboard->at = 0;
    onboard->work = WORK_ADD;
}

static void judge_example(onboard_t *onboard, uint8_t action)
{
    policy_head_t head;
    uint8_t expected;
    read_head(onboard, &head);
    const uint16_t at = (uint16_t)(onboard->bytes - (uint8_t)(head.examples - onboard->example));
    policy_image_read(onboard->image, at, &expected, sizeof expected);
    if (action != expected)
        end_self_test(onboard, SELF_TEST_FAILED);
    else if (++onboard->example == head.examples)
        end_self_test(onboard, SELF_TEST_PASSED);
    else
        onboard->work = WORK_OBSERVE;
}

bool onboard_think(onboard_t *onboard)
{
    switch (onboard->work) {
    case WORK_ADD:
        onboard->at = policy_image_add(onboard->image, &onboard->sums, onboard->at);
        if (onboard->at < onboard->hidden)
            return false;
        onboard->work = WORK_DECIDE;
        return onboard->self_test == SELF_TEST_PASSED;
    case WORK_CHECK:
        check(onboard);
        break;
    case WORK_OBSERVE:
        observe(onboard);
        break;
    case WORK_DECIDE:
        judge_example(onboard, policy_largest(onboard->sums.values, onboard->outputs));
        break;
    default:
        break;
    }
    return false;
}

int16_t onboard_decide(onboard_t *onboard, uint32_t now_us)
{
    int16_t duty_q15;
    const uint16_t duties_bytes = (uint16_t)(onboard->outputs * sizeof duty_q15);
    const uint32_t took_us = now_us - onboard->tick_us;
    if (took_us > onboard->longest_us)
        onboard->longest_us = (uint16_t)(took_us < UINT16_MAX ? took_us : UINT16_MAX);
    const uint8_t action = policy_largest(onboard->sums.values, onboard->outputs);
    const uint16_t at = (uint16_t)(duties_at(onboard) + action * sizeof duty_q15);
    policy_image_read(onboard->image, at, &duty_q15, sizeof duty_q15);
    policy_image_read(onboard->image, (uint16_t)(at + duties_bytes), &onboard->duty_input, sizeof onboard->duty_input);
    onboard->work = WORK_NONE;
    return duty_q15;
}

uint8_t onboard_arm(const onboard_t *onboard, uint8_t options, uint8_t period_ms, uint8_t *detail)
{
    if (onboard->image == NULL)
        return options & OPTION_ON_BOARD ? ACK_NO_POLICY : ACK_DONE;
    if (onboard->self_test != SELF_TEST_PASSED) {
        *detail = onboard->self_test;
        return ACK_SELF_TEST;
    }
    policy_head_t head;
    read_head(onboard, &head);
    if (options & OPTION_ON_BOARD && head.control_period_ms != period_ms) {
        *detail = head.control_period_ms;
        return ACK_POLICY_PERIOD;
    }
    return ACK_DONE;
}

void onboard_tell(const onboard_t *onboard, policy_message_t *message)
{
    if (onboard->image == NULL)
        return;
    policy_head_t head;
    read_head(onboard, &head);
    message->self_test = onboard->self_test;
    message->hash_high = head.hash_high;
    message->hash_low = head.hash_low;
    message->fit_crc = head.fit_crc;
    message->control_period_ms = head.control_period_ms;
    message->longest_us = onboard->longest_us;
}
