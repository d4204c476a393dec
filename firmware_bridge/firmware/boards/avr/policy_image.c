/* The policy's bytes in flash, and its arithmetic in the multiplier's own instructions: bit for bit policy_int16_add(). */
#include "../../hal.h"
#include "../../policy_image.h"

#include <avr/io.h>
#include <avr/pgmspace.h>
#include <stddef.h>

#include "policy_bytes.h" /* made by the build: POLICY_INPUTS, _HIDDEN, _OUTPUTS, _HIDDEN_SHIFT, policy_bytes[] */

/* Of a unit, more or less, its share of the interrupts in: a value in memory takes half as long again as an input. */
#define UNIT_CYCLES (80 + 38 * (POLICY_INPUTS + POLICY_OUTPUTS + POLICY_OUTPUTS / 2))
#define ADDED_AT_ONCE (4000 / UNIT_CYCLES)            /* hidden units: a quarter of a millisecond, in which bytes may wait */
#define LAST_COUNT (250 - (UNIT_CYCLES + 63) / 64)    /* of Timer2: another unit would not be through when it comes round */
#define HALF (POLICY_HIDDEN_SHIFT == 0 ? 0L : 1L << (POLICY_HIDDEN_SHIFT - 1))
#define BEYOND (32768UL << POLICY_HIDDEN_SHIFT) /* an activation would be over INT16_MAX from here on */
#define OUTPUT_BYTES (POLICY_OUTPUTS * sizeof(int16_t))
#define UNIT_BYTES (sizeof(int32_t) + POLICY_INPUTS * sizeof(int16_t) + OUTPUT_BYTES)
#define UNITS_AT (sizeof(policy_head_t) + POLICY_OUTPUTS * (sizeof(int32_t) + 2 * sizeof(int16_t)))

struct policy_image {
    uint8_t nothing; /* there is one policy, and its sizes are constants */
};

extern const policy_image_t policy_image;
const policy_image_t policy_image;

_Static_assert(POLICY_HIDDEN_SHIFT <= 30, "policy_int16_is_safe()");
_Static_assert(POLICY_INPUTS <= POLICY_IMAGE_INPUTS && POLICY_OUTPUTS <= POLICY_MAX_OUTPUTS, "the image fits the sums");
_Static_assert(offsetof(policy_sums_t, inputs) == 0 && sizeof(policy_sums_t) <= 64, "one pointer reaches both");

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

/* All inputs: the first are in r2 and on, the others where Y points. */
#define ADD_INPUTS                                       \
    ".set input, 0\n\t"                                  \
    ".rept %[inputs]\n\t"                                \
    ".if input < %[input_registers]\n\t"                 \
    "movw 22, 2 + 2 * input\n\t"                         \
    ".else\n\t"                                          \
    "ldd r22, Y + 2 * input\n\t"                         \
    "ldd r23, Y + 2 * input + 1\n\t"                     \
    ".endif\n\t"                                         \
    ADD_PRODUCT("r23", "r22", "r27", "r26", "r25", "r24") \
    ".set input, input + 1\n\t"                          \
    ".endr\n\t"

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

/* From the bias at Z on, a unit: its activation is left in r23:r22, and `5:` is where it adds nothing. */
#define ACTIVATE                          \
    "lpm r24, Z+\n\t"                     \
    "lpm r25, Z+\n\t"                     \
    "lpm r26, Z+\n\t"                     \
    "lpm r27, Z+\n\t"                     \
    ADD_INPUTS                            \
    "tst r27\n\t"                         \
    "brpl 2f\n\t"                         \
    "adiw r30, %[output_bytes]\n\t"       \
    "rjmp 5f\n"                           \
    "2:\n\t"                              \
    "subi r24, lo8(-(%[half]))\n\t"       \
    "sbci r25, hi8(-(%[half]))\n\t"       \
    "sbci r26, hlo8(-(%[half]))\n\t"      \
    "sbci r27, hhi8(-(%[half]))\n\t"      \
    SATURATE                              \
    "3:\n\t"                              \
    ".rept %[shifts]\n\t"                 \
    SHIFT                                 \
    ".endr\n"                             \
    "4:\n\t"                              \
    "movw r22, r26\n\t"

#if POLICY_INPUTS == 4 && POLICY_OUTPUTS == 2 /* both values are in registers, too: r10 to r13, r14 to r17 */
#define TAKE_VALUES                                                          \
    "ldd r10, Y+28\n\tldd r11, Y+29\n\tldd r12, Y+30\n\tldd r13, Y+31\n\t" \
    "ldd r14, Y+32\n\tldd r15, Y+33\n\tldd r16, Y+34\n\tldd r17, Y+35\n\t"
