#include "idle_timers.h"

#include <simavr/avr_timer.h>
#include <string.h>

static avr_timer_t *timer_called(avr_t *avr, char name)
{
    for (avr_io_t *module = avr->io_port; module != NULL; module = module->next)
        if (strcmp(module->kind, "timer") == 0 && ((avr_timer_t *)module)->name == name)
            return (avr_timer_t *)module;
    return NULL;
}

void idle_timers_quiet(avr_t *avr)
{
    static avr_timer_t *counting;
    if (counting == NULL)
        counting = timer_called(avr, '0');
    for (int k = 0; k < AVR_TIMER_COMP_COUNT; k++)
        counting->comp[k].comp_cycles = 0;
}
