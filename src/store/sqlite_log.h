/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transparency log's tables in SQLite, for sqlite.c: leaves by batch with their salts, the tree's edge in one row, and
 * receipts by id. They are written within the caller's transaction.
 */
#ifndef BUSBAR_STORE_SQLITE_LOG_H
#define BUSBAR_STORE_SQLITE_LOG_H

#include <sqlite3.h>

#include "store/store.h"

struct sqlite_log {
    sqlite3_stmt *add, *edge, *receipt;
};

/* Makes the tables if they are not there, and the statements; what is made belongs to `log` also after an error. */
int sqlite_log_open(struct sqlite_log *log, sqlite3 *db, struct err *err);
void sqlite_log_close(struct sqlite_log *log);

int sqlite_log_apply(struct sqlite_log *log, sqlite3 *db, const struct store_log *batch, struct err *err);

/* As of struct store_ops. */
int sqlite_log_rows(sqlite3 *db, uint64_t from, log_fn *fn, void *ctx, struct err *err);
int sqlite_log_edge(sqlite3 *db, struct buf *edge, struct err *err);
int sqlite_log_receipts(sqlite3 *db, const struct uuid *id, receipt_fn *fn, void *ctx, struct err *err);

#endif
