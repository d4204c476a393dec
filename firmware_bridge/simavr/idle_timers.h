/* What simavr does for Timer0 and Timer1 that nobody looks at. */
#ifndef IDLE_TIMERS_H
#define IDLE_TIMERS_H

#include <simavr/sim_avr.h>

/* Timer1's pulses and Timer0's compare matches are not computed any more: that takes a sixth of the time. The pulses are read off the
 * registers, and no interrupt hangs on either. To be said again every millisecond: a new pulse width begins them anew. */
void idle_timers_quiet(avr_t *avr);

#endif
