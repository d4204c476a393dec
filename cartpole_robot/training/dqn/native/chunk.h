/* Some steps of a batch, all at a time: their targets, and their share of the gradient. */
#ifndef CHUNK_H
#define CHUNK_H

#include <math.h>
#include <stddef.h>

#include "rows.h"

enum { CHUNK = 32 }; /* steps of a batch; whole tiles */
enum { NEAR = 2 };   /* the second level of cache: the first is full of weights */

/* A row of inputs, the 1 for the bias after it. */
static inline int32_t chunk_stride(int32_t inputs)
{
    return inputs + 1;
}

IN_CLONES void scale(const update_shape_t *shape, const float *gain, const float *observation, float *input)
{
    for (int32_t i = 0; i < shape->inputs; i++)
        input[i] = observation[i] * gain[i];
}

IN_CLONES void mirror(const update_shape_t *shape, float *input)
{
    for (int32_t i = 0; i < shape->inputs; i++)
        input[i] = -input[i];
}

/* The discounted rewards up to the last step of the return; also that step and the factor of the value after it. */
IN_CLONES float n_step_return(const update_memory_t *memory, int64_t first, const update_loss_t *loss, int64_t *last,
                           float *bootstrap)
{
    float sum = 0.0f;
    double discount = 1.0;
    int64_t step = first;
    for (int32_t k = 0;; k++) {
        sum += memory->reward[step] * (float)discount;
        discount *= (double)loss->gamma;
        if (k + 1 == loss->n_steps || memory->done[step] != 0.0f || memory->timeout[step] != 0.0f ||
            step == loss->newest)
            break;
        step = step + 1 == memory->capacity ? 0 : step + 1;
    }
    *last = step;
    *bootstrap = (1.0f - memory->done[step] * (1.0f - memory->timeout[step])) * (float)discount;
    return sum;
}

/* Backpropagation through each hidden unit: its weight times the slope if the unit is active, else 0. */
IN_CLONES void back_through(const float *restrict unit, const float *restrict weight, float slope, int32_t width,
                         float *restrict back)
{
    for (int32_t j = 0; j < width; j++) {
        const float all = weight[j] * slope;
        back[j] = unit[j] > 0.0f ? all : 0.0f;
    }
}

/* Some steps of a batch, as many as stay in the processor's nearest cache. */
typedef struct {
    int32_t count;
    int64_t action[CHUNK];
    float wanted[CHUNK];        /* the rewards of the return, later with the value after it */
    float bootstrap[CHUNK];     /* the factor of that value */
    float *input, *following;   /* a row of `stride` floats each; of the inputs the one after the last is 1, for the bias */
    float *unit, *back;         /* a row of `width` floats each */
    int32_t stride;
} chunk_t;

IN_CLONES chunk_t chunk_at(const update_shape_t *shape)
{
    chunk_t chunk;
    chunk.stride = chunk_stride(shape->inputs);
    chunk.input = shape->work + 3 * rows_floats(shape->inputs, shape->width, shape->outputs);
    chunk.following = chunk.input + CHUNK * chunk.stride;
    chunk.unit = chunk.following + CHUNK * chunk.stride;
    chunk.back = chunk.unit + LANES_TILE * shape->width;
    return chunk;
}

/* Asks for the steps of a chunk before they are read: of a large memory they are in no cache. */
IN_CLONES void fetch(const update_shape_t *shape, const update_memory_t *memory, const int64_t *index, int64_t first,
                     int64_t known, int32_t n_steps)
{
    const int32_t inputs = shape->inputs;
    const int64_t end = first + CHUNK < known ? first + CHUNK : known;
    for (int64_t k = first; k < end; k++) {
        const int64_t step = index[k], last = step + n_steps <= memory->capacity ? step + n_steps - 1 : step;
        __builtin_prefetch(&memory->reward[step], 0, NEAR);
        __builtin_prefetch(&memory->done[step], 0, NEAR);
        __builtin_prefetch(&memory->timeout[step], 0, NEAR);
        __builtin_prefetch(&memory->observation[step * inputs], 0, NEAR);
        __builtin_prefetch(&memory->observation[step * inputs + inputs - 1], 0, NEAR);
        __builtin_prefetch(&memory->following[last * inputs], 0, NEAR);
        __builtin_prefetch(&memory->following[last * inputs + inputs - 1], 0, NEAR);
    }
}

