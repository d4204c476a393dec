#include "stillness.h"

#include "counts.h"
#include "limits.h"

bool stillness_has_lasted(stillness_t *stillness, int32_t counts, uint32_t driven, uint32_t most)
{
    if (magnitude(difference(counts, stillness->from_counts)) >= MOVED_COUNTS)
        *stillness = (stillness_t){counts, 0};
    else
        stillness->driven += driven;
    return stillness->driven >= most;
}
