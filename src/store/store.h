/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Store: where rows and journal become durable. One vtable; sqlite.c for a machine, memory.c for tests and the
 * simulator.
 *
 * commit is all or nothing: row changes, the journal and the log's leaves of one batch in one transaction. When it returns 0 the batch
 * survives power loss. When it fails nothing of the batch is there, and the caller must load again before it commits
 * again. load, log_edge and commit are called by one thread at a time; all the others may run beside them, from any thread.
 */
#ifndef BUSBAR_STORE_STORE_H
#define BUSBAR_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/core.h"
#include "core/schema.h"

/* Row changes of a batch, packed: this head, then the row struct, then padding to 8 bytes. */
struct store_row {
    uint16_t kind; /* enum row_kind */
    uint16_t op;   /* enum row_op */
    uint32_t size; /* of the struct that follows */
};

/* Appends one row; the buf sticks to failed when it is full. */
void store_row_add(struct buf *rows, enum row_kind kind, enum row_op op, const void *row);
/* Next row of a packed list at *offset, its struct in *row; NULL at the end. */
const struct store_row *store_row_next(const struct buf *rows, size_t *offset, const void **row);

#define STORE_SALT_LEN 32

/* What a batch appends to the transparency log (runtime/logbook.h). */
struct store_log {
    uint64_t first; /* index of the first leaf */
    uint32_t count;
    const struct buf *entries;  /* as a bundle of tlog/tile.h */
    const struct buf *salts;    /* STORE_SALT_LEN a leaf */
    const struct buf *receipts; /* struct store_receipt, with its facts after it and padding to 8 bytes */
    const struct buf *edge;     /* of the tree with all of them, merkle_edge_pack */
};

/* Which leaf says what a tenant may know of: a record of a response, or of a job's end. An id may have several. */
struct store_receipt {
    struct uuid id; /* of the request, or the job */
    struct uuid tenant;
    uint64_t leaf;
    uint32_t facts_len;
    uint32_t unused;
};

/* Appends a receipt with its facts; the buf sticks to failed when it is full. The next one at *offset; NULL at the end. */
void store_receipt_add(struct buf *receipts, const struct store_receipt *receipt, const void *facts);
const struct store_receipt *store_receipt_next(const struct buf *receipts, size_t *offset,
                                               const char **facts);

struct store_batch {
    const struct buf *rows;
    uint64_t first;              /* number of the first event, from 0 */
    uint32_t count;              /* events */
    const struct buf *events;    /* entries as runtime/journal.h packs them */
    const struct buf *leaves;    /* 32 bytes an event */
    const struct store_log *log; /* NULL: nothing */
};

/* Leaves of one batch, as committed. Return non-zero to stop. */
struct log_row {
    uint64_t first;
    uint32_t count;
    const uint8_t *entries;
    size_t entries_len;
    const uint8_t *salts; /* STORE_SALT_LEN each */
};
typedef int log_fn(void *ctx, const struct log_row *row);
typedef void receipt_fn(void *ctx, const struct store_receipt *receipt, const char *facts);

/* One packed journal row, as committed. Return non-zero to stop. */
struct journal_row {
    uint64_t first;
    uint32_t count;
    const uint8_t *events;
    size_t events_len;
    const uint8_t *leaves;
    size_t leaves_len;
};
typedef int journal_fn(void *ctx, const struct journal_row *row);

enum usage_by { USAGE_BY_TENANT, USAGE_BY_KEY, USAGE_BY_MODEL, USAGE_BY_HOUR };

struct usage_query {
    enum usage_by by;
    const struct uuid *tenant; /* NULL: all */
    uint64_t from_hour;        /* inclusive, hours since 1970 */
    uint64_t to_hour;          /* exclusive */
};
/* Sums in a row_usage of which only the field grouped by is set beside the sums. */
typedef void usage_fn(void *ctx, const struct row_usage *row);

/* Jobs, also those that are over: a page of them, the newest first. Replicas of services are none: nobody has submitted them. */
struct job_query {
    const struct uuid *tenant; /* NULL: of all */
    const struct uuid *before; /* older than that one; NULL: from the newest on */
    const struct uuid
        *array;      /* its tasks only, which are those with its id but for the last two bytes; NULL: all */
    uint32_t states; /* 1 << enum job_state, for each that is wanted; 0: all */
    uint32_t limit;
};
typedef void job_fn(void *ctx, const struct row_job *row);