/* Reads the steps of the batch from `first` on. */
IN_CLONES void gather(const update_shape_t *shape, const float *gain, const update_memory_t *memory, const int64_t *index,
                      int64_t first, const update_loss_t *loss, chunk_t *chunk)
{
    const int32_t inputs = shape->inputs;
    for (int32_t k = 0; k < chunk->count; k++) {
        const int64_t step = index[first + k];
        float *input = &chunk->input[k * chunk->stride], *following = &chunk->following[k * chunk->stride];
        int64_t last;
        chunk->wanted[k] = n_step_return(memory, step, loss, &last, &chunk->bootstrap[k]);
        chunk->action[k] = memory->action[step];
        scale(shape, gain, &memory->observation[step * inputs], input);
        scale(shape, gain, &memory->following[last * inputs], following);
        if (shape->symmetry == UPDATE_MIRRORED && (first + k) % 2 == 1) {
            mirror(shape, input);
            mirror(shape, following);
            chunk->action[k] = shape->outputs - 1 - chunk->action[k];
        }
        input[inputs] = 1.0f;
    }
}

IN_CLONES float larger(float a, float b)
{
    return a >= b ? a : b;
}

/* Adds the largest value of the target network after each return. */
IN_CLONES void bootstrap(const update_shape_t *shape, const rows_t *target, chunk_t *chunk)
{
    const int32_t width = shape->width, outputs = shape->outputs;
    for (int32_t k = 0; k < chunk->count; k++) {
        const int32_t tile = k % LANES_TILE;
        if (tile == 0)
            lanes_hidden(target->hidden_weight, target->hidden_bias, &chunk->following[k * chunk->stride], chunk->stride,
                         shape->inputs, width, chunk->unit);
        const float *unit = &chunk->unit[tile * width];
        float best = lanes_dot(unit, target->output_weight, width) + target->output_bias[0];
        int32_t o = 1;
        for (; o + 2 <= outputs; o += 2) {
            float one, two;
            lanes_two_dots(unit, &target->output_weight[o * width], width, &one, &two);
            best = larger(best, one + target->output_bias[o]);
            best = larger(best, two + target->output_bias[o + 1]);
        }
        for (; o < outputs; o++)
            best = larger(best, lanes_dot(unit, &target->output_weight[o * width], width) + target->output_bias[o]);
        chunk->wanted[k] += chunk->bootstrap[k] * best;
    }
}

/* The loss of one step, and its derivative by the value. */
IN_CLONES double loss_of(float error, bool is_mse, float *slope)
{
    const float size = fabsf(error);
    if (is_mse) {
        *slope = 2.0f * error;
        return (double)(error * error);
    }
    *slope = error > 1.0f ? 1.0f : error < -1.0f ? -1.0f : error;
    return (double)(size < 1.0f ? 0.5f * error * error : size - 0.5f);
}

/* Adds the losses of the chunk to `total`, and its share of the gradient of a batch of `batch` steps. */
IN_CLONES double learn_from(const update_shape_t *shape, const rows_t *network, const rows_t *gradient, chunk_t *chunk,
                            int64_t batch, bool is_mse, double total)
{
    const int32_t width = shape->width, stride = chunk->stride;
    for (int32_t k = 0; k < chunk->count; k++) {
        const int32_t tile = k % LANES_TILE;
        if (tile == 0)
            lanes_hidden(network->hidden_weight, network->hidden_bias, &chunk->input[k * stride], stride, shape->inputs,
                         width, chunk->unit);
        const float *unit = &chunk->unit[tile * width];
        const int64_t action = chunk->action[k];
        const float *weight = &network->output_weight[action * width];
        float slope;
        total += loss_of(lanes_dot(unit, weight, width) + network->output_bias[action] - chunk->wanted[k], is_mse, &slope);
        slope /= (float)batch;
        gradient->output_bias[action] += slope;
        add_scaled(&gradient->output_weight[action * width], unit, slope, width);
        back_through(unit, weight, slope, width, &chunk->back[k * width]);
    }
    int32_t row = 0; /* the bias is the last */
    for (; row + LANES_GROUP <= shape->inputs + 1; row += LANES_GROUP)
        lanes_add_group(&gradient->hidden_weight[row * width], chunk->back, &chunk->input[row], stride, chunk->count, width);
    for (; row < shape->inputs + 1; row++)
        lanes_add_row(&gradient->hidden_weight[row * width], chunk->back, &chunk->input[row], stride, chunk->count, width);
    return total;
}

#endif
