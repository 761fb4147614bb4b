/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite: WAL with synchronous=FULL. (WAL with NORMAL loses acknowledged commits at power loss; FULL lost none in
 * 5,000 simulated ones.) Tables, statements and binds come from the row layouts; a field that a newer binary added
 * becomes a new column with a zero default.
 *
 * Three connections: one writes (load, commit), one reads under a mutex, so that a long query never delays a commit; and one
 * reads rows by what is asked of them, which may be all there are, so that these do not delay the other readers.
 */
#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/kinds.h"
#include "store/sql.h"
#include "store/sqlite_log.h"
#include "store/sqlite_migrate.h"
#include "store/sqlite_rows.h"
#include "store/store.h"

struct sqlite {
    struct store store;
    char *path;
    char *vfs;
    sqlite3 *write;
    sqlite3 *read, *scan;
    pthread_mutex_t read_lock, scan_lock;
    sqlite3_stmt *put[ROW_KIND_END];
    sqlite3_stmt *add[ROW_KIND_END];
    sqlite3_stmt *delete[ROW_KIND_END];
    sqlite3_stmt *journal;
    struct sqlite_log log;
    bool read_only;
    bool broken; /* a commit failed: open anew before the next use */
};

static int sql_err(sqlite3 *db, struct err *err, const char *what)
{
    return err_set(err, ERR_IO, "%s: %s (%d)", what, db ? sqlite3_errmsg(db) : "out of memory",
                   db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM);
}

static int run(sqlite3 *db, const char *sql, struct err *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sql_err(db, err, "database");
    return 0;
}

static int open_one(struct sqlite *s, int flags, sqlite3 **db, struct err *err)
{
    if (sqlite3_open_v2(s->path, db, flags | SQLITE_OPEN_NOMUTEX, s->vfs) != SQLITE_OK)
        return sql_err(*db, err, "cannot open the database");
    sqlite3_extended_result_codes(*db, 1);
    sqlite3_busy_timeout(*db, 5000);
    return 0;
}

static int prepare(sqlite3 *db, const struct buf *sql, sqlite3_stmt **stmt, struct err *err)
{
    if (sql->failed)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    if (sqlite3_prepare_v3(db, sql->data, (int)sql->len, SQLITE_PREPARE_PERSISTENT, stmt, NULL) != SQLITE_OK)
        return sql_err(db, err, "database schema");
    return 0;
}

static int prepare_all(struct sqlite *s, struct err *err)
{
    struct buf sql;
    buf_init(&sql, 8192);
    int rc = 0;
    const struct layout *layout;
    for (uint32_t i = 0; rc == 0 && (layout = layout_row_at(i)) != NULL; i++) {
        buf_clear(&sql);
        sql_upsert(&sql, layout, false);
        rc = prepare(s->write, &sql, &s->put[layout->kind], err);
        buf_clear(&sql);
        sql_upsert(&sql, layout, true);
        if (rc == 0)
            rc = prepare(s->write, &sql, &s->add[layout->kind], err);
        buf_clear(&sql);
        sql_delete(&sql, layout);
        if (rc == 0)
            rc = prepare(s->write, &sql, &s->delete[layout->kind], err);
    }
    buf_clear(&sql);
    buf_add_text(&sql, "INSERT INTO bb_journal(first, count, events, leaves) VALUES (?,?,?,?)");
    if (rc == 0)
        rc = prepare(s->write, &sql, &s->journal, err);
    buf_fini(&sql);
    return rc;
}

