/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/version.h"

#include <string.h>
#include <yyjson.h>

#define ANSWER_MAX ((size_t)1 << 20) /* llama-server's has the model's chat template in it */

void engine_version_read(char dst[NAME_CAP], const char *field, const char *body, size_t len)
{
    yyjson_doc *doc = yyjson_read(body, len, 0);
    yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(doc), field);
    const char *text = yyjson_get_str(value);
    size_t n = 0;
    memset(dst, 0, NAME_CAP); /* it goes into rows whole */
    for (size_t i = 0; i < yyjson_get_len(value) && n < NAME_CAP - 1; i++) {
        if (text && text[i] >= ' ' && text[i] <= '~')
            dst[n++] = text[i];
    }
    if (n == 0)
        memcpy(dst, ENGINE_UNKNOWN, sizeof ENGINE_UNKNOWN);
    yyjson_doc_free(doc);
}

static void settle(struct engine_version *ask, int rc)
{
    bool good = rc == 0 && ask->status == 200 && !ask->body.failed && ask->body.data;
    ask->call = NULL;
    engine_version_read(ask->word, ask->spec->version_field, good ? ask->body.data : "",
                        good ? ask->body.len : 0);
    buf_fini(&ask->body);
}

static void on_head(struct http_call *call, int status)
{
    struct engine_version *ask = http_call_ctx(call);
    ask->status = status;
}

static void on_body(struct http_call *call, const char *data, size_t len)
{
    struct engine_version *ask = http_call_ctx(call);
    buf_add(&ask->body, data, len);
}

static void on_end(struct http_call *call, int rc)
{
    struct engine_version *ask = http_call_ctx(call);
    settle(ask, rc);
    ask->done(ask->ctx);
}

bool engine_version_ask(struct engine_version *ask, struct http_client *client,
                        const struct http_endpoint *endpoint, const struct engine_spec *spec,
                        void (*done)(void *ctx), void *ctx)
{
    static const struct http_call_events events = {.on_head = on_head, .on_body = on_body, .on_end = on_end};
    struct buf request;
    *ask = (struct engine_version){.spec = spec, .done = done, .ctx = ctx};
    buf_init(&ask->body, ANSWER_MAX);
    if (spec->version && spec->version_field) {
        buf_init(&request, 4096);
        http_request_head(&request, endpoint, "GET", spec->version, "", 0);
        ask->call = http_call(client, endpoint, &request, (struct http_body){0}, &events, ask);
        buf_fini(&request);
    }
    if (!ask->call)
        settle(ask, ERR_UNAVAILABLE);
    return ask->call != NULL;
}

void engine_version_cancel(struct engine_version *ask)
{
    if (!ask->call)
        return;
    http_call_cancel(ask->call);
    settle(ask, ERR_TIMEOUT);
}
