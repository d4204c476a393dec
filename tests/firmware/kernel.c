/* The microcontroller's kernel alone: observations of the image's examples in, every value of the network and
 * the number of slices out, as text. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <stddef.h>

#include "../../policy_image.h"

static void put(char character)
{
    while ((UCSR0A & (1u << UDRE0)) == 0) {
    }
    UDR0 = (uint8_t)character;
}

static void put_number(uint32_t number)
{
    for (int shift = 28; shift >= 0; shift -= 4)
        put("0123456789abcdef"[number >> shift & 15u]);
    put(' ');
}

int main(void)
{
    UCSR0B = 1u << TXEN0;
    TCCR2B = 1u << CS22 | 1u << CS21 | 1u << CS20; /* slow: it stays where it is set for a slice */
    policy_head_t head;
    policy_image_read(NULL, 0, &head, sizeof head);
    const uint16_t example_bytes = head.inputs * sizeof(int16_t);
    const uint16_t at = (uint16_t)(head.bytes - head.examples * (example_bytes + 1u));
    for (uint8_t k = 0; k < head.examples; k++) {
        policy_sums_t sums;
        policy_image_read(NULL, (uint16_t)(at + k * example_bytes), sums.inputs, example_bytes);
        policy_image_read(NULL, sizeof head, sums.values, (uint16_t)(head.outputs * sizeof *sums.values));
        uint8_t slices = 0;
        for (uint16_t unit = 0; unit < head.hidden; slices++) {
            TCNT2 = k % 2 != 0 ? 249 : 0; /* a tick is nearly due, or far */
            unit = policy_image_add(NULL, &sums, unit);
        }
        for (uint8_t output = 0; output < head.outputs; output++)
            put_number((uint32_t)sums.values[output]);
        put_number(slices);
        put('\n');
    }
    cli();
    sleep_enable();
    sleep_cpu();
}
