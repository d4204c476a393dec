/* Timer1 in mode 15, whose two compare registers are written in the middle of a period: 16.9.3 of DS40002061B has them hold from the
 * next BOTTOM on, which is where TOV1 is set.
 */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <stdint.h>

typedef struct {
    char name[24];
    uint32_t protocol_hash, firmware_id;
    char drive[8];
} mark_t;

extern const mark_t firmware_mark;
const mark_t firmware_mark PROGMEM = {"cartpole_robot firmware", PROTOCOL_HASH, 0, "stepper"};

static volatile uint8_t bottoms;

ISR(TIMER1_OVF_vect)
{
    bottoms++;
}

static void await(uint8_t which, uint16_t count)
{
    while (bottoms < which) {
    }
    while (TCNT1 < count) {
    }
}

int main(void)
{
    DDRB = (1u << PB1) | (1u << PB2);
    OCR1A = 999;
    OCR1B = 949;
    TIMSK1 = 1u << TOIE1;
    TCCR1A = (1u << COM1B1) | (1u << COM1B0) | (1u << WGM11) | (1u << WGM10);
    TCCR1B = (1u << WGM13) | (1u << WGM12) | (1u << CS11);
    sei();
    await(3, 700);
    OCR1A = 599; /* below the count: unbuffered, it would run on to 65,535 */
    await(6, 300);
    OCR1A = 1199;
    await(8, 1000);
    OCR1B = 1099; /* while the pulse stands */
    await(10, 100);
    OCR1B = 1199; /* a match at TOP is none */
    for (;;) {
    }
}
