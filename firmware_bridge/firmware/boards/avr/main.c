/* The firmware on an ATmega328P at 16 MHz: an Arduino Uno or Nano. pins.h is the wiring. */
#include <avr/interrupt.h>
#include <avr/pgmspace.h>
#include <avr/sleep.h>
#include <avr/wdt.h>
#include <util/atomic.h>

#include "../../app.h"
#include "clock.h"
#include "contacts.h"
#include "encoders.h"
#include "motor.h"
#include "serial.h"
#include "session.h"
#include "startup.h"
#include "supply.h"

/* What an image says of itself: the build knows its own by it, and `strings` does on a chip that was read out. */
typedef struct {
    char name[24];
    uint32_t protocol_hash;
    uint32_t firmware_id;
} firmware_mark_t;

extern const firmware_mark_t firmware_mark;
const firmware_mark_t firmware_mark PROGMEM = {"cartpole_robot firmware", PROTOCOL_HASH, FIRMWARE_ID};

static app_t app;

/* The watchdog is fed here and nowhere else: only a safety tick that drove the motor keeps the chip from a reset. */
static void run_tick(uint32_t time_us, board_inputs_t *inputs)
{
    contacts_read(inputs);
    inputs->supply_mv = supply_mv();
    motor_drive(app_tick(&app, time_us, inputs));
    wdt_reset();

    const uint32_t took_us = clock_us() - time_us;
    board_health_t *health = &app.board;
    if (took_us > health->longest_tick_us)
        health->longest_tick_us = (uint16_t)(took_us < UINT16_MAX ? took_us : UINT16_MAX);
    health->longest_interrupt_us = clock_longest_interrupt_us();
    health->receive_overruns = serial_overruns();
    health->stack_free = startup_stack_free();
}

static bool tick_when_due(void)
{
    board_inputs_t inputs = {0};
    uint32_t time_us = 0;
    bool is_due;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        is_due = clock_take_tick(&time_us, &inputs.missed_ticks);
        encoders_read(&inputs);
    }
    if (is_due)
        run_tick(time_us, &inputs);
    return is_due;
}

/* One byte at a time: a tick waits for one message at most, however many have come. */
static bool receive_one(void)
{
    uint8_t byte;
    if (!serial_receive(&byte))
        return false;
    app_receive(&app, byte, clock_us());
    return true;
}

static void send_what_fits(void)
{
    uint8_t byte;
    while (serial_can_send() && app_next_byte(&app, &byte))
        serial_send(byte);
}

/* Until the next interrupt. The instruction after sei() still runs: nothing that comes in between is slept over. */
static void sleep_when_idle(void)
{
    cli();
    if (!clock_is_due() && !serial_has_received()) {
        sleep_enable();
        sei();
        sleep_cpu();
        sleep_disable();
    }
    sei();
}

int main(void)
{
    motor_begin();
    encoders_begin();
    contacts_begin();
    supply_begin();
    serial_begin();
    app_init(&app, session_begin(), startup_reset_cause());
    SMCR = 0; /* sleep is idle: timers, port and encoders go on */
    clock_begin();
    wdt_enable(WDTO_15MS);
    sei();
    for (;;) {
        const bool has_ticked = tick_when_due();
        const bool has_received = receive_one();
        send_what_fits();
        if (!has_ticked && !has_received)
            sleep_when_idle();
    }
}
