#include "contacts.h"

#include <avr/io.h>

#include "pins.h"

void contacts_begin(void)
{
    CONTACT_PORT |= CONTACT_MASK; /* pull-ups */
}

/* The contacts are normally closed to ground: high is an open contact, pressed, or a cut wire. */
void contacts_read(board_inputs_t *inputs)
{
    const uint8_t high = CONTACT_PINS;
    inputs->is_estop_pressed = (high & ESTOP_MASK) != 0;
    inputs->is_left_closed = (high & LEFT_MASK) != 0;
    inputs->is_right_closed = (high & RIGHT_MASK) != 0;
#ifdef FIRMWARE_STEPPER
    inputs->is_alarm_high = (high & ALARM_MASK) != 0;
#endif
}
