#include "idle_timers.h"

#include <simavr/avr_timer.h>
#include <stdbool.h>
#include <string.h>

static avr_timer_t *timer_called(avr_t *avr, char name)
{
    for (avr_io_t *module = avr->io_port; module != NULL; module = module->next)
        if (strcmp(module->kind, "timer") == 0 && ((avr_timer_t *)module)->name == name)
            return (avr_timer_t *)module;
    return NULL;
}

static bool is_of(const avr_timer_t *timer, const void *what)
{
    return (const char *)what >= (const char *)timer && (const char *)what < (const char *)(timer + 1);
}

void idle_timers_quiet(avr_t *avr)
{
    static avr_timer_t *counting, *pulsing;
    if (pulsing == NULL) {
        counting = timer_called(avr, '0');
        pulsing = timer_called(avr, '1');
    }
    for (avr_cycle_timer_slot_p slot = avr->cycle_timers.timer; slot != NULL;) {
        const avr_cycle_timer_slot_p next = slot->next;
        if (is_of(pulsing, slot->param))
            avr_cycle_timer_cancel(avr, slot->timer, slot->param);
        slot = next;
    }
    for (int k = 0; k < AVR_TIMER_COMP_COUNT; k++)
        counting->comp[k].comp_cycles = 0;
}
