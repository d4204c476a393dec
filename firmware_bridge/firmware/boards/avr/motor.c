#include "motor.h"

#include <avr/io.h>

#include "../../pulses.h"
#include "pins.h"

/* Timer1 mode 14: up to ICR1, the output high up to OCR1x. With no COM bits set a pin does what PORTB says, and that is low. */
#define MODE_A ((uint8_t)(1u << WGM11))
#define MODE_B ((uint8_t)((1u << WGM13) | (1u << WGM12)))
#define CLOCK ((uint8_t)(1u << CS10))
#define PULSE_FORWARDS ((uint8_t)(1u << COM1A1))
#define PULSE_BACKWARDS ((uint8_t)(1u << COM1B1))

void startup_open_bridge(void) __attribute__((naked, used, section(".init1")));

/* The very first instructions. After a reset all pins are inputs and the resistor on the enable holds the bridge open; after a
 * jump to address 0 that was no reset, Timer1 may still drive it. */
void startup_open_bridge(void)
{
    __asm__ volatile("cli\n\t"
                     "cbi %[port], %[enable]\n\t"
                     "ldi r24, 0\n\t"
                     "sts %[timer], r24\n\t"
                     "cbi %[port], %[forwards]\n\t"
                     "cbi %[port], %[backwards]\n\t"
                     "sbi %[direction], %[enable]\n\t"
                     "sbi %[direction], %[forwards]\n\t"
                     "sbi %[direction], %[backwards]\n\t"
                     :
                     : [port] "I"(_SFR_IO_ADDR(BRIDGE_PORT)), [direction] "I"(_SFR_IO_ADDR(BRIDGE_DIRECTION)),
                       [timer] "n"(_SFR_MEM_ADDR(TCCR1A)), [enable] "I"(ENABLE_BIT), [forwards] "I"(FORWARDS_BIT),
                       [backwards] "I"(BACKWARDS_BIT)
                     : "r24");
}

void motor_open(void)
{
    BRIDGE_PORT &= (uint8_t)~PIN(ENABLE_BIT);
    TCCR1A = MODE_A;
}

/* The mode first: in others ICR1 cannot be written (data sheet, 16.6.3). The clock last. */
void motor_begin(void)
{
    motor_open();
    TCCR1B = MODE_B;
    ICR1 = PULSE_PERIOD - 1u;
    OCR1A = 0;
    OCR1B = 0;
    TCCR1B = MODE_B | CLOCK;
}

void motor_read(board_inputs_t *inputs)
{
    inputs->pulse_top = ICR1;
}

void motor_drive(motor_t motor)
{
    if (motor.duty_q15 == 0 && !motor.brake) {
        motor_open();
        return;
    }
    /* OCR1x of 0 would still give a pulse of one cycle: no pulse is a disconnected output. */
    const uint16_t cycles = pulses_of(motor.duty_q15);
    const bool is_forwards = motor.duty_q15 > 0;
    const uint16_t last_cycle = cycles != 0 ? cycles - 1u : 0;
    OCR1A = is_forwards ? last_cycle : 0; /* the other side begins its next pulse from nothing */
    OCR1B = is_forwards ? 0 : last_cycle;
    TCCR1A = cycles == 0 ? MODE_A : is_forwards ? (uint8_t)(MODE_A | PULSE_FORWARDS) : (uint8_t)(MODE_A | PULSE_BACKWARDS);
    BRIDGE_PORT |= PIN(ENABLE_BIT);
}
