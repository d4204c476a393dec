/* STEP pulses of Timer1 in mode 15, as pulse_train.h has them: made by the timer, counted and chosen by its interrupt at BOTTOM. */
#include "motor.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <stddef.h>
#include <util/atomic.h>

#include "pins.h"

/* 2 MHz, up to OCR1A, OC1B set at its match and cleared at BOTTOM. */
#define MODE_A ((uint8_t)((1u << WGM11) | (1u << WGM10)))
#define STEPS_A ((uint8_t)((1u << COM1B1) | (1u << COM1B0) | (1u << WGM11) | (1u << WGM10)))
#define STEPS_B ((uint8_t)((1u << WGM13) | (1u << WGM12) | (1u << CS11)))
#define CLOCKS_HELD ((uint8_t)((1u << TSM) | (1u << PSRASY) | (1u << PSRSYNC)))
#define TICK_COUNTS 2000 /* of half a microsecond */
#define NO_MATCH 0xFFFFu

/* What the interrupt knows besides: a register that one cycle reaches. Its upper bits count BOTTOMs since the last tick. */
#define STATE GPIOR2
#define HAS_PULSE 0 /* the period under way ends with a pulse; */
#define HAS_NEXT 1  /* so does the next */
#define IS_STEADY 2 /* every period does, and nothing is left to write */
#define BOTTOM_SHIFT 3
#define FLAGS ((uint8_t)((1u << BOTTOM_SHIFT) - 1u))

_Static_assert(TICK_COUNTS / 100 + 1 <= 0xFF >> BOTTOM_SHIFT, "the BOTTOMs of a tick at 20,000 steps a second have room");

/* What the interrupt writes, and what it counts. */
typedef struct {
    uint16_t steps; /* wraps */
    uint16_t accumulator;
    uint16_t top, match, share; /* OCR1A; OCR1B of a period with a pulse; 0: none is due */
    uint8_t is_every;
} train_t;

typedef struct {
    uint16_t top, match, share;
    bool is_left;
} wanted_t;

static train_t train; /* interrupts only; and these, of the last tick: */
static int16_t phase; /* counts since the last BOTTOM */
static uint16_t period_now = RAMP_SLOT, period_next = RAMP_SLOT; /* under way, and written for the next */
static uint16_t steps_kept, steps_taken;
static wanted_t wanted = {RAMP_SLOT - 1u, NO_MATCH, 0, false};
static uint32_t total;

void startup_open_driver(void) __attribute__((naked, used, section(".init1")));

/* The very first instructions: ENABLE is let go of, and its resistor switches the driver off; no more pulses. */
void startup_open_driver(void)
{
    __asm__ volatile("cli\n\t"
                     "cbi %[direction], %[enable]\n\t"
                     "cbi %[port], %[enable]\n\t"
                     "ldi r24, 0\n\t"
                     "sts %[timer], r24\n\t"
                     "cbi %[port], %[dir]\n\t"
                     "cbi %[port], %[step]\n\t"
                     "sbi %[direction], %[dir]\n\t"
                     "sbi %[direction], %[step]\n\t"
                     :
                     : [port] "I"(_SFR_IO_ADDR(BRIDGE_PORT)), [direction] "I"(_SFR_IO_ADDR(BRIDGE_DIRECTION)),
                       [timer] "n"(_SFR_MEM_ADDR(TCCR1A)), [enable] "I"(ENABLE_BIT), [dir] "I"(DIR_BIT), [step] "I"(STEP_BIT)
                     : "r24");
}

void motor_open(void)
{
    BRIDGE_DIRECTION &= (uint8_t)~PIN(ENABLE_BIT);
    BRIDGE_PORT &= (uint8_t)~PIN(ENABLE_BIT);
    TCCR1A = MODE_A;
}

/* The compare registers first: in mode 0 they hold at once, in mode 15 from the next BOTTOM on, of which there is none before. */
void motor_begin(void)
{
    motor_open();
    TCCR1A = 0;
    TCCR1B = 0;
    OCR1A = RAMP_SLOT - 1u;
    OCR1B = NO_MATCH;
    TCNT1 = 0;
    STATE = 0;
    train.top = RAMP_SLOT - 1u;
    TIFR1 = 1u << TOV1; /* of a timer that a bootloader left */
    TIMSK1 = 1u << TOIE1;
}

