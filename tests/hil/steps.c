/* The board's own pulses with a program around them that does nothing else: every tick's count goes out, three bytes of a command come
 * in: the low byte of an acceleration in 1/32767 of 1,000 steps a second for a tick, its high byte, and 1 to enable the driver, 3 for a
 * driver that a high level enables. With 4 more, interrupts are off for the last 20 us before each tick: what comes then waits with it. 8
 * lets an interrupt come that the board has no use for, as a lost program does.
 */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <avr/sleep.h>
#include <avr/wdt.h>
#include <util/atomic.h>

#include "boards/avr/clock.h"
#include "boards/avr/contacts.h"
#include "boards/avr/encoders.h"
#include "boards/avr/motor.h"
#include "boards/avr/serial.h"
#include "boards/avr/supply.h"
#include "ramp.h"

typedef struct {
    char name[24];
    uint32_t protocol_hash, firmware_id;
    char drive[8];
} mark_t;

extern const mark_t firmware_mark;
const mark_t firmware_mark PROGMEM = {"cartpole_robot firmware", PROTOCOL_HASH, 0, "stepper"};

int main(void)
{
    static const ramp_limits_t limits = {20000, 16000};
    static ramp_t ramp;
    static int16_t acceleration;
    static uint8_t enable;
    motor_begin();
    encoders_begin();
    contacts_begin();
    supply_begin();
    serial_begin();
    SMCR = 1u << SE;
    clock_begin();
    wdt_enable(WDTO_15MS);
    sei();
    for (;;) {
        if ((enable & 4u) != 0 && !clock_is_due()) {
            if (TCNT2 >= 245) {
                cli();
                while (!clock_is_due() && (TIFR2 & (1u << OCF2A)) == 0)
                    ;
                sei();
            }
            continue;
        }
        if (!clock_is_due()) {
            cli();
            if (!clock_is_due()) {
                sei();
                sleep_cpu();
            }
            sei(); /* and back: simavr lets two instructions pass after it */
            continue;
        }
        board_inputs_t inputs;
        uint32_t time_us;
        cli();
        clock_take_tick(&time_us);
        encoders_take();
        motor_take();
        sei();
        encoders_read(&inputs);
        supply_read(&inputs);
        motor_read(&inputs);
        ramp_tick(&ramp, &limits, acceleration);
        motor_drive((motor_t){ramp_rate(&ramp), ramp.speed < 0, enable != 0, (enable & 2u) == 0, 10});
        wdt_reset();
        if ((enable & 8u) != 0)
            TIMSK0 = 1u << TOIE0;
        for (uint8_t k = 0; k < 4; k++)
            serial_send((uint8_t)(inputs.cart_counts >> (8 * k)));
        uint8_t low, high;
        if (serial_receive(&low) && serial_receive(&high) && serial_receive(&enable))
            acceleration = (int16_t)(high << 8 | low);
    }
}
