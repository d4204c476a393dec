#include "encoders.h"

#include <avr/interrupt.h>
#include <avr/io.h>

#include "../../quadrature.h"
#include "pins.h"

#define LEVELS ((uint8_t)3) /* of one encoder */

typedef struct {
    uint16_t counts;
    uint8_t illegal, edges;
} kept_t;

static quadrature_t cart, pole; /* interrupts only */
static kept_t cart_kept, pole_kept;
static uint32_t cart_total, pole_total; /* of the kept ones */

void encoders_begin(void)
{
    ENCODER_PORT |= ENCODER_MASK; /* pull-ups: a cut wire stands still instead of floating */
    ENCODER_CHANGES = ENCODER_MASK;
    PCICR |= 1u << PCIE1;
    const uint8_t pins = ENCODER_PINS;
    cart.pins = (uint8_t)(pins >> CART_SHIFT) & LEVELS;
    pole.pins = (uint8_t)(pins >> POLE_SHIFT) & LEVELS;
}

/* It has no loop and is shorter than the tick's interrupt: timing it would cost each edge a tenth more. */
ISR(PCINT1_vect)
{
    const uint8_t pins = ENCODER_PINS;
    const uint8_t cart_pins = (uint8_t)(pins >> CART_SHIFT) & LEVELS;
    const uint8_t pole_pins = (uint8_t)(pins >> POLE_SHIFT) & LEVELS;
    if (cart_pins != cart.pins)
        quadrature_update(&cart, cart_pins);
    if (pole_pins != pole.pins)
        quadrature_update(&pole, pole_pins);
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

void encoders_read(board_inputs_t *inputs)
{
    cart_total = quadrature_total(cart_total, cart_kept.counts);
    pole_total = quadrature_total(pole_total, pole_kept.counts);
    inputs->cart_counts = (int32_t)cart_total;
    inputs->pole_counts = (int32_t)pole_total;
    inputs->cart_illegal = cart_kept.illegal;
    inputs->pole_illegal = pole_kept.illegal;
    inputs->cart_edges = cart_kept.edges;
    inputs->pole_edges = pole_kept.edges;
}
