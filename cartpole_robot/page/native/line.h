/* One direction of the serial line: bytes arrive in order, each when its time has come. */
#ifndef LINE_H
#define LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_BYTES 16384 /* on the way at a time; a power of two */

typedef struct {
    uint8_t bytes[LINE_BYTES];
    uint32_t due_ms[LINE_BYTES];
    uint32_t head, tail;
} line_t;

/* All of them arrive `late_ms` from now, or with what is on the way. A full line loses them whole. */
void line_send(line_t *line, const uint8_t *bytes, size_t length, uint32_t now_ms, uint32_t late_ms);

/* The next byte that has arrived; false where there is none. */
bool line_receive(line_t *line, uint32_t now_ms, uint8_t *byte);

#endif
