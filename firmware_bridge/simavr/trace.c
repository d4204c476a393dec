#include "trace.h"

#include <stddef.h>
#include <sys/mman.h>

#define SPL 0x5D
#define SPH 0x5E

static trace_t *trace;
static unsigned entry_cycles; /* of the interrupt that began in this step; 0: none did */
static avr_cycle_count_t off_cycle;
static avr_flashaddr_t off_from;
static bool is_off;

bool trace_begin(int file)
{
    trace = mmap(NULL, sizeof *trace, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return trace != MAP_FAILED;
}

bool trace_is_on(void)
{
    return trace != NULL;
}

void trace_after_reset(avr_t *avr)
{
    if (trace == NULL)
        return;
    avr->run_cycle_limit = 1;
    avr->run_cycle_count = 1;
    entry_cycles = 0;
    is_off = false; /* the start-up comes before the first interrupt */
}

void trace_interrupt(unsigned cycles)
{
    entry_cycles = cycles;
}

/* Where the program went on before an interrupt took it away: what lies on the stack. */
static avr_flashaddr_t came_to(const avr_t *avr)
{
    if (entry_cycles == 0)
        return avr->pc;
    const unsigned top = avr->data[SPL] | avr->data[SPH] << 8;
    return (avr_flashaddr_t)(avr->data[top + 1] << 8 | avr->data[top + 2]) << 1;
}

void trace_step(const avr_t *avr, avr_flashaddr_t from, bool was_asleep, bool was_on)
{
    if (!was_asleep && from / 2 < TRACE_WORDS)
        trace->ways[from / 2] |= came_to(avr) == from + 2 ? TRACE_NEXT : TRACE_ELSEWHERE;
    const bool is_on = avr->sreg[S_I];
    if (was_on && !is_on) {
        is_off = true;
        off_cycle = avr->cycle - entry_cycles;
        off_from = entry_cycles != 0 ? avr->pc : from;
    } else if (is_on && is_off) {
        is_off = false;
        const avr_cycle_count_t took = avr->cycle - off_cycle;
        if (took > trace->longest_off) {
            trace->longest_off = (uint32_t)took;
            trace->off_from = off_from;
        }
    }
    entry_cycles = 0;
}
