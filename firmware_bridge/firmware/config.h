/* A cart's limits as CFG brings them, held against the ceilings of limits.h. */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdint.h>

#include "protocol.h"

#define CONFIG_IN_RANGE 0xFFu

/* CONFIG_IN_RANGE, or the first field out of range, counted from 0 at `flags`. */
uint8_t config_check(const cfg_message_t *cfg);

/* CRC-16 of the limits themselves, never 0. */
uint16_t config_crc(const cfg_message_t *cfg);

#endif
