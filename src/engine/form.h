/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forms: JSON objects with a fixed table of members, as the files of a job's folder hold them (docs/engines.md).
 *
 * One table both reads and writes a struct, so that what is written can be read. Reading is strict: a member that the
 * table does not name, a missing one that is required, a number past its maximum or a text with a NUL is ERR_INVALID
 * with words. Members that are zero or empty are not written unless they are required. Texts and lists are on the heap
 * and the form's own until form_free, which also leaves it zeroed.
 */
#ifndef BUSBAR_ENGINE_FORM_H
#define BUSBAR_ENGINE_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FORM_MAX ((size_t)1 << 20) /* bytes of one form */

enum form_type {
    FORM_U32,    /* uint32_t, up to `max` */
    FORM_U64,    /* uint64_t, up to `max` */
    FORM_BOOL,   /* bool */
    FORM_UUID,   /* struct uuid */
    FORM_WORD,   /* uint32_t, an index into `words` */
    FORM_TEXT,   /* char *, at most `max` bytes */
    FORM_TEXTS,  /* char **, at most `max` of them; how many at `count` */
    FORM_U32S,   /* uint32_t *, at most `max` of them; how many at `count` */
    FORM_OBJECT, /* a struct, by the table `of` */
    FORM_LIST,   /* structs by the table `of`, at most `max` of them; how many at `count` */
};

struct form_table;

struct form_field {
    const char *key;
    enum form_type type;
    bool required;
    size_t at;    /* offset in the struct */
    size_t count; /* offset of a list's length, a uint32_t */
    uint64_t max;
    const char *const *words; /* ends with NULL; an empty word stands for absent */
    const struct form_table *of;
};

struct form_table {
    const struct form_field *fields;
    uint32_t n;
    size_t size;
};

/* `form` has table->size bytes and is zeroed first. On an error it is left zeroed. */
int form_read(const struct form_table *table, const char *text, size_t len, void *form, struct err *err);
/* Appends one line without a newline. */
void form_write(const struct form_table *table, const void *form, struct buf *out);
void form_free(const struct form_table *table, void *form);

/* The same from and to files; writing is atomic and durable (fs_write_atomic). */
int form_load(const struct form_table *table, const char *path, void *form, struct err *err);
int form_save(const struct form_table *table, const char *path, const void *form, struct err *err);

#endif
