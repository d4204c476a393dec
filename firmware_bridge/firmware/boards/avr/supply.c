#include "supply.h"

#include <avr/io.h>

#include "pins.h"

/* 10 kOhm over 1.8 kOhm, against AVCC: 5000 mV x 11.8 / 1.8 / 1024 = 32.01 mV a step, and 32.7 V at most. */
#define STEP_SHIFT 5

#define ENABLED ((uint8_t)((1u << ADEN) | (1u << ADPS2) | (1u << ADPS1) | (1u << ADPS0))) /* 125 kHz: 0.1 ms a conversion */
#define AGAINST_AVCC ((uint8_t)(1u << REFS0))
#define BANDGAP_CHANNEL 14u

/* The reference is weak: it takes the converter's input some conversions to get there (DS40002061B, 24). */
#define LOOK_TICKS 128u /* from one look at the reference to the next */
#define SETTLING 4u     /* its first readings, not used */
#define READINGS 4u     /* added up: 1024 steps become 4096 */
#define LAST_READING ((uint8_t)(SETTLING + READINGS))

static void begin_conversion(uint8_t channel)
{
    ADMUX = AGAINST_AVCC | channel;
    ADCSRA = (uint8_t)(ENABLED | (1u << ADSC));
}

void supply_begin(void)
{
    DIDR0 = SUPPLY_MASK;
    begin_conversion(SUPPLY_CHANNEL);
    while (ADCSRA & (1u << ADSC)) {
    }
}

/* Each tick takes the conversion that the tick before began. */
void supply_read(board_inputs_t *inputs)
{
    static uint8_t tick; /* of LOOK_TICKS: in the first ones the converter is at the reference, one reading behind */
    static uint16_t supply_steps, bandgap_steps, sum;
    const uint16_t steps = ADC;
    if (tick == 0 || tick > LAST_READING)
        supply_steps = steps;
    else if (tick > SETTLING)
        sum += steps;
    if (tick == LAST_READING) {
        bandgap_steps = sum;
        sum = 0;
    }
    begin_conversion(tick < LAST_READING ? BANDGAP_CHANNEL : SUPPLY_CHANNEL);
    tick = (uint8_t)((tick + 1u) % LOOK_TICKS);
    inputs->supply_mv = (uint16_t)(supply_steps << STEP_SHIFT);
    inputs->bandgap_steps = bandgap_steps;
}
