/* What an ATmega328P answers to a program that touches its registers in ways the data sheet (DS40002061B) describes: one 16-bit number
 * for each experiment, on the serial line.
 */
#include <avr/boot.h>
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <avr/wdt.h>
#include <stdint.h>
#include <util/delay.h>

typedef struct {
    char name[24];
    uint32_t protocol_hash, firmware_id;
} mark_t;

extern const mark_t firmware_mark;
const mark_t firmware_mark PROGMEM = {"cartpole_robot firmware", PROTOCOL_HASH, 0};

static void send_byte(uint8_t byte)
{
    while ((UCSR0A & (1u << UDRE0)) == 0) {
    }
    UDR0 = byte;
}

static void send(uint16_t value)
{
    send_byte((uint8_t)value);
    send_byte((uint8_t)(value >> 8));
}

static uint16_t converted(uint8_t admux)
{
    ADMUX = admux;
    ADCSRA = (1u << ADEN) | 7u | (1u << ADSC);
    while (ADCSRA & (1u << ADSC)) {
    }
    return ADC;
}

/* ICR1 is written in a mode that does not use it, then in one that does (16.6.3). */
static void lock(void)
{
    TCCR1A = 0;
    TCCR1B = 0;
    ICR1 = 799;
    send(ICR1);
    TCCR1A = 1u << WGM11;
    TCCR1B = (1u << WGM13) | (1u << WGM12);
    ICR1 = 799;
    send(ICR1);
}

/* A high byte waits in TEMP, which all 16-bit registers share, until its low byte comes (16.3). */
static void temporary(void)
{
    OCR1A = 0x1234;
    OCR1AH = 0x56;
    send(OCR1A);
    OCR1BL = 0x78;
    send(OCR1B);
}

/* Cycles that PB1 is high in each period, by its own input: OCR1A + 1 (16.10). Timer0 counts them, eight at a time. */
static void pulse(uint16_t compare)
{
    DDRB = 1u << PB1;
    OCR1A = compare;
    TCCR1A = (1u << COM1A1) | (1u << WGM11);
    TCCR1B = (1u << WGM13) | (1u << WGM12) | (1u << CS11); /* 2 MHz */
    ICR1 = 200;
    _delay_ms(1);
    while (PINB & (1u << PB1)) {
    }
    while ((PINB & (1u << PB1)) == 0) {
    }
    TCNT0 = 0;
    TCCR0B = 1u << CS01;
    while (PINB & (1u << PB1)) {
    }
    TCCR0B = 0;
    send(TCNT0);
    TCCR1A = 0;
    TCCR1B = 0;
}

/* Six bytes come and nobody takes them: three stay, and DOR0 tells (chapter 20). */
static void overrun(void)
{
    send(0xFFFF); /* the host sends them now */
    _delay_ms(3);
    send(UCSR0A & (1u << DOR0));
    uint16_t taken = 0;
    while (UCSR0A & (1u << RXC0)) {
        taken = (uint16_t)(taken * 16u + UDR0);
    }
    send(taken);
}

int main(void)
{
    const uint8_t cause = MCUSR;
    MCUSR = 0;
    wdt_disable();
    UCSR0A = 1u << U2X0;
    UBRR0 = 3;
    UCSR0C = (1u << UCSZ01) | (1u << UCSZ00);
    UCSR0B = (1u << RXEN0) | (1u << TXEN0);
    send(cause);
    if (cause == (1u << WDRF)) {
        for (;;) {
        }
    }
    lock();
    temporary();
    pulse(99);
    send(converted((1u << REFS0) | 14));
    send(converted((1u << REFS0) | 4));
    send(converted(4));
    send((uint16_t)(boot_lock_fuse_bits_get(GET_HIGH_FUSE_BITS) << 8 | boot_lock_fuse_bits_get(GET_LOW_FUSE_BITS)));
    send(boot_lock_fuse_bits_get(GET_EXTENDED_FUSE_BITS));
    send((uint16_t)(boot_signature_byte_get(2) << 8 | boot_signature_byte_get(4)));
    SPMCSR = (1u << BLBSET) | (1u << SPMEN);
    _delay_us(1); /* too late: what comes is flash */
    send(pgm_read_byte(0));
    overrun();
    wdt_enable(WDTO_15MS);
    for (;;) {
    }
}
