/* The firmware on an ATmega328P at 16 MHz: an Arduino Uno or Nano. pins.h is the wiring. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <avr/sleep.h>
#include <avr/wdt.h>
#include <stddef.h>
#include <util/atomic.h>

#include "../../app.h"
#include "clock.h"
#include "contacts.h"
#include "encoders.h"
#include "identity.h"
#include "motor.h"
#include "relay.h"
#include "serial.h"
#include "session.h"
#include "startup.h"
#include "supply.h"

#define HEALTH_TICKS 16   /* between two looks at what changes slowly */
#define RECEIVE_AT_ONCE 8 /* bytes that share one look at the clock */

/* What an image says of itself: the build knows its own by it, and `strings` does on a chip that was read out. */
typedef struct {
    char name[24];
    uint32_t protocol_hash;
    uint32_t firmware_id;
#ifdef FIRMWARE_STEPPER
    char drive[8];
#endif
} firmware_mark_t;

extern const firmware_mark_t firmware_mark;
const firmware_mark_t firmware_mark PROGMEM = {
    .name = "cartpole_robot firmware",
    .protocol_hash = PROTOCOL_HASH,
    .firmware_id = FIRMWARE_ID,
#ifdef FIRMWARE_STEPPER
    .drive = "stepper",
#endif
};

#ifdef FIRMWARE_WITHOUT_POLICY
#define IMAGE NULL
#else
extern const policy_image_t policy_image;
#define IMAGE (&policy_image)
#endif

static app_t app;

/* How long a tick takes is seen in each; the rest changes slowly, and looking takes as long as a check. */
static void look_at_health(uint32_t tick_us)
{
    static uint8_t ticks;
    board_health_t *health = &app.board;
    const uint16_t took_us = clock_us_since(tick_us);
    if (took_us > health->longest_tick_us)
        health->longest_tick_us = took_us;
    if (++ticks < HEALTH_TICKS)
        return;
    ticks = 0;
    health->longest_interrupt_us = clock_longest_interrupt_us();
    health->receive_overruns = serial_overruns();
    health->stack_free = startup_stack_free();
}

/* The watchdog is fed here and nowhere else: only a safety tick that drove the motor keeps the chip from a reset. */
static void run_tick(void)
{
    board_inputs_t inputs;
    uint32_t time_us;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        inputs.missed_ticks = clock_take_tick(&time_us);
        encoders_take();
        motor_take();
    }
    encoders_read(&inputs);
    contacts_read(&inputs);
    supply_read(&inputs);
    motor_read(&inputs);
    motor_drive(app_tick(&app, time_us, &inputs));
    wdt_reset();
    relay_keep(app_doubts_relay(&app));
    app_tell(&app);
    look_at_health(time_us);
}

/* No byte is begun when a tick is due: however many have come, a tick waits for one message at most. */
static void receive(void)
{
    uint8_t byte;
    const uint32_t now_us = clock_us();
    for (uint8_t taken = 0; taken < RECEIVE_AT_ONCE && !clock_is_due() && serial_receive(&byte); taken++)
        app_receive(&app, byte, now_us);
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
        sei();
        sleep_cpu();
    }
    sei();
}

/* The register belongs to nobody else: an emulator counts the cycles in between. */
static void think(void)
{
    GPIOR0 = 1;
    if (app_think(&app))
        app_decide(&app, clock_us());
    GPIOR0 = 0;
}

int main(void)
{
    motor_begin();
    encoders_begin();
    contacts_begin();
    supply_begin();
    app_init(&app, session_begin(), startup_reset_cause(), relay_was_doubted(), IMAGE);
    identity_read(&app.board);
    serial_begin();
    SMCR = 1u << SE; /* sleep is idle: timers, port and encoders go on */
    clock_begin();
    wdt_enable(WDTO_15MS);
    sei();
    for (;;) {
        if (clock_is_due())
            run_tick();
        if (serial_has_received())
            receive();
        send_what_fits();
        if (app_must_think(&app) && !clock_is_nearly_due())
            think();
        else
            sleep_when_idle();
    }
}
