#include "timer1.h"

#include <simavr/avr_ioport.h>
#include <simavr/avr_timer.h>
#include <stddef.h>
#include <string.h>

#include "step_pins.h"

enum { TCCR1A = 0x80, TCCR1B = 0x81, TCNT1L = 0x84, TCNT1H = 0x85, ICR1L = 0x86, ICR1H = 0x87, OCR1AL = 0x88, OCR1BL = 0x8A };
enum { LAST = 0x8B, WGM_A = 0x03, WGM_B = 0x18, CS = 0x07 };

#define TOP_IS_ICR1 0x5500u /* a bit for each mode: 8, 10, 12, 14. In others ICR1 cannot be written (16.6.3, page 131) */
#define FAST_PWM 0xC0E0u    /* 5, 6, 7, 14, 15 */

enum { COM_SET_AT_BOTTOM = 2, COM_SET_AT_MATCH = 3 };

static uint8_t temporary; /* the one TEMP register of all 16-bit registers: a high byte waits in it for its low byte (16.3) */
static uint32_t base_count;
static avr_cycle_count_t base_cycle; /* where the counter stood at base_count */
static uint16_t in_force[2];   /* in mode 15 what was written counts from the next BOTTOM on */
static bool is_step_high;
static overflow_t overflow;
static bool is_in_interrupt; /* that of BOTTOM */

static uint16_t word_at(const avr_t *avr, int address)
{
    return (uint16_t)(avr->data[address] | avr->data[address + 1] << 8);
}

static uint8_t mode_of(const avr_t *avr)
{
    return (uint8_t)((avr->data[TCCR1A] & WGM_A) | (avr->data[TCCR1B] & WGM_B) >> 1);
}

static uint32_t top_of(const avr_t *avr)
{
    static const uint16_t fixed[16] = {0xFFFF, 0xFF, 0x1FF, 0x3FF, 0, 0xFF, 0x1FF, 0x3FF, 0, 0, 0, 0, 0, 0xFFFF, 0, 0};
    const uint8_t mode = mode_of(avr);
    if (TOP_IS_ICR1 >> mode & 1u)
        return word_at(avr, ICR1L);
    if (mode == TIMER1_STEP_MODE)
        return in_force[OC1A];
    return fixed[mode] != 0 ? fixed[mode] : word_at(avr, OCR1AL);
}

/* Cycles of a count; 0: none comes. The external clock's pin is not connected. */
static uint32_t prescaler_of(const avr_t *avr)
{
    static const uint16_t cycles[8] = {0, 1, 8, 64, 256, 1024, 0, 0};
    return cycles[avr->data[TCCR1B] & CS];
}

/* A counter that stands above a TOP that was lowered runs on to the end of its 16 bits: ICR1 is not double-buffered. */
static uint32_t count_now(const avr_t *avr)
{
    const uint32_t prescaler = prescaler_of(avr), top = top_of(avr);
    if (prescaler == 0)
        return base_count;
    uint64_t passed = (avr->cycle - base_cycle) / prescaler;
    uint32_t from = base_count;
    if (from > top) {
        if (passed < 0x10000u - from)
            return (uint32_t)(from + passed);
        passed -= 0x10000u - from;
        from = 0;
    }
    return (uint32_t)((from + passed) % (top + 1u));
}

/* Before anything changes that the counter runs by. What has passed of a count is not lost. */
static void keep_count(const avr_t *avr)
{
    const uint32_t prescaler = prescaler_of(avr);
    base_count = count_now(avr);
    base_cycle = prescaler != 0 ? avr->cycle - (avr->cycle - base_cycle) % prescaler : avr->cycle;
}

/* ---- mode 15 ---- */

static bool makes_steps(const avr_t *avr)
{
    return mode_of(avr) == TIMER1_STEP_MODE && prescaler_of(avr) != 0;
}

static void move_step(avr_t *avr, avr_cycle_count_t when, bool is_bottom)
{
    const uint8_t output = timer1_output(avr, OC1B);
    if (output != COM_SET_AT_BOTTOM && output != COM_SET_AT_MATCH)
        return;
    is_step_high = (output == COM_SET_AT_BOTTOM) == is_bottom;
    step_pins_look(avr, when);
}

