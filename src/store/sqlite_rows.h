/* SPDX-License-Identifier: Apache-2.0 */
/* Rows by what is asked of their fields, for sqlite.c: under its locks, on its connections that read. */
#ifndef BUSBAR_STORE_SQLITE_ROWS_H
#define BUSBAR_STORE_SQLITE_ROWS_H

#include <sqlite3.h>

#include "store/store.h"

/* SQL of the indexes that such questions need beside the tables' own keys; to be run once all tables are there. */
extern const char sqlite_rows_indexes[];

/* As of struct store_ops; `db` NULL is an error. */
int sqlite_rows_read(sqlite3 *db, const struct row_query *query, uint32_t n, load_fn *fn, void *ctx,
                     struct err *err);
int sqlite_rows_job_usage(sqlite3 *db, const struct uuid *job, job_usage_fn *fn, void *ctx, struct err *err);

int sqlite_rows_moved(sqlite3 *db, const struct usage_query *query, job_usage_fn *fn, void *ctx,
                      struct err *err);
int sqlite_rows_backup(sqlite3 *db, const char *path, struct err *err);

/* What a page of jobs is of, beside its limit, ?4. */
void sqlite_rows_jobs_where(struct buf *sql, const struct job_query *query);

#endif
