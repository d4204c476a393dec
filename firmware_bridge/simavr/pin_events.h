/* A record of what the bridge's pins do, cycle by cycle, to be compared with another emulator's: each edge of PB0 to PB2, each byte
 * that leaves the chip, each tick and reset, each change of what Timer1 drives. Ten bytes: the cycle (8, little-endian), what (1), of which kind (1).
 */
#ifndef PIN_EVENTS_H
#define PIN_EVENTS_H

#include <simavr/sim_avr.h>
#include <stdbool.h>
#include <stdint.h>

enum pin_event { EVENT_PB0, EVENT_PB1, EVENT_PB2, EVENT_TICK, EVENT_RESET, EVENT_BYTE, EVENT_CONNECT };
enum { EDGE_IS_RISING = 1, EDGE_IS_TIMERS = 2 }; /* the kind of an edge; of a byte itself, of a reset its cause */

/* Begins a file; false where it cannot be written. Without this call nothing is recorded. */
bool pin_events_begin(const char *path);

/* How many cycles avr_run() may pass at once: a single instruction's with a record, which has to see each. */
avr_cycle_count_t pin_events_stride(void);

/* After each avr_run(). */
void pin_events_look(avr_t *avr);

/* The chip's reset, after simavr's. */
void pin_events_reset(avr_t *avr, uint8_t cause);

/* What was recorded can be read. */
void pin_events_flush(void);

void pin_events_note(avr_cycle_count_t cycle, enum pin_event what, uint8_t kind);

#endif
