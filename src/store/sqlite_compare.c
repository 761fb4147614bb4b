/* SPDX-License-Identifier: Apache-2.0 */
#include <sqlite3.h>
#include <string.h>

#include "store/sql.h"
#include "store/store.h"

/* The second database, beside the first one's `main`. */
#define OTHER "made"

static int failed(sqlite3 *db, struct err *err, const char *what)
{
    return err_set(err, ERR_IO, "%s: %s (%d)", what, sqlite3_errmsg(db), sqlite3_extended_errcode(db));
}

static int open_read(sqlite3 **db, const char *kept, const char *made, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_open_v2(kept, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return failed(*db, err, kept);
    sqlite3_extended_result_codes(*db, 1);
    int step = sqlite3_prepare_v2(*db, "ATTACH DATABASE ? AS " OTHER, -1, &stmt, NULL);
    if (step == SQLITE_OK) {
        sqlite3_bind_text(stmt, 1, made, -1, SQLITE_STATIC);
        step = sqlite3_step(stmt);
    }
    sqlite3_finalize(stmt);
    return step == SQLITE_DONE ? 0 : failed(*db, err, made);
}

/* Rows of one side that the other lacks, or has with other fields; by key, so that the indexes of both are walked. The
 * key in one column, then for each field: whether it is alike, and what each side has. */
static void add_query(struct buf *sql, const struct layout *layout, const char *one, const char *other)
{
    buf_add_text(sql, "SELECT ");
    for (uint16_t i = 0; i < layout->nkeys; i++)
        buf_addf(sql, "%squote(a.\"%s\")", i ? " || ' ' || " : "", layout->fields[i].name);
    buf_addf(sql, ", b.\"%s\" IS NULL", layout->fields[0].name);
    for (uint16_t i = layout->nkeys; i < layout->nfields; i++) {
        const char *name = layout->fields[i].name;
        buf_addf(sql, ", a.\"%s\" IS b.\"%s\", quote(a.\"%s\"), quote(b.\"%s\")", name, name, name, name);
    }
    buf_addf(sql, " FROM %s.bb_%s a LEFT JOIN %s.bb_%s b ON ", one, layout->name, other, layout->name);
    for (uint16_t i = 0; i < layout->nkeys; i++)
        buf_addf(sql, "%sa.\"%s\" = b.\"%s\"", i ? " AND " : "", layout->fields[i].name,
                 layout->fields[i].name);
    buf_addf(sql, " WHERE b.\"%s\" IS NULL", layout->fields[0].name);
    for (uint16_t i = layout->nkeys; i < layout->nfields; i++)
        buf_addf(sql, " OR a.\"%s\" IS NOT b.\"%s\"", layout->fields[i].name, layout->fields[i].name);
    buf_add_text(sql, " ORDER BY ");
    for (uint16_t i = 0; i < layout->nkeys; i++)
        buf_addf(sql, "%sa.\"%s\"", i ? ", " : "", layout->fields[i].name);
    buf_add_text(sql, " LIMIT 1");
}

static void copy_column(char *dst, size_t cap, sqlite3_stmt *stmt, int i)
{
    const char *text = (const char *)sqlite3_column_text(stmt, i);
    size_t len = text ? strlen(text) : 0;
    (void)text_set(dst, cap, text ? text : "", len < cap ? len : cap - 1);
}

static void tell(struct store_difference *out, const struct layout *layout, sqlite3_stmt *stmt, bool swapped)
{
    char key[128];
    struct buf row;
    *out = (struct store_difference){.field = ""};
    copy_column(key, sizeof key, stmt, 0);
    buf_init(&row, sizeof out->row);
    buf_addf(&row, "%s %s", layout->name, key);
    (void)text_set(out->row, sizeof out->row, row.data ? row.data : "", row.len);
    buf_fini(&row);
    if (sqlite3_column_int(stmt, 1)) {
        char *has = swapped ? out->made : out->kept;
        (void)text_set(has, sizeof out->kept, "the row", 7);
        return;
    }
    for (uint16_t i = layout->nkeys; i < layout->nfields; i++) {
        int column = 2 + 3 * (i - layout->nkeys);
        if (sqlite3_column_int(stmt, column))
            continue;
        (void)text_set(out->field, sizeof out->field, layout->fields[i].name, strlen(layout->fields[i].name));
        copy_column(out->kept, sizeof out->kept, stmt, column + 1);
        copy_column(out->made, sizeof out->made, stmt, column + 2);
        return;
    }
}

static int compare_one(sqlite3 *db, const struct layout *layout, bool swapped, struct store_difference *out,
                       struct err *err)
{
    struct buf sql;
    sqlite3_stmt *stmt = NULL;
    buf_init(&sql, 65536);
    add_query(&sql, layout, swapped ? OTHER : "main", swapped ? "main" : OTHER);
    int step = SQLITE_ERROR;
    if (!sql.failed && sqlite3_prepare_v2(db, sql.data, (int)sql.len, &stmt, NULL) == SQLITE_OK)
        step = sqlite3_step(stmt);
    int rc = step == SQLITE_DONE ? 0 : failed(db, err, layout->name);
    if (step == SQLITE_ROW) {
        tell(out, layout, stmt, swapped);
        rc = err_set(err, ERR_CORRUPT, "the row %s differs", out->row);
    }
    sqlite3_finalize(stmt);
    buf_fini(&sql);
    return rc;
}

int store_sqlite_compare(const char *kept, const char *made, struct store_difference *out, struct err *err)
{
    sqlite3 *db = NULL;
    const struct layout *layout;
    int rc = open_read(&db, kept, made, err);
    for (uint32_t i = 0; rc == 0 && (layout = layout_row_at(i)) != NULL; i++) {
        for (int swapped = 0; rc == 0 && swapped < 2; swapped++)
            rc = compare_one(db, layout, swapped, out, err);
    }
    sqlite3_close(db);
    return rc;
}
