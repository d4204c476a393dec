/* estimator_speed() against the division it stands for: every moment that it does not clamp, and the clamped ones next to them and at
 * the ends of their range. Says how many agree; stops at the first that does not.
 */
#include <inttypes.h>
#include <stdio.h>

#include "estimator.h"

#define LARGEST_MOMENT (INT32_MAX / 400)

/* moment * 400 / 17 to nearest: there are no halves. */
static int32_t quotient(int32_t moment)
{
    const int64_t scaled = (int64_t)moment * 400;
    return (int32_t)((scaled + (scaled < 0 ? -8 : 8)) / 17);
}

static int is_speed(int32_t moment, int32_t expected)
{
    const estimator_t estimator = {.moment = (uint32_t)moment};
    const int32_t found = estimator_speed(&estimator);
    if (found != expected)
        printf("moment %" PRId32 ": speed %" PRId32 ", expected %" PRId32 "\n", moment, found, expected);
    return found == expected;
}

int main(void)
{
    const int32_t fastest = quotient(LARGEST_MOMENT);
    for (int32_t more = 0; more < 1000; more++) {
        if (!is_speed(LARGEST_MOMENT + more, fastest) || !is_speed(-LARGEST_MOMENT - more, -fastest) ||
            !is_speed(INT32_MAX - more, fastest) || !is_speed(INT32_MIN + more, -fastest))
            return 1;
    }
    for (int32_t moment = -LARGEST_MOMENT; moment <= LARGEST_MOMENT; moment++)
        if (!is_speed(moment, quotient(moment)))
            return 1;
    printf("%d moments agree\n", 2 * LARGEST_MOMENT + 1);
    return 0;
}
