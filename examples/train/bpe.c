/* SPDX-License-Identifier: Apache-2.0 */
#include "bpe.h"

#include "corpus.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPACE_MARK "\xe2\x96\x81" /* U+2581 */
#define SPACE_MARK_LEN 3
#define WORD_SYMBOLS_MAX 64
#define MERGE_COUNT_MIN 8
#define SAMPLE_BYTES_MAX ((size_t)4 << 20)

/* A word of the training text: its pieces so far, and how often it occurs. */
struct word {
    uint32_t symbols[WORD_SYMBOLS_MAX];
    uint32_t len;
    uint32_t count;
    uint64_t hash;
};

struct word_table {
    struct word *words;
    uint32_t *slots; /* word index + 1; 0 is empty */
    uint32_t count;
    uint32_t cap; /* of words; slots has twice as many, a power of two */
};

static const char *const control_text[BPE_BYTE_FIRST] = {
    [BPE_UNKNOWN] = "<unk>",           [BPE_BEGIN] = "<s>",           [BPE_END] = CORPUS_MARK_END,
    [BPE_SYSTEM] = CORPUS_MARK_SYSTEM, [BPE_USER] = CORPUS_MARK_USER, [BPE_ASSISTANT] = CORPUS_MARK_ASSISTANT,
};

static uint64_t hash_bytes(const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h ^ (h >> 32);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

/* Bytes in the UTF-8 character that starts with `c`; a stray byte counts as one. */
static size_t char_len(const char *p, const char *end)
{
    unsigned char c = (unsigned char)*p;
    size_t want = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    return want <= (size_t)(end - p) ? want : 1;
}

static void token_add(struct bpe *bpe, const char *text, size_t len, enum bpe_kind kind)
{
    struct bpe_token *token = &bpe->tokens[bpe->count];
    uint64_t slot = hash_bytes(text, len) % BPE_INDEX_SLOTS;

    assert(bpe->count < BPE_TOKENS_MAX && len <= BPE_TOKEN_BYTES_MAX);
    memcpy(token->text, text, len);
    token->text[len] = '\0';
    token->len = (uint32_t)len;
    token->kind = kind;
    bpe->count++;
    if (kind != BPE_KIND_NORMAL)
        return;
    while (bpe->index[slot] != 0)
        slot = (slot + 1) % BPE_INDEX_SLOTS;
    bpe->index[slot] = (uint16_t)bpe->count;
}

/* The normal token with this text, or BPE_UNKNOWN. */
static uint32_t token_find(const struct bpe *bpe, const char *text, size_t len)
{
    uint64_t slot = hash_bytes(text, len) % BPE_INDEX_SLOTS;

    for (; bpe->index[slot] != 0; slot = (slot + 1) % BPE_INDEX_SLOTS) {
        const struct bpe_token *token = &bpe->tokens[bpe->index[slot] - 1];

        if (token->len == len && memcmp(token->text, text, len) == 0)
            return bpe->index[slot] - 1u;
    }
    return BPE_UNKNOWN;
}

static uint32_t token_find_joined(const struct bpe *bpe, uint32_t left, uint32_t right)
{
    const struct bpe_token *a = &bpe->tokens[left];
    const struct bpe_token *b = &bpe->tokens[right];
    char text[2 * BPE_TOKEN_BYTES_MAX];

    if (a->kind != BPE_KIND_NORMAL || b->kind != BPE_KIND_NORMAL || a->len + b->len > BPE_TOKEN_BYTES_MAX)
        return BPE_UNKNOWN;
    memcpy(text, a->text, a->len);
    memcpy(text + a->len, b->text, b->len);
    return token_find(bpe, text, a->len + b->len);
}

static void tokens_add_fixed(struct bpe *bpe)
{
    char name[8];

    for (uint32_t i = 0; i < BPE_BYTE_FIRST; i++)
        token_add(bpe, control_text[i], strlen(control_text[i]),
                  i == BPE_UNKNOWN ? BPE_KIND_UNKNOWN : BPE_KIND_CONTROL);
    for (uint32_t i = 0; i < 256; i++) {
        (void)snprintf(name, sizeof(name), "<0x%02X>", i);
        token_add(bpe, name, strlen(name), BPE_KIND_BYTE);
    }
    token_add(bpe, SPACE_MARK, SPACE_MARK_LEN, BPE_KIND_NORMAL);
}

/* Every printable ASCII character that the text has becomes a token; others are spelled in bytes. */
static void tokens_add_chars(struct bpe *bpe, const char *text, size_t len)
{
    bool seen[128] = {false};

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 128)
            seen[(unsigned char)text[i]] = true;
    for (unsigned char c = 33; c < 127; c++) {
        char byte = (char)c;

        if (seen[c])
            token_add(bpe, &byte, 1, BPE_KIND_NORMAL);
    }
}

