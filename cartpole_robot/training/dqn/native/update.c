/* The arithmetic of Stable-Baselines3's DQN.train in float32: chunk by chunk of a batch come targets, both forward passes and the
 * gradient; then one pass updates the parameters.
 *
 * Loops over hidden units run over whole lanes on rows padded with zeros, and no sum depends on the width of the
 * compiler's vectors. */
#include "update.h"

#include <stddef.h>
#include <string.h>

#include "chunk.h"
#include "optimize.h"

/* The same operations in the same order on wider vectors, where the processor has them: results do not differ. Not with Clang: its
 * version 14 makes clones that no other file finds. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && defined(__has_attribute) && \
    __has_attribute(target_clones)
#define WIDE_TOO __attribute__((target_clones("avx2", "default")))
#else
#define WIDE_TOO
#endif

int32_t update_width(int32_t hidden)
{
    return (hidden + UPDATE_LANES - 1) / UPDATE_LANES * UPDATE_LANES;
}

int64_t update_work_floats(int32_t inputs, int32_t hidden, int32_t outputs)
{
    const int32_t width = update_width(hidden);
    return 3 * rows_floats(inputs, width, outputs) + 2 * (int64_t)CHUNK * chunk_stride(inputs) +
           (int64_t)(LANES_TILE + CHUNK) * width + update_width(inputs) + update_width(outputs);
}

WIDE_TOO double update_once(const update_shape_t *shape, const update_tensors_t *tensors, const update_memory_t *memory,
                            const int64_t *index, int64_t batch, int64_t later, const update_loss_t *loss,
                            const update_optimizer_t *optimizer)
{
    const int32_t inputs = shape->inputs, hidden = shape->hidden, outputs = shape->outputs, width = shape->width;
    const int64_t floats = rows_floats(inputs, width, outputs);
    const rows_t network = rows_at(shape, 0), target = rows_at(shape, 1), gradient = rows_at(shape, 2);
    float *ordered = target.hidden_weight; /* the target is no longer needed by then */
    chunk_t chunk = chunk_at(shape);
    fetch(shape, memory, index, 0, batch, loss->n_steps);
    lay_out(shape, tensors->parameter, &network);
    lay_out(shape, tensors->target, &target);
    memset(gradient.hidden_weight, 0, (size_t)floats * sizeof(float));
    double total = 0.0;
    for (int64_t first = 0; first < batch; first += CHUNK) {
        chunk.count = batch - first < CHUNK ? (int32_t)(batch - first) : CHUNK;
        gather(shape, tensors->gain, memory, index, first, loss, &chunk);
        fetch(shape, memory, index, first + chunk.count, batch + later, loss->n_steps);
        bootstrap(shape, &target, &chunk);
        total = learn_from(shape, &network, &gradient, &chunk, batch, loss->is_mse, total);
    }
    if (shape->symmetry == UPDATE_ODD)
        make_odd(shape, &gradient);
    clip(gradient.hidden_weight, floats, loss->max_grad_norm);
    for (int32_t i = 0; i < inputs; i++)
        for (int32_t j = 0; j < hidden; j++)
            ordered[j * inputs + i] = gradient.hidden_weight[i * width + j];
    move(tensors, HIDDEN_WEIGHT, ordered, hidden * inputs, optimizer);
    move(tensors, HIDDEN_BIAS, gradient.hidden_bias, hidden, optimizer);
    for (int32_t o = 0; o < outputs; o++)
        memcpy(&ordered[o * hidden], &gradient.output_weight[o * width], (size_t)hidden * sizeof(float));
    move(tensors, OUTPUT_WEIGHT, ordered, outputs * hidden, optimizer);
    move(tensors, OUTPUT_BIAS, gradient.output_bias, outputs, optimizer);
    memset(target.hidden_weight, 0, (size_t)floats * sizeof(float)); /* its rows end in zeros again */
    return total / (double)batch;
}

static int32_t tensor_size(const update_shape_t *shape, int tensor)
{
    switch (tensor) {
    case HIDDEN_WEIGHT:
        return shape->hidden * shape->inputs;
    case HIDDEN_BIAS:
        return shape->hidden;
    case OUTPUT_WEIGHT:
        return shape->outputs * shape->hidden;
    default:
        return shape->outputs;
    }
}

void update_follow(const update_shape_t *shape, const update_tensors_t *tensors, double tau)
{
    const float share = (float)tau, rest = (float)(1.0 - tau);
    for (int tensor = 0; tensor < UPDATE_TENSORS; tensor++) {
        const float *restrict from = tensors->parameter[tensor];
        float *restrict to = tensors->target[tensor];
        const int32_t count = tensor_size(shape, tensor);
        for (int32_t k = 0; k < count; k++)
            to[k] = to[k] * rest + from[k] * share;
    }
}

int32_t update_greedy(const update_shape_t *shape, const update_tensors_t *tensors, const float *observation)
{
    const int32_t inputs = shape->inputs, hidden = shape->hidden, outputs = shape->outputs;
    float *input = chunk_at(shape).back + CHUNK * shape->width, *value = input + update_width(inputs);
    scale(shape, tensors->gain, observation, input);
    memcpy(value, tensors->parameter[OUTPUT_BIAS], (size_t)outputs * sizeof(float));
    for (int32_t j = 0; j < hidden; j++) {
        const float *row = &tensors->parameter[HIDDEN_WEIGHT][j * inputs];
        float unit = tensors->parameter[HIDDEN_BIAS][j];
        for (int32_t i = 0; i < inputs; i++)
            unit += row[i] * input[i];
        if (unit > 0.0f)
            for (int32_t o = 0; o < outputs; o++)
                value[o] += unit * tensors->parameter[OUTPUT_WEIGHT][o * hidden + j];
    }
    int32_t best = 0;
    for (int32_t o = 1; o < outputs; o++)
        if (value[o] > value[best])
            best = o;
    return best;
}
