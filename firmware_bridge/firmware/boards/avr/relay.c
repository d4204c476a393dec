#include "relay.h"

#include <avr/eeprom.h>

#define DOUBTED 1u /* an erased cell is 0xFF */

static uint8_t cell EEMEM;
static bool is_kept;

bool relay_was_doubted(void)
{
    is_kept = eeprom_read_byte(&cell) == DOUBTED;
    return is_kept;
}

/* The EEPROM takes 3.4 ms by itself; two changes are further apart. */
void relay_keep(bool is_doubted)
{
    if (is_doubted == is_kept)
        return;
    is_kept = is_doubted;
    eeprom_write_byte(&cell, is_doubted ? DOUBTED : 0u);
}
