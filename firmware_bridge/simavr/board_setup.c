#include "board_setup.h"

#include <stdarg.h>
#include <stdio.h>

#include "timer1.h"

#define CLOCK_HZ 16000000u
#define PULSES_LEAST_HZ 15000u /* below it is heard, and the current ripples */
#define PULSES_MOST_HZ 25000u  /* what a BTS7960 bears */
#define ADC_LEAST_HZ 50000u    /* for ten bits: DS40002061B, 24.4 */
#define ADC_MOST_HZ 200000u
#define BAUD 500000u           /* PROTOCOL_BAUD; a byte bears 2 % */
#define STEP_MOST_HZ 20000u    /* RATE_CEILING */
#define SUPPLY_CHANNEL 4u
#define BANDGAP_CHANNEL 14u

enum { PORTB = 0x25, DDRB = 0x24, DDRC = 0x27, PORTC = 0x28, DDRD = 0x2A, PORTD = 0x2B, SMCR = 0x53, PCMSK1 = 0x6C, TIMSK1 = 0x6F, WDTCSR = 0x60 };
enum { PRR = 0x64, PCICR = 0x68, ADCSRA = 0x7A, ADMUX = 0x7C, UCSR0A = 0xC0, UCSR0B = 0xC1, UCSR0C = 0xC2, UBRR0L = 0xC4, UBRR0H = 0xC5 };
enum { BRIDGE = 0x07, STEP_DIR = 0x06, ALARM = 0x20, TOIE1 = 0x01, ENCODERS = 0x0F, CONTACTS = 0x1C, SM = 0x0E, PCIE1 = 0x02, REFS = 0xC0, AVCC = 0x40, MUX = 0x0F, UCSZ2 = 0x04 };
enum { WDE = 0x08, WDP = 0x27, PRR_USED = 0x6B /* Timer2, Timer0, Timer1, USART0, ADC */, ASYNCHRONOUS_8N1 = 0x06 };
enum { LINE_ON = 0x98 /* RXCIE0, RXEN0, TXEN0 */, U2X = 0x02, ADEN = 0x80, ADLAR = 0x20 };

static const char *say(const char *format, ...)
{
    static char text[160];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    return text;
}

/* Only while Timer1 drives a pin of the bridge: what it does otherwise nobody sees. */
static const char *pulses_missing(const avr_t *avr)
{
    static const char *const names[] = {"COM1A", "COM1B"};
    const timer1_t timer = timer1_now(avr);
    if (!timer.is_fast_pwm)
        return say("Timer1 is in waveform mode %u, and the bridge needs fast PWM", timer.mode);
    if (timer.period == 0)
        return say("Timer1 is stopped: TCCR1B selects clock %u", timer.clock);
    const unsigned rate_hz = CLOCK_HZ / timer.period;
    if (rate_hz < PULSES_LEAST_HZ || rate_hz > PULSES_MOST_HZ)
        return say("Timer1 makes %u pulses a second, and the bridge takes %u to %u: a period of %u cycles", rate_hz, PULSES_LEAST_HZ,
                   PULSES_MOST_HZ, (unsigned)timer.period);
    for (int unit = OC1A; unit <= OC1B; unit++) {
        const uint8_t output = timer1_output(avr, unit);
        if (output == 1 || output == 3)
            return say("%s is %u, and 2 makes a pulse of the length asked for", names[unit], output);
    }
    return NULL;
}

/* A pin that is held at a level makes no step, whatever Timer1 does. */
static const char *steps_missing(const avr_t *avr)
{
    const timer1_t timer = timer1_now(avr);
    if ((avr->data[DDRB] & STEP_DIR) != STEP_DIR)
        return say("STEP or DIR (PB2, PB1) is an input: DDRB is 0x%02x", avr->data[DDRB]);
    if ((avr->data[DDRD] & ALARM) != 0 || (avr->data[PORTD] & ALARM) == 0)
        return say("the alarm's pin (PD5) has no pull-up: DDRD is 0x%02x, PORTD 0x%02x", avr->data[DDRD], avr->data[PORTD]);
    if (timer1_output(avr, OC1A) != 0)
        return say("COM1A is %u, and DIR (PB1) is the port's pin", timer1_output(avr, OC1A));
    if (timer1_output(avr, OC1B) == 0)
        return NULL;
    if (timer1_output(avr, OC1B) != 3)
        return say("COM1B is %u, and 3 makes a pulse at the end of its period", timer1_output(avr, OC1B));
    if (timer.mode != TIMER1_STEP_MODE)
        return say("Timer1 is in waveform mode %u, and steps need 15, whose TOP is double-buffered", timer.mode);
    if (timer.period == 0)
        return say("Timer1 is stopped: TCCR1B selects clock %u", timer.clock);
    if (CLOCK_HZ / timer.period > STEP_MOST_HZ)
        return say("Timer1 makes %u steps a second, expected at most %u", CLOCK_HZ / timer.period, STEP_MOST_HZ);
    if ((avr->data[TIMSK1] & TOIE1) == 0)
        return say("nothing counts the steps: TIMSK1 is 0x%02x", avr->data[TIMSK1]);
    return NULL;
}

