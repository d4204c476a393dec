#include "pin_events.h"

#include <stdio.h>

#include "timer1.h"

#define WITHOUT_RECORD 1000000

enum { PORTB = 0x25, DDRB = 0x24, OCR1AL = 0x88, OCR1BL = 0x8A, PB1 = 1, UNITS = 2, BRIDGE = 7 };

/* What the pins follow from, as it was after the last instruction. */
typedef struct {
    timer1_t timer;
    uint16_t compare[UNITS]; /* what was written; it counts from the next BOTTOM on (16.7) */
    uint8_t output[UNITS], port, direction;
} registers_t;

static FILE *file;
static registers_t seen;
static avr_cycle_count_t seen_cycle, counted_cycle; /* when they were looked at, and when the counter reached `count` */
static uint32_t count;
static uint16_t in_force[UNITS];
static bool is_high[UNITS]; /* the compare units' outputs, which stay while no COM bit connects them (16.8) */
static uint8_t levels;

bool pin_events_begin(const char *path)
{
    file = fopen(path, "wb");
    return file != NULL;
}

avr_cycle_count_t pin_events_stride(void)
{
    return file != NULL ? 1 : WITHOUT_RECORD;
}

void pin_events_note(avr_cycle_count_t cycle, enum pin_event what, uint8_t kind)
{
    if (file == NULL)
        return;
    uint8_t record[10] = {[8] = (uint8_t)what, [9] = kind};
    for (unsigned k = 0; k < 8; k++)
        record[k] = (uint8_t)(cycle >> (8 * k));
    fwrite(record, sizeof record, 1, file);
}

void pin_events_flush(void)
{
    if (file != NULL)
        fflush(file);
}

static uint32_t prescaler_now(void)
{
    static const uint16_t prescalers[8] = {0, 1, 8, 64, 256, 1024, 0, 0};
    return prescalers[seen.timer.clock & 7u];
}

/* The last count of the period under way. */
static uint32_t top_now(void)
{
    return seen.timer.mode == TIMER1_STEP_MODE ? in_force[OC1A] : seen.timer.period / prescaler_now() - 1u;
}

static registers_t registers_now(const avr_t *avr)
{
    registers_t now = {.timer = timer1_now(avr), .port = avr->data[PORTB], .direction = avr->data[DDRB]};
    for (int unit = OC1A; unit <= OC1B; unit++) {
        const int low = unit == OC1A ? OCR1AL : OCR1BL;
        now.compare[unit] = (uint16_t)(avr->data[low] | avr->data[low + 1] << 8);
        now.output[unit] = timer1_output(avr, unit);
    }
    return now;
}

static void show(avr_cycle_count_t cycle, uint8_t kind)
{
    uint8_t now = seen.port;
    for (unsigned unit = OC1A; unit <= OC1B; unit++)
        if (seen.output[unit] != 0)
            now = (uint8_t)((now & ~(1u << (PB1 + unit))) | (unsigned)is_high[unit] << (PB1 + unit));
    now &= seen.direction & BRIDGE;
    for (unsigned pin = 0; pin < 3; pin++)
        if (((now ^ levels) >> pin & 1u) != 0)
            pin_events_note(cycle, (enum pin_event)pin, (uint8_t)((now >> pin & 1u) | kind));
    levels = now;
}

/* A match acts one count after the one it compares with; one at TOP not at all, for BOTTOM comes with it. */
static void pass_count(uint32_t top)
{
    const bool is_bottom = count > top;
    for (unsigned unit = OC1A; unit <= OC1B; unit++) {
        const bool is_connected = seen.output[unit] >= 2, is_inverted = seen.output[unit] == 3;
        if (is_connected && is_bottom)
            is_high[unit] = !is_inverted;
        else if (is_connected && count == in_force[unit] + 1u)
            is_high[unit] = is_inverted;
        if (is_bottom)
            in_force[unit] = seen.compare[unit];
    }
    if (is_bottom)
        count = 0;
}

/* The counts of fast PWM that change something, each at its cycle; other modes move no pin here. */
static void pass_time(avr_cycle_count_t until)
{
    const uint32_t prescaler = prescaler_now();
    if (prescaler == 0 || !seen.timer.is_fast_pwm) {
        counted_cycle = until;
        return;
    }
    for (;;) {
        const uint32_t top = top_now();
        uint32_t counts = count <= top ? top + 1u - count : 1;
        for (unsigned unit = OC1A; unit <= OC1B; unit++)
            if (in_force[unit] >= count && in_force[unit] + 1u - count < counts)
                counts = in_force[unit] + 1u - count;
        if (counted_cycle + (avr_cycle_count_t)counts * prescaler > until)
            break;
        count += counts;
        counted_cycle += (avr_cycle_count_t)counts * prescaler;
        pass_count(top);
        show(counted_cycle, EDGE_IS_TIMERS);
    }
    const avr_cycle_count_t passed = (until - counted_cycle) / prescaler;
    count += (uint32_t)passed;
    counted_cycle += passed * prescaler;
}

/* What an instruction has written holds from its beginning: that is where the last look was. */
void pin_events_look(avr_t *avr)
{
    if (file == NULL)
        return;
    pass_time(seen_cycle);
    const registers_t before = seen;
    seen = registers_now(avr);
    for (unsigned unit = OC1A; unit <= OC1B; unit++)
        if (!seen.timer.is_fast_pwm) /* in mode 15 it becomes the first TOP */
            in_force[unit] = seen.compare[unit];
    if (seen.output[OC1A] != before.output[OC1A] || seen.output[OC1B] != before.output[OC1B])
        pin_events_note(seen_cycle, EVENT_CONNECT, 0);
    show(seen_cycle, 0);
    seen_cycle = avr->cycle;
}

void pin_events_reset(avr_t *avr, uint8_t cause)
{
    if (file == NULL)
        return;
    pass_time(avr->cycle);
    seen = (registers_t){0};
    is_high[OC1A] = is_high[OC1B] = false;
    in_force[OC1A] = in_force[OC1B] = 0;
    count = 0;
    counted_cycle = seen_cycle = avr->cycle;
    show(avr->cycle, 0);
    pin_events_note(avr->cycle, EVENT_RESET, cause);
}
