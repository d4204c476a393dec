/* The longest interrupt, by Timer0 running freely: two reads of a register and a comparison in each that may be it. */
#ifndef INTERRUPT_TIME_H
#define INTERRUPT_TIME_H

#include <avr/io.h>
#include <stdint.h>

extern volatile uint8_t interrupt_longest; /* in half microseconds, 127 us at most */

static inline uint8_t interrupt_begin(void)
{
    return TCNT0;
}

static inline void interrupt_end(uint8_t began)
{
    const uint8_t took = (uint8_t)(TCNT0 - began);
    if (took > interrupt_longest)
        interrupt_longest = took;
}

#endif