/* Splits [p, end), one word with its leading space, into characters. Returns the count, at most WORD_SYMBOLS_MAX. */
static uint32_t word_split(const struct bpe *bpe, const char *p, const char *end, uint32_t *symbols,
                           const char **rest)
{
    uint32_t n = 0;

    while (p < end && n + 4 <= WORD_SYMBOLS_MAX) {
        size_t len = char_len(p, end);
        uint32_t id = *p == ' ' ? token_find(bpe, SPACE_MARK, SPACE_MARK_LEN) : token_find(bpe, p, len);

        if (id != BPE_UNKNOWN)
            symbols[n++] = id;
        else
            for (size_t i = 0; i < len; i++)
                symbols[n++] = BPE_BYTE_FIRST + (unsigned char)p[i];
        p += len;
    }
    *rest = p;
    return n;
}

/* The end of the word at `p`: the next space that is not its first byte. */
static const char *word_end(const char *p, const char *end)
{
    const char *space = p + 1 < end ? memchr(p + 1, ' ', (size_t)(end - p - 1)) : NULL;

    return space != NULL ? space : end;
}

static void word_count(struct word_table *table, const uint32_t *symbols, uint32_t len)
{
    uint64_t hash = hash_bytes(symbols, len * sizeof(*symbols));
    uint32_t mask = 2 * table->cap - 1;
    uint32_t slot = (uint32_t)hash & mask;

    for (; table->slots[slot] != 0; slot = (slot + 1) & mask) {
        struct word *word = &table->words[table->slots[slot] - 1];

        if (word->hash == hash && word->len == len) {
            word->count++;
            return;
        }
    }
    if (table->count == table->cap)
        return; /* rare words beyond the cap teach nothing about merges */
    table->words[table->count] = (struct word){.len = len, .count = 1, .hash = hash};
    memcpy(table->words[table->count].symbols, symbols, len * sizeof(*symbols));
    table->slots[slot] = ++table->count;
}

static void words_count(const struct bpe *bpe, struct word_table *table, const char *p, const char *end)
{
    uint32_t symbols[WORD_SYMBOLS_MAX];

    while (p < end) {
        const char *stop = word_end(p, end);
        const char *line = memchr(p, '\n', (size_t)(stop - p));

        if (line != NULL)
            stop = line > p ? line : p + 1;
        while (p < stop) {
            uint32_t n = word_split(bpe, p, stop, symbols, &p);

            word_count(table, symbols, n);
        }
    }
}

/* Letters join letters and other characters join others; a space mark joins what follows it. */
static bool may_join(const struct bpe *bpe, uint32_t left, uint32_t right)
{
    const struct bpe_token *a = &bpe->tokens[left];
    const struct bpe_token *b = &bpe->tokens[right];

    if (a->kind != BPE_KIND_NORMAL || b->kind != BPE_KIND_NORMAL || a->len + b->len > BPE_TOKEN_BYTES_MAX)
        return false;
    if (memcmp(b->text, SPACE_MARK, b->len < SPACE_MARK_LEN ? b->len : SPACE_MARK_LEN) == 0)
        return false;
    if (a->len == SPACE_MARK_LEN && memcmp(a->text, SPACE_MARK, SPACE_MARK_LEN) == 0)
        return true;
    return is_letter(a->text[a->len - 1]) == is_letter(b->text[0]);
}

/* Counts neighbours into `counts`, a square of `side` ids, and names the most frequent pair. Returns its count. */
static uint32_t best_pair(const struct bpe *bpe, const struct word_table *table, uint32_t *counts,
                          uint32_t side, uint32_t *left, uint32_t *right)
{
    uint32_t best = 0;

    memset(counts, 0, (size_t)side * side * sizeof(*counts));
    for (uint32_t w = 0; w < table->count; w++) {
        const struct word *word = &table->words[w];

        for (uint32_t i = 0; i + 1 < word->len; i++) {
            uint32_t a = word->symbols[i];
            uint32_t b = word->symbols[i + 1];
            uint32_t *count = NULL;

            if (!may_join(bpe, a, b))
                continue;
            count = &counts[(size_t)(a - BPE_CHAR_FIRST) * side + (b - BPE_CHAR_FIRST)];
            *count += word->count;
            if (*count > best) {
                best = *count;
                *left = a;
                *right = b;
            }
        }
    }
    return best;
}

static void words_join(struct word_table *table, uint32_t left, uint32_t right, uint32_t joined)
{
    for (uint32_t w = 0; w < table->count; w++) {
        struct word *word = &table->words[w];
        uint32_t n = 0;

        for (uint32_t i = 0; i < word->len; n++) {
            bool match = i + 1 < word->len && word->symbols[i] == left && word->symbols[i + 1] == right;

            word->symbols[n] = match ? joined : word->symbols[i];
            i += match ? 2 : 1;
        }
        word->len = n;
    }
}

