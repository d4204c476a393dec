#include "onboard.h"

#include "framing.h"

#define CHECKED_AT_ONCE 32 /* bytes of a slice: some 600 cycles */

enum work { WORK_NONE = 0, WORK_CHECK = 1, WORK_OBSERVE = 2, WORK_ADD = 3, WORK_DECIDE = 4 };

static void read_head(const onboard_t *onboard, policy_head_t *head)
{
    policy_image_read(onboard->image, 0, head, sizeof *head);
}

/* Where the parts behind the head begin. */
static uint16_t duties_at(const onboard_t *onboard)
{
    return (uint16_t)(sizeof(policy_head_t) + onboard->outputs * sizeof(int32_t));
}

static uint16_t examples_at(const onboard_t *onboard)
{
    const uint16_t unit = (uint16_t)(sizeof(int32_t) + (POLICY_COUNTS + onboard->outputs) * sizeof(int16_t));
    return (uint16_t)(duties_at(onboard) + onboard->outputs * sizeof(int16_t) + onboard->hidden * unit);
}

void onboard_init(onboard_t *onboard, const policy_image_t *image)
{
    *onboard = (onboard_t){.image = image, .self_test = SELF_TEST_NONE, .work = WORK_NONE};
    if (image == NULL)
        return;
    policy_head_t head;
    read_head(onboard, &head);
    onboard->hidden = head.hidden;
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

static void observe(onboard_t *onboard)
{
    policy_head_t head;
    read_head(onboard, &head);
    if (onboard->self_test == SELF_TEST_PASSED)
        policy_observe(head.fit, &onboard->counts, onboard->sums.observation);
    else
        policy_image_read(onboard->image,
                          (uint16_t)(examples_at(onboard) + onboard->example * sizeof onboard->sums.observation),
                          onboard->sums.observation, sizeof onboard->sums.observation);
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
    policy_image_read(onboard->image,
                      (uint16_t)(examples_at(onboard) + head.examples * sizeof onboard->sums.observation + onboard->example),
                      &expected, sizeof expected);
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
    const uint32_t took_us = now_us - onboard->tick_us;
    if (took_us > onboard->longest_us)
        onboard->longest_us = (uint16_t)(took_us < UINT16_MAX ? took_us : UINT16_MAX);
    const uint8_t action = policy_largest(onboard->sums.values, onboard->outputs);
    policy_image_read(onboard->image, (uint16_t)(duties_at(onboard) + action * sizeof duty_q15), &duty_q15,
                      sizeof duty_q15);
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