static const char pragmas[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                              "PRAGMA wal_autocheckpoint=4000; PRAGMA foreign_keys=OFF;"
                              "PRAGMA cache_size=-16384;";
static const char journal_table[] =
    "CREATE TABLE IF NOT EXISTS bb_journal (first BIGINT PRIMARY KEY, count BIGINT NOT NULL,"
    " events BLOB NOT NULL, leaves BLOB NOT NULL)";

static void close_both(struct sqlite *s)
{
    for (int i = 0; i < ROW_KIND_END; i++) {
        sqlite3_finalize(s->put[i]);
        sqlite3_finalize(s->add[i]);
        sqlite3_finalize(s->delete[i]);
        s->put[i] = s->add[i] = s->delete[i] = NULL;
    }
    sqlite3_finalize(s->journal);
    s->journal = NULL;
    sqlite_log_close(&s->log);
    sqlite3_close(s->scan);
    sqlite3_close(s->read);
    sqlite3_close(s->write);
    s->scan = s->read = s->write = NULL;
}

static int open_both(struct sqlite *s, struct err *err)
{
    if (s->read_only) {
        int read_rc = open_one(s, SQLITE_OPEN_READONLY, &s->write, err);
        if (read_rc == 0)
            read_rc = open_one(s, SQLITE_OPEN_READONLY, &s->read, err);
        return read_rc ? read_rc : open_one(s, SQLITE_OPEN_READONLY, &s->scan, err);
    }
    int rc = open_one(s, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &s->write, err);
    if (rc == 0)
        rc = run(s->write, pragmas, err);
    if (rc == 0)
        rc = run(s->write, journal_table, err);
    const struct layout *layout;
    for (uint32_t i = 0; rc == 0 && (layout = layout_row_at(i)) != NULL; i++)
        rc = sqlite_migrate(s->write, layout, err);
    if (rc == 0)
        rc = run(s->write, sqlite_rows_indexes, err);
    if (rc == 0)
        rc = prepare_all(s, err);
    if (rc == 0)
        rc = sqlite_log_open(&s->log, s->write, err);
    if (rc == 0)
        rc = open_one(s, SQLITE_OPEN_READWRITE, &s->read, err);
    if (rc == 0)
        rc = open_one(s, SQLITE_OPEN_READWRITE, &s->scan, err);
    s->broken = rc != 0;
    return rc;
}

static void move_both(struct sqlite *to, struct sqlite *from)
{
    to->write = from->write;
    to->read = from->read;
    to->scan = from->scan;
    to->journal = from->journal;
    to->log = from->log;
    from->log = (struct sqlite_log){0};
    memcpy(to->put, from->put, sizeof to->put);
    memcpy(to->add, from->add, sizeof to->add);
    memcpy(to->delete, from->delete, sizeof to->delete);
    memset(from->put, 0, sizeof from->put);
    memset(from->add, 0, sizeof from->add);
    memset(from->delete, 0, sizeof from->delete);
    from->journal = NULL;
    from->write = from->read = from->scan = NULL;
}

/* Fresh connections after a failed commit. Its frames may be whole in the WAL and merely not synced; only the index in
 * shared memory knows that they do not count, and that goes with the last connection. So the old ones close last. */
static int reopen(struct sqlite *s, struct err *err)
{
    struct sqlite old = {0};
    move_both(&old, s);
    int rc = open_both(s, err);
    if (rc != 0) {
        close_both(s);
        move_both(s, &old);
    }
    close_both(&old);
    return rc;
}

static struct sqlite *self(struct store *store)
{
    return (struct sqlite *)store;
}

static int load_table(struct sqlite *s, const struct layout *layout, load_fn *fn, void *ctx, struct err *err)
{
    struct buf sql;
    sqlite3_stmt *stmt = NULL;
    buf_init(&sql, 4096);
    sql_select_live(&sql, layout);
    int rc = prepare(s->write, &sql, &stmt, err);
    buf_fini(&sql);
    int step = SQLITE_DONE;
    _Alignas(8) char row[2048];
    assert(layout->size <= sizeof row);
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (!sql_read(stmt, layout, row))
            rc = err_set(err, ERR_CORRUPT, "table %s holds a value that does not fit", layout->name);
        else if ((rc = fn(ctx, (enum row_kind)layout->kind, row)) != 0)
            err_set(err, rc, "table %s: a row was refused: %s", layout->name, err_text(rc));
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = sql_err(s->write, err, "database read");
    sqlite3_finalize(stmt);
    return rc;
}

static int sqlite_load(struct store *store, load_fn *fn, void *ctx, struct err *err)
{
    struct sqlite *s = self(store);
    int rc = 0;
    if (s->broken) {
        pthread_mutex_lock(&s->read_lock);
        pthread_mutex_lock(&s->scan_lock);
        rc = reopen(s, err);
        pthread_mutex_unlock(&s->scan_lock);
        pthread_mutex_unlock(&s->read_lock);
    }
    const struct layout *layout;
    for (uint32_t i = 0; rc == 0 && (layout = layout_row_at(i)) != NULL; i++) {
        if (core_has_rows((enum row_kind)layout->kind))
            rc = load_table(s, layout, fn, ctx, err);
    }
    return rc;
}

static int step_once(struct sqlite *s, sqlite3_stmt *stmt, struct err *err)
{
    int step = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return step == SQLITE_DONE ? 0 : sql_err(s->write, err, "database write");
}

static int apply_rows(struct sqlite *s, const struct buf *rows, struct err *err)
{
    const struct store_row *head;
    const void *row;
    size_t offset = 0;
    int rc = 0;
    while (rc == 0 && (head = store_row_next(rows, &offset, &row)) != NULL) {
        const struct layout *layout = layout_row(head->kind);
        sqlite3_stmt *stmt = head->op == ROW_PUT   ? s->put[head->kind]
                             : head->op == ROW_ADD ? s->add[head->kind]
                                                   : s->delete[head->kind];
        sql_bind(stmt, layout, row, head->op == ROW_DELETE ? layout->nkeys : layout->nfields);
        rc = step_once(s, stmt, err);
    }
    return rc;
}

static int apply_journal(struct sqlite *s, const struct store_batch *batch, struct err *err)
{
    if (batch->count == 0)
        return 0;
    sqlite3_bind_int64(s->journal, 1, (sqlite3_int64)batch->first);
    sqlite3_bind_int64(s->journal, 2, batch->count);
    sqlite3_bind_blob64(s->journal, 3, batch->events->data, batch->events->len, SQLITE_STATIC);
    sqlite3_bind_blob64(s->journal, 4, batch->leaves->data, batch->leaves->len, SQLITE_STATIC);
    return step_once(s, s->journal, err);
}

static int sqlite_commit(struct store *store, const struct store_batch *batch, struct err *err)
{
    struct sqlite *s = self(store);
    if (s->read_only)
        return err_set(err, ERR_INVALID, "the database was opened to be read only");
    if (s->broken)
        return err_set(err, ERR_IO, "the database must be loaded again first");
    int rc = run(s->write, "BEGIN IMMEDIATE", err);
    if (rc == 0)
        rc = apply_rows(s, batch->rows, err);
    if (rc == 0)
        rc = apply_journal(s, batch, err);
    if (rc == 0 && batch->log)
        rc = sqlite_log_apply(&s->log, s->write, batch->log, err);
    if (rc == 0)
        rc = run(s->write, "COMMIT", err);
    if (rc != 0) {
        /* Whatever the state of this connection, the next load starts from a fresh one. */
        (void)sqlite3_exec(s->write, "ROLLBACK", NULL, NULL, NULL);
        s->broken = true;
    }
    return rc;
}

static int sqlite_journal(struct store *store, uint64_t from, journal_fn *fn, void *ctx, struct err *err)
{
    /* The row that holds it begins less than a batch before it: the index is asked, not the whole journal. */
    static const char sql[] = "SELECT first, count, events, leaves FROM bb_journal"
                              " WHERE first > ?2 AND first + count > ?1 ORDER BY first";
    struct sqlite *s = self(store);
    sqlite3_stmt *stmt = NULL;
    int rc = 0;
    pthread_mutex_lock(&s->read_lock);
    if (!s->read || sqlite3_prepare_v2(s->read, sql, -1, &stmt, NULL) != SQLITE_OK)
        rc = sql_err(s->read, err, "journal");
    if (rc == 0) {
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)from);
        sqlite3_bind_int64(stmt, 2, (sqlite3_int64)from - BATCH_EVENTS_MAX);
    }
    int step = SQLITE_DONE;
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct journal_row row = {.first = (uint64_t)sqlite3_column_int64(stmt, 0),
                                  .count = (uint32_t)sqlite3_column_int64(stmt, 1),
                                  .events = sqlite3_column_blob(stmt, 2),
                                  .events_len = (size_t)sqlite3_column_bytes(stmt, 2),
                                  .leaves = sqlite3_column_blob(stmt, 3),
                                  .leaves_len = (size_t)sqlite3_column_bytes(stmt, 3)};
        if (fn(ctx, &row) != 0)
            step = SQLITE_DONE;
        if (step == SQLITE_DONE)
            break;
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = sql_err(s->read, err, "journal");
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&s->read_lock);
    return rc;
}

