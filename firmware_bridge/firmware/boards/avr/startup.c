#include "startup.h"

#include <avr/interrupt.h>
#include <avr/io.h>

#include "../../protocol.h"
#include "motor.h"

#define PAINT 0xC5
#define LOOKS 16 /* bytes looked at in one call: all of them in a second, with one call in 16 ms */

_Static_assert(RESET_POWER_ON == 1 << PORF && RESET_EXTERNAL == 1 << EXTRF && RESET_BROWN_OUT == 1 << BORF &&
                   RESET_WATCHDOG == 1 << WDRF,
               "enum reset_cause is the register's own layout");

extern uint8_t __heap_start; /* the first byte after all variables, from the linker */

static uint8_t status __attribute__((section(".noinit")));
static uint8_t bootloader_status __attribute__((section(".noinit")));

void startup_look(void) __attribute__((naked, used, section(".init3")));

/* r1 is 0 and the stack is empty here. Optiboot clears MCUSR and hands what it was in r2. A watchdog that caused the reset goes on
 * running, at its shortest, until it is stopped by this timed sequence. */
void startup_look(void)
{
    __asm__ volatile("wdr\n\t"
                     "in r24, %[mcusr]\n\t"
                     "sts %[status], r24\n\t"
                     "sts %[bootloader], r2\n\t"
                     "out %[mcusr], r1\n\t"
                     "lds r24, %[wdtcsr]\n\t"
                     "ori r24, %[change]\n\t"
                     "sts %[wdtcsr], r24\n\t"
                     "sts %[wdtcsr], r1\n\t"
                     "ldi r30, lo8(__heap_start)\n\t"
                     "ldi r31, hi8(__heap_start)\n\t"
                     "ldi r24, %[paint]\n\t"
                     "ldi r25, hi8(%[end])\n"
                     "1:\n\t"
                     "st Z+, r24\n\t"
                     "cpi r30, lo8(%[end])\n\t"
                     "cpc r31, r25\n\t"
                     "brne 1b\n\t"
                     :
                     : [mcusr] "I"(_SFR_IO_ADDR(MCUSR)), [wdtcsr] "n"(_SFR_MEM_ADDR(WDTCSR)),
                       [change] "M"((1 << WDCE) | (1 << WDE)), [paint] "M"(PAINT), [end] "i"(RAMEND + 1),
                       [status] "m"(status), [bootloader] "m"(bootloader_status)
                     : "r24", "r25", "r30", "r31", "memory");
}

/* An interrupt that nothing here asks for: a lost program. The watchdog makes a reset of it. */
ISR(BADISR_vect)
{
    motor_open();
    for (;;) {
    }
}

uint8_t startup_reset_cause(void)
{
    const uint8_t all = RESET_POWER_ON | RESET_EXTERNAL | RESET_BROWN_OUT | RESET_WATCHDOG;
    if ((status & all) != 0)
        return status & all;
    return (bootloader_status & (uint8_t)~all) == 0 ? bootloader_status : 0;
}

uint16_t startup_stack_free(void)
{
    static uint16_t looked_at, lowest; /* 0: never looked */
    const volatile uint8_t *bottom = &__heap_start;
    if (lowest == 0)
        lowest = (uint16_t)(SP - (uint16_t)bottom);
    for (uint8_t look = 0; look < LOOKS; look++) {
        if (looked_at >= lowest) {
            looked_at = 0;
        } else if (bottom[looked_at] == PAINT) {
            looked_at++;
        } else {
            lowest = looked_at;
            looked_at = 0;
        }
    }
    return lowest;
}
