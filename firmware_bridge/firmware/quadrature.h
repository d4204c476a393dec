/* x4 quadrature decoding, one call per change of a pin: small enough for an interrupt. */
#ifndef QUADRATURE_H
#define QUADRATURE_H

#include <stdint.h>

typedef struct {
    uint32_t counts;  /* wraps; read it as int32_t */
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
    const uint32_t change = (uint32_t)(int32_t)step;
    if (step == 2) {
        decoder->illegal++;
    } else {
        decoder->counts += change;
        decoder->edges++;
    }
}

#endif
