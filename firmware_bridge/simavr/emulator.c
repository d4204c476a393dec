/* The ATmega328P that a firmware is flashed into, emulated by simavr, its pins and its serial line in the hands of whoever shares the
 * mailbox: `emulator ELF FD [EVENTS [TRACE]]`, FD being the mailbox's memory, EVENTS a file for pin_events.h or -, TRACE the memory of a
 * trace. It says "ready" on stdout, or in one line why not, and ends with its standard input.
 *
 * A program of its own: simavr is under the GPL 3, and so is what this is linked into. simavr 1.6 is put right where it is wrong for
 * this chip: it really sleeps; its loader prints on stdout; a byte has a parity bit and a reception fifo of 64; an interrupt begins in no
 * time; a reset makes it forget pins and timers; a low pin of INT0 or INT1 is looked at in every cycle, asked for or not.
 */
#include <poll.h>
#include <simavr/avr_adc.h>
#include <simavr/avr_extint.h>
#include <simavr/avr_timer.h>
#include <simavr/avr_watchdog.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "board_setup.h"
#include "chip_bytes.h"
#include "encoder_wires.h"
#include "idle_timers.h"
#include "mailbox.h"
#include "pin_events.h"
#include "pins.h"
#include "serial_line.h"
#include "step_pins.h"
#include "timer1.h"
#include "trace.h"

#define CLOCK_HZ 16000000u
#define MILLISECOND 16000 /* cycles */
#define ENTRY_CYCLES 4      /* an interrupt takes to begin; twice as many out of sleep */
#define TICK_HEARD_CYCLES 64
#define LOOK_AT_STDIN_MS 100
#define PULSES 800          /* what chip_t divides a period into */
#define SELF_JUMP 0xCFFFu   /* rjmp .-2 */

enum { MCUSR = 0x54, PORTB = 0x25, DDRB = 0x24, TIMSK2 = 0x70, TCCR2B = 0xB1, GPIOR0 = 0x3E };
enum { ENABLE = 1, FORWARDS = 2, BACKWARDS = 4, TIMER2_COMPA = 7, CONTACTS = 0x1C, RECEIVE = 1, ALARM = 0x20 };

static avr_t *avr;
static mailbox_t *mailbox;
static world_t world;
static port_t contacts;
static avr_irq_t *supply;
static bool was_reset, was_asleep, has_driven, is_aligned;
static uint8_t next_cause;
static avr_cycle_count_t frame_end, frame_rest, tick_cycle, interrupt_cycle, asleep_cycles, policy_cycle;
static bool is_thinking;
static avr_run_t run; /* simavr's own */
static chip_t chip; /* what is known of it but for its serial line */

/* ---- what simavr tells ---- */

/* Before simavr lets a sleeping chip sleep until its next timer. A watchdog that has ended replaces run() for the reset: simavr
 * would sleep once more before that, for up to a PWM period. */
static void sleep_not(avr_t *which, avr_cycle_count_t cycles)
{
    const bool must_reset = which->run != run;
    if (must_reset)
        which->cycle -= cycles;
    asleep_cycles += must_reset ? 1 : cycles + 1;
}

/* Timer2 has come round: the firmware's millisecond. The world's milliseconds begin shortly before the first of them, and with a
 * clock that runs right before all of them. */
static void on_tick(avr_irq_t *irq, uint32_t is_pending, void *unused)
{
    (void)irq, (void)unused;
    if (!is_pending || avr->data[TCCR2B] == 0) /* after a reset simavr has one of a timer that stands */
        return;
    chip.ticks++;
    tick_cycle = avr->cycle;
    pin_events_note(tick_cycle, EVENT_TICK, 0);
    if (!is_aligned) {
        is_aligned = true;
        frame_end = avr->cycle + MILLISECOND - LATE_CYCLES;
    }
}

