/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/surface.h"

#include <stdio.h>
#include <string.h>

#include "gateway/relay.h"

typedef void surface_fn(struct worker *worker, struct http_request *request, const char *rest,
                        size_t rest_len);

static void chat(struct worker *w, struct http_request *r, const char *rest, size_t len)
{
    (void)rest;
    (void)len;
    relay_begin(w, r, SURFACE_CHAT);
}

static void completion(struct worker *w, struct http_request *r, const char *rest, size_t len)
{
    (void)rest;
    (void)len;
    relay_begin(w, r, SURFACE_COMPLETION);
}

static void embedding(struct worker *w, struct http_request *r, const char *rest, size_t len)
{
    (void)rest;
    (void)len;
    relay_begin(w, r, SURFACE_EMBEDDING);
}

static void rerank(struct worker *w, struct http_request *r, const char *rest, size_t len)
{
    (void)rest;
    (void)len;
    relay_begin(w, r, SURFACE_RERANK);
}

static bool visible(const struct snap_key *key, const struct snap_model *m)
{
    bool allowed = key->models.n == 0;
    for (uint32_t i = 0; i < key->models.n && !allowed; i++)
        allowed = uuid_eq(&key->models.v[i], &m->id);
    return allowed && snap_model_deployed(m);
}

static void add_model(struct buf *out, const struct snap_model *m)
{
    buf_addf(out,
             "{\"id\":\"%s\",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"busbar\","
             "\"kind\":\"%s\",\"context_length\":%u}",
             m->name, (long long)(m->created_ms / 1000), model_kind_text(m->kind), m->context);
}

/* /v1/models and /v1/models/NAME: what this key may use and is deployed. */
static void models(struct worker *w, struct http_request *r, const char *rest, size_t rest_len)
{
    struct snap_key key;
    struct err err;
    int rc = worker_authenticate(w, r, &key, &err);
    if (rc == 0 && (key.scopes & SCOPE_OVERSEER))
        rc = err_set(&err, ERR_FORBIDDEN, "A key with the scope `overseer` reads nothing of models.");
    if (rc != 0) {
        relay_error(w, r, rc, err.msg, NULL, "");
        return;
    }
    const struct snapshot *s = worker_snapshot(w);
    struct buf out;
    char id[REQUEST_ID_CAP];
    relay_new_id(id);
    buf_init(&out, 4 << 20);
    uint32_t n = 0;
    if (rest_len == 0)
        buf_add_text(&out, "{\"object\":\"list\",\"data\":[");
    for (uint32_t i = 0; i < s->nmodels; i++) {
        const struct snap_model *m = &s->model[i];
        bool wanted = rest_len == 0 || text_eq(m->name, text_len(m->name, NAME_CAP), rest, rest_len);
        if (!wanted || !visible(&key, m))
            continue;
        if (n++ > 0)
            buf_add_char(&out, ',');
        add_model(&out, m);
    }
    if (rest_len == 0)
        buf_add_text(&out, "]}");
    if (rest_len > 0 && n == 0)
        relay_error(w, r, ERR_NOT_FOUND, "This model does not exist.", "model", "");
    else
        http_answer(r, 200, "application/json", id, &out);
    buf_fini(&out);
}

static const struct {
    const char *path;
    uint8_t method;
    bool rest; /* the path may go on after a slash */
    surface_fn *fn;
} routes[] = {
    {"/v1/chat/completions", HTTP_POST, false, chat}, {"/v1/completions", HTTP_POST, false, completion},
    {"/v1/embeddings", HTTP_POST, false, embedding},  {"/v1/rerank", HTTP_POST, false, rerank},
    {"/v1/models", HTTP_GET, true, models},
};

void surface_handle(struct worker *w, struct http_request *r)
{
    bool known = false;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        size_t len = strlen(routes[i].path);
        if (r->path_len < len || memcmp(r->path, routes[i].path, len) != 0)
            continue;
        bool more = r->path_len > len;
        if (more && !(routes[i].rest && r->path[len] == '/' && r->path_len > len + 1))
            continue;
        known = true;
        if (r->method != routes[i].method)
            continue;
        routes[i].fn(w, r, r->path + len + 1, more ? r->path_len - len - 1 : 0);
        return;
    }
    if (known)
        relay_error(w, r, ERR_METHOD, "This method is not allowed here.", NULL, "");
    else
        relay_error(w, r, ERR_NOT_FOUND, "There is nothing at this path.", NULL, "");
}
