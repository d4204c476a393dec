/* A duty as pulses of the bridge: of PULSE_PERIOD cycles, how many are driven. The resolution that the motor sees on every board. */
#ifndef PULSES_H
#define PULSES_H

#include <stdint.h>

#include "protocol.h"

#define PULSE_PERIOD 800u /* cycles at 16 MHz, 20 kHz: nobody hears it, and a BTS7960 bears 25 kHz */

/* 0 for 0, all of them for full drive; the sign is the caller's. In 65536ths: a shift by 16 costs the chip nothing, one by 15 a loop. */
static inline uint16_t pulses_of(int16_t duty_q15)
{
    const uint16_t size = (uint16_t)(duty_q15 < 0 ? 0u - (uint16_t)duty_q15 : (uint16_t)duty_q15);
    const uint32_t cycles = ((uint32_t)size * (2u * PULSE_PERIOD) + (PROTOCOL_DUTY_ONE - 1u)) >> 16;
    return (uint16_t)(cycles < PULSE_PERIOD ? cycles : PULSE_PERIOD);
}

#endif
