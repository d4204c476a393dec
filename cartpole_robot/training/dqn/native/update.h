/* One update of a DQN with the network inputs -> hidden ReLU -> outputs, in place on the owner's tensors. */
#ifndef UPDATE_H
#define UPDATE_H

#include <stdbool.h>
#include <stdint.h>

#define UPDATE_TENSORS 4 /* hidden weight and bias, output weight and bias, shaped as PyTorch's Linear has them */

/* Sums over hidden units use this many lanes whatever the machine's vector width: bit-identical on every machine. */
#define UPDATE_LANES 16

typedef struct {
    float *parameter[UPDATE_TENSORS];
    float *target[UPDATE_TENSORS];
    float *first[UPDATE_TENSORS];  /* AdamW's mean of the gradient; unused by Adagrad */
    float *second[UPDATE_TENSORS]; /* AdamW's mean of its square, Adagrad's sum of them */
    float *step[UPDATE_TENSORS];   /* updates so far, one number per tensor, as PyTorch counts them */
    const float *gain;             /* of the inputs */
} update_tensors_t;

/* The replay memory, a ring of `capacity` steps. */
typedef struct {
    float *observation;
    float *following;
    int64_t *action;
    float *reward;
    float *done;    /* 1 for the last step of an episode */
    float *timeout; /* 1 if a time limit caused that end, not a fall */
    int64_t capacity;
} update_memory_t;

typedef struct {
    int64_t newest; /* the last stored step, which has no successor yet */
    int32_t n_steps;
    float gamma;
    bool is_mse; /* else Huber's */
    double max_grad_norm;
} update_loss_t;

typedef struct {
    bool is_adagrad; /* else AdamW */
    double learning_rate;
    double epsilon;
    double weight_decay;
    double beta1; /* Adagrad: the decay of the learning rate */
    double beta2;
} update_optimizer_t;

/* What the update knows of the mirror image of a step: inputs negated, the action at the table's other end. */
typedef enum {
    UPDATE_PLAIN = 0,    /* nothing */
    UPDATE_MIRRORED = 1, /* every second step of a batch is mirrored */
    UPDATE_ODD = 2,      /* the second half of the hidden units mirrors the first, and stays its mirror */
} update_symmetry_t;

typedef struct {
    int32_t inputs, hidden, outputs;
    update_symmetry_t symmetry;
    int32_t width; /* hidden units, rounded up to whole lanes */
    float *work;   /* `update_work_floats` of them */
} update_shape_t;

int32_t update_width(int32_t hidden);
int64_t update_work_floats(int32_t inputs, int32_t hidden, int32_t outputs);

/* Make one update; returns the loss before it. `index` is the batch: steps of the memory, 0 to capacity - 1. After the batch there are
 * `later` steps of the next, which are fetched early. */
double update_once(const update_shape_t *shape, const update_tensors_t *tensors, const update_memory_t *memory,
                   const int64_t *index, int64_t batch, int64_t later, const update_loss_t *loss,
                   const update_optimizer_t *optimizer);

/* Move the target network by the share `tau` towards the network. */
void update_follow(const update_shape_t *shape, const update_tensors_t *tensors, double tau);

/* The index of the largest value of the network, the first of equals. */
int32_t update_greedy(const update_shape_t *shape, const update_tensors_t *tensors, const float *observation);

#endif
