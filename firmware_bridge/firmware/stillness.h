/* Moves that must show: how far something came from where it was last seen to move. */
#ifndef STILLNESS_H
#define STILLNESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int32_t from_counts;
    uint32_t driven; /* by how much it should have shown meanwhile */
} stillness_t;

/* Adds `driven` where nothing moved, forgets it where something did; true when it has become `most`. */
bool stillness_has_lasted(stillness_t *stillness, int32_t counts, uint32_t driven, uint32_t most);

#endif
