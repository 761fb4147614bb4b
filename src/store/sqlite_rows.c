/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_rows.h"

#include <assert.h>
#include <string.h>

#include "core/kinds.h"
#include "store/sql.h"

const char sqlite_rows_indexes[] =
    "CREATE INDEX IF NOT EXISTS bb_transfer_debit ON bb_transfer (debit_owner, id);"
    "CREATE INDEX IF NOT EXISTS bb_transfer_credit ON bb_transfer (credit_owner, id);"
    "CREATE INDEX IF NOT EXISTS bb_bill_billed ON bb_bill (billed, tenant);";

static int read_err(sqlite3 *db, struct err *err, const char *what)
{
    return err_set(err, ERR_IO, "%s: %s (%d)", what, db ? sqlite3_errmsg(db) : "the database is not open",
                   db ? sqlite3_extended_errcode(db) : SQLITE_ERROR);
}

static int prepare(sqlite3 *db, const struct buf *sql, sqlite3_stmt **stmt, const char *what, struct err *err)
{
    if (sql->failed)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    if (!db || sqlite3_prepare_v2(db, sql->data, (int)sql->len, stmt, NULL) != SQLITE_OK)
        return read_err(db, err, what);
    return 0;
}

static void add_rows_where(struct buf *sql, const struct layout *layout, const struct row_query *q)
{
    buf_add_text(sql, " WHERE 1");
    if (q->owner && q->or_field)
        buf_addf(sql, " AND (\"%s\" = ?1 OR \"%s\" = ?1)", q->owner_field, q->or_field);
    else if (q->owner)
        buf_addf(sql, " AND \"%s\" = ?1", q->owner_field);
    if (q->range_field)
        buf_addf(sql, " AND \"%s\" >= ?2 AND \"%s\" < ?3", q->range_field, q->range_field);
    if (q->after)
        buf_addf(sql, " AND \"%s\" > ?4", layout->fields[0].name);
    for (uint16_t i = 0; i < layout->nkeys; i++)
        buf_addf(sql, "%s\"%s\"", i ? ", " : " ORDER BY ", layout->fields[i].name);
}

static int rows_of_one(sqlite3 *db, const struct row_query *q, load_fn *fn, void *ctx, struct err *err)
{
    const struct layout *layout = layout_row(q->kind);
    struct buf sql;
    sqlite3_stmt *stmt = NULL;
    _Alignas(8) char row[2048];
    assert(layout->size <= sizeof row);
    buf_init(&sql, 8192);
    sql_select_from(&sql, layout);
    add_rows_where(&sql, layout, q);
    int step = SQLITE_DONE;
    int rc = prepare(db, &sql, &stmt, layout->name, err);
    buf_fini(&sql);
    if (rc == 0 && q->owner)
        sqlite3_bind_blob(stmt, 1, q->owner->b, sizeof q->owner->b, SQLITE_STATIC);
    if (rc == 0 && q->range_field) {
        sqlite3_bind_int64(stmt, 2, q->from);
        sqlite3_bind_int64(stmt, 3, q->to);
    }
    if (rc == 0 && q->after)
        sqlite3_bind_blob(stmt, 4, q->after->b, sizeof q->after->b, SQLITE_STATIC);
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (!sql_read(stmt, layout, row))
            rc = err_set(err, ERR_CORRUPT, "table %s holds a value that does not fit", layout->name);
        else if (fn(ctx, q->kind, row) != 0)
            step = SQLITE_DONE;
        if (step == SQLITE_DONE)
            break;
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = read_err(db, err, layout->name);
    sqlite3_finalize(stmt);
    return rc;
}

