/* The built firmware on simavr's ATmega328P, a millisecond a line: `CART POLE INPUTS SUPPLY_MV [HEX]` on stdin moves both encoders
 * there edge by edge, sets the contacts (enum input_flag), sends the bytes at 500 kbaud and runs 16,000 cycles; INPUTS of 256 and more
 * take the tick's interrupt away first, as if the program hung. The answer is
 * `ENABLE FORWARDS BACKWARDS HEX`: the enable pin, the pulses in cycles of 800, the bytes it sent.
 *
 * simavr 1.6 is left as it is, save for what would make it wrong here: it really sleeps, its bytes are 11 bits long, and its
 * loader prints on stdout; and slow: after each reset it looks every cycle whether the pins of the unused INT0 and INT1 are low.
 */
#include <simavr/avr_adc.h>
#include <simavr/avr_extint.h>
#include <simavr/avr_ioport.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CYCLES_PER_MS 16000
#define CYCLES_PER_BYTE 320 /* 10 bits of 2 us */
#define MOST_BYTES 64

enum { TCCR1A = 0x80, OCR1A = 0x88, OCR1B = 0x8A, PORTB = 0x25, TIMSK2 = 0x70, UCSR0A = 0xC0, UBRR0 = 0xC4, U2X0 = 2, COM1A1 = 0x80, COM1B1 = 0x20 };

static avr_t *avr;
static avr_uart_t *uart;
static avr_irq_t *serial_in, *adc_in;
static long counts[2]; /* cart, pole */
static unsigned char to_send[256], sent[4 * MOST_BYTES]; /* what the line has not taken yet goes on in the next millisecond */
static unsigned char to_send_head, to_send_tail;
static int sent_length;
static int was_reset;

static void sleep_not(avr_t *which, avr_cycle_count_t cycles)
{
    (void)which, (void)cycles;
}

static void take_sent(avr_irq_t *irq, uint32_t value, void *unused)
{
    (void)irq, (void)unused;
    if (sent_length < (int)sizeof sent)
        sent[sent_length++] = (unsigned char)value;
}

static avr_cycle_count_t send_next(avr_t *which, avr_cycle_count_t when, void *unused)
{
    (void)which, (void)unused;
    avr_raise_irq(serial_in, to_send[to_send_tail++]);
    return to_send_tail != to_send_head ? when + CYCLES_PER_BYTE : 0;
}

/* A module of the chip like its own ones, told of resets while the others may still be to come. */
static void on_reset(avr_io_t *io)
{
    (void)io;
    was_reset = 1;
}

static avr_io_t onlooker = {.kind = "onlooker", .reset = on_reset};

static void begin_after_reset(void)
{
    was_reset = 0;
    for (uint8_t pin = 0; pin < 2; pin++)
        avr_extint_set_strict_lvl_trig(avr, pin, 0);
}

static avr_cycle_count_t end_millisecond(avr_t *which, avr_cycle_count_t when, void *is_over)
{
    (void)which, (void)when;
    *(int *)is_over = 1;
    return 0;
}

static void run(avr_cycle_count_t cycles)
{
    int is_over = 0;
    avr_cycle_timer_register(avr, cycles, end_millisecond, &is_over);
    const avr_cycle_count_t end = avr->cycle + cycles;
    while (!is_over && avr->cycle < end) { /* a reset forgets the timer */
        const int state = avr_run(avr);
        if (was_reset)
            begin_after_reset();
        if (state == cpu_Done || state == cpu_Crashed) {
            fprintf(stderr, "the chip stopped\n");
            exit(1);
        }
    }
    avr_cycle_timer_cancel(avr, end_millisecond, &is_over);
}

/* The level is told as the port's external one too: else a pull-up that is switched on later overrides it. */
static void set_pin(char port, int pin, int level)
{
    static avr_ioport_external_t contacts = {.name = 'D'}, encoders = {.name = 'C'};
    avr_ioport_external_t *external = port == 'C' ? &encoders : &contacts;
    external->mask |= 1u << pin;
    external->value = (external->value & ~(1u << pin)) | (unsigned)level << pin;
    avr_ioctl(avr, AVR_IOCTL_IOPORT_SET_EXTERNAL(port), external);
    avr_raise_irq(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ(port), pin), (uint32_t)level);
}

