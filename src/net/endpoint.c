/* SPDX-License-Identifier: Apache-2.0 */
#include "net/endpoint.h"

#include <string.h>
#include <sys/un.h>

#include "base/str.h"

#define HOST_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"

/* Neither blanks nor what cuts a head of HTTP in two. */
static bool plain(const char *text)
{
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return false;
    }
    return true;
}

int http_endpoint_parse(struct http_endpoint *e, const char *text, struct err *err)
{
    *e = (struct http_endpoint){0};
    if (!text_set(e->text, sizeof e->text, text, strlen(text)))
        return err_set(err, ERR_INVALID, "the endpoint is too long");
    if (strncmp(text, "unix:", 5) == 0) {
        const char *path = text + 5, *base = strchr(path, ' ');
        size_t len = base ? (size_t)(base - path) : strlen(path);
        e->is_unix = true;
        base = base ? base + 1 : "";
        if (!plain(base))
            return err_set(err, ERR_INVALID,
                           "what comes after the socket's path has blanks or control codes");
        return text_set(e->host, sizeof((struct sockaddr_un){0}).sun_path, path, len) &&
                       text_set(e->base, sizeof e->base, base, strlen(base))
                   ? 0
                   : err_set(err, ERR_INVALID, "the socket path is too long");
    }
    e->is_tls = strncmp(text, "https://", 8) == 0;
    if (!e->is_tls && strncmp(text, "http://", 7) != 0)
        return err_set(err, ERR_INVALID, "%s: expected unix:, http:// or https://", text);
    const char *host = strchr(text, ':') + 3;
    size_t host_len = strspn(host, HOST_CHARS);
    const char *rest = host + host_len;
    e->port = e->is_tls ? 443 : 80;
    if (*rest == ':') {
        size_t n = strspn(++rest, "0123456789");
        uint64_t number = 0;
        if (!u64_parse(rest, n, UINT16_MAX, &number) || number == 0)
            return err_set(err, ERR_INVALID, "%s: the port is not valid", text);
        e->port = (uint16_t)number;
        rest += n;
    }
    size_t base_len = strlen(rest);
    while (base_len > 0 && rest[base_len - 1] == '/')
        base_len--;
    if (host_len == 0 || (*rest && *rest != '/') || !plain(rest) ||
        !text_set(e->host, sizeof e->host, host, host_len) ||
        !text_set(e->base, sizeof e->base, rest, base_len))
        return err_set(err, ERR_INVALID, "%s is not a valid URL", text);
    return 0;
}

int http_endpoint_dial(struct stream *stream, struct loop *loop, const struct http_endpoint *e,
                       struct tls_session *tls, const struct stream_events *events)
{
    return e->is_unix ? stream_dial_unix(stream, loop, e->host, events)
                      : stream_dial_name(stream, loop, e->host, e->port, tls, events);
}