static void on_interrupt(avr_irq_t *irq, uint32_t vector, void *unused)
{
    (void)irq, (void)unused;
    if (vector != 0) {
        const unsigned entry_cycles = was_asleep ? 2 * ENTRY_CYCLES : ENTRY_CYCLES;
        avr->cycle += entry_cycles;
        trace_interrupt(entry_cycles);
        was_asleep = false;
        interrupt_cycle = avr->cycle;
    } else {
        const avr_cycle_count_t took = avr->cycle - interrupt_cycle + ENTRY_CYCLES;
        policy_cycle += took; /* as if it had begun so much later */
        if (took > chip.longest_interrupt)
            chip.longest_interrupt = (uint32_t)took;
    }
}

/* The firmware says when it computes its policy. */
static void on_policy(avr_t *which, avr_io_addr_t address, uint8_t value, void *unused)
{
    (void)unused;
    which->data[address] = value;
    if (value != 0)
        policy_cycle = which->cycle;
    else if (is_thinking)
        chip.policy_cycles += which->cycle - policy_cycle;
    is_thinking = value != 0;
}

/* A module of the chip like its own ones, which only looks on: at resets, and at the watchdog being fed, which the firmware does once
 * it has driven the bridge. */
static void on_reset(avr_io_t *io)
{
    (void)io;
    was_reset = true;
}

static int on_ioctl(avr_io_t *io, uint32_t control, void *unused)
{
    (void)io, (void)unused;
    if (control == AVR_IOCTL_WATCHDOG_RESET && chip.ticks != 0 && avr->sreg[S_I]) { /* not the start-up's */
        has_driven = true;
        const uint32_t latency = (uint32_t)(avr->cycle - tick_cycle);
        if (latency > chip.longest_latency)
            chip.longest_latency = latency;
    }
    return -1; /* nobody's answer but the watchdog's own */
}

static avr_io_t onlooker = {.kind = "onlooker", .reset = on_reset, .ioctl = on_ioctl};

static avr_cycle_count_t end_frame(avr_t *which, avr_cycle_count_t when, void *unused)
{
    (void)which, (void)when, (void)unused;
    return 0; /* it only keeps a sleeping chip from sleeping longer */
}

/* ---- the chip's surroundings ---- */

static void begin_after_reset(void)
{
    was_reset = is_thinking = false;
    avr->run_cycle_limit = pin_events_stride();
    trace_after_reset(avr);
    for (uint8_t pin = 0; pin < 2; pin++)
        avr_extint_set_strict_lvl_trig(avr, pin, 0);
    if (next_cause != 0)
        avr->data[MCUSR] = next_cause;
    next_cause = 0;
    pin_events_reset(avr, avr->data[MCUSR]);
    is_aligned = false;
    chip.ticks = 0;
    chip.resets++;
    timer1_begin(avr);
    step_pins_reset(avr);
    encoder_wires_begin(avr);
    port_repeat(&contacts, avr);
    serial_line_begin(avr);
    avr_raise_irq(supply, world.supply_mv * 1800u / 11800u); /* 10 kOhm over 1.8 kOhm */
    if (avr->cycle < frame_end)
        avr_cycle_timer_register(avr, frame_end - avr->cycle, end_frame, NULL);
}

static void reset(uint8_t cause)
{
    next_cause = cause;
    avr_reset(avr);
    begin_after_reset();
}

/* The main program runs in circles from here on; interrupts go on. */
static void hang(void)
{
    for (avr_flashaddr_t at = 0; at + 1 < avr->flashend; at += 2)
        if ((avr->flash[at] | avr->flash[at + 1] << 8) == SELF_JUMP) {
            avr->pc = at;
            avr->state = cpu_Running;
            return;
        }
}

