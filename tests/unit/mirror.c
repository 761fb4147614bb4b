/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#define BUCKETS 4096u

static uint64_t hash_bytes(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

/* Bytes of the key fields, which come first and have no padding between them. */
static size_t key_bytes(const struct layout *layout)
{
    const struct field *last = &layout->fields[layout->nkeys - 1];
    return (size_t)last->offset + last->size;
}

void mirror_init(struct mirror *m)
{
    *m = (struct mirror){0};
}

void mirror_fini(struct mirror *m)
{
    for (int i = 0; i < ROW_KIND_END; i++) {
        for (uint32_t b = 0; m->bucket[i] && b < BUCKETS; b++) {
            for (struct mirror_row *r = m->bucket[i][b], *next; r; r = next) {
                next = r->next;
                free(r);
            }
        }
        free(m->bucket[i]);
    }
}

static struct mirror_row **find(const struct mirror *m, const struct layout *layout, const void *row)
{
    uint64_t hash = hash_bytes(row, key_bytes(layout));
    struct mirror_row **at = &m->bucket[layout->kind][hash % BUCKETS];
    while (*at && ((*at)->hash != hash || memcmp((*at)->data, row, key_bytes(layout)) != 0))
        at = &(*at)->next;
    return at;
}

const void *mirror_find(const struct mirror *m, enum row_kind kind, const void *row)
{
    struct mirror_row *found = m->bucket[kind] ? *find(m, layout_row(kind), row) : NULL;
    return found ? found->data : NULL;
}

/* Sums, all of them 64 bits wide, are what is not key. */
static void add_fields(const struct layout *layout, char *sum, const char *more)
{
    for (uint16_t i = layout->nkeys; i < layout->nfields; i++) {
        uint64_t a, b;
        memcpy(&a, sum + layout->fields[i].offset, sizeof a);
        memcpy(&b, more + layout->fields[i].offset, sizeof b);
        a += b;
        memcpy(sum + layout->fields[i].offset, &a, sizeof a);
    }
}

/* The row at `at` is now what it is: its share of the digest follows. */
static void weigh(struct mirror *m, const struct layout *layout, struct mirror_row *row)
{
    uint8_t bytes[LAYOUT_ENCODED_MAX];
    m->digest[layout->kind] -= row->content;
    row->content = hash_bytes(bytes, layout_encode(layout, row->data, bytes, sizeof bytes)) * layout->kind;
    m->digest[layout->kind] += row->content;
}

/* Takes what the row holds into the sum of its ledger, `sign` times. */
static void weigh_money(struct mirror *m, enum row_kind kind, const void *row, int sign)
{
    const struct row_account *a = kind == ROW_KIND_account ? row : NULL;
    const struct row_used *u = kind == ROW_KIND_used ? row : NULL;
    if (!row || (!a && !u))
        return;
    const int64_t ledger = a ? (int64_t)a->ledger : -(int64_t)u->unit;
    uint32_t i = 0;
    while (i < MIRROR_LEDGERS && m->sum[i].ledger != 0 && m->sum[i].ledger != ledger)
        i++;
    m->many_ledgers = m->many_ledgers || i == MIRROR_LEDGERS;
    if (m->many_ledgers)
        return;
    m->sum[i].ledger = ledger;
    m->sum[i].posted +=
        sign * (a ? (int128)a->debits_posted - a->credits_posted : (int128)u->debits - u->credits);
    m->sum[i].pending += sign * (a ? (int128)a->debits_pending - a->credits_pending : 0);
}

bool mirror_balanced(const struct mirror *m)
{
    for (uint32_t i = 0; i < MIRROR_LEDGERS; i++) {
        if (m->sum[i].posted != 0 || m->sum[i].pending != 0)
            return false;
    }
    return !m->many_ledgers;
}

void mirror_apply(struct mirror *m, enum row_kind kind, enum row_op op, const void *row)
{
    const struct layout *layout = layout_row(kind);
    if (!m->bucket[kind]) /* most tests have rows of few kinds, and many mirrors */
        m->bucket[kind] = calloc(BUCKETS, sizeof *m->bucket[kind]);
    struct mirror_row **at = find(m, layout, row);
    bool forget = m->forget_transfers && kind == ROW_KIND_transfer &&
                  ((const struct row_transfer *)row)->state != TRANSFER_PENDING;
    if (op == ROW_DELETE || forget) {
        struct mirror_row *gone = *at;
        if (!gone)
            return;
        *at = gone->next;
        m->count[kind]--;
        m->digest[kind] -= gone->content;
        free(gone);
        return;
    }
    weigh_money(m, kind, *at && op != ROW_ADD ? (*at)->data : NULL, -1);
    weigh_money(m, kind, row, 1);
    if (*at && op == ROW_ADD) {
        add_fields(layout, (*at)->data, row);
    } else if (*at) {
        memcpy((*at)->data, row, layout->size);
    } else {
        struct mirror_row *added = calloc(1, sizeof *added + layout->size);
        added->hash = hash_bytes(row, key_bytes(layout));
        memcpy(added->data, row, layout->size);
        *at = added;
        m->count[kind]++;
    }
    weigh(m, layout, *at);
}

static const struct layout *sorting;

static int by_key(const void *a, const void *b)
{
    return memcmp(*(const void *const *)a, *(const void *const *)b, key_bytes(sorting));
}

const void **mirror_sorted(const struct mirror *m, enum row_kind kind)
{
    const void **list = calloc(m->count[kind] + 1, sizeof *list);
    uint32_t n = 0;
    for (uint32_t b = 0; n < m->count[kind] && b < BUCKETS; b++) {
        for (const struct mirror_row *r = m->bucket[kind][b]; r; r = r->next)
            list[n++] = r->data;
    }
    sorting = layout_row(kind);
    qsort(list, n, sizeof *list, by_key);
    return list;
}

uint64_t mirror_digest(const struct mirror *m)
{
    uint64_t sum = 0;
    for (int kind = ROW_KIND_core + 1; kind < ROW_KIND_END; kind++)
        sum += m->digest[kind];
    return sum;
}

int mirror_load(const struct mirror *m, struct core *core)
{
    for (int kind = ROW_KIND_core; kind < ROW_KIND_END; kind++) {
        const void **list = mirror_sorted(m, (enum row_kind)kind);
        for (uint32_t i = 0; i < m->count[kind] && core_has_rows((enum row_kind)kind); i++) {
            int rc = core_load(core, (enum row_kind)kind, list[i]);
            if (rc != 0) {
                free(list);
                return rc;
            }
        }
        free(list);
    }
    return core_load_done(core);
}
