/* Timer1 as the ATmega328P's data sheet describes it (DS40002061B, chapter 16), in place of simavr's, whose fast PWM up to ICR1 is wrong
 * on this chip (buserror/simavr issue 579) and which costs an event for every pulse. Nothing happens here but at writes to its
 * registers: where the counter stands, and what the outputs do, follows from them and from the cycle. Only in mode 15, where OCR1A is
 * the TOP and as double-buffered as OCR1B (16.9.3), each BOTTOM is an event: it takes over what was written, raises TOV1, and moves
 * OC1B, which each match moves too.
 */
#ifndef TIMER1_H
#define TIMER1_H

#include <simavr/sim_avr.h>
#include <stdbool.h>
#include <stdint.h>

enum { OC1A, OC1B };

typedef struct {
    uint8_t mode;          /* of table 16-4 */
    uint8_t clock;         /* CS12:0; 0 stops the counter */
    bool is_fast_pwm;      /* the mode is one */
    uint32_t period;       /* cycles of the chip's clock from BOTTOM to BOTTOM; 0 while the counter stands */
} timer1_t;

#define TIMER1_STEP_MODE 15u

/* What a period in mode 15 does with OC1B, in cycles of the chip's clock. */
typedef struct {
    avr_cycle_count_t bottom;  /* when it began */
    avr_cycle_count_t length;  /* BOTTOM to BOTTOM; 0: the counter stands, or is in another mode */
    bool has_pulse;            /* OC1B, connected and inverted, is high at its end */
} period_t;

/* How the interrupt at BOTTOM kept up in mode 15. */
typedef struct {
    uint32_t longest_write;  /* cycles from a BOTTOM to the last write to OCR1x of that period */
    uint32_t lost_bottoms;   /* whose interrupt still waited at the next */
} overflow_t;

/* Takes over the registers. Called again after every reset, which clears them. */
void timer1_begin(avr_t *avr);

/* The period under way, and the one that what is written by now will make: the next, and those after it. */
period_t timer1_period(const avr_t *avr);
period_t timer1_next_period(const avr_t *avr);

/* Whether the program may still be about to write what the next period does: the interrupt of BOTTOM waits or runs. */
bool timer1_is_unsettled(avr_t *avr);

overflow_t timer1_overflow(void);

/* Whether OC1B is high; it keeps its level while no COM bit connects it (16.8). In mode 15. */
bool timer1_is_step_high(void);

timer1_t timer1_now(const avr_t *avr);

/* How the compare unit drives its pin: COM1x1:0. 0: not at all, the pin is the port's. */
uint8_t timer1_output(const avr_t *avr, int unit);

/* Cycles of a period in which a connected output is high, from the next BOTTOM on. In fast PWM, COM1x1 set. */
uint32_t timer1_high_cycles(const avr_t *avr, int unit);

#endif
