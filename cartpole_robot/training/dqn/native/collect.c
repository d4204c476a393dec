#include "collect.h"

#include <math.h>

int32_t collect_integer(const bit_generator_t *bits, int32_t count)
{
    const uint32_t most = (uint32_t)count;
    if (most < 2)
        return 0; /* draws nothing */
    uint64_t product = (uint64_t)bits->next_uint32(bits->state) * most;
    if ((uint32_t)product < most) {
        const uint32_t unfair = (UINT32_MAX - (most - 1)) % most;
        while ((uint32_t)product < unfair)
            product = (uint64_t)bits->next_uint32(bits->state) * most;
    }
    return (int32_t)(product >> 32);
}

/* `PrecisionReward.step`, for a step that ends no episode. */
static double reward_of(const collect_reward_t *reward, double duty, double *side, const float *observation)
{
    if (!reward->is_priced)
        return reward->constant;
    double cost = reward->duty * duty * duty;
    if (duty * *side < 0.0)
        cost += reward->reversal;
    if (duty != 0.0)
        *side = duty;
    const double position_m = (double)observation[0], angle_rad = (double)observation[2];
    cost += reward->position * position_m * position_m + reward->angle * angle_rad * angle_rad;
    return -reward->scale * cost / (1.0 + cost);
}

int32_t collect_steps(const collect_task_t *task, const update_shape_t *shape, const update_tensors_t *tensors,
                      const update_memory_t *memory, const collect_reward_t *reward, const collect_random_t *random,
                      const double *epsilon, int32_t steps, collect_state_t *state, int32_t *action)
{
    const size_t inputs = (size_t)shape->inputs, bytes = inputs * sizeof(float);
    for (int32_t step = 0; step < steps; step++) {
        const bool is_random = random->whether->next_double(random->whether->state) < epsilon[step];
        *action = is_random ? collect_integer(random->which, task->actions)
                            : update_greedy(shape, tensors, state->inputs);
        const double duty = task->requested[*action];
        double signals[HISTORY_SIGNALS];
        if (!task->api->take_ahead(task->cart, task->sent[*action], signals) ||
            fabs(signals[0]) > task->position_limit_m || fabs(signals[2]) > task->angle_limit_rad)
            return step;
        task->api->accept(task->cart);
        const size_t at = (size_t)state->at;
        memcpy(&memory->observation[at * inputs], state->inputs, bytes);
        history_remember(state->inputs, task->history_length, duty, signals);
        memcpy(&memory->following[at * inputs], state->inputs, bytes);
        memory->action[at] = *action;
        memory->reward[at] = (float)reward_of(reward, duty, &state->side, state->inputs);
        memory->done[at] = memory->timeout[at] = 0.0f;
        state->at = state->at + 1 == memory->capacity ? 0 : state->at + 1;
        state->stored += state->stored < memory->capacity;
        if (++state->calls % state->every == 0)
            update_follow(shape, tensors, state->tau);
    }
    *action = -1;
    return steps;
}
