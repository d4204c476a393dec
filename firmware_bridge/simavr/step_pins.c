#include "step_pins.h"

#include <simavr/avr_ioport.h>

#include "timer1.h"

#define COUNT_CYCLES 8u /* PULSE_TICK_COUNTS of pulse_train.h are a tick */

enum { PORTB = 0x25, DDRB = 0x24, ENABLE = 0x01, DIR = 0x02, STEP = 0x04 };

/* Sums of signed pulses and of the counts at which they ended: how far the train had come at any moment, and its mean. Both wrap. */
typedef struct {
    uint32_t steps, ended;
} train_t;

static bool is_high, is_left;
static avr_cycle_count_t rose, fell, turned; /* when STEP last did, and when DIR last changed */
static bool has_risen;
static train_t train;
static uint32_t given_steps, given_area; /* as of the last moment */
static uint32_t given_count;
static step_times_t times = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};

static void shorten(uint32_t *shortest, avr_cycle_count_t cycles)
{
    if (cycles < *shortest)
        *shortest = (uint32_t)cycles;
}

/* Whole counts of the timer up to a cycle, on the grid of its own counts. */
static uint32_t counts_at(avr_cycle_count_t cycle, const period_t *period)
{
    return (uint32_t)((cycle - period->bottom % COUNT_CYCLES) / COUNT_CYCLES);
}

static void add(train_t *to, uint32_t count)
{
    const uint32_t side = is_left ? UINT32_MAX : 1u;
    to->steps += side;
    to->ended += side * count;
}

static void rise(avr_cycle_count_t when)
{
    shorten(&times.setup, when - turned);
    if (has_risen) {
        shorten(&times.low, when - fell);
        shorten(&times.period, when - rose);
    }
    has_risen = true;
    rose = when;
}

static bool step_level(const avr_t *avr)
{
    if ((avr->data[DDRB] & STEP) == 0)
        return false;
    return timer1_output(avr, OC1B) != 0 ? timer1_is_step_high() : (avr->data[PORTB] & STEP) != 0;
}

void step_pins_look(avr_t *avr, avr_cycle_count_t when)
{
    const bool was_high = is_high, was_left = is_left;
    is_high = step_level(avr);
    if (was_high && !is_high) {
        const period_t period = timer1_period(avr);
        shorten(&times.high, when - rose);
        fell = when;
        add(&train, counts_at(when, &period));
    }
    is_left = (avr->data[PORTB] & avr->data[DDRB] & DIR) != 0;
    if (is_left != was_left) {
        if (has_risen)
            shorten(&times.hold, when - rose);
        turned = when;
    }
    if (!was_high && is_high)
        rise(when);
}

/* At a write to a register of the port. */
static void on_port(avr_irq_t *irq, uint32_t value, void *avr)
{
    (void)irq, (void)value;
    step_pins_look(avr, ((avr_t *)avr)->cycle);
}

void step_pins_begin(avr_t *avr)
{
    static const int watched[] = {IOPORT_IRQ_REG_PORT, IOPORT_IRQ_DIRECTION_ALL};
    for (unsigned k = 0; k < sizeof watched / sizeof *watched; k++)
        avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('B'), watched[k]), on_port, avr);
}

void step_pins_reset(avr_t *avr)
{
    step_pins_look(avr, avr->cycle);
}

void step_pins_give(const avr_t *avr, avr_cycle_count_t moment, chip_t *chip)
{
    period_t period = timer1_period(avr);
    const uint32_t count = counts_at(moment, &period);
    train_t by_then = train;
    while (period.length != 0 && period.bottom + period.length <= moment) {
        const avr_cycle_count_t end = period.bottom + period.length;
        if (period.has_pulse)
            add(&by_then, counts_at(end, &period));
        period = timer1_next_period(avr);
        period.bottom = end;
    }
    /* Steps times counts, from the beginning up to the moment. */
    const uint32_t area = by_then.steps * count - by_then.ended;
    chip->step_area = (int32_t)(area - given_area - given_steps * (count - given_count));
    chip->steps = (int32_t)by_then.steps;
    given_area = area;
    given_steps = by_then.steps;
    given_count = count;
    chip->is_left = is_left;
    chip->enable = (avr->data[DDRB] & ENABLE) == 0 ? ENABLE_OPEN : (avr->data[PORTB] & ENABLE) != 0 ? ENABLE_HIGH : ENABLE_LOW;
    chip->step_times = times;
    const overflow_t overflow = timer1_overflow();
    chip->longest_step_write = overflow.longest_write;
    chip->lost_bottoms = overflow.lost_bottoms;
}
