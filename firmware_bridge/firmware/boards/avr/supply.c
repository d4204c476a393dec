#include "supply.h"

#include <avr/io.h>

#include "pins.h"

/* 10 kOhm over 1.8 kOhm, against AVCC: 5000 mV x 11.8 / 1.8 / 1024 = 32.01 mV a step, and 32.7 V at most. */
#define STEP_SHIFT 5

#define ENABLED ((uint8_t)((1u << ADEN) | (1u << ADPS2) | (1u << ADPS1) | (1u << ADPS0))) /* 125 kHz: 0.1 ms a conversion */

static void begin_conversion(void)
{
    ADCSRA = (uint8_t)(ENABLED | (1u << ADSC));
}

void supply_begin(void)
{
    DIDR0 = SUPPLY_MASK;
    ADMUX = (1u << REFS0) | SUPPLY_CHANNEL;
    begin_conversion();
    while (ADCSRA & (1u << ADSC)) {
    }
}

uint16_t supply_mv(void)
{
    const uint16_t steps = ADC;
    begin_conversion();
    return (uint16_t)(steps << STEP_SHIFT);
}
