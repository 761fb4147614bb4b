/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tunnel.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum tunnel_read tunnel_read_head(const char *data, size_t len, size_t *used)
{
    static const char begins[] = "HTTP/1.1 101 ", ends[] = "\r\n\r\n";
    size_t known = len < sizeof begins - 1 ? len : sizeof begins - 1;
    if (memcmp(data, begins, known) != 0)
        return TUNNEL_BAD;
    const char *end = memmem(data, len, ends, sizeof ends - 1);
    *used = end ? (size_t)(end - data) + sizeof ends - 1 : 0;
    if (!end)
        return len < TUNNEL_HEAD_MAX ? TUNNEL_MORE : TUNNEL_BAD;
    return *used <= TUNNEL_HEAD_MAX ? TUNNEL_WHOLE : TUNNEL_BAD;
}

/* A number up to the byte that ends it, which *at is moved behind. */
static bool read_number(const char **at, const char *end, char until, uint32_t *out)
{
    const char *stop = memchr(*at, until, (size_t)(end - *at));
    uint64_t number;
    if (!stop || !u64_parse(*at, (size_t)(stop - *at), UINT32_MAX, &number))
        return false;
    *out = (uint32_t)number;
    *at = stop + 1;
    return true;
}

enum tunnel_read tunnel_read_line(const char *data, size_t len, struct tunnel_target *out, size_t *used)
{
    size_t known = len < TUNNEL_LINE_MAX ? len : TUNNEL_LINE_MAX;
    const char *newline = memchr(data, '\n', known), *at = data + UUID_TEXT_LEN + 1;
    *used = newline ? (size_t)(newline - data) + 1 : 0;
    if (!newline)
        return len < TUNNEL_LINE_MAX ? TUNNEL_MORE : TUNNEL_BAD;
    bool good = *used > UUID_TEXT_LEN + 1 && uuid_parse(&out->deployment, data, UUID_TEXT_LEN) &&
                at[-1] == ' ' && read_number(&at, newline + 1, ' ', &out->ordinal) &&
                read_number(&at, newline + 1, '\n', &out->epoch) && at == newline + 1;
    return good ? TUNNEL_WHOLE : TUNNEL_BAD;
}

size_t tunnel_write_line(char dst[TUNNEL_LINE_MAX], const struct tunnel_target *target)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &target->deployment);
    int n = snprintf(dst, TUNNEL_LINE_MAX, "%s %u %u\n", id, target->ordinal, target->epoch);
    assert(n > 0 && n < TUNNEL_LINE_MAX);
    return (size_t)n;
}