static void turn(int encoder, long way)
{
    static const int levels[4] = {0, 2, 3, 1}; /* A leads B; A is bit 1 */
    counts[encoder] += way;
    const int level = levels[counts[encoder] & 3];
    set_pin('C', 2 * encoder, level & 1);
    set_pin('C', 2 * encoder + 1, level >> 1);
}

static long steps_to(int encoder, long target)
{
    return labs(target - counts[encoder]);
}

static void run_millisecond(long cart, long pole)
{
    long edges = steps_to(0, cart) + steps_to(1, pole);
    avr_cycle_count_t left = CYCLES_PER_MS;
    while (edges > 0) { /* in turn, as far apart as can be */
        const int encoder = steps_to(0, cart) * 2 > edges ? 0 : steps_to(1, pole) > 0 ? 1 : 0;
        const avr_cycle_count_t gap = left / (avr_cycle_count_t)(edges + 1);
        run(gap);
        left -= gap;
        turn(encoder, (encoder == 0 ? cart : pole) > counts[encoder] ? 1 : -1);
        edges--;
    }
    run(left);
}

static unsigned word_at(int address)
{
    return avr->data[address] | (unsigned)avr->data[address + 1] << 8;
}

static unsigned pulse(int com, int compare)
{
    return avr->data[TCCR1A] & com ? word_at(compare) + 1 : 0;
}

int main(int argc, char **argv)
{
    FILE *answers = fdopen(dup(STDOUT_FILENO), "w");
    dup2(STDERR_FILENO, STDOUT_FILENO);
    elf_firmware_t firmware = {0};
    if (argc != 2 || answers == NULL || elf_read_firmware(argv[1], &firmware) != 0)
        return 2;
    avr = avr_make_mcu_by_name("atmega328p");
    avr_init(avr);
    avr_register_io(avr, &onlooker);
    avr_load_firmware(avr, &firmware);
    begin_after_reset();
    avr->frequency = 16000000;
    avr->vcc = avr->avcc = avr->aref = 5000;
    avr->sleep = sleep_not;
    avr->run_cycle_limit = 1000000;
    for (avr_io_t *io = avr->io_port; io != NULL; io = io->next)
        if (strcmp(io->kind, "uart") == 0)
            uart = (avr_uart_t *)io;
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    serial_in = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    adc_in = avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_ADC4);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), take_sent, NULL);
    for (int pin = 0; pin < 4; pin++)
        set_pin('C', pin, 0);
    static const int contact_of[3] = {3, 4, 2}; /* left, right, e-stop: the order of enum input_flag */

    char line[512];
    while (fgets(line, sizeof line, stdin) != NULL) {
        long cart, pole;
        unsigned inputs, supply_mv;
        char hex[2 * MOST_BYTES + 1] = "";
        if (sscanf(line, "%ld %ld %u %u %128s", &cart, &pole, &inputs, &supply_mv, hex) < 4)
            return 2;
        for (int contact = 0; contact < 3; contact++)
            set_pin('D', contact_of[contact], (int)(inputs >> contact & 1));
        avr_raise_irq(adc_in, (uint32_t)(supply_mv * 1800ul / 11800ul));
        if (inputs >= 256)
            avr->data[TIMSK2] = 0;
        sent_length = 0;
        if (hex[0] != 0 && ((avr->data[UCSR0A] & U2X0) == 0 || word_at(UBRR0) != 3)) {
            fprintf(stderr, "not at 500 kbaud\n"); /* 16 MHz / 8 / (3 + 1) */
            return 1;
        }
        uart->cycles_per_byte = CYCLES_PER_BYTE;
        if (hex[0] != 0 && to_send_head == to_send_tail)
            avr_cycle_timer_register(avr, CYCLES_PER_BYTE, send_next, NULL);
        for (const char *digits = hex; digits[0] != 0 && digits[1] != 0; digits += 2)
            sscanf(digits, "%2hhx", &to_send[to_send_head++]);
        run_millisecond(cart, pole);
        fprintf(answers, "%d %u %u ", avr->data[PORTB] & 1, pulse(COM1A1, OCR1A), pulse(COM1B1, OCR1B));
        for (int i = 0; i < sent_length; i++)
            fprintf(answers, "%02x", sent[i]);
        fprintf(answers, "\n");
        fflush(answers);
    }
    return 0;
}
