/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_migrate.h"

#include "base/buf.h"
#include "store/sql.h"

static int sql_err(sqlite3 *db, struct err *err)
{
    return err_set(err, ERR_IO, "database schema: %s (%d)", sqlite3_errmsg(db), sqlite3_extended_errcode(db));
}

/* Of a text that has no end yet. */
static int run_made(sqlite3 *db, struct buf *sql, struct err *err)
{
    buf_add_char(sql, 0);
    if (sql->failed)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    return sqlite3_exec(db, sql->data, NULL, NULL, NULL) == SQLITE_OK ? 0 : sql_err(db, err);
}

/* What cannot be seen for want of memory is not taken to be missing. */
static int look_column(sqlite3 *db, const char *table, const char *column, bool *there, int *in_key,
                       struct err *err)
{
    int rc = sqlite3_table_column_metadata(db, NULL, table, column, NULL, NULL, NULL, in_key, NULL);
    *there = rc == SQLITE_OK;
    return rc == SQLITE_OK || rc == SQLITE_ERROR ? 0 : sql_err(db, err);
}

/* A table whose key lacks a column, be it beside the key already, is made anew, as SQLite changes no key: with all of its rows, or it stays as it was. */
static int rebuild(sqlite3 *db, const struct layout *layout, const char *table, struct err *err)
{
    struct buf sql, names;
    int rc = 0;
    buf_init(&sql, 16384);
    buf_init(&names, 8192);
    for (uint16_t i = 0; rc == 0 && i < layout->nfields; i++) {
        bool there;
        rc = look_column(db, table, layout->fields[i].name, &there, NULL, err);
        if (rc == 0 && there)
            buf_addf(&names, "%s\"%s\"", names.len > 0 ? ", " : "", layout->fields[i].name);
    }
    buf_add_char(&names, 0);
    if (rc == 0 && names.failed)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    if (rc == 0) {
        buf_addf(&sql, "BEGIN IMMEDIATE; ALTER TABLE %s RENAME TO bb_rebuilt; ", table);
        sql_create(&sql, layout);
        buf_addf(&sql, "; INSERT INTO %s (%s) SELECT %s FROM bb_rebuilt; DROP TABLE bb_rebuilt; COMMIT",
                 table, names.data, names.data);
        rc = run_made(db, &sql, err);
        if (rc != 0)
            (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    buf_fini(&names);
    buf_fini(&sql);
    return rc;
}

int sqlite_migrate(sqlite3 *db, const struct layout *layout, struct err *err)
{
    struct buf sql;
    char table[64];
    buf_init(&sql, 8192);
    sql_create(&sql, layout);
    int rc = run_made(db, &sql, err);
    sql_table(table, layout);
    for (uint16_t i = 0; rc == 0 && i < layout->nfields; i++) {
        bool there;
        int in_key = 0;
        rc = look_column(db, table, layout->fields[i].name, &there, &in_key, err);
        if (rc != 0 || (there && (i >= layout->nkeys || in_key)))
            continue;
        if (i < layout->nkeys) {
            rc = rebuild(db, layout, table, err);
            continue;
        }
        buf_clear(&sql);
        sql_add_column(&sql, layout, &layout->fields[i]);
        rc = run_made(db, &sql, err);
    }
    buf_fini(&sql);
    return rc;
}
