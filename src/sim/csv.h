/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV: lines of fields between commas, plain or compressed with zstd (told by the file's first bytes), in one pass.
 *
 * Strict, because a trace that is read wrongly gives figures that look right: no quoted fields, no empty lines, as
 * many fields in each line as in the first, numbers without blanks, exponents or units. A reader names the columns
 * that it wants; the file may have more, in any order. What is wrong is told as file:line: words, and reading goes on
 * so that one run shows many mistakes; after CSV_COMPLAINTS_MAX of them it stops. Numbers become integers at once, in
 * thousandths or millionths where a file has fractions: nothing after this floor sees a float.
 *
 * Memory: one block for the text (CSV_LINE_MAX bounds a line) and zstd's window, at most 2^CSV_WINDOW_LOG bytes. A
 * field points into that block and is dead after the next csv_next. At most CSV_BYTES_MAX bytes of text are read.
 */
#ifndef BUSBAR_SIM_CSV_H
#define BUSBAR_SIM_CSV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define CSV_LINE_MAX (1u << 16)
#define CSV_FIELDS_MAX 64u
#define CSV_COLUMNS_MAX 8u
#define CSV_COMPLAINTS_MAX 20u
#define CSV_BYTES_MAX (UINT64_C(1) << 32)
#define CSV_WINDOW_LOG 27

struct csv;

struct csv_field {
    const char *at; /* NULL: the file has no such column */
    uint32_t len;
};

struct csv_column {
    const char *names; /* the first of these that the header has, separated by '|' */
    bool optional;
};

/* ERR_NOT_FOUND, ERR_IO, ERR_CORRUPT (zstd), ERR_NO_MEMORY; the caller ends it with csv_close. */
int csv_open(struct csv **out, const char *path, struct err *err);
/* Reads the first line. A file whose first line has a number is one without a header if `plain` > 0: its first fields
 * are the first `plain` columns, in this order. False: no row can be read, csv_close tells why. */
bool csv_header(struct csv *csv, const struct csv_column *columns, uint32_t n, uint32_t plain);
/* The next line that has the right form: its fields in the order of the columns. False at the end, or when reading
 * stopped. */
bool csv_next(struct csv *csv, struct csv_field field[CSV_COLUMNS_MAX]);
/* The line that csv_next gave is bad. */
__attribute__((format(printf, 2, 3))) void csv_complain(struct csv *csv, const char *fmt, ...);
/* Ends reading: memory or a limit, not a bad line. */
void csv_fail(struct csv *csv, int code, const char *words);
/* A number >= 0 in units of 10^-digits, rounded half up. False, with a complaint that names `what`, if it is no such
 * number or above `max`, which is in the units of the result. */
bool csv_number(struct csv *csv, struct csv_field field, const char *what, unsigned digits, uint64_t max,
                uint64_t *out);
/* A whole number >= 0; "8.0" is one. */
bool csv_whole(struct csv *csv, struct csv_field field, const char *what, uint64_t max, uint64_t *out);
/* Printable ASCII without blanks, 1 to cap - 1 characters, into `dst` (NUL-terminated). False with a complaint. */
bool csv_name(struct csv *csv, struct csv_field field, const char *what, char *dst, uint32_t cap);
/* Frees it. Returns 0, or why the file could not be read; `err` has the first complaint. `*complaints` gets all of
 * them, a line each, or NULL if there are none; the caller frees it. */
int csv_close(struct csv *csv, char **complaints, struct err *err);

#endif
