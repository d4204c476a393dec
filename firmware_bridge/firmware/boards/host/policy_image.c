#include "policy_image.h"

#include <string.h>

#define ADDED_AT_ONCE 5 /* hidden units, as on the microcontroller */

static bool is_input_count(uint8_t inputs)
{
    return inputs >= POLICY_COUNTS && inputs <= POLICY_IMAGE_INPUTS && (inputs - POLICY_COUNTS) % POLICY_STEP == 0;
}

bool policy_image_open(policy_image_t *image, const uint8_t *bytes, size_t count)
{
    policy_head_t *head = &image->head;
    if (count < sizeof *head || count > sizeof image->bytes)
        return false;
    memcpy(image->bytes, bytes, count);
    memcpy(head, bytes, sizeof *head);
    if (head->version != POLICY_IMAGE_VERSION || !is_input_count(head->inputs) || head->outputs < 1 ||
        head->outputs > POLICY_MAX_OUTPUTS || head->hidden < 1 || head->hidden > POLICY_MAX_HIDDEN || head->examples < 1)
        return false;
    const size_t outputs = head->outputs;
    const size_t inputs = head->inputs;
    const size_t example = inputs * sizeof(int16_t) + 1;
    const size_t unit = sizeof(int32_t) + (inputs + outputs) * sizeof(int16_t);
    const size_t expected = sizeof *head + outputs * (sizeof(int32_t) + 2 * sizeof(int16_t)) + head->hidden * unit +
                            head->examples * example;
    if (count != expected || head->bytes != expected)
        return false;
    const uint8_t *at = bytes + sizeof *head;
    memcpy(image->output_bias, at, outputs * sizeof(int32_t));
    at += outputs * sizeof(int32_t);
    memcpy(image->duty_q15, at, outputs * sizeof(int16_t));
    at += outputs * sizeof(int16_t);
    memcpy(image->duty_input, at, outputs * sizeof(int16_t));
    at += outputs * sizeof(int16_t);
    for (size_t j = 0; j < head->hidden; j++) {
        memcpy(&image->hidden_bias[j], at, sizeof(int32_t));
        at += sizeof(int32_t);
        memcpy(&image->hidden_weight[j * inputs], at, inputs * sizeof(int16_t));
        at += inputs * sizeof(int16_t);
        for (size_t k = 0; k < outputs; k++) {
            memcpy(&image->output_weight[k * head->hidden + j], at, sizeof(int16_t));
            at += sizeof(int16_t);
        }
    }
    image->network = (policy_int16_t){
        .inputs = head->inputs,
        .hidden = head->hidden,
        .outputs = head->outputs,
        .hidden_shift = head->hidden_shift,
        .hidden_weight = image->hidden_weight,
        .hidden_bias = image->hidden_bias,
        .output_weight = image->output_weight,
        .output_bias = image->output_bias,
    };
    return policy_int16_is_safe(&image->network);
}

void policy_image_read(const policy_image_t *image, uint16_t from, void *target, uint16_t count)
{
    memcpy(target, image->bytes + from, count);
}

uint16_t policy_image_add(const policy_image_t *image, policy_sums_t *sums, uint16_t unit)
{
    const unsigned last = unit + ADDED_AT_ONCE;
    const uint16_t end = last < image->network.hidden ? (uint16_t)last : image->network.hidden;
    policy_int16_add(&image->network, sums->inputs, sums->values, unit, end);
    return end;
}