static const char *bridge_missing(const avr_t *avr)
{
    if ((avr->data[DDRB] & BRIDGE) != BRIDGE)
        return say("a pin of the bridge (PB0 to PB2) is an input: DDRB is 0x%02x", avr->data[DDRB]);
    if (timer1_output(avr, OC1A) != 0 || timer1_output(avr, OC1B) != 0)
        return pulses_missing(avr);
    return NULL;
}

static const char *line_missing(const avr_t *avr)
{
    const uint8_t *data = avr->data;
    if (data[UCSR0C] != ASYNCHRONOUS_8N1 || (data[UCSR0B] & UCSZ2) != 0)
        return say("the line is not 8N1: UCSR0C is 0x%02x, UCSR0B 0x%02x", data[UCSR0C], data[UCSR0B]);
    if ((data[UCSR0B] & LINE_ON) != LINE_ON)
        return say("the receiver, its interrupt or the transmitter is off: UCSR0B is 0x%02x", data[UCSR0B]);
    const unsigned divider = (data[UCSR0A] & U2X) != 0 ? 8u : 16u, count = 1u + (data[UBRR0L] | data[UBRR0H] << 8);
    const unsigned baud = CLOCK_HZ / divider / count;
    if (baud < BAUD - BAUD / 50 || baud > BAUD + BAUD / 50)
        return say("the line runs at %u baud, and the host at %u: UCSR0A is 0x%02x, UBRR0 %u", baud, BAUD, data[UCSR0A], count - 1u);
    return NULL;
}

static const char *adc_missing(const avr_t *avr)
{
    if ((avr->data[ADCSRA] & ADEN) == 0 || (avr->data[ADMUX] & ADLAR) != 0)
        return say("the ADC is off or its result shifted left: ADCSRA is 0x%02x, ADMUX 0x%02x", avr->data[ADCSRA], avr->data[ADMUX]);
    const uint8_t reference = avr->data[ADMUX] & REFS, shift = avr->data[ADCSRA] & 7u;
    if (reference != AVCC)
        return say("the ADC's reference is %s: ADMUX is 0x%02x", reference == 0 ? "AREF, where nothing is connected" : "not AVCC",
                   avr->data[ADMUX]);
    const unsigned channel = avr->data[ADMUX] & MUX;
    if (channel != SUPPLY_CHANNEL && channel != BANDGAP_CHANNEL)
        return say("the ADC measures channel %u, neither the supply (4) nor the chip's reference (14): ADMUX is 0x%02x", channel,
                   avr->data[ADMUX]);
    const unsigned rate_hz = CLOCK_HZ >> (shift != 0 ? shift : 1);
    if (rate_hz < ADC_LEAST_HZ || rate_hz > ADC_MOST_HZ)
        return say("the ADC runs at %u Hz, and it measures ten bits at %u to %u: ADCSRA is 0x%02x", rate_hz, ADC_LEAST_HZ, ADC_MOST_HZ,
                   avr->data[ADCSRA]);
    return NULL;
}

const char *board_setup_missing(const avr_t *avr, enum world_drive drive)
{
    const uint8_t *data = avr->data;
    const char *missing = drive == WORLD_DRIVES_STEPPER ? steps_missing(avr) : bridge_missing(avr);
    if (missing != NULL)
        return missing;
    if ((data[DDRC] & ENCODERS) != 0 || (data[PORTC] & ENCODERS) != ENCODERS)
        return say("an encoder pin (PC0 to PC3) has no pull-up: DDRC is 0x%02x, PORTC 0x%02x", data[DDRC], data[PORTC]);
    if ((data[DDRD] & CONTACTS) != 0 || (data[PORTD] & CONTACTS) != CONTACTS)
        return say("a contact's pin (PD2 to PD4) has no pull-up: DDRD is 0x%02x, PORTD 0x%02x", data[DDRD], data[PORTD]);
    if ((data[PCICR] & PCIE1) == 0 || (data[PCMSK1] & ENCODERS) != ENCODERS)
        return say("an encoder pin raises no interrupt: PCICR is 0x%02x, PCMSK1 0x%02x", data[PCICR], data[PCMSK1]);
    missing = line_missing(avr);
    if (missing != NULL)
        return missing;
    if ((data[WDTCSR] & WDE) == 0 || (data[WDTCSR] & WDP) != 0)
        return say("the watchdog is off, or slower than 16 ms: WDTCSR is 0x%02x", data[WDTCSR]);
    if ((data[SMCR] & SM) != 0)
        return say("sleep is deeper than idle and stops the timers: SMCR is 0x%02x", data[SMCR]);
    if ((data[PRR] & PRR_USED) != 0)
        return say("a module in use has no clock: PRR is 0x%02x", data[PRR]);
    return adc_missing(avr);
}