#define ADD_TO_VALUES                                    \
    ADD_PRODUCT("r23", "r22", "r13", "r12", "r11", "r10") \
    ADD_PRODUCT("r23", "r22", "r17", "r16", "r15", "r14")
#define KEEP_VALUES                                                          \
    "std Y+28, r10\n\tstd Y+29, r11\n\tstd Y+30, r12\n\tstd Y+31, r13\n\t" \
    "std Y+32, r14\n\tstd Y+33, r15\n\tstd Y+34, r16\n\tstd Y+35, r17\n\t"
_Static_assert(offsetof(policy_sums_t, values) == 28, "where the values are from Y");
#elif POLICY_HIDDEN > 128 /* the weights leave no flash for more than a loop: 5 cycles more for each value */
#define TAKE_VALUES
#define ADD_TO_VALUES                                    \
    "ldi r17, %[outputs]\n"                              \
    "8:\n\t"                                             \
    "ldd r24, Y + %[values]\n\t"                         \
    "ldd r25, Y + %[values] + 1\n\t"                     \
    "ldd r26, Y + %[values] + 2\n\t"                     \
    "ldd r27, Y + %[values] + 3\n\t"                     \
    ADD_PRODUCT("r23", "r22", "r27", "r26", "r25", "r24") \
    "std Y + %[values], r24\n\t"                         \
    "std Y + %[values] + 1, r25\n\t"                     \
    "std Y + %[values] + 2, r26\n\t"                     \
    "std Y + %[values] + 3, r27\n\t"                     \
    "adiw r28, 4\n\t"                                    \
    "dec r17\n\t"                                        \
    "brne 8b\n\t"                                        \
    "sbiw r28, 4 * %[outputs]\n"
#define KEEP_VALUES
#else
#define TAKE_VALUES
#define ADD_TO_VALUES                                    \
    ".set value, %[values]\n\t"                          \
    ".rept %[outputs]\n\t"                               \
    "ldd r24, Y + value\n\t"                             \
    "ldd r25, Y + value + 1\n\t"                         \
    "ldd r26, Y + value + 2\n\t"                         \
    "ldd r27, Y + value + 3\n\t"                         \
    ADD_PRODUCT("r23", "r22", "r27", "r26", "r25", "r24") \
    "std Y + value, r24\n\t"                             \
    "std Y + value + 1, r25\n\t"                         \
    "std Y + value + 2, r26\n\t"                         \
    "std Y + value + 3, r27\n\t"                         \
    ".set value, value + 4\n\t"                          \
    ".endr\n"
#define KEEP_VALUES
#endif
#define INPUT_REGISTERS (POLICY_INPUTS < 7 ? POLICY_INPUTS : 7) /* r2 to r15 */

/* Up to `count` units from flash address `at` on, fewer where a tick is nearly due; returns how many are left. */
static NOT_INLINED uint8_t add_units(policy_sums_t *sums, uint16_t at, uint8_t count)
{
    __asm__ volatile(".set input, 0\n\t"
                     ".rept %[input_registers]\n\t"
                     "ldd 2 + 2 * input, Y + 2 * input\n\t"
                     "ldd 3 + 2 * input, Y + 2 * input + 1\n\t"
                     ".set input, input + 1\n\t"
                     ".endr\n\t" TAKE_VALUES
                     "clr r19\n"
                     "1:\n\t" ACTIVATE ADD_TO_VALUES
                     "5:\n\t"
                     "dec %[count]\n\t"
                     "breq 6f\n\t"
                     "lds r20, %[timer]\n\t"
                     "cpi r20, %[last_count]\n\t"
                     "brsh 6f\n\t"
                     "rjmp 1b\n"
                     "6:\n\t" KEEP_VALUES
                     "clr r1\n\t"
                     : "+z"(at), [count] "+r"(count)
                     : "y"(sums), [half] "n"(HALF), [beyond] "n"(BEYOND), [shifts] "n"(SHIFTS),
                       [output_bytes] "n"(OUTPUT_BYTES), [inputs] "n"(POLICY_INPUTS), [outputs] "n"(POLICY_OUTPUTS),
                       [input_registers] "n"(INPUT_REGISTERS), [values] "n"(offsetof(policy_sums_t, values)),
                       [timer] "n"(_SFR_MEM_ADDR(TCNT2)), [last_count] "M"(LAST_COUNT)
                     : "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "r16",
                       "r17", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "memory");
    return count;
}

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
    const uint8_t undone = add_units(sums, (uint16_t)((uint16_t)policy_bytes + UNITS_AT + unit * UNIT_BYTES), count);
    return unit + count - undone;
}