static void take_world(void)
{
    memcpy(&world, &mailbox->world, offsetof(world_t, line) + mailbox->world.line_length);
    avr->vcc = avr->avcc = world.rail_mv;
    avr->flash[avr->flashend - 1] = (uint8_t)world.bootloader;
    avr->flash[avr->flashend] = (uint8_t)(world.bootloader >> 8);
    if (world.order == ORDER_RESET)
        reset(world.reset_cause);
    else if (world.order == ORDER_HANG_PROGRAM)
        hang();
    else if (world.order == ORDER_LOSE_TICK)
        avr->data[TIMSK2] = 0;
    static const unsigned pin_of[3] = {3, 4, 2}; /* left, right, e-stop: the order of enum input_flag */
    unsigned levels = RECEIVE; /* the line idles high */
    for (unsigned k = 0; k < 3; k++)
        levels |= (world.contacts >> k & 1u) << pin_of[k];
    unsigned wired = CONTACTS | RECEIVE;
    if (world.drive == WORLD_DRIVES_STEPPER) {
        wired |= ALARM;
        levels |= (world.contacts & WORLD_ALARM) != 0 ? ALARM : 0;
    }
    port_set(&contacts, avr, wired, levels);
    avr_raise_irq(supply, world.supply_mv * 1800u / 11800u);
    serial_line_take(avr, &world);
}

/* Of 800 parts of the time, those in which a pin of the bridge is high: what Timer1 makes of it, or else the port. */
static int32_t high_pulses(uint8_t pin, int unit)
{
    if (timer1_output(avr, unit) == 0)
        return (avr->data[PORTB] & pin) != 0 ? PULSES : 0;
    const uint32_t period = timer1_now(avr).period;
    return period != 0 ? (int32_t)((timer1_high_cycles(avr, unit) * PULSES + period / 2) / period) : 0;
}

/* The end of the world's millisecond: the tick's own cycle, where it is there. on_tick() hears of it after the instruction under way. */
static avr_cycle_count_t frame_moment(void)
{
    const avr_cycle_count_t end = frame_end + LATE_CYCLES;
    for (const avr_io_t *module = avr->io_port; module != NULL; module = module->next)
        if (strcmp(module->kind, "timer") == 0 && ((const avr_timer_t *)module)->name == '2') {
            const avr_timer_t *timer = (const avr_timer_t *)module;
            const avr_cycle_count_t tick = timer->tov_base + timer->tov_cycles;
            return tick <= end && end - tick < TICK_HEARD_CYCLES ? tick : end;
        }
    return end;
}

/* What the host's end of the line has by the time that the motor is driven, whenever the answer comes. */
static void tell_line(void)
{
    serial_line_give(avr, &mailbox->chip);
}

static void answer(uint32_t number)
{
    chip_t *report = &mailbox->chip;
    chip.pulses = high_pulses(FORWARDS, OC1A) - high_pulses(BACKWARDS, OC1B);
    chip.is_open = (avr->data[PORTB] & avr->data[DDRB] & ENABLE) == 0;
    report->pulses = chip.pulses;
    report->is_open = chip.is_open;
    report->ticks = chip.ticks;
    report->resets = chip.resets;
    report->cycles = avr->cycle;
    report->awake_cycles = avr->cycle - asleep_cycles;
    report->policy_cycles = chip.policy_cycles;
    report->longest_latency = chip.longest_latency;
    report->longest_interrupt = chip.longest_interrupt;
    step_pins_give(avr, frame_moment(), report);
    mailbox_raise(&mailbox->answered, number, &mailbox->is_world_asleep);
}

/* An instruction in a traced run, else what can run before a timer or an interrupt is looked at. Returns the chip's state. */
static int run_some(void)
{
    const avr_flashaddr_t from = avr->pc;
    const bool slept = was_asleep = avr->state == cpu_Sleeping, was_on = avr->sreg[S_I];
    const int state = chip_bytes_have_run(avr) ? avr->state : avr_run(avr);
    if (trace_is_on() && !was_reset)
        trace_step(avr, from, slept, was_on);
    return state;
}

