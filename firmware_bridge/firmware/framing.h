/* Messages to frames and back: COBS and CRC-16.
 *
 * One flipped bit never lets a wrong message through, whatever it hits. The CRC is of the bytes on the line, not of the message: a flip
 * in a COBS code byte, which moves zeros about, is one wrong bit to it like any other. A flip that makes or takes an end leaves
 * pieces whose first byte, the length, belies them; what follows a refused piece without a pause of two ends is refused too.
 */
#ifndef FRAMING_H
#define FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

#define FRAMING_CRC_START 0xFFFFu
#define FRAMING_CHECK_BYTES 3
/* Length, one COBS code byte (a message is shorter than 254) and check bytes; an end before and behind them. */
#define FRAMING_MAX_FRAME (PROTOCOL_MAX_MESSAGE + 2 + FRAMING_CHECK_BYTES + 2)

typedef struct {
    uint8_t message[PROTOCOL_MAX_MESSAGE + 2 + FRAMING_CHECK_BYTES];
    uint8_t length;   /* bytes since the last end; stays at one more than a frame can have */
    bool is_doubtful; /* the last frame was refused: this one may be its other half */
    uint16_t errors;  /* frames refused; stays at its largest value */
} frame_decoder_t;

uint16_t framing_crc(uint16_t crc, const uint8_t *bytes, size_t length);

/* Writes a frame of at most FRAMING_MAX_FRAME bytes; returns its length, 0 when the message is empty or too long. */
size_t framing_encode(const uint8_t *message, size_t length, uint8_t *frame);

void frame_decoder_reset(frame_decoder_t *decoder);

/* One received byte. Returns the length of a whole, sound message, which then stands in decoder->message until the next
 * call; 0 otherwise. A receiver that begins in the middle of a frame is in step with the next one. */
uint8_t frame_decoder_push(frame_decoder_t *decoder, uint8_t byte);

#endif
