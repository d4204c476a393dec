/* A number that is another one after every reset, kept in the EEPROM. */
#ifndef SESSION_H
#define SESSION_H

#include <stdint.h>

/* Counts one on and keeps it; never 0. Takes 7 ms: call it once, before the watchdog runs. */
uint16_t session_begin(void);

#endif
