/* x4 quadrature decoding, one call per change of a pin: small enough for an interrupt. */
#ifndef QUADRATURE_H
#define QUADRATURE_H

#include <stdint.h>

/* An edge adds to one counter: one of counts and one of edges would cost the interrupt half of its decoding more. */
typedef struct {
    uint16_t forwards, backwards; /* changes of one pin, by the way they count; wrap */
    uint8_t pins;    /* the last levels: A is bit 1, B is bit 0 */
    uint8_t illegal; /* changes of both pins at once: an edge was missed, or noise; wraps */
} quadrature_t;

/* `pins` are not decoder->pins. A leads B for positive counts: 00, 10, 11, 01, so that the new A is not the old B. */
static inline void quadrature_update(quadrature_t *decoder, uint8_t pins)
{
    const uint8_t before = decoder->pins;
    decoder->pins = pins;
    if ((before ^ pins) == 3)
        decoder->illegal++;
    else if (((pins >> 1) ^ before) & 1)
        decoder->forwards++;
    else
        decoder->backwards++;
}

/* Wraps: quadrature_total(). */
static inline uint16_t quadrature_counts(const quadrature_t *decoder)
{
    return (uint16_t)(decoder->forwards - decoder->backwards);
}

/* Whichever way they counted; wraps. */
static inline uint8_t quadrature_edges(const quadrature_t *decoder)
{
    return (uint8_t)(decoder->forwards + decoder->backwards);
}

/* All counts so far, read as int32_t; `total` is what this gave the last time, less than 32,768 counts ago. */
static inline uint32_t quadrature_total(uint32_t total, uint16_t counts)
{
    const int16_t moved = (int16_t)(counts - (uint16_t)total);
    const uint32_t change = (uint32_t)(int32_t)moved;
    return total + change;
}

#endif
