/* The motor's supply, measured once a tick. */
#ifndef SUPPLY_H
#define SUPPLY_H

#include <stdint.h>

/* Waits for the first conversion, 0.2 ms. */
void supply_begin(void);

/* As it was at the last call; begins the next conversion. */
uint16_t supply_mv(void);

#endif
