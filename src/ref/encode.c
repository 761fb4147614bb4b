/* SPDX-License-Identifier: Apache-2.0 */
/* Text to tokens. */
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "ref/vocab.h"

#define NOBODY UINT32_MAX

/* A part of the text: at first a character, later what was joined. It is ordered by the score of itself with the next one. */
struct part {
    struct heap_node node;
    float score;
    uint32_t at, len;
    uint32_t before, after;
    bool waits; /* is on the heap */
};

static bool better(const struct heap_node *a, const struct heap_node *b)
{
    const struct part *x = heap_entry(a, struct part, node), *y = heap_entry(b, struct part, node);
    return x->score != y->score ? x->score > y->score : x->at < y->at;
}

struct joining {
    const struct vocab *vocab;
    const char *text;
    struct part *parts;
    struct heap heap;
};

/* Whether the part and the next one make a token, and how good it is. */
static void weigh(struct joining *j, uint32_t i)
{
    struct part *p = &j->parts[i];
    if (p->waits)
        heap_remove(&j->heap, &p->node);
    p->waits = false;
    if (p->after == NOBODY)
        return;
    uint32_t id = vocab_find(j->vocab, j->text + p->at, p->len + j->parts[p->after].len);
    if (id == VOCAB_NONE)
        return;
    p->score = j->vocab->tokens[id].score;
    p->waits = true;
    p->node = (struct heap_node){0};
    heap_push(&j->heap, &p->node);
}

static void join(struct joining *j, uint32_t i)
{
    struct part *p = &j->parts[i], *gone = &j->parts[p->after];
    if (gone->waits)
        heap_remove(&j->heap, &gone->node);
    gone->waits = false;
    p->len += gone->len;
    p->after = gone->after;
    if (p->after != NOBODY)
        j->parts[p->after].before = i;
    weigh(j, i);
    if (p->before != NOBODY)
        weigh(j, p->before);
}

static uint32_t character_len(const char *text, size_t left)
{
    static const uint8_t by_high[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
    uint32_t len = by_high[(uint8_t)text[0] >> 4];
    return len < left ? len : (uint32_t)left;
}

static void add_part(const struct vocab *v, const char *text, uint32_t len, struct tokens_list *list)
{
    uint32_t id = vocab_find(v, text, len);
    if (id != VOCAB_NONE) {
        tokens_list_add(list, id);
        return;
    }
    for (uint32_t i = 0; i < len; i++) {
        uint32_t byte = v->bytes[(uint8_t)text[i]];
        if (byte == VOCAB_NONE)
            byte = v->unknown;
        if (byte != VOCAB_NONE)
            tokens_list_add(list, byte);
    }
}

/* Plain text, its spaces written as the vocabulary has them. */
static void encode_plain(const struct vocab *v, const char *text, size_t len, struct tokens_list *list)
{
    struct joining j = {.vocab = v, .text = text};
    uint32_t n = 0;
    if (len == 0)
        return;
    j.parts = calloc(len, sizeof *j.parts);
    if (!j.parts) {
        list->failed = true;
        return;
    }
    for (size_t at = 0; at < len; n++) {
        uint32_t size = character_len(text + at, len - at);
        j.parts[n] =
            (struct part){.at = (uint32_t)at, .len = size, .before = n ? n - 1 : NOBODY, .after = n + 1};
        at += size;
    }
    j.parts[n - 1].after = NOBODY;
    heap_init(&j.heap, better);
    for (uint32_t i = 0; i < n; i++)
        weigh(&j, i);
    struct heap_node *best;
    while ((best = heap_pop(&j.heap)) != NULL) {
        struct part *p = heap_entry(best, struct part, node);
        p->waits = false;
        join(&j, (uint32_t)(p - j.parts));
    }
    for (uint32_t i = 0; i != NOBODY; i = j.parts[i].after)
        add_part(v, text + j.parts[i].at, j.parts[i].len, list);
    free(j.parts);
}

/* A run of text between special tokens. */
static void encode_run(const struct vocab *v, const char *text, size_t len, struct tokens_list *list)
{
    struct buf plain;
    if (len == 0)
        return;
    buf_init(&plain, 3 * (VOCAB_TEXT_MAX + 1));
    if (v->add_space)
        buf_add(&plain, "\xe2\x96\x81", 3);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ' ')
            buf_add(&plain, "\xe2\x96\x81", 3);
        else
            buf_add_char(&plain, text[i]);
    }
    if (plain.failed)
        list->failed = true;
    else
        encode_plain(v, plain.data, plain.len, list);
    buf_fini(&plain);
}

/* Writes into `owner` for each byte of the text which special token it is of, + 1; 0: of none. Of those the longest come first, and
 * one that overlaps what is taken is not there. */
static void mark_special(const struct vocab *v, const char *text, size_t len, bool control, uint32_t *owner)
{
    for (uint32_t i = 0; i < v->nspecial; i++) {
        const struct vocab_token *t = &v->tokens[v->special[i]];
        if (!control && t->type != VOCAB_OWN)
            continue;
        const char *at = text, *found;
        while ((found = memmem(at, len - (size_t)(at - text), t->text, t->len)) != NULL) {
            size_t from = (size_t)(found - text);
            uint32_t k = 0;
            while (k < t->len && owner[from + k] == 0)
                k++;
            for (uint32_t m = 0; k == t->len && m < t->len; m++)
                owner[from + m] = v->special[i] + 1;
            at = found + (k == t->len ? t->len : 1);
        }
    }
}

void vocab_encode(const struct vocab *v, const char *text, size_t len, bool begins, bool special,
                  struct tokens_list *list)
{
    uint32_t *owner = len <= VOCAB_TEXT_MAX ? calloc(len + 1, sizeof *owner) : NULL;
    if (!owner) {
        list->failed = true;
        return;
    }
    mark_special(v, text, len, special, owner);
    if (begins && v->add_begin && v->begin != VOCAB_NONE)
        tokens_list_add(list, v->begin);
    for (size_t i = 0; i < len;) {
        size_t run = 0;
        if (owner[i]) {
            tokens_list_add(list, owner[i] - 1);
            i += v->tokens[owner[i] - 1].len;
            continue;
        }
        while (i + run < len && owner[i + run] == 0)
            run++;
        encode_run(v, text + i, run, list);
        i += run;
    }
    if (begins && v->add_end && v->end != VOCAB_NONE)
        tokens_list_add(list, v->end);
    free(owner);
}
