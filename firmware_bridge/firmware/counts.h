/* Arithmetic of counters that wrap. */
#ifndef COUNTS_H
#define COUNTS_H

#include <stdint.h>

static inline uint32_t magnitude(int32_t value)
{
    return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

/* Wrapping difference of two counters. */
static inline int32_t difference(int32_t to, int32_t from)
{
    return (int32_t)((uint32_t)to - (uint32_t)from);
}

#endif