/* All clocks stand until motor_release_clocks(): Timer1's BOTTOM and Timer2's tick then come at the same cycle, every fourth slot. */
void motor_hold_clocks(void)
{
    GTCCR = CLOCKS_HELD;
    TCCR1A = STEPS_A;
    TCCR1B = STEPS_B;
}

void motor_release_clocks(void)
{
    GTCCR = 0;
}

static void pass_bottom(void) __attribute__((naked, noinline, used));

/* What BOTTOM does, with r24 and r25 alone. First the pulse that has ended is counted; where every period has one that is all.
 * Otherwise what was written holds now, and what the period after the next one does is written. */
static void pass_bottom(void)
{
    __asm__ volatile("in r24, %[state]\n\t"
                     "subi r24, %[less]\n\t"
                     "sbrs r24, %[has_pulse]\n\t"
                     "rjmp 2f\n\t"
                     "lds r25, %[train] + %[steps]\n\t"
                     "sbic %[port], %[dir]\n\t"
                     "rjmp 1f\n\t"
                     "inc r25\n\t"
                     "sts %[train] + %[steps], r25\n\t"
                     "brne 2f\n\t"
                     "lds r25, %[train] + %[steps] + 1\n\t"
                     "inc r25\n\t"
                     "sts %[train] + %[steps] + 1, r25\n\t"
                     "rjmp 2f\n"
                     "1:\n\t"
                     "subi r25, 1\n\t"
                     "sts %[train] + %[steps], r25\n\t"
                     "brcc 2f\n\t"
                     "lds r25, %[train] + %[steps] + 1\n\t"
                     "dec r25\n\t"
                     "sts %[train] + %[steps] + 1, r25\n"
                     "2:\n\t"
                     "sbrc r24, %[is_steady]\n\t"
                     "rjmp 9f\n\t"
                     "bst r24, %[has_next]\n\t"
                     "bld r24, %[has_pulse]\n\t"
                     "lds r25, %[train] + %[top] + 1\n\t"
                     "sts %[ocra] + 1, r25\n\t"
                     "lds r25, %[train] + %[top]\n\t"
                     "sts %[ocra], r25\n\t"
                     "lds r25, %[train] + %[is_every]\n\t"
                     "cpi r25, 0\n\t"
                     "brne 3f\n\t"
                     "push r30\n\t"
                     "lds r25, %[train] + %[accumulator]\n\t"
                     "lds r30, %[train] + %[share]\n\t"
                     "add r25, r30\n\t"
                     "sts %[train] + %[accumulator], r25\n\t"
                     "lds r25, %[train] + %[accumulator] + 1\n\t"
                     "lds r30, %[train] + %[share] + 1\n\t"
                     "adc r25, r30\n\t"
                     "sts %[train] + %[accumulator] + 1, r25\n\t"
                     "pop r30\n\t"
                     "brcs 4f\n\t"
                     "andi r24, 0xFF - (1 << %[has_next])\n\t"
                     "ldi r25, 0xFF\n\t"
                     "sts %[ocrb] + 1, r25\n\t"
                     "sts %[ocrb], r25\n\t"
                     "rjmp 9f\n"
                     "3:\n\t"
                     "sbrc r24, %[has_pulse]\n\t"
                     "ori r24, 1 << %[is_steady]\n"
                     "4:\n\t"
                     "ori r24, 1 << %[has_next]\n\t"
                     "lds r25, %[train] + %[match] + 1\n\t"
                     "sts %[ocrb] + 1, r25\n\t"
                     "lds r25, %[train] + %[match]\n\t"
                     "sts %[ocrb], r25\n"
                     "9:\n\t"
                     "out %[state], r24\n\t"
                     "ret\n\t"
                     :
                     : [state] "I"(_SFR_IO_ADDR(STATE)), [port] "I"(_SFR_IO_ADDR(BRIDGE_PORT)), [dir] "I"(DIR_BIT),
                       [train] "i"(&train), [ocra] "n"(_SFR_MEM_ADDR(OCR1A)), [ocrb] "n"(_SFR_MEM_ADDR(OCR1B)),
                       [steps] "n"(offsetof(train_t, steps)), [accumulator] "n"(offsetof(train_t, accumulator)),
                       [top] "n"(offsetof(train_t, top)), [match] "n"(offsetof(train_t, match)),
                       [share] "n"(offsetof(train_t, share)), [is_every] "n"(offsetof(train_t, is_every)),
                       [has_pulse] "n"(HAS_PULSE), [has_next] "n"(HAS_NEXT), [is_steady] "n"(IS_STEADY),
                       [less] "n"(0x100 - (1 << BOTTOM_SHIFT))
                     : "memory");
}

