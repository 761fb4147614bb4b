/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of a model file, as the planner of clusters wants it (core/cluster.h): what its layers, its last part and its table of tokens
 * weigh, and what a token's keys and values take. Read from the head of the GGUF file alone: a tensor is as large as the next one
 * is behind it. Weights are counted as layers by their names, `blk.N.`; where there is no `output.weight` the table of tokens is the
 * last part as well, and is held twice.
 */
#ifndef BUSBAR_ENGINE_SHAPE_H
#define BUSBAR_ENGINE_SHAPE_H

#include "base/err.h"
#include "core/cluster.h"

struct shape {
    struct cluster_model model;
    uint64_t ffn, vocab; /* of a layer without experts; 0: the file does not say */
};

/* ERR_NOT_FOUND, ERR_INVALID with words: no such file, or none that can be divided. */
int shape_of_file(struct shape *out, const char *path, struct err *err);

#endif
