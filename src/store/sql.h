/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL from row layouts, in the part of the language that SQLite and PostgreSQL share, and binding for SQLite.
 *
 * Integers of all widths are BIGINT, uuid, digest and uuids are BLOB, texts are TEXT. The table of a row `x` is bb_x.
 */
#ifndef BUSBAR_STORE_SQL_H
#define BUSBAR_STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/buf.h"
#include "core/layout.h"

void sql_table(char dst[64], const struct layout *layout);
void sql_create(struct buf *sql, const struct layout *layout);
void sql_add_column(struct buf *sql, const struct layout *layout, const struct field *field);
/* INSERT that replaces the rest of a row with the same key, or adds to it. */
void sql_upsert(struct buf *sql, const struct layout *layout, bool add);
void sql_delete(struct buf *sql, const struct layout *layout);
/* SELECT of all fields; sql_select_live in the order of the key, and of transfers only those that are pending: the state has no use of
 * others, and a ledger has millions. The table's index knows them. */
void sql_select_from(struct buf *sql, const struct layout *layout);
void sql_select_live(struct buf *sql, const struct layout *layout);

/* Binds the first `nfields` fields to ?1, ?2, ...; texts and blobs are not copied. */
void sql_bind(sqlite3_stmt *stmt, const struct layout *layout, const void *row, uint16_t nfields);
/* Reads the columns of sql_select_from into the struct. False when a value does not fit its field. */
bool sql_read(sqlite3_stmt *stmt, const struct layout *layout, void *row);

#endif
