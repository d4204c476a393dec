/* Whether a pole that swings freely does so about half a turn from upright, as homing left it.
 *
 * Of three turning points in a row t1, t2, t3 the mean (t1 + 2 t2 + t3) / 4 is where it would come to rest: what dry friction takes
 * from each swing cancels, and what damping takes does but for a share of the second order. A pole that is led by hand, rotates
 * or runs against something keeps another time, or loses another share of its swing, and proves nothing.
 */
#ifndef POLE_ZERO_H
#define POLE_ZERO_H

#include <stdbool.h>
#include <stdint.h>

#include "inputs.h"
#include "protocol.h"

typedef struct {
    uint8_t points;  /* so many turning points since it began; 0: it is to begin */
    uint8_t off;     /* so many means in a row were off */
    int8_t side;     /* the way it swings */
    uint16_t ms;     /* since it began to swing that way */
    int32_t cart;    /* where it stood when this began */
    int16_t gone;     /* so far it has swung that way */
    int16_t farthest; /* and has been */
    uint16_t before;  /* so far it swung the other way before */
    int16_t mean;    /* where the last was off */
} pole_zero_t;

/* One tick of a cart whose motor is off. It begins again with `points` = 0, and by itself once the cart rolls away. */
bool pole_zero_is_off(pole_zero_t *zero, const safety_inputs_t *inputs, const cfg_message_t *limits, uint16_t half_period_ms);

#endif
