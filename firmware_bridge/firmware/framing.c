#include "framing.h"

uint16_t framing_crc(uint16_t crc, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        /* Four shifts instead of eight bits or a table: poly 0x1021 has so few terms that they can be written out. */
        uint8_t high = (uint8_t)((crc >> 8) ^ bytes[i]);
        high = (uint8_t)(high ^ (high >> 4));
        crc = (uint16_t)((uint16_t)(crc << 8) ^ (uint16_t)((uint16_t)high << 12) ^ (uint16_t)((uint16_t)high << 5) ^
                         high);
    }
    return crc;
}

size_t framing_encode(const uint8_t *message, size_t length, uint8_t *frame)
{
    if (length > PROTOCOL_MAX_MESSAGE)
        return 0;
    const uint16_t crc = framing_crc(FRAMING_CRC_START, message, length);
    const uint8_t tail[FRAMING_CRC_BYTES] = {(uint8_t)(crc & 0xFFu), (uint8_t)(crc >> 8)};
    size_t code = 0, out = 1;
    for (size_t i = 0; i < length + FRAMING_CRC_BYTES; i++) {
        const uint8_t byte = i < length ? message[i] : tail[i - length];
        if (byte != 0) {
            frame[out++] = byte;
        } else {
            frame[code] = (uint8_t)(out - code);
            code = out++;
        }
    }
    frame[code] = (uint8_t)(out - code);
    frame[out++] = 0;
    return out;
}

void frame_decoder_reset(frame_decoder_t *decoder)
{
    decoder->length = 0;
    decoder->run = 0;
    decoder->owes_zero = false;
    decoder->is_skipping = false;
}

static void append(frame_decoder_t *decoder, uint8_t byte)
{
    if (decoder->length < sizeof decoder->message)
        decoder->message[decoder->length++] = byte;
    else
        decoder->is_skipping = true;
}

static uint8_t finish(frame_decoder_t *decoder)
{
    const bool is_empty = decoder->length == 0 && !decoder->owes_zero;
    const bool is_whole = !decoder->is_skipping && decoder->run == 0 && decoder->length > FRAMING_CRC_BYTES;
    const uint8_t length = is_whole ? (uint8_t)(decoder->length - FRAMING_CRC_BYTES) : 0;
    frame_decoder_reset(decoder);
    if (is_empty)
        return 0; /* two ends in a row: a sender clearing the line */
    if (length != 0) {
        const uint16_t told =
            (uint16_t)(decoder->message[length] | (uint16_t)((uint16_t)decoder->message[length + 1] << 8));
        if (framing_crc(FRAMING_CRC_START, decoder->message, length) == told)
            return length;
    }
    if (decoder->errors != UINT16_MAX)
        decoder->errors++;
    return 0;
}

uint8_t frame_decoder_push(frame_decoder_t *decoder, uint8_t byte)
{
    if (byte == 0)
        return finish(decoder);
    if (decoder->is_skipping)
        return 0;
    if (decoder->run != 0) {
        decoder->run--;
        append(decoder, byte);
    } else {
        if (decoder->owes_zero)
            append(decoder, 0);
        decoder->owes_zero = true;
        decoder->run = (uint8_t)(byte - 1);
    }
    return 0;
}
