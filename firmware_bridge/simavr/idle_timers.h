/* What simavr does for Timer0 that nobody looks at. */
#ifndef IDLE_TIMERS_H
#define IDLE_TIMERS_H

#include <simavr/sim_avr.h>

/* Timer0 counts for interrupt_time.h, and its compare matches, on which no interrupt hangs, are not computed: they take time. To be said
 * again every millisecond. */
void idle_timers_quiet(avr_t *avr);

#endif
