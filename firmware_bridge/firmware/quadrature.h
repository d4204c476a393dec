/* x4 quadrature decoding, one call per change of a pin: small enough for an interrupt. */
#ifndef QUADRATURE_H
#define QUADRATURE_H

#include <stdint.h>

typedef struct {
    uint16_t counts;  /* wraps: quadrature_total(). 32 bits would cost the interrupt a third of its time */
    uint8_t pins;     /* the last levels: A is bit 1, B is bit 0 */
    uint8_t illegal;  /* changes of both pins at once: an edge was missed, or noise; wraps */
    uint8_t edges;    /* changes of one pin, whichever way they counted; wraps */
} quadrature_t;

/* A leads B for positive counts: 00, 10, 11, 01. */
static inline void quadrature_update(quadrature_t *decoder, uint8_t pins)
{
    /* By old and new levels: -1, 0, 1, or 2 for what no encoder does. */
    static const int8_t steps[16] = {0, -1, 1, 2, 1, 0, 2, -1, -1, 2, 0, 1, 2, 1, -1, 0};
    const int8_t step = steps[(uint8_t)(decoder->pins << 2) | pins];
    decoder->pins = pins;
    if (step == 2) {
        decoder->illegal++;
    } else {
        decoder->counts = (uint16_t)((int16_t)decoder->counts + step);
        decoder->edges++;
    }
}

/* All counts so far, read as int32_t; `total` is what this gave the last time, less than 32,768 counts ago. */
static inline uint32_t quadrature_total(uint32_t total, uint16_t counts)
{
    const int16_t moved = (int16_t)(counts - (uint16_t)total);
    const uint32_t change = (uint32_t)(int32_t)moved;
    return total + change;
}

#endif
