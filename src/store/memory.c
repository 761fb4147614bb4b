/* SPDX-License-Identifier: Apache-2.0 */
/* The store in memory: rows as packed structs, found by scanning. For tests and small simulations. */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/kinds.h"
#include "core/layout.h"
#include "store/store.h"

#define MEMORY_MAX ((size_t)1 << 30)

struct memory {
    struct store store;
    pthread_mutex_t lock;
    struct buf rows[ROW_KIND_END]; /* structs of one kind, one after the other */
    struct buf journal;            /* struct journal_row, events, leaves */
    struct buf log;                /* struct log_row, entries, salts, padding to 8 bytes */
    struct buf receipts, edge;
    uint32_t commits;
    uint32_t fail_at;
};

static struct memory *self(struct store *store)
{
    return (struct memory *)store;
}

/* Bytes of a row's leading key fields. */
static size_t key_len(const struct layout *layout)
{
    const struct field *last = &layout->fields[layout->nkeys - 1];
    return (size_t)last->offset + last->size;
}

static char *find(struct buf *rows, const struct layout *layout, const void *row)
{
    for (size_t at = 0; at < rows->len; at += layout->size) {
        if (memcmp(rows->data + at, row, key_len(layout)) == 0)
            return rows->data + at;
    }
    return NULL;
}

static void add_fields(const struct layout *layout, char *into, const char *row)
{
    for (uint16_t i = layout->nkeys; i < layout->nfields; i++) {
        const struct field *f = &layout->fields[i];
        uint64_t a, b;
        assert(f->size == sizeof a);
        memcpy(&a, into + f->offset, sizeof a);
        memcpy(&b, row + f->offset, sizeof b);
        a += b;
        memcpy(into + f->offset, &a, sizeof a);
    }
}

static void apply(struct memory *m, const struct store_row *head, const void *row)
{
    const struct layout *layout = layout_row(head->kind);
    struct buf *rows = &m->rows[head->kind];
    char *old = find(rows, layout, row);
    if (head->op == ROW_DELETE) {
        if (!old)
            return;
        char *last = rows->data + rows->len - layout->size;
        memmove(old, last, layout->size);
        rows->len -= layout->size;
    } else if (!old) {
        buf_add(rows, row, layout->size);
    } else if (head->op == ROW_ADD) {
        add_fields(layout, old, row);
    } else {
        memcpy(old, row, layout->size);
    }
}

static int memory_load(struct store *store, load_fn *fn, void *ctx, struct err *err)
{
    struct memory *m = self(store);
    int rc = 0;
    pthread_mutex_lock(&m->lock);
    for (int kind = 1; rc == 0 && kind < ROW_KIND_END; kind++) {
        const struct layout *layout = layout_row((uint32_t)kind);
        if (!core_has_rows((enum row_kind)kind))
            continue;
        for (size_t at = 0; rc == 0 && at < m->rows[kind].len; at += layout->size)
            rc = fn(ctx, (enum row_kind)kind, m->rows[kind].data + at);
    }
    pthread_mutex_unlock(&m->lock);
    return rc ? err_set(err, rc, "a row was refused: %s", err_text(rc)) : 0;
}

static void add_log(struct memory *m, const struct store_log *log)
{
    static const char zeros[8];
    struct log_row row = {.first = log->first, .count = log->count, .entries_len = log->entries->len};
    buf_add(&m->log, &row, sizeof row);
    buf_add(&m->log, log->entries->data, log->entries->len);
    buf_add(&m->log, log->salts->data, log->salts->len);
    buf_add(&m->log, zeros, (8 - m->log.len % 8) % 8);
    buf_add(&m->receipts, log->receipts->data, log->receipts->len);
    buf_clear(&m->edge);
    buf_add(&m->edge, log->edge->data, log->edge->len);
}

static int memory_commit(struct store *store, const struct store_batch *batch, struct err *err)
{
    struct memory *m = self(store);
    pthread_mutex_lock(&m->lock);
    bool fail = ++m->commits == m->fail_at;
    if (!fail) {
        const struct store_row *head;
        const void *row;
        size_t offset = 0;
        while ((head = store_row_next(batch->rows, &offset, &row)) != NULL)
            apply(m, head, row);
        struct journal_row j = {.first = batch->first,
                                .count = batch->count,
                                .events_len = batch->events->len,
                                .leaves_len = batch->leaves->len};
        buf_add(&m->journal, &j, sizeof j);
        buf_add(&m->journal, batch->events->data, batch->events->len);
        buf_add(&m->journal, batch->leaves->data, batch->leaves->len);
        if (batch->log)
            add_log(m, batch->log);
    }
    pthread_mutex_unlock(&m->lock);
    return fail ? err_set(err, ERR_IO, "commit failed on purpose") : 0;
}

