/* The policy that a firmware carries: its bytes, and the arithmetic on them.
 *
 * The bytes are the same on every board: head, output_bias[outputs] (int32), duty_q15[outputs] (int16), duty_input[outputs] (int16:
 * that duty as the network sees it a step later), a record for each hidden unit (its bias as int32, weight[inputs] and
 * output_weight[outputs] as int16, in the order in which they are used), then the golden examples: inputs[examples][inputs] (int16)
 * and action[examples] (uint8). Little-endian, without gaps.
 * A board keeps them where it likes, in flash out of reach of a plain pointer, and does the arithmetic as fast as it can.
 */
#ifndef POLICY_IMAGE_H
#define POLICY_IMAGE_H

#include <stdint.h>

#include "policy.h"

#define POLICY_IMAGE_VERSION 2
#define POLICY_IMAGE_INPUTS 14u /* at most: an observation and two earlier steps */

typedef struct {
    uint16_t crc;       /* as framing_crc() has it, of all that follows */
    uint16_t bytes;     /* of the whole */
    uint32_t hash_high; /* the first 64 bits of the policy's SHA-256 */
    uint32_t hash_low;
    uint32_t fit_crc;
    policy_fit_t fit[POLICY_COUNTS];
    uint16_t hidden;
    uint8_t version;
    uint8_t inputs; /* POLICY_COUNTS, and POLICY_STEP for each earlier step */
    uint8_t outputs;
    uint8_t hidden_shift;
    uint8_t examples;
    uint8_t control_period_ms;
} policy_head_t;

_Static_assert(sizeof(policy_head_t) == 56, "the head has no gaps");

/* A network half through. */
typedef struct {
    int16_t inputs[POLICY_IMAGE_INPUTS];
    int32_t values[POLICY_MAX_OUTPUTS];
} policy_sums_t;

typedef struct policy_image policy_image_t; /* a board's own */

/* ---- what a board does ---- */

/* Copies `count` bytes from byte `from` on. */
void policy_image_read(const policy_image_t *image, uint16_t from, void *target, uint16_t count);

/* Adds to the values what the next hidden units from `unit` on add, some at a time; returns the one to go on with, `hidden` after the
 * last. */
uint16_t policy_image_add(const policy_image_t *image, policy_sums_t *sums, uint16_t unit);

#endif