static int read_log(struct store *store, uint64_t from, log_fn *fn, void *ctx, struct err *err)
{
    struct sqlite *s = self(store);
    pthread_mutex_lock(&s->read_lock);
    int rc = sqlite_log_rows(s->read, from, fn, ctx, err);
    pthread_mutex_unlock(&s->read_lock);
    return rc;
}

static int read_log_edge(struct store *store, struct buf *edge, struct err *err)
{
    return sqlite_log_edge(self(store)->write, edge, err);
}

static int read_receipts(struct store *store, const struct uuid *id, receipt_fn *fn, void *ctx,
                         struct err *err)
{
    struct sqlite *s = self(store);
    pthread_mutex_lock(&s->read_lock);
    int rc = sqlite_log_receipts(s->read, id, fn, ctx, err);
    pthread_mutex_unlock(&s->read_lock);
    return rc;
}

static int sqlite_usage(struct store *store, const struct usage_query *q, usage_fn *fn, void *ctx,
                        struct err *err)
{
    static const char *const columns[] = {"tenant", "key", "model", "hour"};
    struct sqlite *s = self(store);
    struct buf sql;
    sqlite3_stmt *stmt = NULL;
    buf_init(&sql, 1024);
    buf_addf(&sql,
             "SELECT \"%s\", SUM(requests), SUM(prompt), SUM(cached), SUM(completion),"
             " SUM(reasoning), SUM(cost), SUM(energy_mj), SUM(carbon_ng) FROM bb_usage WHERE hour >= ? AND "
             "hour < ?%s"
             " GROUP BY 1 ORDER BY 1",
             columns[q->by], q->tenant ? " AND tenant = ?" : "");
    pthread_mutex_lock(&s->read_lock);
    int rc = s->read ? prepare(s->read, &sql, &stmt, err) : sql_err(NULL, err, "usage");
    buf_fini(&sql);
    int step = SQLITE_DONE;
    if (rc == 0) {
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)q->from_hour);
        sqlite3_bind_int64(stmt, 2, (sqlite3_int64)q->to_hour);
        if (q->tenant)
            sqlite3_bind_blob(stmt, 3, q->tenant->b, sizeof q->tenant->b, SQLITE_STATIC);
    }
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct row_usage row = {.requests = (uint64_t)sqlite3_column_int64(stmt, 1),
                                .prompt = (uint64_t)sqlite3_column_int64(stmt, 2),
                                .cached = (uint64_t)sqlite3_column_int64(stmt, 3),
                                .completion = (uint64_t)sqlite3_column_int64(stmt, 4),
                                .reasoning = (uint64_t)sqlite3_column_int64(stmt, 5),
                                .cost = sqlite3_column_int64(stmt, 6),
                                .energy_mj = (uint64_t)sqlite3_column_int64(stmt, 7),
                                .carbon_ng = (uint64_t)sqlite3_column_int64(stmt, 8)};
        struct uuid *ids[] = {&row.tenant, &row.key, &row.model};
        if (q->by == USAGE_BY_HOUR)
            row.hour = (uint64_t)sqlite3_column_int64(stmt, 0);
        else if (sqlite3_column_bytes(stmt, 0) == (int)sizeof(struct uuid))
            memcpy(ids[q->by]->b, sqlite3_column_blob(stmt, 0), sizeof(struct uuid));
        fn(ctx, &row);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = sql_err(s->read, err, "usage");
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&s->read_lock);
    return rc;
}

