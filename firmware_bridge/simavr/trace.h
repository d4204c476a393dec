/* What a traced run keeps: which instructions ran and how each went on, and how long interrupts were off. */
#ifndef TRACE_H
#define TRACE_H

#include <simavr/sim_avr.h>
#include <stdbool.h>
#include <stdint.h>

#define TRACE_WORDS 16384 /* of flash */

enum trace_way { TRACE_NEXT = 1, TRACE_ELSEWHERE = 2 }; /* the instruction behind it, or another: a branch taken, a skip */

typedef struct {
    uint32_t longest_off; /* cycles in which no interrupt could begin, once the program had let them */
    uint32_t off_from;    /* the byte address at which that stretch began: what was switched off, or a vector */
    uint8_t ways[TRACE_WORDS];
} trace_t;

/* A chip whose trace goes into that file, which has sizeof(trace_t) bytes; false where it cannot be mapped. */
bool trace_begin(int file);

bool trace_is_on(void);

/* After a reset: from here on the chip runs one instruction at a time. */
void trace_after_reset(avr_t *avr);

/* An interrupt begins, so many cycles before. */
void trace_interrupt(unsigned entry_cycles);

/* The instruction that was at `from` has run; `was_on`: interrupts were on before it. A sleeping chip runs none. */
void trace_step(const avr_t *avr, avr_flashaddr_t from, bool was_asleep, bool was_on);

#endif
