#include "serial_line.h"

#include <simavr/avr_uart.h>
#include <string.h>

#include "pin_events.h"

#define BAUD 500000
#define BAUD_TOLERANCE 19700 /* (1/2 - 1/8) / 9.5 of it */
#define BITS 10u
#define RING 4096u /* bytes; a power of two */
#define HARDWARE_BYTES 3 /* the chip keeps two, and a third in its shift register */

enum { UCSRA = 0xC0, UBRRL = 0xC4, UBRRH = 0xC5, U2X = 2, DOR = 8 };

DEFINE_FIFO(uint16_t, uart_fifo);

typedef struct {
    uint8_t bytes[RING];
    uint32_t head, tail;
} ring_t;

static avr_uart_t *uart;
static avr_irq_t *input;
static ring_t incoming, outgoing;
static avr_cycle_count_t left_at[RING]; /* when each outgoing byte is whole */
static avr_cycle_count_t line_free;
static avr_cycle_count_t byte_cycles; /* of the line; 0 while the chip talks at another speed */
static uint32_t lost;

static void take_outgoing(avr_irq_t *irq, uint32_t byte, void *param)
{
    (void)irq;
    const avr_t *avr = param;
    if (byte_cycles == 0 || outgoing.head - outgoing.tail == RING)
        return; /* nobody can read it */
    line_free = (line_free > avr->cycle ? line_free : avr->cycle) + byte_cycles;
    left_at[outgoing.head % RING] = line_free;
    outgoing.bytes[outgoing.head++ % RING] = (uint8_t)byte;
    pin_events_note(line_free, EVENT_BYTE, (uint8_t)byte);
}

/* The first bit of a byte: simavr takes it from there for the length of one byte. */
static avr_cycle_count_t begin_byte(avr_t *avr, avr_cycle_count_t when, void *unused)
{
    (void)unused;
    const uint8_t byte = incoming.bytes[incoming.tail++ % RING];
    if (byte_cycles == 0) {
        lost++;
    } else if (uart_fifo_get_read_size(&uart->input) >= HARDWARE_BYTES) {
        lost++;
        avr->data[UCSRA] |= DOR;
    } else {
        avr_raise_irq(input, byte);
    }
    return incoming.tail != incoming.head ? when + (byte_cycles != 0 ? byte_cycles : 1) : 0;
}

/* simavr counts a parity bit that is not there: the length of a byte is put right. With two clocks too far apart nobody reads a byte:
 * its last bit, nine and a half bits after the first edge, must be sampled inside itself, an eighth of a bit of it being lost to
 * the sampling. */
static void look_at_speed(avr_t *avr, int32_t skew_ppm)
{
    const uint32_t divisor = (avr->data[UBRRL] | (avr->data[UBRRH] & 0x0Fu) << 8) + 1u;
    const uint32_t cycles_per_bit = divisor * ((avr->data[UCSRA] & U2X) != 0 ? 8u : 16u);
    const int64_t baud = (int64_t)avr->frequency * (1000000 + skew_ppm) / 1000000 / cycles_per_bit;
    const bool is_right = baud > BAUD - BAUD_TOLERANCE && baud < BAUD + BAUD_TOLERANCE;
    byte_cycles = is_right ? cycles_per_bit * BITS : 0;
    if (is_right)
        uart->cycles_per_byte = byte_cycles;
}

void serial_line_begin(avr_t *avr)
{
    if (uart == NULL) {
        for (avr_io_t *io = avr->io_port; io != NULL; io = io->next)
            if (strcmp(io->kind, "uart") == 0)
                uart = (avr_uart_t *)io;
        input = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
        avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), take_outgoing, avr);
    }
    uint32_t flags = 0; /* no output on a console, no sleep while it is polled */
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    byte_cycles = 0;
    while (outgoing.head != outgoing.tail && left_at[(outgoing.head - 1u) % RING] > avr->cycle)
        outgoing.head--; /* a reset cuts short what is being sent */
    line_free = 0;
    if (incoming.head != incoming.tail)
        avr_cycle_timer_register(avr, 1, begin_byte, NULL);
}

void serial_line_take(avr_t *avr, const world_t *world)
{
    look_at_speed(avr, world->skew_ppm);
    const bool was_idle = incoming.head == incoming.tail;
    for (uint16_t k = 0; k < world->line_length && incoming.head - incoming.tail < RING; k++)
        incoming.bytes[incoming.head++ % RING] = world->line[k];
    if (was_idle && incoming.head != incoming.tail)
        avr_cycle_timer_register(avr, 1, begin_byte, NULL);
}

void serial_line_give(avr_t *avr, chip_t *chip)
{
    chip->line_length = 0;
    while (outgoing.tail != outgoing.head && chip->line_length < MAILBOX_LINE_BYTES &&
           left_at[outgoing.tail % RING] <= avr->cycle)
        chip->line[chip->line_length++] = outgoing.bytes[outgoing.tail++ % RING];
    chip->bytes_lost = lost;
}
