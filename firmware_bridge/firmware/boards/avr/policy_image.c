/* The policy's bytes in flash, and its arithmetic in the multiplier's own instructions: bit for bit policy_int16_add(). */
#include "../../policy_image.h"

#include <avr/pgmspace.h>
#include <stddef.h>

#include "policy_bytes.h" /* made by the build: POLICY_HIDDEN, POLICY_OUTPUTS, POLICY_HIDDEN_SHIFT, policy_bytes[] */

#define ADDED_AT_ONCE (POLICY_OUTPUTS == 2 ? 5 : POLICY_OUTPUTS <= 4 ? 3 : 2) /* hidden units: 0.1 ms at the most */
#define HALF (POLICY_HIDDEN_SHIFT == 0 ? 0L : 1L << (POLICY_HIDDEN_SHIFT - 1))
#define BEYOND (32768UL << POLICY_HIDDEN_SHIFT) /* an activation would be over INT16_MAX from here on */
#define OUTPUT_BYTES (POLICY_OUTPUTS * sizeof(int16_t))
#define UNIT_BYTES (sizeof(int32_t) + POLICY_COUNTS * sizeof(int16_t) + OUTPUT_BYTES)
#define UNITS_AT (sizeof(policy_head_t) + POLICY_OUTPUTS * (sizeof(int32_t) + sizeof(int16_t)))

struct policy_image {
    uint8_t nothing; /* there is one policy, and its sizes are constants */
};

extern const policy_image_t policy_image;
const policy_image_t policy_image;

_Static_assert(POLICY_HIDDEN_SHIFT <= 30, "policy_int16_is_safe()");
_Static_assert(POLICY_COUNTS == 4, "the observation is held in r2 to r9");
_Static_assert(offsetof(policy_sums_t, values) == POLICY_COUNTS * sizeof(int16_t), "one pointer reads both");

/* The next weight in flash, a signed 16-bit number, times b1:b0, another, added to s3:s2:s1:s0. r0 and r1 hold each product, and r19
 * stands in for r1 as 0. What mulsu leaves in the carry is its product's sign. */
#define ADD_PRODUCT(b1, b0, s3, s2, s1, s0) \
    "lpm r20, Z+\n\t"                       \
    "lpm r21, Z+\n\t"                       \
    "muls r21, " b1 "\n\t"                  \
    "add " s2 ", r0\n\t"                    \
    "adc " s3 ", r1\n\t"                    \
    "mul r20, " b0 "\n\t"                   \
    "add " s0 ", r0\n\t"                    \
    "adc " s1 ", r1\n\t"                    \
    "adc " s2 ", r19\n\t"                   \
    "adc " s3 ", r19\n\t"                   \
    "mulsu r21, " b0 "\n\t"                 \
    "sbc " s3 ", r19\n\t"                   \
    "add " s1 ", r0\n\t"                    \
    "adc " s2 ", r1\n\t"                    \
    "adc " s3 ", r19\n\t"                   \
    "mulsu " b1 ", r20\n\t"                 \
    "sbc " s3 ", r19\n\t"                   \
    "add " s1 ", r0\n\t"                    \
    "adc " s2 ", r1\n\t"                    \
    "adc " s3 ", r19\n\t"

#define ADD_INPUT(b0)          \
    "movw r22, " b0 "\n\t"     \
    ADD_PRODUCT("r23", "r22", "r27", "r26", "r25", "r24")

/* r27:r24 has half a unit of the activation more, and becomes the activation in r27:r26: bits move to where whole bytes can be taken. */
#if POLICY_HIDDEN_SHIFT <= 15
#define SATURATE                    \
    "cpi r24, lo8(%[beyond])\n\t"   \
    "ldi r20, hi8(%[beyond])\n\t"   \
    "cpc r25, r20\n\t"              \
    "ldi r20, hlo8(%[beyond])\n\t"  \
    "cpc r26, r20\n\t"              \
    "ldi r20, hhi8(%[beyond])\n\t"  \
    "cpc r27, r20\n\t"              \
    "brlo 3f\n\t"                   \
    "ldi r26, 0xFF\n\t"             \
    "ldi r27, 0x7F\n\t"             \
    "rjmp 4f\n"
#else
#define SATURATE /* no sum is so large */
#endif
#if POLICY_HIDDEN_SHIFT <= 16
#define SHIFTS (16 - POLICY_HIDDEN_SHIFT)
#define SHIFT "lsl r24\n\trol r25\n\trol r26\n\trol r27\n\t"
#else
#define SHIFTS (POLICY_HIDDEN_SHIFT - 16)
#define SHIFT "lsr r27\n\tror r26\n\t"
#endif

