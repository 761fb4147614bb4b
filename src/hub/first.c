/* SPDX-License-Identifier: Apache-2.0 */
/* What a new data folder begins with. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/osrandom.h"
#include "engine/command.h"
#include "hub/api.h"

#define FIRST_BUDGET INT64_C(10000000000) /* 10 USD */
#define FIRST_LEDGER 840
#define FIRST_SLOTS 4
/* Illustrative prices of the bundled model, nano-units for a million tokens: 0.10 and 0.40 USD. */
#define FIRST_PRICE_PROMPT INT64_C(100000000)
#define FIRST_PRICE_COMPLETION INT64_C(400000000)

#define ENGINE_USUAL "llama-server"
#define ENGINE_OWN "reference"

/* Posts the events on a loop of its own and waits for their replies. */
struct script {
    uv_loop_t loop;
    struct mailbox box;
    struct runtime *runtime;
    struct event events[HUB_SETTLE_MAX];
    uint32_t n, replies;
    uint32_t tenants; /* as found */
    int rc;
};

static void count(void *ctx, const struct core *core)
{
    struct script *s = ctx;
    s->tenants = view_counts(core).tenants;
}

static void on_effect(void *ctx, const struct effect *effect)
{
    struct script *s = ctx;
    if (effect->kind != EFFECT_REPLY)
        return;
    if (s->rc == 0)
        s->rc = effect->code;
    if (++s->replies >= s->n)
        uv_stop(&s->loop);
}

static void add_key(struct script *s, const struct uuid *tenant, const char *name, uint32_t scopes,
                    char shown[80])
{
    struct event *event = &s->events[s->n++];
    struct event_key_add *e = &event->u.key_add;
    char id[APIKEY_ID_LEN + 1];
    char key[APIKEY_LEN + 1];
    event->kind = EVENT_KIND_key_add;
    *e = (struct event_key_add){
        .key = uuid_new(), .tenant = *tenant, .scopes = scopes, .budget = -1, .transfer = uuid_new()};
    text_set(e->name, NAME_CAP, name, strlen(name));
    apikey_new(key, id);
    memcpy(e->public_id, id, sizeof id);
    apikey_hash(e->hash, key, APIKEY_LEN);
    memcpy(shown, key, sizeof key);
}

static void add_tenant(struct script *s, struct hub_first *out)
{
    struct event *site = &s->events[s->n++];
    site->kind = EVENT_KIND_site_add;
    site->u.site_add.site = uuid_new();
    memcpy(site->u.site_add.name, HUB_LOCAL_SITE, sizeof HUB_LOCAL_SITE);
    struct event *tenant = &s->events[s->n++];
    tenant->kind = EVENT_KIND_tenant_add;
    tenant->u.tenant_add = (struct event_tenant_add){.tenant = uuid_new(),
                                                     .name = "default",
                                                     .ledger = FIRST_LEDGER,
                                                     .budget = FIRST_BUDGET,
                                                     .transfer = uuid_new()};
    struct uuid id = tenant->u.tenant_add.tenant;
    add_key(s, &id, "first", SCOPE_INFERENCE, out->key);
    add_key(s, &id, "operator", SCOPE_INFERENCE | SCOPE_ADMIN | SCOPE_OPERATOR, out->admin);
}

static int add_model(struct script *s, const struct hub *hub, const char *path, struct err *err)
{
    const char *data_dir = hub->data_dir;
    struct model_source source = {
        .name = "stories",
        .origin = "examples/train",
        .price = {FIRST_PRICE_PROMPT, FIRST_PRICE_PROMPT, FIRST_PRICE_COMPLETION, FIRST_PRICE_COMPLETION},
        .priced = true};
    char copy[FS_PATH_MAX];
    text_set(source.engine, NAME_CAP, hub->engine, strlen(hub->engine));
    memcpy(source.location, "models/stories.gguf", 20);
    if (!fs_join(copy, data_dir, "models") || fs_mkdirs(copy, 0755, err) != 0 ||
        !fs_join(copy, data_dir, source.location) || !text_set(source.path, PATH_CAP, copy, strlen(copy)))
        return err_set(err, ERR_INVALID, "%s: the path is too long", data_dir);
    (void)unlink(copy); /* half of it, if a first start was cut short */
    int rc = fs_copy(path, copy, err);
    if (rc == 0)
        rc = digest_file(source.digest, path, err);
    if (rc == 0)
        rc = hub_model_events(&source, &s->events[s->n], err);
    if (rc != 0)
        return rc;
    struct uuid model = s->events[s->n].u.model_add.model;
    s->n += 3;
    struct event *deploy = &s->events[s->n++];
    deploy->kind = EVENT_KIND_deploy;
    deploy->u.deploy =
        (struct event_deploy){.deployment = uuid_new(), .model = model, .replicas = 1, .slots = FIRST_SLOTS};
    return 0;
}

