/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset.h"

#include "model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(BPE_BEGIN == MODEL_TOKEN_BEGIN, "the model must see where documents begin");

/* The end of the document at `p`: the next empty line, or the end of the text. */
static const char *document_end(const char *p, const char *end)
{
    while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        if (p + 1 == end || p[1] == '\n')
            return p;
        p++;
    }
    return end;
}

static uint64_t hash_tokens(const uint32_t *tokens, size_t count)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < count; i++)
        h = (h ^ tokens[i]) * UINT64_C(0x100000001b3);
    return h;
}

int dataset_init(struct dataset *data, const struct bpe *bpe, const struct text *text, uint32_t row_tokens)
{
    const char *p = text->data;
    const char *end = text->data + text->len;
    size_t cap =
        text->len + 2; /* a byte is at most one token, and the empty lines make room for <s> and </s> */

    *data = (struct dataset){0};
    data->tokens = malloc(cap * sizeof(*data->tokens));
    data->starts = malloc((text->len / 2 + 1) * sizeof(*data->starts));
    if (data->tokens == NULL || data->starts == NULL)
        return -ENOMEM;
    while (p < end) {
        const char *stop = document_end(p, end);
        size_t count = 0;

        if (*p == '\n') {
            p++;
            continue;
        }
        if (data->token_count + 1 > cap)
            return -ENOMEM;
        data->starts[data->start_count++] = data->token_count;
        data->tokens[data->token_count++] = BPE_BEGIN;
        if (bpe_encode(bpe, p, (size_t)(stop - p), data->tokens + data->token_count, cap - data->token_count,
                       &count) != 0)
            return -ENOMEM;
        data->token_count += count;
        if (data->token_count + 1 > cap)
            return -ENOMEM;
        data->tokens[data->token_count++] = BPE_END;
        p = stop;
    }
    if (data->token_count < (size_t)row_tokens + 1)
        return -EINVAL;
    data->hash = hash_tokens(data->tokens, data->token_count);
    /* a row must fit behind every start */
    while (data->starts[data->start_count - 1] + row_tokens + 1 > data->token_count)
        data->start_count--;
    return 0;
}

void dataset_batch(const struct dataset *data, struct rng *rng, uint32_t rows, uint32_t row_tokens,
                   uint32_t *inputs, uint32_t *targets)
{
    for (uint32_t row = 0; row < rows; row++) {
        size_t start = data->starts[rng_below(rng, (uint32_t)data->start_count)];
        size_t at = (size_t)row * row_tokens;

        memcpy(inputs + at, data->tokens + start, row_tokens * sizeof(*inputs));
        memcpy(targets + at, data->tokens + start + 1, row_tokens * sizeof(*targets));
    }
}

void dataset_fini(struct dataset *data)
{
    free(data->tokens);
    free(data->starts);
    *data = (struct dataset){0};
}
