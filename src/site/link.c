/* SPDX-License-Identifier: Apache-2.0 */
#include "site/link.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/json.h"

struct link {
    struct http_client *client;
    struct http_endpoint endpoint;
    struct http_call *call; /* NULL: none is under way */
    struct buf sent, answer;
    int status;
    link_fn *fn;
    link_bytes_fn *bytes_fn; /* in place of fn: the answer is no JSON */
    void *ctx;
    struct gauge *gauge; /* NULL: nobody measures */
    struct gauge_piece piece;
    uint64_t sent_us;
};

static uint64_t now_us(void)
{
    return uv_hrtime() / 1000;
}

static void on_head(struct http_call *call, int status)
{
    struct link *link = http_call_ctx(call);
    link->status = status;
}

static void on_body(struct http_call *call, const char *data, size_t len)
{
    struct link *link = http_call_ctx(call);
    buf_add(&link->answer, data, len);
    if (link->gauge && link->bytes_fn)
        gauge_comes(link->gauge, &link->piece, len, now_us());
}

/* The code that the hub's status stands for, as far as a site cares. */
static int refused(int status)
{
    switch (status) {
    case 401:
        return ERR_UNAUTHENTICATED;
    case 403:
        return ERR_FORBIDDEN;
    case 404:
        return ERR_NOT_FOUND;
    default:
        return status >= 500 ? ERR_UNAVAILABLE : ERR_INVALID;
    }
}

static void judge(const struct link *link, int rc, yyjson_val *root, struct err *err)
{
    const char *words = yyjson_get_str(yyjson_ptr_get(root, "/error/message"));
    const char *code = yyjson_get_str(yyjson_ptr_get(root, "/error/code"));
    const bool closed = link->status == 503 && code && strcmp(code, "CORRIDOR") == 0;
    if (rc != 0)
        err_set(err, rc, "the hub at %s is not reached, or is not the hub that we know", link->endpoint.text);
    else if (link->status != 200)
        err_set(err, closed ? ERR_CORRIDOR : refused(link->status), "%s", words ? words : "the hub refused");
    else if (!link->bytes_fn && !yyjson_is_obj(root))
        err_set(err, ERR_UPSTREAM, "the hub's answer is not what it should be");
}

static void on_end(struct http_call *call, int rc)
{
    struct link *link = http_call_ctx(call);
    struct err err = {0};
    bool whole = rc == 0 && !link->answer.failed && link->answer.len > 0;
    bool bytes = link->bytes_fn && link->status == 200;
    yyjson_doc *doc = whole && !bytes ? json_read(link->answer.data, link->answer.len) : NULL;
    judge(link, rc, yyjson_doc_get_root(doc), &err);
    if (link->gauge && err.code == 0 && link->bytes_fn)
        gauge_came(link->gauge, &link->piece, now_us());
    else if (link->gauge && err.code == 0)
        gauge_went(link->gauge, link->sent.len, now_us() - link->sent_us);
    link->call = NULL;
    if (link->answer.failed)
        err_set(&err, ERR_UPSTREAM, "the hub's answer is too long");
    if (link->bytes_fn)
        link->bytes_fn(link->ctx, &err, link->answer.data, err.code == 0 ? link->answer.len : 0);
    else
        link->fn(link->ctx, &err, err.code == 0 ? yyjson_doc_get_root(doc) : NULL);
    yyjson_doc_free(doc);
}

int link_open(struct link **out, struct loop *loop, const char *hub, struct tls_context *tls, struct err *err)
{
    struct link *link = calloc(1, sizeof *link);
    char url[ENDPOINT_TEXT_MAX];
    struct http_client_config config = {.connect_ms = 10000,
                                        .first_byte_ms = 60000,
                                        .between_ms = 30000,
                                        .idle_ms = 60000,
                                        .idle_max = 1,
                                        .tls = tls};
    int rc = link ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
    if (rc == 0 && snprintf(url, sizeof url, "https://%s", hub) >= (int)sizeof url)
        rc = err_set(err, ERR_INVALID, "the hub's address is too long");
    if (rc == 0)
        rc = http_endpoint_parse(&link->endpoint, url, err);
    if (rc == 0 && http_client_new(&link->client, loop, &config) != 0)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    if (rc != 0) {
        free(link);
        return rc;
    }
    buf_init(&link->sent, LINK_BODY_MAX);
    buf_init(&link->answer, LINK_ANSWER_MAX);
    *out = link;
    return 0;
}

void link_watch(struct link *link, struct gauge *gauge)
{
    link->gauge = gauge;
}

bool link_busy(const struct link *link)
{
    return link->call != NULL;
}

void link_patience(struct link *link, uint64_t ms)
{
    http_client_patience(link->client, ms);
}

static void post(struct link *link, const char *path, const struct buf *body)
{
    static const struct http_call_events events = {.on_head = on_head, .on_body = on_body, .on_end = on_end};
    struct buf head;
    assert(!link->call);
    link->status = 0;
    link->piece = (struct gauge_piece){0};
    link->sent_us = now_us();
    buf_clear(&link->answer);
    buf_clear(&link->sent);
    buf_add(&link->sent, body->data, body->len);
    buf_init(&head, 4096);
    http_request_head(&head, &link->endpoint, "POST", path, "", link->sent.len);
    link->call = http_call(link->client, &link->endpoint, &head,
                           (struct http_body){link->sent.data, link->sent.len}, &events, link);
    if (!link->call)
        abort(); /* out of memory */
}

void link_post(struct link *link, const char *path, const struct buf *body, link_fn *fn, void *ctx)
{
    link->fn = fn;
    link->bytes_fn = NULL;
    link->ctx = ctx;
    post(link, path, body);
}

void link_fetch(struct link *link, const char *path, const struct buf *body, link_bytes_fn *fn, void *ctx)
{
    link->bytes_fn = fn;
    link->ctx = ctx;
    post(link, path, body);
}

void link_close(struct link *link)
{
    if (!link)
        return;
    http_client_free(link->client);
    buf_fini(&link->sent);
    buf_fini(&link->answer);
    free(link);
}
