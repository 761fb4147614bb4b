/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of a file that an older binary wrote: each kind of row has the columns and the key of its layout (core/schema.h) afterwards, with
 * all rows that were there and defaults in what is new. It stops between two steps at any time and goes on at the next start.
 */
#ifndef BUSBAR_STORE_SQLITE_MIGRATE_H
#define BUSBAR_STORE_SQLITE_MIGRATE_H

#include <sqlite3.h>

#include "base/err.h"
#include "core/layout.h"

/* Creates the table of one kind of row, or adds the columns that it lacks. */
int sqlite_migrate(sqlite3 *db, const struct layout *layout, struct err *err);

#endif
