/* The policy's bytes in flash, and its arithmetic in the multiplier's own instructions: bit for bit policy_int16_add(). */
#include "../../policy_image.h"

#include <avr/pgmspace.h>
#include <stddef.h>

#include "policy_bytes.h" /* made by the build: POLICY_HIDDEN, POLICY_OUTPUTS, POLICY_HIDDEN_SHIFT, policy_bytes[] */

#define ADDED_AT_ONCE 4 /* hidden units: 60 us at the most */
#define HALF (POLICY_HIDDEN_SHIFT == 0 ? 0L : 1L << (POLICY_HIDDEN_SHIFT - 1))
#define BEYOND ((int32_t)((32768UL << POLICY_HIDDEN_SHIFT) - 1UL)) /* the last sum whose activation is INT16_MAX by itself */
#define EACH_OUTPUT(do_it) do_it(0) do_it(1) do_it(2) do_it(3) do_it(4) do_it(5) do_it(6) do_it(7)
#define TAKE(k) int32_t sum_##k = k < POLICY_OUTPUTS ? values[k] : 0;
#define ADD(k)              \
    if (k < POLICY_OUTPUTS) \
        sum_##k = plus_product(sum_##k, &at, activation);
#define GIVE(k)             \
    if (k < POLICY_OUTPUTS) \
        values[k] = sum_##k;
#define UNIT_BYTES (sizeof(int32_t) + (POLICY_COUNTS + POLICY_OUTPUTS) * sizeof(int16_t))
#define UNITS_AT (sizeof(policy_head_t) + POLICY_OUTPUTS * (sizeof(int32_t) + sizeof(int16_t)))

struct policy_image {
    uint8_t nothing; /* there is one policy, and its sizes are constants */
};

extern const policy_image_t policy_image;
const policy_image_t policy_image;

_Static_assert(POLICY_HIDDEN_SHIFT <= 30, "policy_int16_is_safe()");

/* r0 and r1 hold each product, and `zero` stands in for r1. r21:r20 times high:low, both signed, added to the sum. */
#define MULTIPLY_ADD(low, high)\
    "muls r21, " high "\n\t"   \
    "add %C[sum], r0\n\t"      \
    "adc %D[sum], r1\n\t"      \
    "mul r20, " low "\n\t"     \
    "add %A[sum], r0\n\t"      \
    "adc %B[sum], r1\n\t"      \
    "adc %C[sum], %[zero]\n\t" \
    "adc %D[sum], %[zero]\n\t" \
    "mulsu r21, " low "\n\t"   \
    "sbc %D[sum], %[zero]\n\t" \
    "add %B[sum], r0\n\t"      \
    "adc %C[sum], r1\n\t"      \
    "adc %D[sum], %[zero]\n\t" \
    "mulsu " high ", r20\n\t"  \
    "sbc %D[sum], %[zero]\n\t" \
    "add %B[sum], r0\n\t"      \
    "adc %C[sum], r1\n\t"      \
    "adc %D[sum], %[zero]\n\t"

/* The bias at `at` and the products with the weights behind it; `at` goes on to what follows. */
static inline int32_t hidden_sum(uint16_t *at, const int16_t *observation)
{
    int32_t sum;
    uint8_t zero;
    __asm__("lpm %A[sum], Z+\n\t"
            "lpm %B[sum], Z+\n\t"
            "lpm %C[sum], Z+\n\t"
            "lpm %D[sum], Z+\n\t"
            "clr %[zero]\n\t"
            ".rept %[inputs]\n\t"
            "lpm r20, Z+\n\t"
            "lpm r21, Z+\n\t"
            "ld r22, X+\n\t"
            "ld r23, X+\n\t" MULTIPLY_ADD("r22", "r23") ".endr\n\t"
            "clr r1\n\t"
            : [sum] "=&r"(sum), [zero] "=&r"(zero), "+z"(*at), "+x"(observation)
            : [inputs] "n"(POLICY_COUNTS), "m"(*(const int16_t(*)[POLICY_COUNTS])observation)
            : "r20", "r21", "r22", "r23");
    return sum;
}

/* sum / 2^POLICY_HIDDEN_SHIFT for a sum of at most INT16_MAX times that: bits move to where whole bytes can be taken. */
static inline int16_t shifted(uint32_t sum)
{
#if POLICY_HIDDEN_SHIFT <= 16
    __asm__(".rept %[times]\n\t"
            "lsl %A[sum]\n\t"
            "rol %B[sum]\n\t"
            "rol %C[sum]\n\t"
            "rol %D[sum]\n\t"
            ".endr\n\t"
            : [sum] "+r"(sum)
            : [times] "n"(16 - POLICY_HIDDEN_SHIFT));
#else
    __asm__(".rept %[times]\n\t"
            "lsr %D[sum]\n\t"
            "ror %C[sum]\n\t"
            ".endr\n\t"
            : [sum] "+r"(sum)
            : [times] "n"(POLICY_HIDDEN_SHIFT - 16));
#endif
    return (int16_t)(sum >> 16);
}

static inline int32_t plus_product(int32_t sum, uint16_t *at, int16_t activation)
{
    uint8_t zero;
    __asm__("lpm r20, Z+\n\t"
            "lpm r21, Z+\n\t"
            "clr %[zero]\n\t" MULTIPLY_ADD("%A[factor]", "%B[factor]") "clr r1\n\t"
            : [sum] "+r"(sum), [zero] "=&r"(zero), "+z"(*at)
            : [factor] "a"(activation)
            : "r20", "r21");
    return sum;
}

void policy_image_read(const policy_image_t *image, uint16_t from, void *target, uint16_t count)
{
    (void)image;
    memcpy_P(target, policy_bytes + from, count);
}

uint16_t policy_image_add(const policy_image_t *image, const int16_t *observation, int32_t *values, uint16_t unit)
{
    (void)image;
    const uint16_t left = POLICY_HIDDEN - unit;
    uint8_t count = ADDED_AT_ONCE;
    if (left < ADDED_AT_ONCE)
        count = (uint8_t)left;
    uint16_t at = (uint16_t)((uint16_t)policy_bytes + UNITS_AT + unit * UNIT_BYTES);
    const uint16_t next = unit + count;
    EACH_OUTPUT(TAKE) /* into registers, where no array would be */
    do {
        int32_t sum = hidden_sum(&at, observation);
        if (sum <= 0) {
            at += POLICY_OUTPUTS * sizeof(int16_t);
            continue;
        }
        sum += HALF;
#if POLICY_HIDDEN_SHIFT <= 15
        const int16_t activation = sum > BEYOND ? INT16_MAX : shifted((uint32_t)sum);
#else
        const int16_t activation = shifted((uint32_t)sum);
#endif
        EACH_OUTPUT(ADD)
    } while (--count != 0);
    EACH_OUTPUT(GIVE)
    return next;
}
