/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/osrandom.h"
#include "engine/gguf.h"
#include "hub/api.h"
#include "hub/fetch.h"

#define URL_CONTEXT_DEFAULT 4096

static int list(struct api_call *call, const struct core *core)
{
    const struct row_model *row;
    const char *sep = "";
    buf_add_text(&call->out, "{\"data\":[");
    for (uint32_t pos = 0; (row = view_model_at(core, &pos)) != NULL;) {
        buf_add_text(&call->out, sep);
        sep = ",";
        render_model(&call->out, core, row, call->operator_);
    }
    page_end_after(&call->out, NULL);
    return 0;
}

static int show(struct api_call *call, const struct core *core)
{
    const struct row_model *row =
        call->param[0] ? call_model(call, core, call->param) : view_model(core, &call->id);
    if (!row)
        return ERR_NOT_FOUND;
    render_model(&call->out, core, row, call->operator_);
    return 0;
}

static int describe_file(const struct model_source *s, struct event_model_add *m, struct event_variant_add *v,
                         struct err *err)
{
    struct gguf_info info;
    struct stat st;
    int rc = gguf_read(&info, s->path, err);
    if (rc != 0)
        return rc;
    if (stat(s->path, &st) < 0)
        return err_set(err, ERR_IO, "cannot look at %s", s->path);
    uint64_t context = s->context ? s->context : info.context;
    if (context == 0 || context > CONTEXT_MAX)
        return err_set(err, ERR_INVALID, "%s does not say its context length; give one", s->path);
    m->context = (uint32_t)context;
    m->kind = s->kind ? s->kind : info.kind;
    memcpy(m->licence, s->licence[0] ? s->licence : info.licence, sizeof m->licence);
    memcpy(v->format, "gguf", 5);
    memcpy(v->quantisation, info.quantisation, sizeof v->quantisation);
    memcpy(v->architecture, info.architecture, sizeof v->architecture);
    v->size_bytes = (uint64_t)st.st_size;
    v->memory_bytes = gguf_memory(&info, v->size_bytes, context);
    return 0;
}

static int describe_url(const struct model_source *s, struct event_model_add *m, struct event_variant_add *v)
{
    m->context = s->context ? s->context : URL_CONTEXT_DEFAULT;
    m->kind = s->kind ? s->kind : MODEL_CHAT;
    memcpy(m->licence, s->licence, sizeof m->licence);
    memcpy(v->format, "remote", 7);
    return 0;
}

int hub_model_events(const struct model_source *s, struct event events[3], struct err *err)
{
    struct event_model_add *m = &events[0].u.model_add;
    struct event_variant_add *v = &events[1].u.variant_add;
    struct event_price_set *p = &events[2].u.price_set;
    events[0].kind = EVENT_KIND_model_add;
    events[1].kind = EVENT_KIND_variant_add;
    events[2].kind = EVENT_KIND_price_set;
    m->model = v->model = p->model = uuid_new();
    v->variant = uuid_new();
    p->price = uuid_new();
    memcpy(m->name, s->name, sizeof m->name);
    memcpy(m->origin, s->origin, sizeof m->origin);
    memcpy(v->engine, s->engine, sizeof v->engine);
    memcpy(v->chips, "cpu", 4);
    memcpy(v->digest, s->digest, sizeof v->digest);
    memcpy(v->location, s->location, sizeof v->location);
    p->prompt = s->price.prompt;
    p->cached = s->price.cached;
    p->completion = s->price.completion;
    p->reasoning = s->price.reasoning;
    return s->path[0] ? describe_file(s, m, v, err) : describe_url(s, m, v);
}

/* ---- adding ---- */

struct adding {
    struct model_source source;
    struct fetch fetch;
    bool remote; /* the source is an engine's URL: nothing to fetch */
};

/* Prices are amounts for a million tokens; cached defaults to prompt, reasoning to completion. */
static int read_price(struct api_call *call, struct price *price, bool *given)
{
    int64_t prompt = -1, cached = -1, completion = -1, reasoning = -1;
    int rc = body_amount(call, "price_prompt", false, &prompt);
    if (rc == 0)
        rc = body_amount(call, "price_cached", false, &cached);
    if (rc == 0)
        rc = body_amount(call, "price_completion", false, &completion);
    if (rc == 0)
        rc = body_amount(call, "price_reasoning", false, &reasoning);
    if (rc != 0)
        return rc;
    *given = prompt >= 0 || cached >= 0 || completion >= 0 || reasoning >= 0;
    price->prompt = prompt < 0 ? 0 : prompt;
    price->cached = cached < 0 ? price->prompt : cached;
    price->completion = completion < 0 ? 0 : completion;
    price->reasoning = reasoning < 0 ? price->completion : reasoning;
    return 0;
}

