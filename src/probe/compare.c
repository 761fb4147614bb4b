/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two scans of one machine. Chips are paired by their key; what is left then, and has the same ids at the same address, is paired too
 * where one of both scans could not tell a name: a tool that hangs must not look like eight chips going and eight coming.
 */
#include <string.h>

#include "probe/parts.h"

struct pairs {
    uint8_t after[PROBE_CHIPS_MAX];  /* of a chip before: 1 + its place after; 0: gone */
    uint8_t before[PROBE_CHIPS_MAX]; /* the reverse */
    char key[2][PROBE_CHIPS_MAX][PROBE_KEY_CAP];
};

static bool same_place(const struct probe_chip *a, const struct probe_chip *b)
{
    bool placed = a->pci[0] && strcmp(a->pci, b->pci) == 0;
    bool numbered =
        !a->pci[0] && !b->pci[0] && a->index == b->index; /* or neither has a number: one is like the other */
    /* A uuid on both sides that differs is another chip. So is a serial, unless a uuid has it. */
    bool uuids = a->uuid[0] && b->uuid[0], serials = a->serial[0] && b->serial[0];
    bool other = uuids ? strcmp(a->uuid, b->uuid) != 0 : serials && strcmp(a->serial, b->serial) != 0;
    return (placed || numbered) && strcmp(a->vendor, b->vendor) == 0 && strcmp(a->id, b->id) == 0 && !other;
}

static bool same_key(const struct pairs *p, uint32_t i, uint32_t k)
{
    return p->key[0][i][0] && strcmp(p->key[0][i], p->key[1][k]) == 0;
}

static void pair(struct pairs *p, const struct probe_scan *before, const struct probe_scan *after,
                 bool by_key)
{
    for (uint32_t i = 0; i < before->n; i++) {
        for (uint32_t k = 0; k < after->n && !p->after[i]; k++) {
            if (!p->before[k] &&
                (by_key ? same_key(p, i, k) : same_place(&before->chip[i], &after->chip[k]))) {
                p->after[i] = (uint8_t)(k + 1);
                p->before[k] = (uint8_t)(i + 1);
            }
        }
    }
}

static void pair_all(struct pairs *p, const struct probe_scan *before, const struct probe_scan *after)
{
    memset(p->after, 0, sizeof p->after);
    memset(p->before, 0, sizeof p->before);
    for (uint32_t i = 0; i < before->n; i++)
        (void)probe_key(&before->chip[i], p->key[0][i]);
    for (uint32_t i = 0; i < after->n; i++)
        (void)probe_key(&after->chip[i], p->key[1][i]);
    pair(p, before, after, true);
    pair(p, before, after, false);
}

static unsigned differs(const struct probe_chip *a, const struct probe_chip *b)
{
    const struct {
        const char *a, *b;
        unsigned bit;
    } texts[] = {{a->pci, b->pci, PROBE_DIFF_PLACE},
                 {a->node, b->node, PROBE_DIFF_PLACE},
                 {a->card, b->card, PROBE_DIFF_PLACE},
                 {a->serial, b->serial, PROBE_DIFF_NAME},
                 {a->uuid, b->uuid, PROBE_DIFF_NAME},
                 {a->id, b->id, PROBE_DIFF_KIND},
                 {a->kind, b->kind, PROBE_DIFF_KIND},
                 {a->model, b->model, PROBE_DIFF_KIND},
                 {a->module, b->module, PROBE_DIFF_DRIVER},
                 {a->driver, b->driver, PROBE_DIFF_DRIVER},
                 {a->health_text, b->health_text, PROBE_DIFF_HEALTH}};
    unsigned bits = a->health != b->health ? PROBE_DIFF_HEALTH : 0;
    bits |= a->index != b->index ? PROBE_DIFF_PLACE : 0;
    bits |= a->memory_mib != b->memory_mib ? PROBE_DIFF_KIND : 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        bits |= strcmp(texts[i].a, texts[i].b) != 0 ? texts[i].bit : 0;
    return bits;
}

uint32_t probe_compare(const struct probe_scan *before, const struct probe_scan *after,
                       struct probe_change *out)
{
    struct pairs p;
    uint32_t n = 0;
    pair_all(&p, before, after);
    for (uint32_t i = 0; i < before->n; i++) {
        if (!p.after[i])
            out[n++] = (struct probe_change){.kind = PROBE_WENT, .before = &before->chip[i]};
    }
    for (uint32_t i = 0; i < before->n; i++) {
        const struct probe_chip *a = &before->chip[i], *b = p.after[i] ? &after->chip[p.after[i] - 1] : NULL;
        unsigned fields = b ? differs(a, b) : 0;
        if (fields)
            out[n++] =
                (struct probe_change){.kind = PROBE_CHANGED, .fields = fields, .before = a, .after = b};
    }
    for (uint32_t k = 0; k < after->n; k++) {
        if (!p.before[k])
            out[n++] = (struct probe_change){.kind = PROBE_CAME, .after = &after->chip[k]};
    }
    return n;
}