static avr_cycle_count_t pass_match(avr_t *avr, avr_cycle_count_t when, void *unused)
{
    (void)unused;
    move_step(avr, when, false);
    return 0;
}

/* The match of the period under way, if it is still to come: it acts a count after the one it compares with, and at TOP not at all, for
 * BOTTOM comes with it. */
static void await_match(avr_t *avr)
{
    if (in_force[OC1B] < base_count || in_force[OC1B] >= in_force[OC1A])
        return;
    const avr_cycle_count_t at = base_cycle + (avr_cycle_count_t)prescaler_of(avr) * (in_force[OC1B] + 1u - base_count);
    avr_cycle_timer_register(avr, at > avr->cycle ? at - avr->cycle : 0, pass_match, NULL);
}

static avr_int_vector_t *overflow_vector(avr_t *avr)
{
    static avr_int_vector_t *found;
    for (avr_io_t *module = avr->io_port; found == NULL && module != NULL; module = module->next)
        if (strcmp(module->kind, "timer") == 0 && ((avr_timer_t *)module)->name == '1')
            found = &((avr_timer_t *)module)->overflow;
    return found;
}

/* The counter is cleared, the compare registers are updated and TOV1 is set, all at the same timer clock (16.9.3). */
static avr_cycle_count_t pass_bottom(avr_t *avr, avr_cycle_count_t when, void *vector)
{
    move_step(avr, when, true);
    in_force[OC1A] = word_at(avr, OCR1AL);
    in_force[OC1B] = word_at(avr, OCR1BL);
    base_count = 0;
    base_cycle = when;
    if (avr_regbit_get(avr, ((avr_int_vector_t *)vector)->raised) != 0)
        overflow.lost_bottoms++;
    avr_raise_interrupt(avr, vector);
    await_match(avr);
    return when + (avr_cycle_count_t)prescaler_of(avr) * (in_force[OC1A] + 1u);
}

/* After anything that the next BOTTOM and the next match follow from. */
static void await_events(avr_t *avr)
{
    avr_int_vector_t *const vector = overflow_vector(avr);
    avr_cycle_timer_cancel(avr, pass_bottom, vector);
    avr_cycle_timer_cancel(avr, pass_match, NULL);
    if (!makes_steps(avr))
        return;
    const uint32_t end = base_count <= in_force[OC1A] ? in_force[OC1A] + 1u : 0x10000u;
    const avr_cycle_count_t at = base_cycle + (avr_cycle_count_t)prescaler_of(avr) * (end - base_count);
    avr_cycle_timer_register(avr, at > avr->cycle ? at - avr->cycle : 0, pass_bottom, vector);
    await_match(avr);
}

/* ---- registers ---- */

static void write_high(avr_t *avr, avr_io_addr_t address, uint8_t value, void *unused)
{
    (void)avr, (void)address, (void)unused;
    temporary = value;
}

/* Takes effect at once, except in mode 15, whose BOTTOM is an event; in the other PWM modes the compares are not read before theirs. */
static void write_compare(const avr_t *avr, int unit)
{
    if (!makes_steps(avr)) {
        in_force[unit] = word_at(avr, unit == OC1A ? OCR1AL : OCR1BL);
        return;
    }
    const uint32_t took = (uint32_t)(avr->cycle - (base_cycle - (avr_cycle_count_t)prescaler_of(avr) * base_count));
    if (took > overflow.longest_write)
        overflow.longest_write = took;
}

static void write_low(avr_t *avr, avr_io_addr_t address, uint8_t value, void *unused)
{
    (void)unused;
    if (address == ICR1L && !(TOP_IS_ICR1 >> mode_of(avr) & 1u))
        return;
    keep_count(avr);
    avr->data[address] = value;
    avr->data[address + 1] = temporary;
    if (address == TCNT1L) {
        base_count = (uint32_t)(value | temporary << 8);
        await_events(avr);
    }
    if (address == OCR1AL || address == OCR1BL)
        write_compare(avr, address == OCR1AL ? OC1A : OC1B);
}

static void write_control(avr_t *avr, avr_io_addr_t address, uint8_t value, void *unused)
{
    (void)unused;
    keep_count(avr);
    const uint32_t before = prescaler_of(avr);
    avr->data[address] = value;
    if (prescaler_of(avr) != before)
        base_cycle = avr->cycle;
    await_events(avr);
    step_pins_look(avr, avr->cycle);
}

