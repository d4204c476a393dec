/* The policy of a firmware on a host: its bytes, and the network in them as policy.c takes it. */
#ifndef HOST_POLICY_IMAGE_H
#define HOST_POLICY_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "../../policy_image.h"

struct policy_image {
    policy_int16_t network;
    policy_head_t head;
    int16_t hidden_weight[POLICY_IMAGE_INPUTS * POLICY_MAX_HIDDEN];
    int32_t hidden_bias[POLICY_MAX_HIDDEN];
    int16_t output_weight[POLICY_MAX_OUTPUTS * POLICY_MAX_HIDDEN];
    int32_t output_bias[POLICY_MAX_OUTPUTS];
    int16_t duty_q15[POLICY_MAX_OUTPUTS];
    int16_t duty_input[POLICY_MAX_OUTPUTS];
    uint8_t bytes[UINT16_MAX];
};

/* Takes `count` bytes apart; false where they are no image. Whether they are sound is the self-test's to say. */
bool policy_image_open(policy_image_t *image, const uint8_t *bytes, size_t count);

#endif
