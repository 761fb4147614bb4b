/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AdamW: Adam with decoupled weight decay, after the gradient is clipped to a length of 1.
 *
 * Decay pulls at matrices only; the gains of the norms are left alone. The two moments are all its state, beside the
 * step number that the caller counts; a checkpoint holds both.
 */
#ifndef TRAIN_ADAMW_H
#define TRAIN_ADAMW_H

#include "model.h"

struct adamw {
    float *mean;   /* running mean of the gradient */
    float *square; /* running mean of its square */
};

int adamw_init(struct adamw *adamw, size_t param_count);
void adamw_fini(struct adamw *adamw);

/* Updates the model's parameters from its gradients. `step` counts from 1. */
void adamw_step(struct adamw *adamw, struct model *model, uint64_t step, float learning_rate);

#endif
