/* A duty as pulses of the bridge: of PULSE_PERIOD cycles, how many are driven. The resolution that the motor sees on every board. */
#ifndef PULSES_H
#define PULSES_H

#include <stdint.h>

#include "protocol.h"

#define PULSE_PERIOD 800u /* cycles at 16 MHz, 20 kHz: nobody hears it, and a BTS7960 bears 25 kHz */

/* 0 for 0, all of them for full drive; the sign is the caller's. */
static inline uint16_t pulses_of(int16_t duty_q15)
{
    const uint32_t size = duty_q15 < 0 ? 0u - (uint32_t)duty_q15 : (uint32_t)duty_q15;
    const uint32_t cycles = (size * PULSE_PERIOD + PROTOCOL_DUTY_ONE / 2u) >> 15;
    return (uint16_t)(cycles < PULSE_PERIOD ? cycles : PULSE_PERIOD);
}

#endif