static int sqlite_get(struct store *store, enum row_kind kind, const struct uuid *id, void *row,
                      struct err *err)
{
    const struct layout *layout = layout_row(kind);
    struct sqlite *s = self(store);
    struct buf sql;
    sqlite3_stmt *stmt = NULL;
    buf_init(&sql, 8192);
    sql_select_from(&sql, layout);
    buf_addf(&sql, " WHERE %s = ?1", layout->fields[0].name);
    pthread_mutex_lock(&s->read_lock);
    int rc = s->read ? prepare(s->read, &sql, &stmt, err) : sql_err(NULL, err, layout->name);
    buf_fini(&sql);
    if (rc == 0) {
        sqlite3_bind_blob(stmt, 1, id->b, sizeof id->b, SQLITE_STATIC);
        const int step = sqlite3_step(stmt);
        if (step == SQLITE_ROW && !sql_read(stmt, layout, row))
            rc = err_set(err, ERR_CORRUPT, "table %s holds a value that does not fit", layout->name);
        else if (step == SQLITE_DONE)
            rc = ERR_NOT_FOUND;
        else if (step != SQLITE_ROW)
            rc = sql_err(s->read, err, layout->name);
    }
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&s->read_lock);
    return rc;
}

static int sqlite_jobs(struct store *store, const struct job_query *q, job_fn *fn, void *ctx, struct err *err)
{
    const struct layout *layout = layout_row(ROW_KIND_job);
    struct sqlite *s = self(store);
    struct buf sql;
    struct row_job row;
    sqlite3_stmt *stmt = NULL;
    buf_init(&sql, 4096);
    sql_select_from(&sql, layout);
    sqlite_rows_jobs_where(&sql, q);
    /* By key, which is the order of submission: ids are UUIDv7. */
    buf_add_text(&sql, " ORDER BY id DESC LIMIT ?4");
    pthread_mutex_lock(&s->read_lock);
    int rc = s->read ? prepare(s->read, &sql, &stmt, err) : sql_err(NULL, err, "jobs");
    buf_fini(&sql);
    const struct uuid *const ids[] = {q->tenant, q->before, q->array};
    struct uuid last = q->array ? *q->array : (struct uuid){{0}};
    last.b[14] = last.b[15] = 0xff;
    for (int i = 0; rc == 0 && i < 3; i++) {
        if (ids[i])
            sqlite3_bind_blob(stmt, i + 1, ids[i]->b, sizeof ids[i]->b, SQLITE_STATIC);
    }
    int step = SQLITE_DONE;
    if (rc == 0)
        sqlite3_bind_int64(stmt, 4, q->limit);
    if (rc == 0 && q->array)
        sqlite3_bind_blob(stmt, 5, last.b, sizeof last.b, SQLITE_STATIC);
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (!sql_read(stmt, layout, &row))
            rc = err_set(err, ERR_CORRUPT, "table job holds a value that does not fit");
        else
            fn(ctx, &row);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = sql_err(s->read, err, "jobs");
    sqlite3_finalize(stmt);
    pthread_mutex_unlock(&s->read_lock);
    return rc;
}