int sqlite_rows_read(sqlite3 *db, const struct row_query *q, uint32_t n, load_fn *fn, void *ctx,
                     struct err *err)
{
    /* While one statement has begun to read, all others of its connection read what was there then. Not BEGIN: an end that fails for
     * want of memory would leave the connection at that moment for ever. */
    sqlite3_stmt *moment = NULL;
    if (!db || sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_schema", -1, &moment, NULL) != SQLITE_OK)
        return read_err(db, err, "rows");
    int rc = sqlite3_step(moment) == SQLITE_ROW ? 0 : read_err(db, err, "rows");
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = rows_of_one(db, &q[i], fn, ctx, err);
    sqlite3_finalize(moment);
    return rc;
}

struct job_usage_reader {
    job_usage_fn *fn;
    void *ctx;
};

static int take_job_usage(void *ctx, enum row_kind kind, const void *row)
{
    const struct job_usage_reader *reader = ctx;
    (void)kind;
    reader->fn(reader->ctx, row);
    return 0;
}

int sqlite_rows_job_usage(sqlite3 *db, const struct uuid *job, job_usage_fn *fn, void *ctx, struct err *err)
{
    const struct row_query query = {.kind = ROW_KIND_job_usage, .owner_field = "job", .owner = job};
    struct job_usage_reader reader = {fn, ctx};
    return sqlite_rows_read(db, &query, 1, take_job_usage, &reader, err);
}

void sqlite_rows_jobs_where(struct buf *sql, const struct job_query *q)
{
    buf_addf(sql, " WHERE (flags & %u) = 0%s%s%s", (unsigned)JOB_REPLICA, q->tenant ? " AND tenant = ?1" : "",
             q->before ? " AND id < ?2" : "", q->array ? " AND id > ?3 AND id <= ?5" : "");
    if (!q->states)
        return;
    const char *sep = " AND state IN (";
    for (uint32_t state = 0; state < 32; state++) {
        if (!(q->states & 1u << state))
            continue;
        buf_addf(sql, "%s%u", sep, state);
        sep = ",";
    }
    buf_add_char(sql, ')');
}

int sqlite_rows_moved(sqlite3 *db, const struct usage_query *q, job_usage_fn *fn, void *ctx, struct err *err)
{
    struct buf sql;
    sqlite3_stmt *stmt = NULL;
    int step = SQLITE_DONE;
    buf_init(&sql, 1024);
    buf_addf(
        &sql,
        "SELECT corridor, SUM(bytes_in), SUM(bytes_out), SUM(data_cost), SUM(data_unpaid) FROM bb_job_usage"
        " WHERE bytes_in + bytes_out > 0 AND started_ms / 3600000 >= ? AND started_ms / 3600000 < ?%s"
        " GROUP BY 1 ORDER BY 1",
        q->tenant ? " AND tenant = ?" : "");
    int rc = prepare(db, &sql, &stmt, "job_usage", err);
    buf_fini(&sql);
    if (rc == 0) {
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)q->from_hour);
        sqlite3_bind_int64(stmt, 2, (sqlite3_int64)q->to_hour);
        if (q->tenant)
            sqlite3_bind_blob(stmt, 3, q->tenant->b, sizeof q->tenant->b, SQLITE_STATIC);
    }
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct row_job_usage row = {.bytes_in = (uint64_t)sqlite3_column_int64(stmt, 1),
                                    .bytes_out = (uint64_t)sqlite3_column_int64(stmt, 2),
                                    .data_cost = sqlite3_column_int64(stmt, 3),
                                    .data_unpaid = sqlite3_column_int64(stmt, 4)};
        if (sqlite3_column_bytes(stmt, 0) == (int)sizeof row.corridor)
            memcpy(row.corridor.b, sqlite3_column_blob(stmt, 0), sizeof row.corridor);
        fn(ctx, &row);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = read_err(db, err, "job_usage");
    sqlite3_finalize(stmt);
    return rc;
}

int sqlite_rows_backup(sqlite3 *db, const char *path, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = !db || sqlite3_prepare_v2(db, "VACUUM INTO ?", -1, &stmt, NULL) != SQLITE_OK
                 ? read_err(db, err, "backup")
                 : 0;
    if (rc == 0) {
        sqlite3_bind_text(stmt, 1, path, -1, SQLITE_STATIC);
        rc = sqlite3_step(stmt) == SQLITE_DONE ? 0 : read_err(db, err, "backup");
    }
    sqlite3_finalize(stmt);
    return rc;
}
