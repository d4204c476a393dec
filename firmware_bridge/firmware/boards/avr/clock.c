#include "clock.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/atomic.h>

#include "../../limits.h"
#include "encoders.h"
#include "interrupt_time.h"
#include "motor.h"

#define COUNT_US 4u /* 16 MHz / 64 */
#define TICK_US (1000000UL / TICK_HZ)
#define TICK_COUNTS (TICK_US / COUNT_US)
#define SLICE_US 64u /* of the policy, which ends by this clock too */
#define FRAME_HALF_US 12u /* entry, saving and restoring registers, about 95 cycles, which the measured interrupt does not see */

_Static_assert(TICK_COUNTS * COUNT_US == TICK_US && TICK_COUNTS <= 256, "Timer2 counts the tick exactly");

volatile uint8_t interrupt_longest;

static volatile uint32_t tick_us;
static volatile uint8_t ticks_due;

void clock_begin(void)
{
    TCCR0A = 0;
    TCCR0B = 1u << CS01; /* 2 MHz, for interrupt_time.h */
    OCR2A = (uint8_t)(TICK_COUNTS - 1u);
    TCNT2 = 0;
    TIFR2 = 1u << OCF2A;
    TIMSK2 = 1u << OCIE2A;
    TCCR2A = 1u << WGM21;
    motor_hold_clocks();
    TCCR2B = 1u << CS22;
    motor_release_clocks();
}

/* The counts are kept here and not when the main loop comes to it: the estimator expects them a millisecond apart. */
ISR(TIMER2_COMPA_vect)
{
    const uint8_t began = interrupt_begin();
    tick_us += TICK_US;
    if (ticks_due != UINT8_MAX)
        ticks_due++;
    encoders_latch();
    motor_latch();
    interrupt_end(began);
}

uint32_t clock_us(void)
{
    uint32_t us;
    uint8_t counts;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        us = tick_us;
        counts = TCNT2;
        if (TIFR2 & (1u << OCF2A)) { /* it has come round and the interrupt waits */
            counts = TCNT2;
            us += TICK_US;
        }
    }
    return us + (uint16_t)(counts * COUNT_US);
}

uint16_t clock_us_since(uint32_t last_tick_us)
{
    const uint8_t counts = TCNT2;
    if (ticks_due == 0 && (TIFR2 & (1u << OCF2A)) == 0)
        return (uint16_t)(counts * COUNT_US);
    const uint32_t us = clock_us() - last_tick_us;
    return (uint16_t)(us < UINT16_MAX ? us : UINT16_MAX);
}

bool clock_is_due(void)
{
    return ticks_due != 0;
}

bool clock_is_nearly_due(void)
{
    return TCNT2 >= TICK_COUNTS - SLICE_US / COUNT_US || ticks_due != 0; /* in this order: it may come in between */
}

uint8_t clock_take_tick(uint32_t *time_us)
{
    const uint8_t missed = (uint8_t)(ticks_due - 1u);
    *time_us = tick_us;
    ticks_due = 0;
    return missed;
}

uint16_t clock_longest_interrupt_us(void)
{
    return (uint16_t)((interrupt_longest + FRAME_HALF_US + 1u) / 2u);
}
