/* Messages to frames and back: COBS and CRC-16. */
#ifndef FRAMING_H
#define FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

#define FRAMING_CRC_BYTES 2
#define FRAMING_CRC_START 0xFFFFu
/* One COBS code byte (a message and its CRC are shorter than 254), and the 0x00 at the end. */
#define FRAMING_MAX_FRAME (PROTOCOL_MAX_MESSAGE + FRAMING_CRC_BYTES + 2)

typedef struct {
    uint8_t message[PROTOCOL_MAX_MESSAGE + FRAMING_CRC_BYTES];
    uint8_t length;
    uint8_t run;       /* bytes left of the current COBS block */
    bool owes_zero;    /* the block stands for a zero once another follows */
    bool is_skipping;  /* until the next 0x00 */
    uint16_t errors;   /* frames refused; stays at its largest value */
} frame_decoder_t;

uint16_t framing_crc(uint16_t crc, const uint8_t *bytes, size_t length);

/* Writes a frame of at most FRAMING_MAX_FRAME bytes; returns its length, 0 when the message is too long. */
size_t framing_encode(const uint8_t *message, size_t length, uint8_t *frame);

void frame_decoder_reset(frame_decoder_t *decoder);

/* One received byte. Returns the length of a whole, sound message, which then stands in decoder->message until the next
 * call; 0 otherwise. A receiver that begins in the middle of a frame is in step after the next 0x00. */
uint8_t frame_decoder_push(frame_decoder_t *decoder, uint8_t byte);

#endif
