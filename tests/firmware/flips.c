/* Single-bit flips on the line: every bit of frames of every message, the contents drawn at random.
 *
 *     flips CONTENTS SEED        prints: flips tried, accepted, frames lost beside the flipped one
 *
 * A frame goes through the decoder between two others, which a flip may tear apart or glue together. Every message that comes
 * out and is not one of the three is a flip accepted.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framing.h"
#include "protocol.h"

#define MOST_BYTES (3 * FRAMING_MAX_FRAME)

static const uint8_t lengths[] = {
    [MESSAGE_HELLO] = sizeof(hello_message_t),
    [MESSAGE_HELLO_ACK] = sizeof(hello_ack_message_t),
    [MESSAGE_CMD] = sizeof(cmd_message_t),
    [MESSAGE_STATE] = sizeof(state_message_t),
    [MESSAGE_CFG] = sizeof(cfg_message_t),
    [MESSAGE_MODE] = sizeof(mode_message_t),
    [MESSAGE_ACK] = sizeof(ack_message_t),
    [MESSAGE_PING] = sizeof(ping_message_t),
    [MESSAGE_PONG] = sizeof(pong_message_t),
    [MESSAGE_EVENT] = sizeof(event_message_t),
    [MESSAGE_HEALTH_REQUEST] = sizeof(health_request_message_t),
    [MESSAGE_HEALTH] = sizeof(health_message_t),
    [MESSAGE_POLICY_REQUEST] = sizeof(policy_request_message_t),
    [MESSAGE_POLICY] = sizeof(policy_message_t),
    [MESSAGE_TRACE] = sizeof(trace_message_t),
};
#define TYPES (sizeof lengths / sizeof lengths[0])

static uint64_t random_state;

/* xorshift64*, Vigna 2016. */
static uint32_t draw(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545F4914F6CDD1Du) >> 32);
}

/* Contents as they are: small numbers, zeros in high bytes, now and then anything. */
static void fill(uint8_t *message, uint8_t type)
{
    const uint32_t style = draw() % 4;
    message[0] = type;
    for (uint8_t i = 1; i < lengths[type]; i++) {
        const uint32_t bits = draw();
        if (style == 0)
            message[i] = (uint8_t)bits;
        else if (style == 1)
            message[i] = bits & 0x300u ? (uint8_t)bits : 0;
        else if (style == 2)
            message[i] = bits & 0x100u ? (uint8_t)(1u << (bits & 7u)) : 0;
        else
            message[i] = (uint8_t)(bits % 3u);
    }
}

int main(int arguments, char **argument)
{
    if (arguments != 3)
        return 2;
    const unsigned long contents = strtoul(argument[1], NULL, 10);
    random_state = strtoul(argument[2], NULL, 10) * 2654435761u + 1u;
    unsigned long long tried = 0, accepted = 0, lost = 0;
    for (unsigned long k = 0; k < contents; k++) {
        for (uint8_t type = 1; type < TYPES; type++) {
            uint8_t messages[3][PROTOCOL_MAX_MESSAGE], line[MOST_BYTES];
            uint8_t sent[3];
            size_t ends[3], bytes = 0; /* of each frame on the line */
            for (int m = 0; m < 3; m++) {
                sent[m] = m == 1 ? type : (uint8_t)(1u + draw() % (TYPES - 1u));
                fill(messages[m], sent[m]);
                bytes += framing_encode(messages[m], lengths[sent[m]], line + bytes);
                ends[m] = bytes;
            }
            for (size_t bit = ends[0] * 8; bit < ends[1] * 8; bit++) {
                frame_decoder_t decoder = {0};
                unsigned wrong = 0, whole = 0;
                line[bit / 8] ^= (uint8_t)(1u << (bit % 8));
                for (size_t i = 0; i < bytes; i++) {
                    const uint8_t length = frame_decoder_push(&decoder, line[i]);
                    if (length == 0)
                        continue;
                    bool is_sent = false;
                    for (int m = 0; m < 3; m += 2) /* the flipped one must not come out at all */
                        is_sent |= length == lengths[sent[m]] && memcmp(decoder.message, messages[m], length) == 0;
                    whole += is_sent;
                    wrong += !is_sent;
                }
                line[bit / 8] ^= (uint8_t)(1u << (bit % 8));
                tried++;
                accepted += wrong != 0;
                lost += whole < 2 ? 2 - whole : 0;
                if (wrong != 0 && accepted <= 3)
                    fprintf(stderr, "type %u, bit %zu of byte %zu of %zu\n", type, bit % 8, bit / 8 - ends[0],
                            ends[1] - ends[0]);
            }
        }
    }
    printf("%llu %llu %llu\n", tried, accepted, lost);
    return 0;
}
