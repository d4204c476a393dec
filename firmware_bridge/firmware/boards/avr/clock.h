/* Timer2: the safety tick a thousand times a second, and the time in microseconds. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stdint.h>

void clock_begin(void);

/* Microseconds since clock_begin(), to 4 us; wraps after 71.6 minutes. */
uint32_t clock_us(void);

/* Likewise, since the tick that was taken last, which came at that time; 65,535 at most. */
uint16_t clock_us_since(uint32_t last_tick_us);

/* Whether a tick has come that was not taken yet. */
bool clock_is_due(void);

/* Whether a tick has come, or the next one comes before a slice of work is done, which takes 0.1 ms. */
bool clock_is_nearly_due(void);

/* Takes the newest tick where one is due: tells when it came, returns how many before it nobody took. With interrupts off. */
uint8_t clock_take_tick(uint32_t *time_us);

/* The longest interrupt so far, from its first instruction to its last. */
uint16_t clock_longest_interrupt_us(void);

#endif
