#include "line.h"

#define MASK (LINE_BYTES - 1u)

void line_send(line_t *line, const uint8_t *bytes, size_t length, uint32_t now_ms, uint32_t late_ms)
{
    if (length > LINE_BYTES - (line->head - line->tail))
        return;
    uint32_t due_ms = now_ms + late_ms;
    if (line->head != line->tail) {
        const uint32_t last_ms = line->due_ms[(line->head - 1u) & MASK];
        if ((int32_t)(last_ms - due_ms) > 0)
            due_ms = last_ms;
    }
    for (size_t i = 0; i < length; i++) {
        line->bytes[line->head & MASK] = bytes[i];
        line->due_ms[line->head & MASK] = due_ms;
        line->head++;
    }
}

bool line_receive(line_t *line, uint32_t now_ms, uint8_t *byte)
{
    if (line->head == line->tail || (int32_t)(line->due_ms[line->tail & MASK] - now_ms) > 0)
        return false;
    *byte = line->bytes[line->tail++ & MASK];
    return true;
}
