/* The arithmetic of Stable-Baselines3's DQN.train and of PyTorch's clip_grad_norm_, AdamW and Adagrad, in float32:
 * one pass per step computes its target, both forward passes and its share of the gradient; then one pass updates the
 * parameters.
 *
 * Loops over hidden units run over whole lanes on rows padded with zeros, and no sum depends on the width of the
 * compiler's vectors. */
#include "update.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "lanes.h"

/* The same operations in the same order on wider vectors, where the processor has them: results do not differ. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__has_attribute) && __has_attribute(target_clones)
#define WIDE_TOO __attribute__((target_clones("avx2", "default")))
#else
#define WIDE_TOO
#endif

enum { HIDDEN_WEIGHT, HIDDEN_BIAS, OUTPUT_WEIGHT, OUTPUT_BIAS };

enum { CHUNK = 32 }; /* steps of a batch; whole tiles */
enum { NEAR = 2 };   /* the second level of cache: the first is full of weights */

/* A network or its gradient, with a row of `width` floats per input and per output. */
typedef struct {
    float *hidden_weight; /* inputs rows: the transpose of PyTorch's */
    float *hidden_bias;
    float *output_weight;
    float *output_bias;
} rows_t;

int32_t update_width(int32_t hidden)
{
    return (hidden + UPDATE_LANES - 1) / UPDATE_LANES * UPDATE_LANES;
}

static int64_t rows_floats(int32_t inputs, int32_t width, int32_t outputs)
{
    return (int64_t)width * (inputs + 1 + outputs) + update_width(outputs);
}

/* A row of inputs, the 1 for the bias after it. */
static int32_t chunk_stride(int32_t inputs)
{
    return inputs + 1;
}

int64_t update_work_floats(int32_t inputs, int32_t hidden, int32_t outputs)
{
    const int32_t width = update_width(hidden);
    return 3 * rows_floats(inputs, width, outputs) + 2 * (int64_t)CHUNK * chunk_stride(inputs) +
           (int64_t)(LANES_TILE + CHUNK) * width + update_width(inputs) + update_width(outputs);
}

static rows_t rows_at(const update_shape_t *shape, int64_t number)
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

IN_CLONES void adamw(float *restrict parameter, const float *restrict gradient, float *restrict mean,
                  float *restrict square, int32_t count, double updates, const update_optimizer_t *rule)
{
    const float keep = (float)(1.0 - rule->learning_rate * rule->weight_decay);
    const float one_less_beta1 = (float)(1.0 - rule->beta1), beta2 = (float)rule->beta2;
    const float one_less_beta2 = (float)(1.0 - rule->beta2), epsilon = (float)rule->epsilon;
    const float size = (float)(rule->learning_rate / (1.0 - pow(rule->beta1, updates)));
    const float correction = (float)sqrt(1.0 - pow(rule->beta2, updates));
    for (int32_t k = 0; k < count; k++) {
        mean[k] += one_less_beta1 * (gradient[k] - mean[k]);
        square[k] = square[k] * beta2 + one_less_beta2 * gradient[k] * gradient[k];
        parameter[k] = parameter[k] * keep - size * (mean[k] / (sqrtf(square[k]) / correction + epsilon));
    }
}

IN_CLONES void adagrad(float *restrict parameter, const float *restrict gradient, float *restrict sum, int32_t count,
                    double updates, const update_optimizer_t *rule)
{
    const float size = (float)(rule->learning_rate / (1.0 + (updates - 1.0) * rule->beta1));
    const float decay = (float)rule->weight_decay, epsilon = (float)rule->epsilon;
    for (int32_t k = 0; k < count; k++) {
        const float slope = gradient[k] + decay * parameter[k];
        sum[k] += slope * slope;
        parameter[k] -= size * (slope / (sqrtf(sum[k]) + epsilon));
    }
}

/* Update one parameter tensor; `gradient` has the tensor's own layout. */
IN_CLONES void move(const update_tensors_t *tensors, int tensor, const float *gradient, int32_t count,
                 const update_optimizer_t *rule)
{
    const float updates = *tensors->step[tensor] += 1.0f;
    if (rule->is_adagrad)
        adagrad(tensors->parameter[tensor], gradient, tensors->second[tensor], count, (double)updates, rule);
    else
        adamw(tensors->parameter[tensor], gradient, tensors->first[tensor], tensors->second[tensor], count,
              (double)updates, rule);
}

/* Clip the gradient (whole lanes) by its norm as clip_grad_norm_ does, with the norm in double. */
IN_CLONES void clip(float *gradient, int64_t count, double most)
{
    double lanes[UPDATE_LANES] = {0.0};
    for (int64_t k = 0; k < count; k += UPDATE_LANES)
        for (int lane = 0; lane < UPDATE_LANES; lane++)
            lanes[lane] += (double)gradient[k + lane] * (double)gradient[k + lane];
    double sum = 0.0;
    for (int k = 0; k < UPDATE_LANES; k++)
        sum += lanes[k];
    const double factor = most / (sqrt(sum) + 1e-6);
    if (factor >= 1.0)
        return;
    for (int64_t k = 0; k < count; k++)
        gradient[k] *= (float)factor; /* also for NaN: an invalid gradient must stay visible */
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