static uint8_t read_count(avr_t *avr, avr_io_addr_t address, void *unused)
{
    (void)address, (void)unused;
    const uint32_t count = count_now(avr);
    temporary = (uint8_t)(count >> 8);
    return (uint8_t)count;
}

static uint8_t read_temporary(avr_t *avr, avr_io_addr_t address, void *unused)
{
    (void)avr, (void)address, (void)unused;
    return temporary;
}

static void on_interrupt(avr_irq_t *irq, uint32_t is_running, void *unused)
{
    (void)irq, (void)unused;
    is_in_interrupt = is_running != 0;
}

void timer1_begin(avr_t *avr)
{
    for (int address = TCCR1A; address <= LAST; address++) {
        const bool is_control = address < TCNT1L, is_high = (address & 1) != 0;
        avr->io[AVR_DATA_TO_IO(address)].w.c = is_control ? write_control : is_high ? write_high : write_low;
        avr->io[AVR_DATA_TO_IO(address)].w.param = NULL;
        avr->data[address] = 0;
    }
    avr->io[AVR_DATA_TO_IO(TCNT1L)].r.c = read_count;
    avr->io[AVR_DATA_TO_IO(TCNT1H)].r.c = read_temporary;
    /* simavr's own input capture, on PB0, would overwrite ICR1: it does not see that ICR1 is the TOP. */
    avr_unconnect_irq(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('B'), 0),
                      avr_io_getirq(avr, AVR_IOCTL_TIMER_GETIRQ('1'), TIMER_IRQ_IN_ICP));
    avr_irq_t *const irq = overflow_vector(avr)->irq + AVR_INT_IRQ_RUNNING;
    avr_irq_unregister_notify(irq, on_interrupt, NULL);
    avr_irq_register_notify(irq, on_interrupt, NULL);
    is_in_interrupt = false;
    temporary = 0;
    base_count = 0;
    base_cycle = avr->cycle;
    in_force[OC1A] = in_force[OC1B] = 0;
    is_step_high = false;
}

timer1_t timer1_now(const avr_t *avr)
{
    const uint8_t mode = mode_of(avr);
    return (timer1_t){
        .mode = mode,
        .clock = avr->data[TCCR1B] & CS,
        .is_fast_pwm = (FAST_PWM >> mode & 1u) != 0,
        .period = prescaler_of(avr) * (top_of(avr) + 1u),
    };
}

uint8_t timer1_output(const avr_t *avr, int unit)
{
    return avr->data[TCCR1A] >> (unit == OC1A ? 6 : 4) & 3u;
}

uint32_t timer1_high_cycles(const avr_t *avr, int unit)
{
    const uint32_t top = top_of(avr), compare = word_at(avr, unit == OC1A ? OCR1AL : OCR1BL);
    const uint32_t until_match = compare < top ? compare + 1u : top + 1u;
    return prescaler_of(avr) * (timer1_output(avr, unit) == 2 ? until_match : top + 1u - until_match);
}

static period_t period_of(const avr_t *avr, avr_cycle_count_t bottom, uint32_t top, uint32_t compare)
{
    return (period_t){
        .bottom = bottom,
        .length = makes_steps(avr) ? (avr_cycle_count_t)prescaler_of(avr) * (top + 1u) : 0,
        .has_pulse = timer1_output(avr, OC1B) == COM_SET_AT_MATCH && compare < top,
    };
}

period_t timer1_period(const avr_t *avr)
{
    const avr_cycle_count_t bottom = base_cycle - (avr_cycle_count_t)prescaler_of(avr) * base_count;
    return period_of(avr, bottom, in_force[OC1A], in_force[OC1B]);
}

period_t timer1_next_period(const avr_t *avr)
{
    const period_t now = timer1_period(avr);
    return period_of(avr, now.bottom + now.length, word_at(avr, OCR1AL), word_at(avr, OCR1BL));
}

bool timer1_is_unsettled(avr_t *avr)
{
    if (!makes_steps(avr))
        return false;
    return is_in_interrupt || avr_regbit_get(avr, overflow_vector(avr)->raised) != 0;
}

overflow_t timer1_overflow(void)
{
    return overflow;
}

bool timer1_is_step_high(void)
{
    return is_step_high;
}
