#include "session.h"

#include <avr/eeprom.h>

#define CELLS 32 /* each bears 100,000 writes: 3.2 million resets */

static uint16_t cells[CELLS] EEMEM;

static uint16_t after(uint16_t session)
{
    return session == UINT16_MAX ? 1 : (uint16_t)(session + 1u);
}

/* The cells are written one after the other, round and round; the newest is where the numbers stop to follow each other. A write
 * that a power cut spoilt was of a number nobody had used. */
uint16_t session_begin(void)
{
    uint8_t cell = 0;
    uint16_t session = eeprom_read_word(&cells[0]);
    while (cell + 1 < CELLS && eeprom_read_word(&cells[cell + 1]) == after(session)) {
        session = after(session);
        cell++;
    }
    session = after(session);
    eeprom_update_word(&cells[cell + 1 < CELLS ? cell + 1 : 0], session);
    return session;
}
