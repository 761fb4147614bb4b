/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sql.h"

#include <stdio.h>
#include <string.h>

#include "core/ledger.h"

_Static_assert(TRANSFER_PENDING == 1, "as the index and who uses it say");
static const char pending[] = " WHERE \"state\" = 1";

void sql_table(char dst[64], const struct layout *layout)
{
    (void)snprintf(dst, 64, "bb_%s", layout->name);
}

static const char *column_type(enum field_type type)
{
    switch (type) {
    case FIELD_u32:
    case FIELD_u64:
    case FIELD_i64:
        return "BIGINT NOT NULL DEFAULT 0";
    case FIELD_text:
        return "TEXT NOT NULL DEFAULT ''";
    case FIELD_uuid:
    case FIELD_digest:
    case FIELD_uuids:
        break;
    }
    return "BLOB NOT NULL DEFAULT ''";
}

static void add_names(struct buf *sql, const struct layout *layout, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++)
        buf_addf(sql, "%s\"%s\"", i ? ", " : "", layout->fields[i].name);
}

void sql_create(struct buf *sql, const struct layout *layout)
{
    buf_addf(sql, "CREATE TABLE IF NOT EXISTS bb_%s (", layout->name);
    for (uint16_t i = 0; i < layout->nfields; i++)
        buf_addf(sql, "\"%s\" %s, ", layout->fields[i].name, column_type(layout->fields[i].type));
    buf_add_text(sql, "PRIMARY KEY (");
    add_names(sql, layout, layout->nkeys);
    buf_add_text(sql, "))");
    if (layout->kind == ROW_KIND_transfer)
        buf_addf(sql, "; CREATE INDEX IF NOT EXISTS bb_transfer_pending ON bb_transfer(id)%s", pending);
}

void sql_add_column(struct buf *sql, const struct layout *layout, const struct field *field)
{
    buf_addf(sql, "ALTER TABLE bb_%s ADD COLUMN \"%s\" %s", layout->name, field->name,
             column_type(field->type));
}

void sql_upsert(struct buf *sql, const struct layout *layout, bool add)
{
    buf_addf(sql, "INSERT INTO bb_%s (", layout->name);
    add_names(sql, layout, layout->nfields);
    buf_add_text(sql, ") VALUES (");
    for (uint16_t i = 0; i < layout->nfields; i++)
        buf_add_text(sql, i ? ", ?" : "?");
    buf_add_text(sql, ") ON CONFLICT (");
    add_names(sql, layout, layout->nkeys);
    buf_add_text(sql, ") DO UPDATE SET ");
    for (uint16_t i = layout->nkeys; i < layout->nfields; i++) {
        const char *name = layout->fields[i].name;
        buf_addf(sql, "%s\"%s\" = ", i > layout->nkeys ? ", " : "", name);
        if (add)
            buf_addf(sql, "bb_%s.\"%s\" + ", layout->name, name);
        buf_addf(sql, "excluded.\"%s\"", name);
    }
}

void sql_delete(struct buf *sql, const struct layout *layout)
{
    buf_addf(sql, "DELETE FROM bb_%s WHERE ", layout->name);
    for (uint16_t i = 0; i < layout->nkeys; i++)
        buf_addf(sql, "%s\"%s\" = ?", i ? " AND " : "", layout->fields[i].name);
}

void sql_select_from(struct buf *sql, const struct layout *layout)
{
    buf_add_text(sql, "SELECT ");
    add_names(sql, layout, layout->nfields);
    buf_addf(sql, " FROM bb_%s", layout->name);
}

void sql_select_live(struct buf *sql, const struct layout *layout)
{
    sql_select_from(sql, layout);
    if (layout->kind == ROW_KIND_transfer)
        buf_add_text(sql, pending);
    /* By key: ids are UUIDv7, so this is the order of creation. */
    buf_add_text(sql, " ORDER BY ");
    add_names(sql, layout, layout->nkeys);
}

static void bind_one(sqlite3_stmt *stmt, int i, const struct field *f, const void *value)
{
    switch (f->type) {
    case FIELD_u32: {
        uint32_t v;
        memcpy(&v, value, sizeof v);
        sqlite3_bind_int64(stmt, i, v);
        break;
    }
    case FIELD_u64:
    case FIELD_i64: {
        sqlite3_int64 v;
        memcpy(&v, value, sizeof v);
        sqlite3_bind_int64(stmt, i, v);
        break;
    }
    case FIELD_uuid:
    case FIELD_digest:
        sqlite3_bind_blob(stmt, i, value, f->size, SQLITE_STATIC);
        break;
    case FIELD_text:
        sqlite3_bind_text(stmt, i, value, (int)text_len(value, f->size), SQLITE_STATIC);
        break;
    case FIELD_uuids: {
        const struct uuid_list *list = value;
        sqlite3_bind_blob(stmt, i, list->v, (int)(list->n * sizeof list->v[0]), SQLITE_STATIC);
        break;
    }
    }
}

void sql_bind(sqlite3_stmt *stmt, const struct layout *layout, const void *row, uint16_t nfields)
{
    for (uint16_t i = 0; i < nfields; i++)
        bind_one(stmt, i + 1, &layout->fields[i], (const char *)row + layout->fields[i].offset);
}

static bool read_blob(sqlite3_stmt *stmt, int i, const struct field *f, void *value)
{
    int len = sqlite3_column_bytes(stmt, i);
    const void *data = sqlite3_column_blob(stmt, i);
    if (f->type != FIELD_uuids) {
        if (len == f->size)
            memcpy(value, data, f->size);
        return len == f->size || len == 0; /* empty: the default of an added column */
    }
    struct uuid_list *list = value;
    if (len < 0 || (size_t)len > sizeof list->v || (size_t)len % sizeof list->v[0])
        return false;
    list->n = (uint32_t)((size_t)len / sizeof list->v[0]);
    if (len)
        memcpy(list->v, data, (size_t)len);
    return true;
}

static bool read_one(sqlite3_stmt *stmt, int i, const struct field *f, void *value)
{
    sqlite3_int64 v;
    switch (f->type) {
    case FIELD_u32:
        v = sqlite3_column_int64(stmt, i);
        memcpy(value, &(uint32_t){(uint32_t)v}, sizeof(uint32_t));
        return v >= 0 && v <= UINT32_MAX;
    case FIELD_u64:
    case FIELD_i64:
        v = sqlite3_column_int64(stmt, i);
        memcpy(value, &v, sizeof v);
        return true;
    case FIELD_text: {
        const char *text = (const char *)sqlite3_column_text(stmt, i);
        return text && text_set(value, f->size, text, (size_t)sqlite3_column_bytes(stmt, i));
    }
    case FIELD_uuid:
    case FIELD_digest:
    case FIELD_uuids:
        return read_blob(stmt, i, f, value);
    }
    return false;
}

bool sql_read(sqlite3_stmt *stmt, const struct layout *layout, void *row)
{
    memset(row, 0, layout->size);
    for (uint16_t i = 0; i < layout->nfields; i++) {
        if (!read_one(stmt, i, &layout->fields[i], (char *)row + layout->fields[i].offset))
            return false;
    }
    return true;
}
