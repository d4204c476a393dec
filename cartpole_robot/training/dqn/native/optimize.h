/* PyTorch's clip_grad_norm_, AdamW and Adagrad. */
#ifndef OPTIMIZE_H
#define OPTIMIZE_H

#include <math.h>
#include <stdint.h>

#include "lanes.h"

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

#endif
