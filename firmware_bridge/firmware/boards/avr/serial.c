#include "serial.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/atomic.h>

#include "../../protocol.h"
#include "interrupt_time.h"

#define RECEIVE_BYTES 128u /* 2.5 ms at 500 kbaud; powers of two that a uint8_t indexes */
#define SEND_BYTES 32u     /* what waits longer waits in the app */
#define RATE (F_CPU / 8UL / PROTOCOL_BAUD)

_Static_assert(RATE * 8UL * PROTOCOL_BAUD == F_CPU && RATE - 1UL <= UINT8_MAX, "the baud rate is exact");
_Static_assert((RECEIVE_BYTES & (RECEIVE_BYTES - 1)) == 0 && RECEIVE_BYTES <= 128, "the ring's index wraps by a mask");
_Static_assert((SEND_BYTES & (SEND_BYTES - 1)) == 0 && SEND_BYTES <= 128, "the ring's index wraps by a mask");

/* Each index has one writer: the head who puts in, the tail who takes out. */
static volatile uint8_t received[RECEIVE_BYTES];
static volatile uint8_t received_head, received_tail;
static volatile uint8_t sending[SEND_BYTES];
static volatile uint8_t sending_head, sending_tail;
static volatile uint16_t overruns;

void serial_begin(void)
{
    UCSR0A = 1u << U2X0; /* before the rate: simavr takes the rate when it is written */
    UBRR0H = 0;
    UBRR0L = (uint8_t)(RATE - 1UL);
    UCSR0C = (1u << UCSZ01) | (1u << UCSZ00);
    UCSR0B = (1u << RXCIE0) | (1u << RXEN0) | (1u << TXEN0);
}

ISR(USART_RX_vect)
{
    const uint8_t began = interrupt_begin();
    const uint8_t has_overrun = UCSR0A & (1u << DOR0);
    const uint8_t byte = UDR0; /* a damaged one is left to the CRC */
    const uint8_t head = received_head;
    const bool is_full = (uint8_t)(head - received_tail) == RECEIVE_BYTES;
    if (!is_full) {
        received[head & (RECEIVE_BYTES - 1u)] = byte;
        received_head = (uint8_t)(head + 1u);
    }
    if ((has_overrun || is_full) && overruns != UINT16_MAX)
        overruns++;
    interrupt_end(began);
}

/* Like that of the encoders, shorter than the tick's interrupt: not timed. */
ISR(USART_UDRE_vect)
{
    const uint8_t tail = sending_tail;
    if (tail == sending_head) {
        UCSR0B &= (uint8_t)~(1u << UDRIE0);
    } else {
        UDR0 = sending[tail & (SEND_BYTES - 1u)];
        sending_tail = (uint8_t)(tail + 1u);
    }
}

bool serial_has_received(void)
{
    return received_head != received_tail;
}

bool serial_receive(uint8_t *byte)
{
    const uint8_t tail = received_tail;
    if (tail == received_head)
        return false;
    *byte = received[tail & (RECEIVE_BYTES - 1u)];
    received_tail = (uint8_t)(tail + 1u);
    return true;
}

bool serial_can_send(void)
{
    return (uint8_t)(sending_head - sending_tail) != SEND_BYTES;
}

void serial_send(uint8_t byte)
{
    const uint8_t head = sending_head;
    sending[head & (SEND_BYTES - 1u)] = byte;
    sending_head = (uint8_t)(head + 1u);
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        UCSR0B |= 1u << UDRIE0;
    }
}

uint16_t serial_overruns(void)
{
    uint16_t count;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        count = overruns;
    }
    return count;
}
