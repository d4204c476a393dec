/* Loops over rows of hidden units, with the sums of many units in registers.
 *
 * Each sum has its terms in the order of the loop it comes from, whatever the width of the processor's vectors. */
#ifndef LANES_H
#define LANES_H

#include <stdint.h>

#include "update.h"

#define IN_CLONES static inline __attribute__((always_inline))

/* Half of UPDATE_LANES: what fits one register of AVX2. Rows are aligned for single floats only. */
typedef float half_t __attribute__((vector_size(4 * UPDATE_LANES / 2), aligned(4), may_alias));
typedef int32_t half_bits_t __attribute__((vector_size(4 * UPDATE_LANES / 2), aligned(4), may_alias));
enum { HALF = UPDATE_LANES / 2 };

#define AT(pointer) (*(half_t *)(pointer))
#define CONST_AT(pointer) (*(const half_t *)(pointer))

#define LANES_TILE 4  /* samples whose hidden units are computed together */
#define LANES_GROUP 5 /* rows of the gradient that are summed together: as many as a step of a history has */

/* Negative to 0; NaN stays NaN. */
#define STORE_ACTIVE(pointer, sum) AT(pointer) = (half_t)((half_bits_t)(sum) & ~(half_bits_t)((sum) < (half_t){0}))

/* The hidden units of LANES_TILE inputs, each `stride` floats after the one before; `unit` has a row for each. */
IN_CLONES void lanes_hidden(const float *weight, const float *bias, const float *input, int32_t stride, int32_t inputs,
                            int32_t width, float *unit)
{
    const float *one = input, *two = input + stride, *three = two + stride, *four = three + stride;
    for (int32_t j = 0; j < width; j += UPDATE_LANES) {
        half_t a = CONST_AT(&bias[j]), b = a, c = a, d = a;
        half_t e = CONST_AT(&bias[j + HALF]), f = e, g = e, h = e;
        for (int32_t i = 0; i < inputs; i++) {
            const half_t low = CONST_AT(&weight[i * width + j]), high = CONST_AT(&weight[i * width + j + HALF]);
            a += low * one[i], e += high * one[i];
            b += low * two[i], f += high * two[i];
            c += low * three[i], g += high * three[i];
            d += low * four[i], h += high * four[i];
        }
        STORE_ACTIVE(&unit[j], a);
        STORE_ACTIVE(&unit[width + j], b);
        STORE_ACTIVE(&unit[2 * width + j], c);
        STORE_ACTIVE(&unit[3 * width + j], d);
        STORE_ACTIVE(&unit[j + HALF], e);
        STORE_ACTIVE(&unit[width + j + HALF], f);
        STORE_ACTIVE(&unit[2 * width + j + HALF], g);
        STORE_ACTIVE(&unit[3 * width + j + HALF], h);
    }
}

/* The sum of all lanes: lanes k and k + 8 first, then k and k + 4, and so on. */
IN_CLONES float lanes_sum(const half_t *low, const half_t *high)
{
    union {
        half_t all;
        float lane[HALF];
    } sum = {*low + *high};
    const float first = sum.lane[0] + sum.lane[4], second = sum.lane[1] + sum.lane[5];
    const float third = sum.lane[2] + sum.lane[6], fourth = sum.lane[3] + sum.lane[7];
    return (first + third) + (second + fourth);
}

/* The sum over a row times a row. */
IN_CLONES float lanes_dot(const float *a, const float *b, int32_t width)
{
    half_t low = {0}, high = {0};
    for (int32_t j = 0; j < width; j += UPDATE_LANES) {
        low += CONST_AT(&a[j]) * CONST_AT(&b[j]);
        high += CONST_AT(&a[j + HALF]) * CONST_AT(&b[j + HALF]);
    }
    return lanes_sum(&low, &high);
}

/* The same with the row at `b` and the one after it. */
IN_CLONES void lanes_two_dots(const float *a, const float *b, int32_t width, float *one, float *two)
{
    const float *c = b + width;
    half_t low = {0}, high = {0}, low_too = {0}, high_too = {0};
    for (int32_t j = 0; j < width; j += UPDATE_LANES) {
        const half_t here = CONST_AT(&a[j]), next = CONST_AT(&a[j + HALF]);
        low += here * CONST_AT(&b[j]), high += next * CONST_AT(&b[j + HALF]);
        low_too += here * CONST_AT(&c[j]), high_too += next * CONST_AT(&c[j + HALF]);
    }
    *one = lanes_sum(&low, &high);
    *two = lanes_sum(&low_too, &high_too);
}

/* LANES_GROUP rows of a sum over samples: each sample's `back` times its number for the row. */
IN_CLONES void lanes_add_group(float *row, const float *back, const float *input, int32_t stride, int32_t samples,
                               int32_t width)
{
    float *v = row, *w = v + width, *x = w + width, *y = x + width, *z = y + width;
    for (int32_t j = 0; j < width; j += UPDATE_LANES) {
        half_t a = AT(&v[j]), b = AT(&w[j]), c = AT(&x[j]), d = AT(&y[j]), e = AT(&z[j]);
        half_t f = AT(&v[j + HALF]), g = AT(&w[j + HALF]), h = AT(&x[j + HALF]), i = AT(&y[j + HALF]), l = AT(&z[j + HALF]);
        for (int32_t k = 0; k < samples; k++) {
            const half_t low = CONST_AT(&back[k * width + j]), high = CONST_AT(&back[k * width + j + HALF]);
            const float *number = &input[k * stride];
            a += low * number[0], f += high * number[0]; /* in pairs, or there are not registers enough */
            b += low * number[1], g += high * number[1];
            c += low * number[2], h += high * number[2];
            d += low * number[3], i += high * number[3];
            e += low * number[4], l += high * number[4];
        }
        AT(&v[j]) = a, AT(&w[j]) = b, AT(&x[j]) = c, AT(&y[j]) = d, AT(&z[j]) = e;
        AT(&v[j + HALF]) = f, AT(&w[j + HALF]) = g, AT(&x[j + HALF]) = h, AT(&y[j + HALF]) = i, AT(&z[j + HALF]) = l;
    }
}

/* One such row. */
IN_CLONES void lanes_add_row(float *row, const float *back, const float *input, int32_t stride, int32_t samples,
                             int32_t width)
{
    for (int32_t j = 0; j < width; j += UPDATE_LANES) {
        half_t low = AT(&row[j]), high = AT(&row[j + HALF]);
        for (int32_t k = 0; k < samples; k++) {
            low += CONST_AT(&back[k * width + j]) * input[k * stride];
            high += CONST_AT(&back[k * width + j + HALF]) * input[k * stride];
        }
        AT(&row[j]) = low;
        AT(&row[j + HALF]) = high;
    }
}

#endif
