/* SPDX-License-Identifier: Apache-2.0 */
#include "tlog/proof.h"

#include <assert.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"

struct maker {
    merkle_hash_fn *hash;
    proof_read_fn *read;
    void *ctx;
    struct proof *out;
    int rc;
};

/* The greatest power of two below n, n >= 2. */
static uint64_t split(uint64_t n)
{
    uint64_t k = 1;
    while (k < n - k)
        k *= 2;
    return k;
}

/* Adds the root of the leaves from lo to hi. lo is a multiple of the least power of two that is not below their number. */
static void add_range(struct maker *m, uint64_t lo, uint64_t hi)
{
    struct merkle_edge edge = {.size = hi - lo};
    uint64_t at = lo;
    for (unsigned level = MERKLE_LEVELS; level-- > 0 && m->rc == 0;) {
        if (!(edge.size >> level & 1))
            continue;
        m->rc = m->read(m->ctx, level, at >> level, &edge.subtree[level]);
        at += UINT64_C(1) << level;
    }
    assert(m->out->n < MERKLE_LEVELS + 1);
    if (m->rc == 0)
        merkle_edge_root(m->hash, &edge, &m->out->hash[m->out->n++]);
}

/* They were found from the root down; the RFC has them from below. */
static int reverse(struct maker *m)
{
    struct proof *p = m->out;
    for (unsigned i = 0; i < p->n / 2; i++) {
        struct merkle_hash other = p->hash[i];
        p->hash[i] = p->hash[p->n - 1 - i];
        p->hash[p->n - 1 - i] = other;
    }
    return m->rc;
}

int proof_inclusion(merkle_hash_fn *hash, proof_read_fn *read, void *ctx, uint64_t index, uint64_t size,
                    struct proof *out)
{
    struct maker m = {hash, read, ctx, out, 0};
    uint64_t lo = 0, hi = size;
    out->n = 0;
    if (index >= size || size > MERKLE_SIZE_MAX)
        return ERR_INVALID;
    while (m.rc == 0 && hi - lo > 1) {
        uint64_t middle = lo + split(hi - lo);
        if (index < middle) {
            add_range(&m, middle, hi);
            hi = middle;
        } else {
            add_range(&m, lo, middle);
            lo = middle;
        }
    }
    return reverse(&m);
}

int proof_consistency(merkle_hash_fn *hash, proof_read_fn *read, void *ctx, uint64_t old, uint64_t size,
                      struct proof *out)
{
    struct maker m = {hash, read, ctx, out, 0};
    uint64_t lo = 0, hi = size;
    out->n = 0;
    if (old > size || size > MERKLE_SIZE_MAX)
        return ERR_INVALID;
    if (old == 0 || old == size)
        return 0;
    while (m.rc == 0 && hi != old) {
        uint64_t middle = lo + split(hi - lo);
        if (old <= middle) {
            add_range(&m, middle, hi);
            hi = middle;
        } else {
            add_range(&m, lo, middle);
            lo = middle;
        }
    }
    if (m.rc == 0 && lo > 0) /* else it is the old root, which the reader has */
        add_range(&m, lo, hi);
    return reverse(&m);
}

size_t proof_text(char dst[PROOF_TEXT_CAP], const struct proof *proof)
{
    size_t at = 0;
    assert(proof->n <= MERKLE_LEVELS + 1);
    for (unsigned i = 0; i < proof->n; i++) {
        base64_encode(dst + at, proof->hash[i].b, MERKLE_HASH_LEN);
        at += BASE64_LEN(MERKLE_HASH_LEN);
        dst[at++] = '\n';
    }
    dst[at++] = '\n';
    dst[at] = 0;
    return at;
}

bool proof_parse(struct proof *out, const char *text, size_t len, size_t *at)
{
    out->n = 0;
    for (;;) {
        const char *line = text + *at, *end = memchr(line, '\n', len - *at);
        size_t n;
        if (!end)
            return false;
        *at += (size_t)(end - line) + 1;
        if (end == line)
            return true;
        if (out->n == MERKLE_LEVELS + 1 ||
            !base64_decode(out->hash[out->n].b, MERKLE_HASH_LEN, &n, line, (size_t)(end - line)) ||
            n != MERKLE_HASH_LEN)
            return false;
        out->n++;
    }
}

bool proof_inclusion_holds(merkle_hash_fn *hash, const struct proof *proof, uint64_t index, uint64_t size,
                           const struct merkle_hash *leaf, const struct merkle_hash *root)
{
    if (index >= size || size > MERKLE_SIZE_MAX)
        return false;
    uint64_t fn = index, sn = size - 1;
    struct merkle_hash r = *leaf;
    for (unsigned i = 0; i < proof->n; i++) {
        if (sn == 0)
            return false;
        if ((fn & 1) || fn == sn) {
            merkle_node(hash, &r, &proof->hash[i], &r);
            for (; !(fn & 1) && fn != 0; fn >>= 1)
                sn >>= 1;
        } else {
            merkle_node(hash, &r, &r, &proof->hash[i]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(r.b, root->b, sizeof r.b) == 0;
}

bool proof_consistency_holds(merkle_hash_fn *hash, const struct proof *proof, uint64_t old, uint64_t size,
                             const struct merkle_hash *old_root, const struct merkle_hash *root)
{
    if (old > size || size > MERKLE_SIZE_MAX)
        return false;
    if (old == size)
        return proof->n == 0 && memcmp(old_root->b, root->b, sizeof root->b) == 0;
    struct merkle_hash empty;
    merkle_empty(hash, &empty);
    if (old == 0)
        return proof->n == 0 && memcmp(old_root->b, empty.b, sizeof empty.b) == 0;
    /* An old tree that is perfect is itself the first hash; then the proof leaves it out. */
    bool perfect = (old & (old - 1)) == 0;
    unsigned i = 0;
    if (!perfect && proof->n == 0)
        return false;
    struct merkle_hash fr = perfect ? *old_root : proof->hash[i++], sr = fr;
    uint64_t fn = old - 1, sn = size - 1;
    for (; fn & 1; fn >>= 1)
        sn >>= 1;
    for (; i < proof->n; i++) {
        if (sn == 0)
            return false;
        if ((fn & 1) || fn == sn) {
            merkle_node(hash, &fr, &proof->hash[i], &fr);
            merkle_node(hash, &sr, &proof->hash[i], &sr);
            for (; !(fn & 1) && fn != 0; fn >>= 1)
                sn >>= 1;
        } else {
            merkle_node(hash, &sr, &sr, &proof->hash[i]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(fr.b, old_root->b, sizeof fr.b) == 0 && memcmp(sr.b, root->b, sizeof sr.b) == 0;
}
