/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <dirent.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

/* ---- numbers ---- */

uint64_t test_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t test_below(uint64_t *state, uint64_t n)
{
    return test_random(state) % n;
}

#define SAMPLE_SEED 20261122u

uint64_t test_seed(void)
{
    static uint64_t calls;
    const char *text = getenv("BUSBAR_SEED");
    uint64_t drawn = (uint64_t)time(NULL) << 16 ^ (uint64_t)getpid();
    uint64_t seed = text ? strtoull(text, NULL, 0) : test_count(SAMPLE_SEED + 1000 * calls++, drawn);
    printf("# seed: BUSBAR_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

uint64_t test_count(uint64_t few, uint64_t many)
{
    const char *full = getenv("BUSBAR_FULL");
    return full && strcmp(full, "1") == 0 ? many : few;
}

char *test_folder(void)
{
    const char *base = getenv("TMPDIR");
    char *path = malloc(512);
    (void)snprintf(path, 512, "%s/busbar-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path))
        abort();
    return path;
}

void test_folder_remove(char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        char path[1024];
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.')
            (void)unlink(path);
    }
    if (dir)
        closedir(dir);
    (void)rmdir(folder);
    free(folder);
}

/* ---- the world ---- */

struct limits small_limits(void)
{
    return (struct limits){.sites = 4,
                           .tenants = 64,
                           .keys = 128,
                           .models = 16,
                           .prices = 64,
                           .deployments = 8,
                           .replicas = 128,
                           .leases = 256,
                           .workers = 16,
                           .waiters = 64};
}

static void core_new(struct world *w)
{
    size_t size = core_size(&w->limits);
    w->block = calloc(1, size);
    w->core = core_init(w->block, size, &w->limits);
}

struct world *world_new(const struct limits *limits)
{
    struct world *w = calloc(1, sizeof *w);
    w->limits = limits ? *limits : small_limits();
    w->effects = (struct effects){.list = w->list, .cap = EFFECTS_MAX};
    w->now = INT64_C(1790000000000);
    mirror_init(&w->mirror);
    core_new(w);
    return w;
}

void world_free(struct world *w)
{
    mirror_fini(&w->mirror);
    free(w->block);
    free(w);
}

static void on_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    struct world *w = ctx;
    w->ops[kind][op]++;
    mirror_apply(&w->mirror, kind, op, row);
}

void world_collect(struct world *w)
{
    memset(w->ops, 0, sizeof w->ops);
    core_collect(w->core, on_row, w);
    assert_true(mirror_balanced(&w->mirror));
}

int world_step(struct world *w, struct event *event)
{
    if (event->token == 0)
        event->token = ++w->token;
    if (event->at_ms == 0)
        event->at_ms = w->now;
    w->effects.n = 0;
    w->effects.routes_changed = false;
    int rc = w->step ? w->step(w, event) : core_step(w->core, event, &w->effects);
    if (!w->batching)
        world_collect(w);
    return rc;
}

int world_reload(struct world *w)
{
    free(w->block);
    core_new(w);
    return mirror_load(&w->mirror, w->core);
}

const struct effect *world_reply(const struct world *w, uint64_t token)
{
    const struct effect *found = NULL;
    for (uint32_t i = 0; i < w->effects.n; i++) {
        if (w->list[i].kind != EFFECT_REPLY || w->list[i].token != token)
            continue;
        assert_null(found);
        found = &w->list[i];
    }
    return found;
}

uint32_t world_count(const struct world *w, enum effect_kind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->effects.n; i++)
        n += w->list[i].kind == kind;
    return n;
}

int world_try(struct world *w, struct event event)
{
    int rc = world_step(w, &event);
    if (rc != 0)
        world_assert_untouched(w);
    assert_int_equal(core_check(w->core), 0);
    return rc;
}

int world_teardown(void **state)
{
    struct world *w = *(struct world **)*state;
    assert_int_equal(core_check(w->core), 0);
    world_free(w);
    return 0;
}

void world_assert_untouched(const struct world *w)
{
    for (int kind = ROW_KIND_core + 1; kind < ROW_KIND_END; kind++) {
        if (kind == ROW_KIND_tally) /* that it was refused may be counted */
            continue;
        if (w->ops[kind][ROW_PUT] + w->ops[kind][ROW_DELETE] + w->ops[kind][ROW_ADD] != 0)
            fail_msg("a refused event wrote a row of %s", layout_row((uint32_t)kind)->name);
    }
}

static void mix(uint64_t *sum, const struct layout *layout, const void *row)
{
    uint8_t bytes[LAYOUT_ENCODED_MAX];
    size_t len = layout_encode(layout, row, bytes, sizeof bytes);
    uint64_t h = 0xcbf29ce484222325u ^ layout->kind;
    for (size_t i = 0; i < len; i++)
        h = (h ^ bytes[i]) * 0x100000001b3u;
    *sum += h ^ h >> 31;
}

