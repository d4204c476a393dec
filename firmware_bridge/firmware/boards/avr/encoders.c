#include "encoders.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <stddef.h>

#include "../../quadrature.h"
#include "pins.h"

typedef struct {
    uint16_t counts;
    uint8_t illegal, edges;
} kept_t;

static quadrature_t cart, pole; /* interrupts only; their levels are in ENCODER_LEVELS */
static kept_t cart_kept, pole_kept, cart_taken, pole_taken;
static uint32_t cart_total, pole_total; /* of the taken ones */

void encoders_begin(void)
{
    ENCODER_PORT |= ENCODER_MASK; /* pull-ups: a cut wire stands still instead of floating */
    ENCODER_CHANGES = ENCODER_MASK;
    PCICR |= 1u << PCIE1;
    ENCODER_LEVELS = ENCODER_PINS;
}

/* One more in a counter of 16 bits. */
#define COUNT(counter)               \
    "lds r24, " counter "\n\t"       \
    "inc r24\n\t"                    \
    "sts " counter ", r24\n\t"       \
    "brne 9f\n\t"                    \
    "lds r24, " counter " + 1\n\t"   \
    "inc r24\n\t"                    \
    "sts " counter " + 1, r24\n\t"   \
    "rjmp 9f\n"

/* quadrature_update() of one encoder: r25 has the pins that changed, and r30 the new A against the old B where its B is. */
#define DECODE(a, b, forwards, backwards, illegal) \
    "sbrc r25, " b "\n\t"                          \
    "rjmp 1f\n\t"                                  \
    "sbrs r25, " a "\n\t"                          \
    "rjmp 9f\n\t"                                  \
    "rjmp 2f\n"                                    \
    "1:\n\t"                                       \
    "sbrs r25, " a "\n\t"                          \
    "rjmp 2f\n\t"                                  \
    "lds r24, " illegal "\n\t"                     \
    "inc r24\n\t"                                  \
    "sts " illegal ", r24\n\t"                     \
    "rjmp 9f\n"                                    \
    "2:\n\t"                                       \
    "sbrs r30, " b "\n\t"                          \
    "rjmp 3f\n\t"                                  \
    COUNT(forwards)                                \
    "3:\n\t"                                       \
    COUNT(backwards)                               \
    "9:\n\t"

_Static_assert(CART_SHIFT == 0 && POLE_SHIFT == 2, "DECODE() of bits 0 and 1, 2 and 3");

/* By hand: 40,000 edges a second would take a third of all time as the compiler has it, and take a fifth so. It has no loop and is
 * shorter than the tick's interrupt: it is not timed. */
ISR(PCINT1_vect, ISR_NAKED)
{
    __asm__ volatile("push r24\n\t"
                     "in r24, __SREG__\n\t"
                     "push r24\n\t"
                     "push r25\n\t"
                     "push r30\n\t"
                     "in r24, %[pins]\n\t"
                     "in r25, %[levels]\n\t"
                     "out %[levels], r24\n\t"
                     "eor r25, r24\n\t"
                     "mov r30, r24\n\t"
                     "lsr r30\n\t"
                     "eor r30, r24\n\t"
                     "eor r30, r25\n\t"
                     DECODE("1", "0", "%[cart] + %[forwards]", "%[cart] + %[backwards]", "%[cart] + %[illegal]")
                     DECODE("3", "2", "%[pole] + %[forwards]", "%[pole] + %[backwards]", "%[pole] + %[illegal]")
                     "pop r30\n\t"
                     "pop r25\n\t"
                     "pop r24\n\t"
                     "out __SREG__, r24\n\t"
                     "pop r24\n\t"
                     "reti\n\t"
                     :
                     : [pins] "I"(_SFR_IO_ADDR(ENCODER_PINS)), [levels] "I"(_SFR_IO_ADDR(ENCODER_LEVELS)),
                       [cart] "i"(&cart), [pole] "i"(&pole), [forwards] "n"(offsetof(quadrature_t, forwards)),
                       [backwards] "n"(offsetof(quadrature_t, backwards)), [illegal] "n"(offsetof(quadrature_t, illegal))
                     : "memory");
}

static inline kept_t kept_of(const quadrature_t *decoder)
{
    return (kept_t){quadrature_counts(decoder), decoder->illegal, quadrature_edges(decoder)};
}

void encoders_latch(void)
{
    cart_kept = kept_of(&cart);
    pole_kept = kept_of(&pole);
}

void encoders_take(void)
{
    cart_taken = cart_kept;
    pole_taken = pole_kept;
}

void encoders_read(board_inputs_t *inputs)
{
    cart_total = quadrature_total(cart_total, cart_taken.counts);
    pole_total = quadrature_total(pole_total, pole_taken.counts);
    inputs->cart_counts = (int32_t)cart_total;
    inputs->pole_counts = (int32_t)pole_total;
    inputs->cart_illegal = cart_taken.illegal;
    inputs->pole_illegal = pole_taken.illegal;
    inputs->cart_edges = cart_taken.edges;
    inputs->pole_edges = pole_taken.edges;
}
