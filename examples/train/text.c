/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_reserve(struct text *text, size_t extra)
{
    size_t cap = text->cap > 0 ? text->cap : 4096;
    char *data = NULL;

    if (extra > TEXT_BYTES_MAX - text->len)
        return false;
    while (cap < text->len + extra)
        cap *= 2;
    if (cap == text->cap)
        return true;
    data = realloc(text->data, cap);
    if (data == NULL)
        return false;
    text->data = data;
    text->cap = cap;
    return true;
}

void text_append(struct text *text, const char *bytes, size_t len)
{
    if (text->failed)
        return;
    if (!text_reserve(text, len)) {
        text->failed = true;
        return;
    }
    memcpy(text->data + text->len, bytes, len);
    text->len += len;
}

int text_read_file(struct text *text, const char *path)
{
    char chunk[65536];
    size_t got = 0;
    int rc = 0;
    FILE *file = fopen(path, "rb");

    if (file == NULL)
        return -errno;
    while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
        text_append(text, chunk, got);
    if (ferror(file) != 0)
        rc = -EIO;
    else if (text->failed)
        rc = -ENOMEM;
    (void)fclose(file);
    return rc;
}

void text_fini(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}