uint64_t world_views(const struct world *w)
{
    uint64_t sum = 0;
#define SHOW(name) \
    do { \
        uint32_t pos = 0; \
        const struct row_##name *row; \
        while ((row = view_##name##_at(w->core, &pos)) != NULL) \
            mix(&sum, layout_row(ROW_KIND_##name), row); \
    } while (0)
    SHOW(site);
    SHOW(tenant);
    SHOW(key);
    SHOW(model);
    SHOW(variant);
    SHOW(deployment);
    SHOW(replica);
    SHOW(account);
    const struct row_key *key;
    for (uint32_t pos = 0; (key = view_key_at(w->core, &pos)) != NULL;) {
        struct view_balance b = view_key_balance(w->core, &key->id);
        sum += (uint64_t)(b.budget * 3 + b.spent * 5 + b.held * 7) ^ key->id.b[15];
    }
    struct view_counts n = view_counts(w->core);
    return sum + n.leases * 31u + n.workers * 37u + (uint64_t)n.held;
}

/* ---- events ---- */

struct uuid uid(char space, uint64_t n)
{
    struct uuid id = {{0}};
    id.b[0] = (uint8_t)space;
    for (int i = 0; i < 8; i++)
        id.b[15 - i] = (uint8_t)(n >> 8 * i);
    return id;
}

static void name_set(char *dst, const char *prefix, uint64_t n)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%.8s%u", prefix, (unsigned)n);
    memcpy(dst, text, strlen(text));
}

int do_boot(struct world *w, uint64_t n)
{
    struct event e = {.kind = EVENT_KIND_hub_boot, .u.hub_boot = {.boot = uid('B', n), .seed = n}};
    return world_step(w, &e);
}

int do_tick(struct world *w)
{
    struct event e = {.kind = EVENT_KIND_tick};
    return world_step(w, &e);
}

int do_site_in(struct world *w, uint64_t site, const char *jurisdiction)
{
    struct event e = {.kind = EVENT_KIND_site_add, .u.site_add.site = uid('S', site)};
    name_set(e.u.site_add.name, "site-", site);
    assert_true(text_set(e.u.site_add.jurisdiction, CODE_CAP, jurisdiction, strlen(jurisdiction)));
    return world_step(w, &e);
}

int do_site(struct world *w, uint64_t site)
{
    return do_site_in(w, site, "");
}

static int add_tenant(struct world *w, uint64_t tenant, int64_t budget, const char *jurisdiction)
{
    struct event e = {
        .kind = EVENT_KIND_tenant_add,
        .u.tenant_add = {
            .tenant = uid('T', tenant), .ledger = EUR, .budget = budget, .transfer = uid('F', w->token + 1)}};
    name_set(e.u.tenant_add.name, "tenant-", tenant);
    assert_true(text_set(e.u.tenant_add.jurisdiction, CODE_CAP, jurisdiction, strlen(jurisdiction)));
    return world_step(w, &e);
}

int do_tenant(struct world *w, uint64_t tenant, int64_t budget)
{
    return add_tenant(w, tenant, budget, "");
}

int do_tenant_in(struct world *w, uint64_t tenant, const char *jurisdiction)
{
    return add_tenant(w, tenant, 0, jurisdiction);
}

int do_budget(struct world *w, uint64_t tenant, int64_t budget)
{
    struct event e = {.kind = EVENT_KIND_tenant_budget,
                      .u.tenant_budget = {
                          .tenant = uid('T', tenant), .budget = budget, .transfer = uid('F', w->token + 1)}};
    return world_step(w, &e);
}

int do_key(struct world *w, uint64_t key, uint64_t tenant, int64_t budget)
{
    struct event e = {.kind = EVENT_KIND_key_add,
                      .u.key_add = {.key = uid('K', key),
                                    .tenant = uid('T', tenant),
                                    .scopes = SCOPE_INFERENCE,
                                    .budget = budget,
                                    .transfer = uid('F', w->token + 1)}};
    name_set(e.u.key_add.name, "key-", key);
    name_set(e.u.key_add.public_id, "p", key);
    return world_step(w, &e);
}

int do_revoke(struct world *w, uint64_t key)
{
    struct event e = {.kind = EVENT_KIND_key_revoke, .u.key_revoke.key = uid('K', key)};
    return world_step(w, &e);
}

int do_model(struct world *w, uint64_t model)
{
    struct event e = {.kind = EVENT_KIND_model_add,
                      .u.model_add = {.model = uid('M', model), .kind = MODEL_CHAT, .context = 4096}};
    name_set(e.u.model_add.name, "model-", model);
    return world_step(w, &e);
}

int do_variant(struct world *w, uint64_t variant, uint64_t model)
{
    struct event e = {.kind = EVENT_KIND_variant_add,
                      .u.variant_add = {.variant = uid('V', variant),
                                        .model = uid('M', model),
                                        .engine = "llama",
                                        .location = "/models/a.gguf",
                                        .memory_bytes = 1u << 30}};
    return world_step(w, &e);
}

int do_model_remove(struct world *w, uint64_t model)
{
    struct event e = {.kind = EVENT_KIND_model_remove, .u.model_remove.model = uid('M', model)};
    return world_step(w, &e);
}

int do_price(struct world *w, uint64_t price, uint64_t model, int64_t prompt, int64_t completion)
{
    struct event e = {.kind = EVENT_KIND_price_set,
                      .u.price_set = {.price = uid('P', price),
                                      .model = uid('M', model),
                                      .prompt = prompt,
                                      .cached = prompt / 2,
                                      .completion = completion,
                                      .reasoning = completion}};
    return world_step(w, &e);
}

int do_deploy(struct world *w, uint64_t deployment, uint64_t model, uint32_t replicas)
{
    struct event e = {
        .kind = EVENT_KIND_deploy,
        .u.deploy = {
            .deployment = uid('D', deployment), .model = uid('M', model), .replicas = replicas, .slots = 4}};
    return world_step(w, &e);
}

int do_undeploy(struct world *w, uint64_t deployment)
{
    struct event e = {.kind = EVENT_KIND_undeploy, .u.undeploy.deployment = uid('D', deployment)};
    return world_step(w, &e);
}

int do_replica(struct world *w, uint64_t deployment, uint32_t ordinal, uint32_t epoch, uint32_t state)
{
    struct event e = {.kind = EVENT_KIND_replica_state,
                      .u.replica_state = {.deployment = uid('D', deployment),
                                          .ordinal = ordinal,
                                          .epoch = epoch,
                                          .state = state,
                                          .slots = 4,
                                          .context = 2048,
                                          .endpoint = "unix:/run/x",
                                          .version = "v1"}};
    return world_step(w, &e);
}

int do_worker(struct world *w, uint64_t worker)
{
    struct event e = {.kind = EVENT_KIND_worker_join, .u.worker_join.worker = uid('W', worker)};
    return world_step(w, &e);
}

int do_ask(struct world *w, uint64_t worker, uint64_t lease, uint64_t tenant, uint64_t key, int64_t want)
{
    struct event e = {.kind = EVENT_KIND_lease_ask,
                      .u.lease_ask = {.worker = uid('W', worker),
                                      .lease = uid('L', lease),
                                      .key_lease = uid('l', lease),
                                      .tenant = uid('T', tenant),
                                      .key = uid('K', key),
                                      .want = want}};
    return world_step(w, &e);
}

int do_return(struct world *w, uint64_t worker, uint64_t lease, int64_t amount, bool close)
{
    struct event e = {
        .kind = EVENT_KIND_lease_return,
        .u.lease_return = {
            .worker = uid('W', worker), .lease = uid('L', lease), .amount = amount, .close = close}};
    return world_step(w, &e);
}

struct event meter_event(uint64_t worker, uint64_t sequence, uint64_t lease, uint64_t tenant, uint64_t key,
                         uint32_t prompt)
{
    return (struct event){.kind = EVENT_KIND_meter,
                          .u.meter = {.worker = uid('W', worker),
                                      .sequence = sequence,
                                      .request = uid('R', sequence),
                                      .lease = uid('L', lease),
                                      .tenant = uid('T', tenant),
                                      .key = uid('K', key),
                                      .model = uid('M', 1),
                                      .variant = uid('V', 1),
                                      .site = uid('S', 1),
                                      .price = uid('P', 1),
                                      .prompt = prompt,
                                      .flags = METER_FINAL,
                                      .status = 200}};
}

int do_meter(struct world *w, uint64_t worker, uint64_t sequence, uint64_t lease, uint64_t tenant,
             uint64_t key, uint32_t prompt)
{
    struct event e = meter_event(worker, sequence, lease, tenant, key, prompt);
    return world_step(w, &e);
}

struct world *world_usual(const struct limits *limits, int64_t budget)
{
    struct world *w = world_new(limits);
    assert_int_equal(do_boot(w, 1), 0);
    assert_int_equal(do_site(w, 1), 0);
    assert_int_equal(do_tenant(w, 1, budget), 0);
    assert_int_equal(do_key(w, 1, 1, -1), 0);
    assert_int_equal(do_model(w, 1), 0);
    assert_int_equal(do_variant(w, 1, 1), 0);
    assert_int_equal(do_price(w, 1, 1, 1000000, 2000000), 0);
    assert_int_equal(do_worker(w, 1), 0);
    assert_int_equal(do_worker(w, 2), 0);
    return w;
}

struct view_balance balance_of(const struct world *w, uint64_t tenant)
{
    struct uuid id = uid('T', tenant);
    return view_tenant_balance(w->core, &id);
}