/* One millisecond of the world, answered as soon as the bridge is driven. Returns why the chip cannot go on, NULL where it can. */
static const char *run_frame(uint32_t number)
{
    bool has_told = false, has_answered = false;
    const uint64_t exact = (uint64_t)MILLISECOND * (uint64_t)(1000000 + world.skew_ppm) + frame_rest;
    const avr_cycle_count_t cycles = exact / 1000000u;
    frame_rest = exact % 1000000u;
    frame_end += cycles;
    has_driven = false;
    idle_timers_quiet(avr);
    encoder_wires_move(avr, &world, cycles);
    avr_cycle_timer_register(avr, frame_end - avr->cycle, end_frame, NULL);
    while (avr->cycle < frame_end || timer1_is_unsettled(avr)) {
        const int state = run_some();
        pin_events_look(avr);
        if (was_reset)
            begin_after_reset();
        if (state == cpu_Done || state == cpu_Crashed)
            return "the program left its memory, or slept with interrupts off";
        if (has_driven && !has_told) {
            has_told = true;
            const char *missing = board_setup_missing(avr, world.drive);
            if (missing != NULL)
                return missing;
            tell_line();
            has_answered = world.drive != WORLD_DRIVES_STEPPER;
            if (has_answered)
                answer(number);
        }
    }
    avr_cycle_timer_cancel(avr, end_frame, NULL);
    pin_events_flush();
    if (!has_told)
        tell_line();
    if (!has_answered)
        answer(number);
    return NULL;
}

/* ---- beginning and end ---- */

static int refuse(FILE *answers, const char *why)
{
    fprintf(answers, "%s\n", why);
    fflush(answers);
    return 1;
}

static bool is_stdin_over(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) != 0;
}

int main(int argc, char **argv)
{
    FILE *answers = fdopen(dup(STDOUT_FILENO), "w");
    dup2(STDERR_FILENO, STDOUT_FILENO); /* simavr's loader prints there */
    elf_firmware_t firmware = {0};
    if (answers == NULL || argc < 3 || (argc > 3 && strcmp(argv[3], "-") != 0 && !pin_events_begin(argv[3])))
        return 2;
    mailbox = mmap(NULL, MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[2]), 0);
    if (mailbox == MAP_FAILED || mailbox->version != MAILBOX_VERSION || mailbox->bytes != sizeof *mailbox)
        return refuse(answers, "the mailbox is not one of this version");
    if (argc > 4 && !trace_begin(atoi(argv[4])))
        return refuse(answers, "the trace cannot be mapped");
    if (elf_read_firmware(argv[1], &firmware) != 0)
        return refuse(answers, "simavr cannot read the image");
    avr = avr_make_mcu_by_name("atmega328p");
    if (avr == NULL)
        return refuse(answers, "this simavr knows no ATmega328P");
    avr_init(avr);
    avr_load_firmware(avr, &firmware);
    avr->frequency = CLOCK_HZ;
    avr->sleep = sleep_not;
    run = avr->run;
    avr_register_io(avr, &onlooker);
    avr_irq_register_notify(avr_get_interrupt_irq(avr, TIMER2_COMPA) + AVR_INT_IRQ_PENDING, on_tick, NULL);
    avr_irq_register_notify(avr_get_interrupt_irq(avr, AVR_INT_ANY) + AVR_INT_IRQ_RUNNING, on_interrupt, NULL);
    avr_register_io_write(avr, GPIOR0, on_policy, NULL);
    chip_bytes_begin(avr, &world);
    port_begin(&contacts, avr, 'D');
    step_pins_begin(avr);
    supply = avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_ADC4);
    next_cause = 1; /* power on */
    begin_after_reset();
    chip.resets = 0;
    fprintf(answers, "ready\n");
    fflush(answers);
    unsigned naps = 0;
    for (uint32_t number = 1;; number++) {
        while (!mailbox_look(&mailbox->asked, number, &naps) &&
               !mailbox_sleep(&mailbox->asked, number, &mailbox->is_chip_asleep, LOOK_AT_STDIN_MS))
            if (is_stdin_over())
                return 0;
        take_world();
        const char *end = run_frame(number);
        if (end != NULL)
            return refuse(answers, end);
    }
}
