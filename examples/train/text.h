/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte string: the training text before it becomes tokens.
 *
 * Appending cannot fail visibly. When memory runs out, or TEXT_BYTES_MAX is reached, `failed` is set and stays set,
 * and later appends do nothing; the owner checks `failed` once, at the end. That keeps the grammar code free of
 * error paths. `data` is not terminated by a zero byte.
 */
#ifndef TRAIN_TEXT_H
#define TRAIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define TEXT_BYTES_MAX ((size_t)1 << 30)

struct text {
    char *data;
    size_t len;
    size_t cap;
    bool failed;
};

void text_append(struct text *text, const char *bytes, size_t len);

/* Reads the whole file at `path`. Returns 0 or a negative errno value; the caller calls text_fini either way. */
int text_read_file(struct text *text, const char *path);

void text_fini(struct text *text);

#endif