static int memory_journal(struct store *store, uint64_t from, journal_fn *fn, void *ctx, struct err *err)
{
    struct memory *m = self(store);
    (void)err;
    pthread_mutex_lock(&m->lock);
    for (size_t at = 0; at < m->journal.len;) {
        struct journal_row row;
        memcpy(&row, m->journal.data + at, sizeof row);
        row.events = (const uint8_t *)m->journal.data + at + sizeof row;
        row.leaves = row.events + row.events_len;
        at += sizeof row + row.events_len + row.leaves_len;
        if (row.first + row.count > from && fn(ctx, &row) != 0)
            break;
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int memory_log(struct store *store, uint64_t from, log_fn *fn, void *ctx, struct err *err)
{
    struct memory *m = self(store);
    (void)err;
    pthread_mutex_lock(&m->lock);
    for (size_t at = 0; at < m->log.len; at = (at + 7) & ~(size_t)7) {
        struct log_row row;
        memcpy(&row, m->log.data + at, sizeof row);
        row.entries = (const uint8_t *)m->log.data + at + sizeof row;
        row.salts = row.entries + row.entries_len;
        at += sizeof row + row.entries_len + (size_t)row.count * STORE_SALT_LEN;
        if (row.first + row.count > from && fn(ctx, &row) != 0)
            break;
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int memory_log_edge(struct store *store, struct buf *edge, struct err *err)
{
    struct memory *m = self(store);
    (void)err;
    buf_add(edge, m->edge.data, m->edge.len);
    return 0;
}

static int memory_receipts(struct store *store, const struct uuid *id, receipt_fn *fn, void *ctx,
                           struct err *err)
{
    struct memory *m = self(store);
    const struct store_receipt *r;
    const char *facts;
    (void)err;
    pthread_mutex_lock(&m->lock);
    for (size_t at = 0; (r = store_receipt_next(&m->receipts, &at, &facts)) != NULL;) {
        if (uuid_eq(&r->id, id))
            fn(ctx, r, facts);
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int memory_usage(struct store *store, const struct usage_query *q, usage_fn *fn, void *ctx,
                        struct err *err)
{
    /* Ungrouped cells: the caller that needs sums uses SQLite. */
    struct memory *m = self(store);
    (void)err;
    pthread_mutex_lock(&m->lock);
    const struct buf *rows = &m->rows[ROW_KIND_usage];
    for (size_t at = 0; at < rows->len; at += sizeof(struct row_usage)) {
        const struct row_usage *row = (const struct row_usage *)(const void *)(rows->data + at);
        if (row->hour >= q->from_hour && row->hour < q->to_hour &&
            (!q->tenant || uuid_eq(q->tenant, &row->tenant)))
            fn(ctx, row);
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int memory_get(struct store *store, enum row_kind kind, const struct uuid *id, void *row,
                      struct err *err)
{
    struct memory *m = self(store);
    const size_t size = layout_row(kind)->size;
    int rc = ERR_NOT_FOUND;
    (void)err;
    pthread_mutex_lock(&m->lock);
    const struct buf *rows = &m->rows[kind];
    for (size_t at = 0; at < rows->len && rc != 0; at += size) {
        if (memcmp(rows->data + at, id, sizeof *id) != 0)
            continue;
        memcpy(row, rows->data + at, size);
        rc = 0;
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static bool is_asked(const struct job_query *q, const struct row_job *row)
{
    return !(row->flags & JOB_REPLICA) && (!q->tenant || uuid_eq(q->tenant, &row->tenant)) &&
           (!q->before || memcmp(&row->id, q->before, sizeof row->id) < 0) &&
           (!q->array ||
            (memcmp(&row->id, q->array, sizeof row->id - 2) == 0 && !uuid_eq(&row->id, q->array))) &&
           (!q->states || (q->states >> row->state & 1));
}

/* Rows lie in the order in which they came, which is that of their ids. */
static int memory_jobs(struct store *store, const struct job_query *q, job_fn *fn, void *ctx, struct err *err)
{
    struct memory *m = self(store);
    uint32_t n = 0;
    (void)err;
    pthread_mutex_lock(&m->lock);
    const struct buf *rows = &m->rows[ROW_KIND_job];
    for (size_t at = rows->len; at > 0 && n < q->limit; at -= sizeof(struct row_job)) {
        const struct row_job *row =
            (const struct row_job *)(const void *)(rows->data + at - sizeof(struct row_job));
        if (!is_asked(q, row))
            continue;
        fn(ctx, row);
        n++;
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

/* Rows lie in the order in which they came, and epochs come one after the other. */
static int memory_job_usage(struct store *store, const struct uuid *job, job_usage_fn *fn, void *ctx,
                            struct err *err)
{
    struct memory *m = self(store);
    (void)err;
    pthread_mutex_lock(&m->lock);
    const struct buf *rows = &m->rows[ROW_KIND_job_usage];
    for (size_t at = 0; at < rows->len; at += sizeof(struct row_job_usage)) {
        const struct row_job_usage *row = (const struct row_job_usage *)(const void *)(rows->data + at);
        if (uuid_eq(&row->job, job))
            fn(ctx, row);
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int memory_moved(struct store *store, const struct usage_query *q, job_usage_fn *fn, void *ctx,
                        struct err *err)
{
    /* Of single epochs: the caller that needs sums uses SQLite. */
    struct memory *m = self(store);
    (void)err;
    pthread_mutex_lock(&m->lock);
    const struct buf *rows = &m->rows[ROW_KIND_job_usage];
    for (size_t at = 0; at < rows->len; at += sizeof(struct row_job_usage)) {
        const struct row_job_usage *row = (const struct row_job_usage *)(const void *)(rows->data + at);
        const uint64_t hour = (uint64_t)row->started_ms / 3600000;
        if (row->bytes_in + row->bytes_out > 0 && hour >= q->from_hour && hour < q->to_hour &&
            (!q->tenant || uuid_eq(q->tenant, &row->tenant)))
            fn(ctx, row);
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static const struct layout *sorting;

static int by_key(const void *a, const void *b)
{
    for (uint16_t i = 0; i < sorting->nkeys; i++) {
        const struct field *f = &sorting->fields[i];
        int order = memcmp((const char *)a + f->offset, (const char *)b + f->offset, f->size);
        if (f->type == FIELD_u32 || f->type == FIELD_u64 || f->type == FIELD_i64) {
            int64_t x = 0, y = 0; /* of little-endian machines, as the codec asks for */
            memcpy(&x, (const char *)a + f->offset, f->size);
            memcpy(&y, (const char *)b + f->offset, f->size);
            order = (x > y) - (x < y);
        }
        if (order != 0)
            return order;
    }
    return 0;
}

static const char *field_at(const struct layout *layout, const char *row, const char *name, uint16_t *size)
{
    uint16_t i = 0;
    while (strcmp(layout->fields[i].name, name) != 0)
        assert(++i < layout->nfields);
    *size = layout->fields[i].size;
    return row + layout->fields[i].offset;
}

static bool is_wanted(const struct row_query *q, const struct layout *layout, const char *row)
{
    uint16_t size;
    if (q->owner && memcmp(field_at(layout, row, q->owner_field, &size), q->owner, sizeof *q->owner) != 0 &&
        (!q->or_field || memcmp(field_at(layout, row, q->or_field, &size), q->owner, sizeof *q->owner) != 0))
        return false;
    if (q->range_field) {
        int64_t value = 0;
        const char *field = field_at(layout, row, q->range_field, &size);
        memcpy(&value, field, size);
        if (value < q->from || value >= q->to)
            return false;
    }
    return !q->after || memcmp(row + layout->fields[0].offset, q->after, sizeof *q->after) > 0;
}

static int memory_rows(struct store *store, const struct row_query *q, uint32_t n, load_fn *fn, void *ctx,
                       struct err *err)
{
    struct memory *m = self(store);
    int rc = 0;
    pthread_mutex_lock(&m->lock);
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        sorting = layout_row(q[i].kind);
        const struct buf *rows = &m->rows[q[i].kind];
        char *copy = malloc(rows->len + 1);
        if (!copy) {
            rc = err_set(err, ERR_NO_MEMORY, "out of memory");
            break;
        }
        if (rows->len > 0)
            memcpy(copy, rows->data, rows->len);
        qsort(copy, rows->len / sorting->size, sorting->size, by_key);
        for (size_t at = 0; at < rows->len; at += sorting->size) {
            if (is_wanted(&q[i], sorting, copy + at) && fn(ctx, q[i].kind, copy + at) != 0)
                break;
        }
        free(copy);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int memory_backup(struct store *store, const char *path, struct err *err)
{
    (void)store;
    (void)path;
    return err_set(err, ERR_UNSUPPORTED, "a store in memory has no backup");
}

static void memory_close(struct store *store)
{
    struct memory *m = self(store);
    for (int i = 0; i < ROW_KIND_END; i++)
        buf_fini(&m->rows[i]);
    buf_fini(&m->journal);
    buf_fini(&m->log);
    buf_fini(&m->receipts);
    buf_fini(&m->edge);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static const struct store_ops memory_ops = {
    .load = memory_load,
    .commit = memory_commit,
    .journal = memory_journal,
    .log = memory_log,
    .log_edge = memory_log_edge,
    .receipts = memory_receipts,
    .usage = memory_usage,
    .get = memory_get,
    .jobs = memory_jobs,
    .job_usage = memory_job_usage,
    .moved = memory_moved,
    .rows = memory_rows,
    .backup = memory_backup,
    .close = memory_close,
};

struct store *store_memory_new(uint32_t fail_commit_at)
{
    struct memory *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->store.ops = &memory_ops;
    m->fail_at = fail_commit_at;
    pthread_mutex_init(&m->lock, NULL);
    for (int i = 0; i < ROW_KIND_END; i++)
        buf_init(&m->rows[i], MEMORY_MAX);
    buf_init(&m->journal, MEMORY_MAX);
    buf_init(&m->log, MEMORY_MAX);
    buf_init(&m->receipts, MEMORY_MAX);
    buf_init(&m->edge, MEMORY_MAX);
    return &m->store;
}
