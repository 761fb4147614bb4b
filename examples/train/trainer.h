/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A training run: the model, its optimizer, and where they are on their way.
 *
 * The learning rate warms up, then falls in a straight line to zero at the end of the run. The end is a number of
 * steps, which makes the run a pure function of its settings, or a number of seconds, which does not. A run may be
 * left at any step and continued from a checkpoint: with steps, the result is the same, byte for byte.
 */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "adamw.h"
#include "dataset.h"
#include "model.h"

struct trainer_config {
    struct model_config model;
    uint32_t rows;    /* of model.context tokens in a step */
    uint32_t seconds; /* 0 when `steps` ends the run */
    uint64_t steps;   /* 0 when `seconds` ends the run */
    uint64_t seed;
    uint64_t data_hash;   /* which tokens, from the dataset */
    double learning_rate; /* at its highest */
};

struct trainer {
    struct trainer_config config;
    struct model model;
    struct adamw adamw;
    struct pass *pass;
    uint32_t *inputs;
    uint32_t *targets;
    struct rng rng;
    uint64_t step;    /* steps done */
    double elapsed_s; /* spent in steps, over all starts of this run */
    double loss;      /* a running mean over about fifty steps */
};

/* Returns 0 or -ENOMEM; the caller calls trainer_fini either way. */
int trainer_init(struct trainer *trainer, const struct trainer_config *config);
void trainer_fini(struct trainer *trainer);

bool trainer_done(const struct trainer *trainer);

/* One batch forward, backward, and into the parameters. */
void trainer_step(struct trainer *trainer, const struct dataset *data);

/* Mean loss over `batches` batches of `data`, without learning. Does not disturb the run. */
double trainer_evaluate(struct trainer *trainer, const struct dataset *data, uint32_t batches);

#endif
