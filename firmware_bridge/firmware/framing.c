#include "framing.h"

#include <string.h>

#define CHECK_MARK 0xC0u

/* Poly 0x1021 has so few terms that eight bits are a few shifts, written out by bytes: no table, and no 16-bit shift. */
uint16_t framing_crc(uint16_t crc, const uint8_t *bytes, size_t length)
{
    uint8_t high = (uint8_t)(crc >> 8), low = (uint8_t)crc;
    for (const uint8_t *const end = bytes + length; bytes != end; bytes++) {
        high ^= *bytes;
        high = (uint8_t)(high ^ (high >> 4));
        const uint8_t times_16 = (uint8_t)(high << 4);
        const uint8_t next = (uint8_t)(low ^ times_16 ^ (high >> 3));
        low = (uint8_t)(high ^ (uint8_t)(times_16 << 1));
        high = next;
    }
    return (uint16_t)((uint16_t)high << 8 | low);
}

/* The check bytes: the CRC in 4, 6 and 6 bits below a mark, so that none is 0 nor becomes 0 by one flipped bit. */
static void write_check(uint8_t *check, uint16_t crc)
{
    check[0] = (uint8_t)(CHECK_MARK | (crc >> 12));
    check[1] = (uint8_t)(CHECK_MARK | ((crc >> 6) & 0x3Fu));
    check[2] = (uint8_t)(CHECK_MARK | (crc & 0x3Fu));
}

size_t framing_encode(const uint8_t *message, size_t length, uint8_t *frame)
{
    if (length == 0 || length > PROTOCOL_MAX_MESSAGE)
        return 0;
    size_t code = 2, out = 3;
    frame[0] = 0;
    frame[1] = (uint8_t)length;
    for (size_t i = 0; i < length; i++) {
        if (message[i] != 0) {
            frame[out++] = message[i];
        } else {
            frame[code] = (uint8_t)(out - code);
            code = out++;
        }
    }
    frame[code] = (uint8_t)(out - code);
    write_check(frame + out, framing_crc(FRAMING_CRC_START, frame + 1, out - 1));
    out += FRAMING_CHECK_BYTES;
    frame[out++] = 0;
    return out;
}

void frame_decoder_reset(frame_decoder_t *decoder)
{
    decoder->length = 0;
    decoder->is_doubtful = false;
}

/* Whether the bytes between two ends are a frame, whatever stood before it. */
static bool is_sound(const frame_decoder_t *decoder)
{
    const uint8_t *bytes = decoder->message;
    uint8_t check[FRAMING_CHECK_BYTES];
    if (decoder->length > sizeof decoder->message || decoder->length != bytes[0] + 2 + FRAMING_CHECK_BYTES)
        return false;
    const size_t covered = (size_t)(decoder->length - FRAMING_CHECK_BYTES);
    write_check(check, framing_crc(FRAMING_CRC_START, bytes, covered));
    return memcmp(check, bytes + covered, sizeof check) == 0;
}

/* COBS undone in place, from the third byte to the first; false where a block does not end with the message. */
static bool unstuff(uint8_t *bytes, size_t length)
{
    size_t code = 1u + bytes[1];
    for (size_t i = 2; i < length + 2; i++) {
        const bool is_zero = i == code;
        if (is_zero)
            code += bytes[i];
        bytes[i - 2] = is_zero ? 0 : bytes[i];
    }
    return code == length + 2;
}

static uint8_t finish(frame_decoder_t *decoder)
{
    const bool was_doubtful = decoder->is_doubtful;
    const uint8_t bytes = decoder->length;
    frame_decoder_reset(decoder);
    if (bytes == 0)
        return 0; /* two ends in a row: a frame begins here and nowhere else */
    decoder->length = bytes;
    const uint8_t length = decoder->message[0];
    const bool is_good = is_sound(decoder) && unstuff(decoder->message, length);
    decoder->length = 0;
    if (is_good && !was_doubtful)
        return length;
    decoder->is_doubtful = !is_good;
    if (decoder->errors != UINT16_MAX)
        decoder->errors++;
    return 0;
}

uint8_t frame_decoder_push(frame_decoder_t *decoder, uint8_t byte)
{
    if (byte == 0)
        return finish(decoder);
    if (decoder->length < sizeof decoder->message)
        decoder->message[decoder->length] = byte;
    if (decoder->length <= sizeof decoder->message)
        decoder->length++; /* one more than fits: too long */
    return 0;
}
