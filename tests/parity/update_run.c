/* Updates random networks on a random replay memory; prints a hash of the resulting bits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "update.h"

enum { STEPS = 60, BATCH = 45, LATER = 20 }; /* a batch of more than one chunk, and no whole number of tiles */

static uint32_t noise = 1;

static float number(void)
{
    noise = noise * 1664525u + 1013904223u;
    return (float)(noise >> 8) / 8388608.0f - 1.0f;
}

static float *numbers(int count, float size)
{
    float *made = malloc((size_t)count * sizeof *made);
    for (int k = 0; k < count; k++)
        made[k] = number() * size;
    return made;
}

static void run(int inputs, int hidden, int outputs, bool is_mse, bool is_adagrad, int n_steps, update_symmetry_t symmetry)
{
    const int counts[UPDATE_TENSORS] = {hidden * inputs, hidden, outputs * hidden, outputs};
    update_tensors_t tensors;
    for (int k = 0; k < UPDATE_TENSORS; k++) {
        tensors.parameter[k] = numbers(counts[k], 1.0f);
        tensors.target[k] = numbers(counts[k], 1.0f);
        tensors.first[k] = numbers(counts[k], 0.0f);
        tensors.second[k] = numbers(counts[k], 0.0f);
        tensors.step[k] = numbers(1, 0.0f);
    }
    tensors.gain = numbers(inputs, 1.0f);
    float *done = numbers(STEPS, 1.0f), *timeout = numbers(STEPS, 1.0f);
    int64_t *action = malloc(STEPS * sizeof *action), *index = malloc((BATCH + LATER) * sizeof *index);
    for (int k = 0; k < STEPS; k++) {
        done[k] = done[k] > 0.6f;
        timeout[k] = timeout[k] > 0.5f ? done[k] : 0.0f;
        action[k] = (int64_t)((number() + 1.0f) * 1000.0f) % outputs;
    }
    const update_memory_t memory = {.observation = numbers(STEPS * inputs, 2.0f),
                                    .following = numbers(STEPS * inputs, 2.0f),
                                    .action = action,
                                    .reward = numbers(STEPS, 1.0f),
                                    .done = done,
                                    .timeout = timeout,
                                    .capacity = STEPS};
    const update_shape_t shape = {.inputs = inputs,
                                  .hidden = hidden,
                                  .outputs = outputs,
                                  .symmetry = symmetry,
                                  .width = update_width(hidden),
                                  .work = calloc((size_t)update_work_floats(inputs, hidden, outputs), sizeof(float))};
    const update_loss_t loss = {.newest = 17, .n_steps = n_steps, .gamma = 0.99f, .is_mse = is_mse, .max_grad_norm = 0.5};
    const update_optimizer_t rule = {.is_adagrad = is_adagrad,
                                     .learning_rate = 1e-2,
                                     .epsilon = 1e-6,
                                     .weight_decay = 0.1,
                                     .beta1 = is_adagrad ? 0.01 : 0.9,
                                     .beta2 = 0.999};
    double sum = 0.0;
    for (int update = 0; update < 20; update++) {
        for (int k = 0; k < BATCH + LATER; k++)
            index[k] = (int64_t)((number() + 1.0f) * 1000.0f) % STEPS;
        sum += update_once(&shape, &tensors, &memory, index, BATCH, LATER, &loss, &rule);
        update_follow(&shape, &tensors, 0.1);
        sum += update_greedy(&shape, &tensors, &memory.observation[update * inputs]);
    }
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    for (int k = 0; k < UPDATE_TENSORS; k++)
        for (int i = 0; i < counts[k]; i++) {
            uint32_t word;
            memcpy(&word, &tensors.parameter[k][i], sizeof word);
            bits = (bits ^ word) * 1099511628211u;
            memcpy(&word, &tensors.target[k][i], sizeof word);
            bits = (bits ^ word) * 1099511628211u;
        }
    printf("%d %d %d %d %d %d: %.9g %016llx\n", inputs, hidden, outputs, is_mse, is_adagrad, n_steps, sum,
           (unsigned long long)bits);
}

int main(void)
{
    static const int shapes[][3] = {{4, 100, 2}, {4, 1, 1}, {1, 16, 3}, {5, 33, 2}, {4, 17, 20}, {20, 3, 5}, {14, 100, 4}};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (int way = 0; way < 8; way++)
            run(shapes[k][0], shapes[k][1], shapes[k][2], way & 1, way & 2, way & 4 ? 70 : 1,
                way % 3 == 2 && shapes[k][1] % 2 != 0 ? UPDATE_PLAIN : (update_symmetry_t)(way % 3));
    return 0;
}