typedef void job_usage_fn(void *ctx, const struct row_job_usage *row);

typedef int load_fn(void *ctx, enum row_kind kind, const void *row);

/* Rows of a kind in the order of their key. Fields are named as in core/schema.h. */
struct row_query {
    enum row_kind kind;
    const char *owner_field, *or_field; /* either of them is `owner`; NULL: there is none */
    const struct uuid *owner;           /* NULL: of all */
    const char *range_field;            /* of an integer, from <= it < to; NULL: all */
    int64_t from, to;
    const struct uuid
        *after; /* only those with a greater first key field, a uuid; NULL: from the first one on */
};

struct store;
struct store_ops {
    /* Every row that the state has use of, kinds ascending; transfers that are over may be left out. Stops at the first non-zero return of fn and returns it. */
    int (*load)(struct store *store, load_fn *fn, void *ctx, struct err *err);
    int (*commit)(struct store *store, const struct store_batch *batch, struct err *err);
    /* Rows that hold events >= from, ascending. */
    int (*journal)(struct store *store, uint64_t from, journal_fn *fn, void *ctx, struct err *err);
    int (*usage)(struct store *store, const struct usage_query *query, usage_fn *fn, void *ctx,
                 struct err *err);
    /* The row with this id, of a kind whose key is one; ERR_NOT_FOUND. */
    int (*get)(struct store *store, enum row_kind kind, const struct uuid *id, void *row, struct err *err);
    int (*jobs)(struct store *store, const struct job_query *query, job_fn *fn, void *ctx, struct err *err);
    /* What each epoch of a job has used, in their order, also those that are closed. None: fn is not called, and that is no error. */
    int (*job_usage)(struct store *store, const struct uuid *job, job_usage_fn *fn, void *ctx,
                     struct err *err);
    /* What the data of epochs that started in the query's hours has moved, by corridor; its `by` does not count. Rows of which only
     * the corridor and the fields of data are set. */
    int (*moved)(struct store *store, const struct usage_query *query, job_usage_fn *fn, void *ctx,
                 struct err *err);
    /* Rows that hold leaves >= from, ascending. */
    int (*log)(struct store *store, uint64_t from, log_fn *fn, void *ctx, struct err *err);
    /* Appends the tree's edge as it was committed last; nothing where there is no log yet. By who loads. */
    int (*log_edge)(struct store *store, struct buf *edge, struct err *err);
    /* What is told under this id, in the order of the leaves; none: fn is not called, and that is no error. */
    int (*receipts)(struct store *store, const struct uuid *id, receipt_fn *fn, void *ctx, struct err *err);
    /* Rows of all n queries, one after the other, as they are at one moment; a non-zero return of fn ends one query, and is no
     * error. */
    int (*rows)(struct store *store, const struct row_query *query, uint32_t n, load_fn *fn, void *ctx,
                struct err *err);
    /* A consistent copy of everything in one new file. */
    int (*backup)(struct store *store, const char *path, struct err *err);
    void (*close)(struct store *store);
};

struct store {
    const struct store_ops *ops;
};

/* `vfs` NULL: SQLite's own. The store belongs to the caller, who ends it with ops->close. */
int store_sqlite_open(struct store **out, const char *path, const char *vfs, struct err *err);
/* The same of data that is there, to read it only: what would write fails. */
int store_sqlite_open_read(struct store **out, const char *path, struct err *err);

/* The first row, in the order of kinds and keys, that two databases do not have alike. */
struct store_difference {
    char row[160];           /* kind and key */
    char field[48];          /* empty: one of them lacks the row */
    char kept[96], made[96]; /* what the first and the second have, as SQL writes it; empty: nothing */
};
/* Compares all rows of core. 0; ERR_CORRUPT, *out tells the first one that differs; or they cannot be read. */
int store_sqlite_compare(const char *kept, const char *made, struct store_difference *out, struct err *err);

/* Keeps everything in memory. `fail_commit_at` n > 0: the n-th commit fails, for tests of what follows. */
struct store *store_memory_new(uint32_t fail_commit_at);

#endif
