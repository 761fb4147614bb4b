/* SPDX-License-Identifier: Apache-2.0 */
/* A model's file and a text of any bytes: it is refused with words, or the text becomes tokens and they become logits, each a number. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ref/model.h"

#define TEXT_MAX 4096u
#define CONTEXT 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void step(const struct model *m, const struct tokens_list *tokens)
{
    struct err err = {0};
    struct model_state *state;
    struct team *team = team_new(1, 0);
    float *logits = calloc(m->vocab.count, sizeof *logits);
    if (model_state_new(&state, m, team, 1, CONTEXT, &err) == 0) {
        struct model_row rows[CONTEXT];
        uint32_t n = 0;
        for (; n < CONTEXT && n < tokens->n; n++)
            rows[n] = (struct model_row){
                .token = tokens->at[n], .position = n, .logits = n + 1 < tokens->n ? NULL : logits};
        model_step(state, rows, n);
        for (uint32_t i = 0; i < m->vocab.count; i++)
            assert(logits[i] >= -1e30f && logits[i] <= 1e30f);
        model_state_free(state);
    }
    free(logits);
    team_free(team);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model *m;
    struct err err = {0};
    struct tokens_list tokens;
    size_t len = size > 0 ? data[0] : 0;
    if (size < 1 + len)
        return 0;
    const char *text = (const char *)data + 1;
    /* Its own block, aligned as a mapping is. */
    size_t file = size - 1 - len;
    uint8_t *copy = malloc(file ? file : 1);
    memcpy(copy, text + len, file);
    int rc = model_parse(&m, copy, file, &err);
    assert((rc == 0) == (m != NULL) && (rc == 0 || err.msg[0]));
    if (m) {
        tokens_list_init(&tokens, TEXT_MAX);
        vocab_encode(&m->vocab, text, len, true, true, &tokens);
        for (uint32_t i = 0; i < tokens.n; i++)
            assert(tokens.at[i] < m->vocab.count);
        if (tokens.n > 0 && (size_t)m->width * m->ffn * m->layers < 1 << 22)
            step(m, &tokens);
        tokens_list_fini(&tokens);
        model_free(m);
    }
    free(copy);
    return 0;
}
