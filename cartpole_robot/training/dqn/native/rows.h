/* A network's numbers, or its gradient's, in rows of hidden units padded with zeros to whole lanes. */
#ifndef ROWS_H
#define ROWS_H

#include <stdint.h>
#include <string.h>

#include "lanes.h"

enum { HIDDEN_WEIGHT, HIDDEN_BIAS, OUTPUT_WEIGHT, OUTPUT_BIAS };

/* A network or its gradient, with a row of `width` floats per input and per output. */
typedef struct {
    float *hidden_weight; /* inputs rows: the transpose of PyTorch's */
    float *hidden_bias;
    float *output_weight;
    float *output_bias;
} rows_t;

static inline int64_t rows_floats(int32_t inputs, int32_t width, int32_t outputs)
{
    return (int64_t)width * (inputs + 1 + outputs) + update_width(outputs);
}

static inline rows_t rows_at(const update_shape_t *shape, int64_t number)
{
    float *at = shape->work + number * rows_floats(shape->inputs, shape->width, shape->outputs);
    rows_t rows;
    rows.hidden_weight = at;
    rows.hidden_bias = rows.hidden_weight + (ptrdiff_t)shape->width * shape->inputs;
    rows.output_weight = rows.hidden_bias + shape->width;
    rows.output_bias = rows.output_weight + (ptrdiff_t)shape->width * shape->outputs;
    return rows;
}

IN_CLONES void lay_out(const update_shape_t *shape, float *const tensors[UPDATE_TENSORS], const rows_t *rows)
{
    const int32_t inputs = shape->inputs, hidden = shape->hidden, width = shape->width;
    for (int32_t i = 0; i < inputs; i++)
        for (int32_t j = 0; j < hidden; j++)
            rows->hidden_weight[i * width + j] = tensors[HIDDEN_WEIGHT][j * inputs + i];
    memcpy(rows->hidden_bias, tensors[HIDDEN_BIAS], (size_t)hidden * sizeof(float));
    for (int32_t o = 0; o < shape->outputs; o++)
        memcpy(&rows->output_weight[o * width], &tensors[OUTPUT_WEIGHT][o * hidden], (size_t)hidden * sizeof(float));
    memcpy(rows->output_bias, tensors[OUTPUT_BIAS], (size_t)shape->outputs * sizeof(float));
}

IN_CLONES void add_scaled(float *restrict sum, const float *restrict row, float factor, int32_t width)
{
    for (int32_t j = 0; j < width; j++)
        sum[j] += row[j] * factor;
}

IN_CLONES void meet(float *restrict a, float *restrict b, float sign, int32_t count)
{
    for (int32_t k = 0; k < count; k++) {
        const float middle = 0.5f * (a[k] + sign * b[k]);
        a[k] = middle;
        b[k] = sign * middle;
    }
}

/* The mean of the gradient and that of the mirrored batch, for a network that is its own mirror image. */
IN_CLONES void make_odd(const update_shape_t *shape, const rows_t *gradient)
{
    const int32_t half = shape->hidden / 2, width = shape->width, outputs = shape->outputs;
    for (int32_t i = 0; i < shape->inputs; i++)
        meet(&gradient->hidden_weight[i * width], &gradient->hidden_weight[i * width + half], -1.0f, half);
    meet(gradient->hidden_bias, gradient->hidden_bias + half, 1.0f, half);
    for (int32_t o = 0; o < outputs; o++)
        meet(&gradient->output_weight[o * width], &gradient->output_weight[(outputs - 1 - o) * width + half], 1.0f, half);
    for (int32_t o = 0; o < outputs / 2; o++)
        meet(&gradient->output_bias[o], &gradient->output_bias[outputs - 1 - o], 1.0f, 1);
}

#endif