static int sqlite_rows(struct store *store, const struct row_query *q, uint32_t n, load_fn *fn, void *ctx,
                       struct err *err)
{
    struct sqlite *s = self(store);
    pthread_mutex_lock(&s->scan_lock);
    int rc = sqlite_rows_read(s->scan, q, n, fn, ctx, err);
    pthread_mutex_unlock(&s->scan_lock);
    return rc;
}

static int sqlite_moved(struct store *store, const struct usage_query *q, job_usage_fn *fn, void *ctx,
                        struct err *err)
{
    struct sqlite *s = self(store);
    pthread_mutex_lock(&s->read_lock);
    int rc = sqlite_rows_moved(s->read, q, fn, ctx, err);
    pthread_mutex_unlock(&s->read_lock);
    return rc;
}

static int sqlite_job_usage(struct store *store, const struct uuid *job, job_usage_fn *fn, void *ctx,
                            struct err *err)
{
    struct sqlite *s = self(store);
    pthread_mutex_lock(&s->read_lock);
    int rc = sqlite_rows_job_usage(s->read, job, fn, ctx, err);
    pthread_mutex_unlock(&s->read_lock);
    return rc;
}

static int sqlite_backup(struct store *store, const char *path, struct err *err)
{
    struct sqlite *s = self(store);
    pthread_mutex_lock(&s->read_lock);
    int rc = sqlite_rows_backup(s->read, path, err);
    pthread_mutex_unlock(&s->read_lock);
    return rc;
}

static void sqlite_close(struct store *store)
{
    struct sqlite *s = self(store);
    close_both(s);
    pthread_mutex_destroy(&s->read_lock);
    pthread_mutex_destroy(&s->scan_lock);
    free(s->path);
    free(s->vfs);
    free(s);
}

static const struct store_ops sqlite_ops = {
    .load = sqlite_load,
    .commit = sqlite_commit,
    .journal = sqlite_journal,
    .log = read_log,
    .log_edge = read_log_edge,
    .receipts = read_receipts,
    .usage = sqlite_usage,
    .get = sqlite_get,
    .jobs = sqlite_jobs,
    .job_usage = sqlite_job_usage,
    .moved = sqlite_moved,
    .rows = sqlite_rows,
    .backup = sqlite_backup,
    .close = sqlite_close,
};

static int open_store(struct store **out, const char *path, const char *vfs, bool read_only, struct err *err)
{
    struct sqlite *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->read_only = read_only;
    s->store.ops = &sqlite_ops;
    s->path = strdup(path);
    s->vfs = vfs ? strdup(vfs) : NULL;
    pthread_mutex_init(&s->read_lock, NULL);
    pthread_mutex_init(&s->scan_lock, NULL);
    int rc = !s->path || (vfs && !s->vfs) ? err_set(err, ERR_NO_MEMORY, "out of memory") : open_both(s, err);
    if (rc != 0) {
        sqlite_close(&s->store);
        return rc;
    }
    *out = &s->store;
    return 0;
}

int store_sqlite_open(struct store **out, const char *path, const char *vfs, struct err *err)
{
    return open_store(out, path, vfs, false, err);
}

int store_sqlite_open_read(struct store **out, const char *path, struct err *err)
{
    return open_store(out, path, NULL, true, err);
}
