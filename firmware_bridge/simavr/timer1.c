#include "timer1.h"

#include <simavr/avr_ioport.h>
#include <simavr/avr_timer.h>
#include <stddef.h>

enum { TCCR1A = 0x80, TCCR1B = 0x81, TCNT1L = 0x84, TCNT1H = 0x85, ICR1L = 0x86, ICR1H = 0x87, OCR1AL = 0x88, OCR1BL = 0x8A };
enum { LAST = 0x8B, WGM_A = 0x03, WGM_B = 0x18, CS = 0x07 };

#define TOP_IS_ICR1 0x5500u /* a bit for each mode: 8, 10, 12, 14. In others ICR1 cannot be written (16.6.3, page 131) */
#define FAST_PWM 0xC0E0u    /* 5, 6, 7, 14, 15 */

static uint8_t temporary; /* the one TEMP register of all 16-bit registers: a high byte waits in it for its low byte (16.3) */
static uint32_t base_count;
static avr_cycle_count_t base_cycle; /* where the counter stood at base_count */

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

/* Before anything changes that the counter runs by. */
static void keep_count(const avr_t *avr)
{
    base_count = count_now(avr);
    base_cycle = avr->cycle;
}

static void write_high(avr_t *avr, avr_io_addr_t address, uint8_t value, void *unused)
{
    (void)avr, (void)address, (void)unused;
    temporary = value;
}

static void write_low(avr_t *avr, avr_io_addr_t address, uint8_t value, void *unused)
{
    (void)unused;
    if (address == ICR1L && !(TOP_IS_ICR1 >> mode_of(avr) & 1u))
        return;
    keep_count(avr);
    avr->data[address] = value;
    avr->data[address + 1] = temporary;
    if (address == TCNT1L)
        base_count = (uint32_t)(value | temporary << 8);
}

static void write_control(avr_t *avr, avr_io_addr_t address, uint8_t value, void *unused)
{
    (void)unused;
    keep_count(avr);
    avr->data[address] = value;
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
    temporary = 0;
    base_count = 0;
    base_cycle = avr->cycle;
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