int bpe_train(struct bpe *bpe, const char *text, size_t len, uint32_t tokens_max)
{
    struct word_table table = {.cap = 1u << 16};
    uint32_t side = tokens_max - BPE_CHAR_FIRST;
    uint32_t *counts = NULL;
    int rc = -ENOMEM;

    if (tokens_max < BPE_TOKENS_MIN || tokens_max > BPE_TOKENS_MAX)
        return -EINVAL;
    memset(bpe, 0, sizeof(*bpe));
    tokens_add_fixed(bpe);
    tokens_add_chars(bpe, text, len);

    table.words = calloc(table.cap, sizeof(*table.words));
    table.slots = calloc((size_t)2 * table.cap, sizeof(*table.slots));
    counts = calloc((size_t)side * side, sizeof(*counts));
    if (table.words == NULL || table.slots == NULL || counts == NULL)
        goto out;
    words_count(bpe, &table, text, text + (len < SAMPLE_BYTES_MAX ? len : SAMPLE_BYTES_MAX));
    while (bpe->count < tokens_max) {
        uint32_t a = 0;
        uint32_t b = 0;
        char joined[2 * BPE_TOKEN_BYTES_MAX];

        if (best_pair(bpe, &table, counts, side, &a, &b) < MERGE_COUNT_MIN)
            break;
        memcpy(joined, bpe->tokens[a].text, bpe->tokens[a].len);
        memcpy(joined + bpe->tokens[a].len, bpe->tokens[b].text, bpe->tokens[b].len);
        token_add(bpe, joined, bpe->tokens[a].len + bpe->tokens[b].len, BPE_KIND_NORMAL);
        words_join(&table, a, b, bpe->count - 1);
    }
    rc = 0;
out:
    free(table.words);
    free(table.slots);
    free(counts);
    return rc;
}

float bpe_score(const struct bpe *bpe, uint32_t id)
{
    return bpe->tokens[id].kind == BPE_KIND_NORMAL ? -(float)(id - BPE_CHAR_FIRST) : 0.0f;
}

/* Joins the best neighbours until none are left; a lower id is an earlier merge and a higher score. */
static uint32_t symbols_join(const struct bpe *bpe, uint32_t *symbols, uint32_t n)
{
    for (;;) {
        uint32_t best = BPE_TOKENS_MAX;
        uint32_t at = 0;

        for (uint32_t i = 0; i + 1 < n; i++) {
            uint32_t id = token_find_joined(bpe, symbols[i], symbols[i + 1]);

            if (id != BPE_UNKNOWN && id < best) {
                best = id;
                at = i;
            }
        }
        if (best == BPE_TOKENS_MAX)
            return n;
        symbols[at] = best;
        memmove(&symbols[at + 1], &symbols[at + 2], (n - at - 2) * sizeof(*symbols));
        n--;
    }
}

/* The control token that `p` starts with, or BPE_UNKNOWN. */
static uint32_t control_match(const char *p, const char *end)
{
    for (uint32_t id = BPE_BEGIN; id < BPE_BYTE_FIRST; id++) {
        size_t len = strlen(control_text[id]);

        if ((size_t)(end - p) >= len && memcmp(p, control_text[id], len) == 0)
            return id;
    }
    return BPE_UNKNOWN;
}

static const char *next_control(const char *p, const char *end)
{
    for (p++; p < end; p++)
        if (*p == '<' && control_match(p, end) != BPE_UNKNOWN)
            return p;
    return end;
}

int bpe_encode(const struct bpe *bpe, const char *text, size_t len, uint32_t *out, size_t cap, size_t *count)
{
    const char *p = text;
    const char *end = text + len;
    uint32_t symbols[WORD_SYMBOLS_MAX];

    *count = 0;
    while (p < end) {
        uint32_t n = 1;

        symbols[0] = *p == '<' ? control_match(p, end) : BPE_UNKNOWN;
        if (symbols[0] != BPE_UNKNOWN) {
            p += strlen(control_text[symbols[0]]);
        } else {
            const char *stop = word_end(p, end);

            n = word_split(bpe, p, next_control(p, stop), symbols, &p);
            n = symbols_join(bpe, symbols, n);
        }
        if (n > cap - *count)
            return -ENOSPC;
        memcpy(out + *count, symbols, n * sizeof(*symbols));
        *count += n;
    }
    return 0;
}

void bpe_decode(const struct bpe *bpe, const uint32_t *ids, size_t count, struct text *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct bpe_token *token = &bpe->tokens[ids[i]];
        char byte = (char)(ids[i] - BPE_BYTE_FIRST);

        if (token->kind == BPE_KIND_BYTE) {
            text_append(out, &byte, 1);
        } else if (token->kind == BPE_KIND_NORMAL && token->len >= SPACE_MARK_LEN &&
                   memcmp(token->text, SPACE_MARK, SPACE_MARK_LEN) == 0) {
            text_append(out, " ", 1);
            text_append(out, token->text + SPACE_MARK_LEN, token->len - SPACE_MARK_LEN);
        } else {
            text_append(out, token->text, token->len);
        }
    }
}