static int read_kind(struct api_call *call, uint32_t *kind)
{
    char text[KIND_TEXT_CAP] = "";
    int rc = body_text(call, "kind", false, text, sizeof text);
    if (rc == 0 && text[0] && (*kind = model_kind_parse(text)) == 0)
        rc = err_set(&call->err, ERR_INVALID, "kind: chat, embedding or rerank");
    return rc;
}

static int read_digest(struct api_call *call, struct fetch *fetch)
{
    char text[80] = "";
    int rc = body_text(call, "sha256", false, text, sizeof text);
    if (rc == 0 && text[0]) {
        fetch->has_digest = hex_decode(fetch->digest, DIGEST_LEN, text, strlen(text));
        if (!fetch->has_digest)
            rc = err_set(&call->err, ERR_INVALID, "sha256: must be 64 hexadecimal digits");
    }
    return rc;
}

static int read_source(struct api_call *call, struct adding *a)
{
    struct model_source *s = &a->source;
    uint64_t context = 0;
    int rc = body_name(call, "name", s->name);
    if (rc == 0)
        rc = body_text(call, "source", true, s->origin, sizeof s->origin);
    if (rc == 0)
        rc = body_text(call, "licence", false, s->licence, sizeof s->licence);
    text_set(s->engine, NAME_CAP, call->hub->engine, strlen(call->hub->engine));
    if (rc == 0)
        rc = body_text(call, "engine", false, s->engine, sizeof s->engine);
    if (rc == 0)
        rc = body_count(call, "context", CONTEXT_MAX, &context);
    if (rc == 0)
        rc = read_kind(call, &s->kind);
    if (rc == 0)
        rc = read_price(call, &s->price, &s->priced);
    if (rc == 0)
        rc = read_digest(call, &a->fetch);
    s->context = (uint32_t)context;
    return rc;
}

static int add_parse(struct api_call *call)
{
    static const char *const members[] = {"name",
                                          "source",
                                          "sha256",
                                          "engine",
                                          "kind",
                                          "context",
                                          "licence",
                                          "price_prompt",
                                          "price_cached",
                                          "price_completion",
                                          "price_reasoning",
                                          "progress",
                                          NULL};
    struct adding *a = calloc(1, sizeof *a);
    if (!a)
        return ERR_NO_MEMORY;
    call->data = a;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = read_source(call, a);
    if (rc != 0)
        return rc;
    struct model_source *s = &a->source;
    const struct engine_spec *engine = engine_spec_named(call->hub->engines, s->engine);
    if (!engine)
        return err_set(&call->err, ERR_INVALID, "engine: there is no engine `%s`", s->engine);
    a->remote = engine->binary[0] == 0;
    if (a->remote) {
        memcpy(s->location, s->origin, sizeof s->location);
        return strstr(s->location, "://") ? 0 : err_set(&call->err, ERR_INVALID, "source: must be a URL");
    }
    /* A path names a file on the hub's machine: only whoever is on it may say so. */
    bool path = strncmp(s->origin, "https://", 8) != 0 && strncmp(s->origin, "http://", 7) != 0;
    if (path && !call->request->local)
        return err_set(&call->err, ERR_FORBIDDEN, "source: a path needs the hub's unix socket");
    char file[NAME_CAP + 16];
    char dir[FS_PATH_MAX];
    (void)snprintf(file, sizeof file, "%s.gguf", s->name);
    if (!fs_join(dir, call->hub->data_dir, "models") || !fs_join(a->fetch.target, dir, file) ||
        strlen(a->fetch.target) >= sizeof s->path)
        return err_set(&call->err, ERR_INVALID, "the data folder's path is too long");
    memcpy(a->fetch.source, s->origin, sizeof s->origin);
    memcpy(s->path, a->fetch.target, strlen(a->fetch.target) + 1);
    (void)snprintf(s->location, sizeof s->location, "models/%s", file);
    return 0;
}

static int add_prepare(struct api_call *call, const struct core *core)
{
    const struct adding *a = call->data;
    const char *name = a->source.name;
    if (view_model_named(core, name, strlen(name)))
        return err_set(&call->err, ERR_EXISTS, "There is a model `%s` already.", name);
    return 0;
}