/* By hand: at 20,000 steps a second 6 % of all time. It has no loop and is shorter than the tick's interrupt: it is not timed. */
ISR(TIMER1_OVF_vect, ISR_NAKED)
{
    __asm__ volatile("push r24\n\t"
                     "in r24, __SREG__\n\t"
                     "push r24\n\t"
                     "push r25\n\t"
                     "call %x[pass]\n\t"
                     "pop r25\n\t"
                     "pop r24\n\t"
                     "out __SREG__, r24\n\t"
                     "pop r24\n\t"
                     "reti\n\t"
                     :
                     : [pass] "i"(pass_bottom)
                     : "memory");
}

/* Which BOTTOM came last before the tick follows from how many there were, not from when the interrupts began: the tick's goes first of
 * two that wait, and a BOTTOM that came no later than the tick belongs to what is over. */
static void settle(void)
{
    const uint16_t written = train.top + 1u;
    uint8_t bottoms = STATE >> BOTTOM_SHIFT;
    int16_t last = (int16_t)-phase; /* of them, counted from the last tick */
    uint16_t period = period_now;
    if (bottoms > 0) {
        last = (int16_t)(last + (int16_t)period_now);
        period = period_next;
    }
    if (bottoms > 1) {
        last = (int16_t)(last + (int16_t)period_next + (int16_t)((uint8_t)(bottoms - 2u) * written));
        period = written;
    }
    if ((TIFR1 & (1u << TOV1)) != 0 && last + (int16_t)period <= TICK_COUNTS) {
        TIFR1 = 1u << TOV1;
        pass_bottom();
        last = (int16_t)(last + (int16_t)period);
        period = bottoms == 0 ? period_next : written;
        bottoms++;
    }
    phase = (int16_t)(TICK_COUNTS - last);
    period_now = period;
    if (bottoms > 0)
        period_next = written;
    STATE &= FLAGS;
}

void motor_latch(void)
{
    settle();
    steps_kept = train.steps;
    const bool is_left = (BRIDGE_PORT & PIN(DIR_BIT)) != 0;
    bool may_step = wanted.is_left == is_left;
    if (!may_step && (STATE & ((1u << HAS_PULSE) | (1u << HAS_NEXT))) == 0) {
        BRIDGE_PORT ^= PIN(DIR_BIT); /* no pulse is under way or next: DIR stands for a whole period before one comes */
        train.accumulator = 0;
        may_step = true;
    }
    train.top = wanted.top;
    train.match = wanted.match;
    train.share = may_step ? wanted.share : 0;
    train.is_every = train.share == RAMP_EVERY;
    STATE &= (uint8_t)~(1u << IS_STEADY);
}

void motor_take(void)
{
    steps_taken = steps_kept;
}

void motor_read(board_inputs_t *inputs)
{
    total += (uint32_t)(int32_t)(int16_t)(steps_taken - (uint16_t)total);
    inputs->cart_counts = (int32_t)total;
    inputs->pulse_top = (uint16_t)(TCCR1B << 8 | TCCR1A);
}

/* The driver at once; rate and direction from the next tick on, so that when they change does not depend on how long a tick takes. */
void motor_drive(motor_t motor)
{
    const uint16_t top = motor.rate.period - 1u;
    const wanted_t next = {top, top - motor.pulse_counts, motor.rate.share, motor.is_left};
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        wanted = next;
    }
    if (!motor.is_enabled) {
        BRIDGE_DIRECTION &= (uint8_t)~PIN(ENABLE_BIT);
        BRIDGE_PORT &= (uint8_t)~PIN(ENABLE_BIT);
        return;
    }
    if (motor.is_enable_low)
        BRIDGE_PORT &= (uint8_t)~PIN(ENABLE_BIT);
    else
        BRIDGE_PORT |= PIN(ENABLE_BIT);
    BRIDGE_DIRECTION |= PIN(ENABLE_BIT);
}
