/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_log.h"

#include <string.h>

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS bb_log (first BIGINT PRIMARY KEY, count BIGINT NOT NULL,"
    " entries BLOB NOT NULL, salts BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS bb_log_edge (id BIGINT PRIMARY KEY, edge BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS bb_receipt (id BLOB NOT NULL, leaf BIGINT NOT NULL, tenant BLOB NOT NULL,"
    " facts TEXT NOT NULL, PRIMARY KEY (id, leaf))";

static int log_err(sqlite3 *db, struct err *err)
{
    return err_set(err, ERR_IO, "log: %s (%d)", db ? sqlite3_errmsg(db) : "no database",
                   db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM);
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **stmt, struct err *err)
{
    if (!db || sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) != SQLITE_OK)
        return log_err(db, err);
    return 0;
}

int sqlite_log_open(struct sqlite_log *log, sqlite3 *db, struct err *err)
{
    *log = (struct sqlite_log){0};
    if (sqlite3_exec(db, tables, NULL, NULL, NULL) != SQLITE_OK)
        return log_err(db, err);
    int rc = prepare(db, "INSERT INTO bb_log(first, count, entries, salts) VALUES (?,?,?,?)", &log->add, err);
    if (rc == 0)
        rc = prepare(db,
                     "INSERT INTO bb_log_edge(id, edge) VALUES (1,?)"
                     " ON CONFLICT(id) DO UPDATE SET edge = excluded.edge",
                     &log->edge, err);
    if (rc == 0)
        rc = prepare(db, "INSERT INTO bb_receipt(id, tenant, leaf, facts) VALUES (?,?,?,?)", &log->receipt,
                     err);
    return rc;
}

void sqlite_log_close(struct sqlite_log *log)
{
    sqlite3_finalize(log->add);
    sqlite3_finalize(log->edge);
    sqlite3_finalize(log->receipt);
    *log = (struct sqlite_log){0};
}

static int step_once(sqlite3 *db, sqlite3_stmt *stmt, struct err *err)
{
    int step = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return step == SQLITE_DONE ? 0 : log_err(db, err);
}

int sqlite_log_apply(struct sqlite_log *log, sqlite3 *db, const struct store_log *batch, struct err *err)
{
    const struct store_receipt *r;
    const char *facts;
    size_t at = 0;
    sqlite3_bind_int64(log->add, 1, (sqlite3_int64)batch->first);
    sqlite3_bind_int64(log->add, 2, batch->count);
    sqlite3_bind_blob64(log->add, 3, batch->entries->data, batch->entries->len, SQLITE_STATIC);
    sqlite3_bind_blob64(log->add, 4, batch->salts->data, batch->salts->len, SQLITE_STATIC);
    int rc = step_once(db, log->add, err);
    if (rc == 0) {
        sqlite3_bind_blob64(log->edge, 1, batch->edge->data, batch->edge->len, SQLITE_STATIC);
        rc = step_once(db, log->edge, err);
    }
    while (rc == 0 && (r = store_receipt_next(batch->receipts, &at, &facts)) != NULL) {
        sqlite3_bind_blob(log->receipt, 1, r->id.b, sizeof r->id.b, SQLITE_STATIC);
        sqlite3_bind_blob(log->receipt, 2, r->tenant.b, sizeof r->tenant.b, SQLITE_STATIC);
        sqlite3_bind_int64(log->receipt, 3, (sqlite3_int64)r->leaf);
        sqlite3_bind_text(log->receipt, 4, facts, (int)r->facts_len, SQLITE_STATIC);
        rc = step_once(db, log->receipt, err);
    }
    return rc;
}

static int read_row(sqlite3_stmt *stmt, log_fn *fn, void *ctx, bool *more, struct err *err)
{
    struct log_row row = {.first = (uint64_t)sqlite3_column_int64(stmt, 0),
                          .count = (uint32_t)sqlite3_column_int64(stmt, 1),
                          .entries = sqlite3_column_blob(stmt, 2),
                          .entries_len = (size_t)sqlite3_column_bytes(stmt, 2),
                          .salts = sqlite3_column_blob(stmt, 3)};
    if ((size_t)sqlite3_column_bytes(stmt, 3) != (size_t)row.count * STORE_SALT_LEN)
        return err_set(err, ERR_CORRUPT, "table bb_log holds a value that does not fit");
    *more = fn(ctx, &row) == 0;
    return 0;
}

int sqlite_log_rows(sqlite3 *db, uint64_t from, log_fn *fn, void *ctx, struct err *err)
{
    /* As of the journal: a row has at most as many leaves as a batch has events. */
    static const char sql[] = "SELECT first, count, entries, salts FROM bb_log"
                              " WHERE first > ?2 AND first + count > ?1 ORDER BY first";
    sqlite3_stmt *stmt = NULL;
    int rc = prepare(db, sql, &stmt, err), step = SQLITE_DONE;
    if (rc == 0) {
        sqlite3_bind_int64(stmt, 1, (sqlite3_int64)from);
        sqlite3_bind_int64(stmt, 2, (sqlite3_int64)from - BATCH_EVENTS_MAX);
    }
    for (bool more = true; rc == 0 && more;) {
        step = sqlite3_step(stmt);
        if (step != SQLITE_ROW)
            break;
        step = SQLITE_DONE;
        rc = read_row(stmt, fn, ctx, &more, err);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = log_err(db, err);
    sqlite3_finalize(stmt);
    return rc;
}

int sqlite_log_edge(sqlite3 *db, struct buf *edge, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = prepare(db, "SELECT edge FROM bb_log_edge WHERE id = 1", &stmt, err);
    int step = rc == 0 ? sqlite3_step(stmt) : SQLITE_DONE;
    if (step == SQLITE_ROW)
        buf_add(edge, sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0));
    else if (step != SQLITE_DONE)
        rc = log_err(db, err);
    sqlite3_finalize(stmt);
    return rc == 0 && edge->failed ? err_set(err, ERR_NO_MEMORY, "out of memory") : rc;
}

int sqlite_log_receipts(sqlite3 *db, const struct uuid *id, receipt_fn *fn, void *ctx, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = prepare(db, "SELECT leaf, tenant, facts FROM bb_receipt WHERE id = ? ORDER BY leaf", &stmt, err);
    int step = SQLITE_DONE;
    if (rc == 0)
        sqlite3_bind_blob(stmt, 1, id->b, sizeof id->b, SQLITE_STATIC);
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct store_receipt r = {.id = *id, .leaf = (uint64_t)sqlite3_column_int64(stmt, 0)};
        if (sqlite3_column_bytes(stmt, 1) != (int)sizeof r.tenant)
            rc = err_set(err, ERR_CORRUPT, "table bb_receipt holds a value that does not fit");
        if (rc != 0)
            break;
        memcpy(r.tenant.b, sqlite3_column_blob(stmt, 1), sizeof r.tenant);
        const char *facts = (const char *)sqlite3_column_text(stmt, 2);
        r.facts_len = (uint32_t)sqlite3_column_bytes(stmt, 2);
        fn(ctx, &r, facts);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = log_err(db, err);
    sqlite3_finalize(stmt);
    return rc;
}