static int add_work(struct api_call *call)
{
    struct adding *a = call->data;
    int rc = 0;
    if (!a->remote) {
        char dir[FS_PATH_MAX];
        (void)fs_join(dir, call->hub->data_dir, "models");
        rc = fs_mkdirs(dir, 0755, &call->err);
        if (rc == 0)
            rc = fetch_run(&a->fetch, &call->err);
        memcpy(a->source.digest, a->fetch.digest, sizeof a->source.digest);
    }
    if (rc == 0)
        rc = hub_model_events(&a->source, call->events, &call->err);
    if (rc != 0 && a->fetch.placed)
        unlink(a->fetch.target); /* fetched, but not a model that we can serve */
    call->nevents = a->source.priced ? 3 : 2;
    call->id = call->events[0].u.model_add.model;
    return rc;
}

static bool add_progress(struct api_call *call, uint64_t *bytes, uint64_t *total)
{
    struct adding *a = call->data;
    *bytes = a->fetch.bytes;
    *total = a->fetch.total;
    if (!call->request)
        a->fetch.cancel = true;
    return yyjson_get_bool(yyjson_obj_get(yyjson_doc_get_root(call->doc), "progress"));
}

/* ---- removing, pricing ---- */

static int find_prepare(struct api_call *call, const struct core *core)
{
    const struct row_model *row = call_model(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    call->id = row->id;
    call->events[0].u.price_set.model = row->id;
    return 0;
}

struct removing {
    char paths[8][PATH_CAP];
    uint32_t n;
};

static int remove_prepare(struct api_call *call, const struct core *core)
{
    const struct row_model *row = call_model(call, core, call->param);
    struct removing *r = calloc(1, sizeof *r);
    call->data = r;
    if (!row || !r)
        return row ? ERR_NO_MEMORY : ERR_NOT_FOUND;
    const struct row_variant *v;
    for (uint32_t pos = 0; r->n < 8 && (v = view_variant_at(core, &pos)) != NULL;) {
        if (uuid_eq(&v->model, &row->id))
            memcpy(r->paths[r->n++], v->location, PATH_CAP);
    }
    call->events[0].kind = EVENT_KIND_model_remove;
    call->events[0].u.model_remove.model = row->id;
    call->nevents = 1;
    if (view_deployment_of(core, &row->id))
        return err_set(&call->err, ERR_IN_USE, "`%s` is deployed; undeploy it first.", row->name);
    err_set(&call->err, ERR_IN_USE, "A key is limited to this model; revoke it first.");
    return 0;
}

/* Only files that we put into the data folder are ours to remove. */
static int remove_finish(struct api_call *call, const struct core *core)
{
    const struct removing *r = call->data;
    char path[FS_PATH_MAX];
    (void)core;
    for (uint32_t i = 0; i < r->n; i++) {
        if (strncmp(r->paths[i], "models/", 7) == 0 && fs_join(path, call->hub->data_dir, r->paths[i]))
            unlink(path);
    }
    buf_add_text(&call->out, "{\"removed\":");
    buf_add_json(&call->out, call->param, strlen(call->param));
    buf_add_char(&call->out, '}');
    return 0;
}

static int price_parse(struct api_call *call)
{
    static const char *const members[] = {"price_prompt", "price_cached", "price_completion",
                                          "price_reasoning", NULL};
    struct price price;
    bool given;
    struct event_price_set *p = &call->events[0].u.price_set;
    call->events[0].kind = EVENT_KIND_price_set;
    call->nevents = 1;
    p->price = uuid_new();
    int rc = body_only(call, members);
    if (rc == 0)
        rc = read_price(call, &price, &given);
    if (rc == 0 && !given)
        rc = err_set(&call->err, ERR_INVALID, "price_prompt and price_completion: give at least one");
    if (rc == 0) {
        p->prompt = price.prompt;
        p->cached = price.cached;
        p->completion = price.completion;
        p->reasoning = price.reasoning;
    }
    return rc;
}

static int show_id(struct api_call *call, const struct core *core)
{
    call->param[0] = 0;
    return show(call, core);
}

const struct api_handler api_model_list = {.finish = list};
const struct api_handler api_model_show = {.finish = show};
const struct api_handler api_model_add = {.parse = add_parse,
                                          .prepare = add_prepare,
                                          .work = add_work,
                                          .finish = show_id,
                                          .progress = add_progress,
                                          .status = 201};
const struct api_handler api_model_remove = {.prepare = remove_prepare, .finish = remove_finish};
const struct api_handler api_model_price = {.parse = price_parse, .prepare = find_prepare, .finish = show_id};