/* From the bias at Z on, a unit: its activation is left in r23:r22, and `inactive` is where it adds nothing. */
#define ACTIVATE(inactive)               \
    "lpm r24, Z+\n\t"                    \
    "lpm r25, Z+\n\t"                    \
    "lpm r26, Z+\n\t"                    \
    "lpm r27, Z+\n\t"                    \
    ADD_INPUT("r2") ADD_INPUT("r4") ADD_INPUT("r6") ADD_INPUT("r8") \
    "tst r27\n\t"                        \
    "brpl 2f\n\t"                        \
    "adiw r30, %[output_bytes]\n\t"      \
    "rjmp " inactive "\n"                \
    "2:\n\t"                             \
    "subi r24, lo8(-(%[half]))\n\t"      \
    "sbci r25, hi8(-(%[half]))\n\t"      \
    "sbci r26, hlo8(-(%[half]))\n\t"     \
    "sbci r27, hhi8(-(%[half]))\n\t"     \
    SATURATE                             \
    "3:\n\t"                             \
    ".rept %[shifts]\n\t"                \
    SHIFT                                \
    ".endr\n"                            \
    "4:\n\t"                             \
    "movw r22, r26\n\t"

#define TAKE_OBSERVATION                                                                      \
    "ld r2, X+\n\tld r3, X+\n\tld r4, X+\n\tld r5, X+\n\tld r6, X+\n\tld r7, X+\n\t" \
    "ld r8, X+\n\tld r9, X+\n\t"
#define CONSTANTS                                                                                      \
    [half] "n"(HALF), [beyond] "n"(BEYOND), [shifts] "n"(SHIFTS), [output_bytes] "n"(OUTPUT_BYTES)
#define USED "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "memory"

/* `count` units from flash address `at` on. The observation is in r2 to r9. */
#if POLICY_OUTPUTS == 2
/* Both values are in registers, too: r10 to r13, r14 to r17. */
static inline void add_units(policy_sums_t *sums, uint16_t at, uint8_t count)
{
    __asm__ volatile(TAKE_OBSERVATION
                     "ld r10, X+\n\tld r11, X+\n\tld r12, X+\n\tld r13, X+\n\t"
                     "ld r14, X+\n\tld r15, X+\n\tld r16, X+\n\tld r17, X+\n\t"
                     "push r26\n\t"
                     "push r27\n\t"
                     "clr r19\n"
                     "1:\n\t" ACTIVATE("5f") ADD_PRODUCT("r23", "r22", "r13", "r12", "r11", "r10")
                         ADD_PRODUCT("r23", "r22", "r17", "r16", "r15", "r14")
                     "5:\n\t"
                     "dec %[count]\n\t"
                     "breq 6f\n\t"
                     "rjmp 1b\n"
                     "6:\n\t"
                     "clr r1\n\t"
                     "pop r27\n\t"
                     "pop r26\n\t"
                     "st -X, r17\n\tst -X, r16\n\tst -X, r15\n\tst -X, r14\n\t"
                     "st -X, r13\n\tst -X, r12\n\tst -X, r11\n\tst -X, r10\n\t"
                     : "+x"(sums), "+z"(at), [count] "+r"(count)
                     : CONSTANTS
                     : USED, "r10", "r11", "r12", "r13", "r14", "r15", "r16", "r17");
}
#else
/* Any number of values, r18 of them to go: they stay in memory, X on the first of them. */
static inline void add_units(policy_sums_t *sums, uint16_t at, uint8_t count)
{
    __asm__ volatile(TAKE_OBSERVATION
                     "clr r19\n"
                     "1:\n\t"
                     "push r26\n\t"
                     "push r27\n\t" ACTIVATE("5f")
                     "pop r27\n\t"
                     "pop r26\n\t"
                     "ldi r18, %[outputs]\n"
                     "8:\n\t"
                     "ld r10, X+\n\tld r11, X+\n\tld r12, X+\n\tld r13, X+\n\t" ADD_PRODUCT("r23", "r22", "r13", "r12",
                                                                                              "r11", "r10")
                     "st -X, r13\n\tst -X, r12\n\tst -X, r11\n\tst -X, r10\n\t"
                     "adiw r26, 4\n\t"
                     "dec r18\n\t"
                     "brne 8b\n\t"
                     "sbiw r26, %[value_bytes]\n\t"
                     "rjmp 7f\n"
                     "5:\n\t"
                     "pop r27\n\t"
                     "pop r26\n"
                     "7:\n\t"
                     "dec %[count]\n\t"
                     "breq 6f\n\t"
                     "rjmp 1b\n"
                     "6:\n\t"
                     "clr r1\n\t"
                     : "+x"(sums), "+z"(at), [count] "+r"(count)
                     : CONSTANTS, [outputs] "n"(POLICY_OUTPUTS), [value_bytes] "n"(POLICY_OUTPUTS * sizeof(int32_t))
                     : USED, "r10", "r11", "r12", "r13", "r18");
}
#endif

void policy_image_read(const policy_image_t *image, uint16_t from, void *target, uint16_t count)
{
    (void)image;
    memcpy_P(target, policy_bytes + from, count);
}

uint16_t policy_image_add(const policy_image_t *image, policy_sums_t *sums, uint16_t unit)
{
    (void)image;
    const uint16_t left = POLICY_HIDDEN - unit;
    uint8_t count = ADDED_AT_ONCE;
    if (left < ADDED_AT_ONCE)
        count = (uint8_t)left;
    add_units(sums, (uint16_t)((uint16_t)policy_bytes + UNITS_AT + unit * UNIT_BYTES), count);
    return unit + count;
}
