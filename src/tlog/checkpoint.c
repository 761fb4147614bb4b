/* SPDX-License-Identifier: Apache-2.0 */
#include "tlog/checkpoint.h"

#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/str.h"

size_t checkpoint_text(char dst[CHECKPOINT_TEXT_CAP], const struct checkpoint *checkpoint)
{
    size_t at = text_len(checkpoint->origin, sizeof checkpoint->origin);
    memcpy(dst, checkpoint->origin, at);
    dst[at++] = '\n';
    at += u64_format(dst + at, checkpoint->size, 10);
    dst[at++] = '\n';
    base64_encode(dst + at, checkpoint->root.b, MERKLE_HASH_LEN);
    at += BASE64_LEN(MERKLE_HASH_LEN);
    dst[at++] = '\n';
    dst[at] = 0;
    return at;
}

/* The line at *at, without its end; false where there is none, or an empty one. */
static bool next_line(const char *text, size_t len, size_t *at, const char **line, size_t *line_len)
{
    const char *end = memchr(text + *at, '\n', len - *at);
    *line = text + *at;
    *line_len = end ? (size_t)(end - *line) : 0;
    *at += *line_len + 1;
    return *line_len > 0;
}

int checkpoint_parse(struct checkpoint *out, const char *text, size_t len)
{
    const char *line;
    size_t at = 0, n, root_len;
    *out = (struct checkpoint){0};
    if (!next_line(text, len, &at, &line, &n) || !text_set(out->origin, sizeof out->origin, line, n))
        return ERR_INVALID;
    if (!next_line(text, len, &at, &line, &n) || (n > 1 && line[0] == '0') ||
        !u64_parse(line, n, MERKLE_SIZE_MAX, &out->size))
        return ERR_INVALID;
    if (!next_line(text, len, &at, &line, &n) ||
        !base64_decode(out->root.b, sizeof out->root.b, &root_len, line, n) || root_len != MERKLE_HASH_LEN)
        return ERR_INVALID;
    while (at < len) {
        if (!next_line(text, len, &at, &line, &n))
            return ERR_INVALID;
    }
    return 0;
}
