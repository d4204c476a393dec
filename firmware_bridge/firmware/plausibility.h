/* Whether both encoders still count the way they did at homing, seen from what the motor does to cart and pole while armed.
 *
 * A cart that is pushed from rest or against its way moves with the push; a pole near upright falls back from a cart that
 * gains speed. A wire that comes off is CART_STUCK or POLE_STILL; two that are exchanged, in a plug put back the other way
 * round, count on as if nothing were wrong, backwards.
 */
#ifndef PLAUSIBILITY_H
#define PLAUSIBILITY_H

#include <stdbool.h>
#include <stdint.h>

#include "drive.h"
#include "inputs.h"
#include "protocol.h"

typedef struct {
    uint8_t ms;            /* since the last look */
    int8_t side;           /* of the duty since then; 0 where it was weak or did not stay */
    int8_t sides_before[2 + DRIVE_LATE_LOOKS]; /* of the looks before, the newest first */
    int32_t cart_speeds[2 + DRIVE_LATE_LOOKS]; /* likewise */
    int32_t pole_speed;    /* at the last look */
    int32_t against;       /* 1/16 count per second that the cart gained against the push */
    int32_t along;         /* likewise the pole along with it */
} plausibility_t;

/* Cart and pole stand still; nothing has been seen. */
void plausibility_begin(plausibility_t *seen);

/* Whether the next check looks at inputs->pole_speed, which else need not be worked out. */
bool plausibility_is_due(const plausibility_t *seen);

/* Once a safety tick, with the duty that the motor gets from here on; FAULT_NONE, or which sign is wrong. */
uint8_t plausibility_check(plausibility_t *seen, const safety_inputs_t *inputs, const cfg_message_t *limits, int16_t duty_q15,
                           bool is_swinging);

#endif