/* All in one batch: a first start that is cut short leaves nothing, and the next one is the first. */
static int run(struct script *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        s->events[i].token = mailbox_token(&s->box);
    s->replies = 0;
    s->rc = runtime_post_all(s->runtime, s->events, s->n);
    if (s->rc == 0)
        uv_run(&s->loop, UV_RUN_DEFAULT);
    return s->rc;
}

static int open_script(struct script **out, struct hub *hub)
{
    struct script *s = calloc(1, sizeof *s);
    if (!s || uv_loop_init(&s->loop) != 0) {
        free(s);
        return ERR_NO_MEMORY;
    }
    s->runtime = hub->runtime;
    int rc = mailbox_init(&s->box, &s->loop, on_effect, s);
    if (rc == 0)
        rc = runtime_attach(hub->runtime, &s->box);
    *out = s;
    return rc;
}

static void close_script(struct script *s)
{
    runtime_detach(s->runtime, &s->box);
    mailbox_close(&s->box, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
    free(s);
}

/* Reads the state; what the query saw is durable when it returns. */
static int ask(struct script *s, query_fn *fn, void *ctx)
{
    int rc = runtime_query(s->runtime, fn, ctx, mailbox_token(&s->box));
    if (rc == 0)
        uv_run(&s->loop, UV_RUN_DEFAULT); /* the query's reply ends it: there is nothing to post yet */
    return rc ? rc : s->rc;
}

void hub_choose_engine(struct hub *hub, const char *self, const char *folders)
{
    char path[FS_PATH_MAX];
    const struct engine_spec *usual = engine_spec_named(hub->engines, ENGINE_USUAL);
    hub->engine = ENGINE_USUAL;
    hub->engine_reason = "";
    if (!engine_spec_named(hub->engines, ENGINE_OWN) ||
        (usual && command_program(self, folders, usual->binary, path)))
        return;
    hub->engine = ENGINE_OWN;
    hub->engine_reason = usual ? ENGINE_USUAL " was not found" : ENGINE_USUAL " is not in engines.yaml";
    log_warn("engine", "name=%s reason=\"%s\"", hub->engine, hub->engine_reason);
}

int hub_first_start(struct hub *hub, const char *model_path, struct hub_first *out, struct err *err)
{
    struct script *s;
    *out = (struct hub_first){.made = false};
    int rc = open_script(&s, hub);
    if (rc != 0)
        return err_set(err, rc, "cannot set up the data folder: %s", err_text(rc));
    rc = ask(s, count, s);
    if (rc == 0 && s->tenants == 0) {
        add_tenant(s, out);
        rc = model_path ? add_model(s, hub, model_path, err) : 0;
        if (rc == 0 && (rc = run(s)) != 0)
            err_set(err, rc, "cannot set up the data folder: %s", err_text(rc));
        out->made = rc == 0;
    }
    close_script(s);
    return rc;
}

int hub_settle(struct hub *hub, query_fn *fn, void *ctx, const struct event *events, const uint32_t *n)
{
    struct script *s;
    int rc = open_script(&s, hub);
    if (rc != 0)
        return rc;
    rc = ask(s, fn, ctx);
    if (rc == 0 && *n > 0) {
        memcpy(s->events, events, *n * sizeof *events);
        s->n = *n;
        rc = run(s);
    }
    close_script(s);
    return rc;
}
