/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The training text as tokens, and the rows that a step trains on.
 *
 * Documents are separated by an empty line in the text, and become <s> document </s>. The end token is a thing to
 * predict like any other: that is how the model learns to stop. A row starts at the start of a random document, as
 * the server's prompts do, and runs on through the documents after it until it is full.
 *
 * `hash` names the tokens, so that a checkpoint can refuse to continue on other data.
 */
#ifndef TRAIN_DATASET_H
#define TRAIN_DATASET_H

#include "bpe.h"
#include "rng.h"

struct dataset {
    uint32_t *tokens;
    size_t token_count;
    size_t *starts;
    size_t start_count;
    uint64_t hash;
};

/* Encodes `text`. Returns 0, -ENOMEM, or -EINVAL when it holds fewer than `row_tokens` + 1 tokens. */
int dataset_init(struct dataset *data, const struct bpe *bpe, const struct text *text, uint32_t row_tokens);

/* Fills `rows` rows of `row_tokens` inputs, and for each input the token that comes next. */
void dataset_batch(const struct dataset *data, struct rng *rng, uint32_t rows, uint32_t row_tokens,
                   uint32_t *inputs, uint32_t *targets);

void dataset_fini(struct dataset *data);

#endif
