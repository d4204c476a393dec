/* Timer1 as the ATmega328P's data sheet describes it (DS40002061B, chapter 16), in place of simavr's, whose fast PWM up to ICR1 is wrong
 * on this chip (buserror/simavr issue 579) and which costs an event for every pulse. Nothing happens here but at writes to its
 * registers: where the counter stands, and what the outputs do, follows from them and from the cycle.
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

/* Takes over the registers. Called again after every reset, which clears them. */
void timer1_begin(avr_t *avr);

timer1_t timer1_now(const avr_t *avr);

/* How the compare unit drives its pin: COM1x1:0. 0: not at all, the pin is the port's. */
uint8_t timer1_output(const avr_t *avr, int unit);

/* Cycles of a period in which a connected output is high, from the next BOTTOM on. In fast PWM, COM1x1 set. */
uint32_t timer1_high_cycles(const avr_t *avr, int unit);

#endif
