/* SPDX-License-Identifier: Apache-2.0 */
/* Sites, tenants, keys, models, deployments and replicas: what is accepted, and each refusal. */
#include "support.h"

/* Refused with this code, by reply too, and no row changed. */
static void refused(struct world *w, struct event e, int code)
{
    e.token = 0;
    e.at_ms = 0;
    uint64_t before = mirror_digest(&w->mirror);
    uint64_t views = world_views(w);
    assert_int_equal(world_step(w, &e), code);
    const struct effect *reply = world_reply(w, e.token);
    assert_non_null(reply);
    assert_int_equal(reply->code, code);
    assert_int_equal(w->effects.n, 1);
    assert_false(w->effects.routes_changed);
    world_assert_untouched(w);
    assert_true(mirror_digest(&w->mirror) == before);
    assert_true(world_views(w) == views);
    assert_int_equal(core_check(w->core), 0);
}

#define REFUSED(w, base, set, code) \
    do { \
        struct event changed = (base); \
        set; \
        refused(w, changed, code); \
    } while (0)

static void test_unknown_kind(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    refused(w, (struct event){.kind = 0}, ERR_INVALID);
    refused(w, (struct event){.kind = 999}, ERR_INVALID);
    refused(w, (struct event){.kind = EVENT_KIND_hub_boot}, ERR_INVALID); /* no id */
    /* Without a token nobody is told. */
    struct event e = {.kind = EVENT_KIND_tick, .at_ms = 1};
    w->effects.n = 0;
    assert_int_equal(core_step(w->core, &e, &w->effects), 0);
    assert_int_equal(w->effects.n, 0);
    assert_int_equal(view_core(w->core)->events, 4);
    world_free(w);
}

static void test_site_errors(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct event ok = {.kind = EVENT_KIND_site_add, .u.site_add = {.site = uid('S', 1), .name = "here"}};
    REFUSED(w, ok, changed.u.site_add.name[0] = 0, ERR_INVALID);
    REFUSED(w, ok, changed.u.site_add.name[0] = 'H', ERR_INVALID);
    REFUSED(w, ok, changed.u.site_add.site = (struct uuid){{0}}, ERR_INVALID);
    for (uint64_t i = 1; i <= w->limits.sites; i++)
        assert_int_equal(do_site(w, i), 0);
    refused(w, ok, ERR_EXISTS);
    REFUSED(w, ok, changed.u.site_add.site = uid('S', 99), ERR_LIMIT);
    world_free(w);
}

static void test_tenant_errors(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct event ok = {.kind = EVENT_KIND_tenant_add,
                       .u.tenant_add = {.tenant = uid('T', 500),
                                        .name = "other",
                                        .ledger = EUR,
                                        .budget = 5,
                                        .transfer = uid('F', 12345)}};
    assert_int_equal(do_tenant(w, 1, 100), 0);
    assert_true(w->effects.routes_changed);
    REFUSED(w, ok, changed.u.tenant_add.tenant = (struct uuid){{0}}, ERR_INVALID);
    REFUSED(w, ok, memcpy(changed.u.tenant_add.name, "Other", 6), ERR_INVALID);
    REFUSED(w, ok, changed.u.tenant_add.name[0] = 0, ERR_INVALID);
    REFUSED(w, ok, changed.u.tenant_add.ledger = 0, ERR_INVALID);
    REFUSED(w, ok, changed.u.tenant_add.ledger = LEDGER_CONTROL, ERR_INVALID);
    REFUSED(w, ok, changed.u.tenant_add.budget = -1, ERR_OVERFLOW);
    REFUSED(w, ok, changed.u.tenant_add.budget = MONEY_MAX + 1, ERR_OVERFLOW);
    REFUSED(w, ok, changed.u.tenant_add.budget = INT64_MIN, ERR_OVERFLOW);
    REFUSED(w, ok, changed.u.tenant_add.tenant = uid('T', 1), ERR_EXISTS);
    REFUSED(w, ok, memcpy(changed.u.tenant_add.name, "tenant-1", 9), ERR_EXISTS);
    for (uint64_t i = 2; i <= w->limits.tenants; i++)
        assert_int_equal(do_tenant(w, i, i % 2 ? 0 : MONEY_MAX), 0);
    refused(w, ok, ERR_LIMIT);
    assert_int_equal(view_counts(w->core).tenants, w->limits.tenants);
    world_free(w);
}

/* A transfer id that a running lease bears: refused, and no account is left behind. */
static void test_transfer_id_taken(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 1000);
    assert_int_equal(do_ask(w, 1, 7, 1, 1, 10), 0);
    struct event tenant = {
        .kind = EVENT_KIND_tenant_add,
        .u.tenant_add = {
            .tenant = uid('T', 500), .name = "other", .ledger = EUR, .budget = 5, .transfer = uid('L', 7)}};
    refused(w, tenant, ERR_EXISTS);
    struct event key = {.kind = EVENT_KIND_key_add,
                        .u.key_add = {.key = uid('K', 500),
                                      .tenant = uid('T', 1),
                                      .name = "k",
                                      .public_id = "other",
                                      .scopes = SCOPE_INFERENCE,
                                      .budget = 5,
                                      .transfer = uid('L', 7)}};
    refused(w, key, ERR_EXISTS);
    struct event budget = {
        .kind = EVENT_KIND_tenant_budget,
        .u.tenant_budget = {.tenant = uid('T', 1), .budget = 5000, .transfer = uid('L', 7)}};
    refused(w, budget, ERR_EXISTS);
    world_free(w);
}

static void test_budget(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 1000);
    struct event e = {.kind = EVENT_KIND_tenant_budget,
                      .u.tenant_budget = {.tenant = uid('T', 1), .budget = 5, .transfer = uid('F', 12345)}};
    REFUSED(w, e, changed.u.tenant_budget.tenant = uid('T', 2), ERR_NOT_FOUND);
    REFUSED(w, e, changed.u.tenant_budget.budget = -1, ERR_OVERFLOW);
    REFUSED(w, e, changed.u.tenant_budget.budget = MONEY_MAX + 1, ERR_OVERFLOW);
    assert_int_equal(do_budget(w, 1, 3000), 0);
    assert_true(balance_of(w, 1).budget == 3000);
    assert_int_equal(do_budget(w, 1, 3000), 0); /* no change, no transfer */
    assert_int_equal(w->ops[ROW_KIND_transfer][ROW_PUT], 0);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, 400), 0);
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 1, 300), 0);
    struct view_balance b = balance_of(w, 1);
    assert_true(b.budget == 3000 && b.spent == 300 && b.held == 100);
    REFUSED(w, e, changed.u.tenant_budget.budget = 399, ERR_WRONG_STATE); /* spent and held stay covered */
    assert_int_equal(do_budget(w, 1, 400), 0);
    b = balance_of(w, 1);
    assert_true(b.budget == 400 && b.spent == 300 && b.held == 100);
    REFUSED(w, e, changed.u.tenant_budget.budget = MONEY_MAX,
            ERR_OVERFLOW); /* sums of a lifetime are bounded */
    assert_int_equal(do_budget(w, 1, MONEY_MAX - 10000), 0);
    b = balance_of(w, 1);
    assert_true(b.budget == MONEY_MAX - 10000 && b.spent == 300);
    world_free(w);
}

static void test_key_errors(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 1000);
    struct event ok = {.kind = EVENT_KIND_key_add,
                       .u.key_add = {.key = uid('K', 500),
                                     .tenant = uid('T', 1),
                                     .name = "k",
                                     .public_id = "other",
                                     .scopes = SCOPE_INFERENCE,
                                     .budget = -1,
                                     .transfer = uid('F', 12345)}};
    REFUSED(w, ok, changed.u.key_add.tenant = uid('T', 9), ERR_NOT_FOUND);
    REFUSED(w, ok, changed.u.key_add.key = (struct uuid){{0}}, ERR_INVALID);
    REFUSED(w, ok, changed.u.key_add.name[0] = '_', ERR_INVALID);
    REFUSED(w, ok, changed.u.key_add.public_id[0] = 0, ERR_INVALID);
    REFUSED(w, ok, changed.u.key_add.scopes = 0, ERR_INVALID);
    REFUSED(w, ok, changed.u.key_add.scopes = 1u << 31, ERR_INVALID);
    REFUSED(w, ok, changed.u.key_add.expires_ms = -1, ERR_INVALID);
    REFUSED(w, ok, changed.u.key_add.key = uid('K', 1), ERR_EXISTS);
    REFUSED(w, ok, memcpy(changed.u.key_add.public_id, "p1\0\0\0", 6), ERR_EXISTS);
    REFUSED(w, ok, changed.u.key_add.budget = MONEY_MAX + 1, ERR_OVERFLOW);
    REFUSED(w, ok, (changed.u.key_add.models.n = 2, changed.u.key_add.models.v[0] = uid('M', 1)),
            ERR_NOT_FOUND);
    for (uint64_t i = 2; i <= w->limits.keys; i++)
        assert_int_equal(do_key(w, i, 1, i % 2 ? -1 : 10), 0);
    refused(w, ok, ERR_LIMIT);
    assert_int_equal(do_revoke(w, 2), 0);
    assert_int_equal(do_revoke(w, 2), 0); /* again: nothing to do */
    struct event unknown = {.kind = EVENT_KIND_key_revoke, .u.key_revoke.key = uid('K', 999)};
    refused(w, unknown, ERR_NOT_FOUND);
    assert_int_equal(view_counts(w->core).keys, w->limits.keys - 1);
    world_free(w);
}

/* The limits of all keys of a currency add up in one account, which is bounded. Past that a key is refused whole: it
 * leaves no account that would make a later key of the same id a limited one. */
static void test_key_limits_sum(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 1000);
    assert_int_equal(do_key(w, 2, 1, MONEY_MAX), 0);
    struct event e = {.kind = EVENT_KIND_key_add,
                      .u.key_add = {.key = uid('K', 3),
                                    .tenant = uid('T', 1),
                                    .name = "k",
                                    .public_id = "p3",
                                    .scopes = SCOPE_INFERENCE,
                                    .budget = 1,
                                    .transfer = uid('F', 12345)}};
    refused(w, e, ERR_OVERFLOW);
    assert_int_equal(do_key(w, 3, 1, -1), 0);
    assert_int_equal(do_ask(w, 1, 1, 1, 3, 10), 0);
    assert_int_equal(do_return(w, 1, 1, 0, true), 0);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(do_ask(w, 1, 2, 1, 3, 10), 0); /* still without a limit of its own */
    world_free(w);
}

static void test_model_errors(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 1000);
    struct event ok = {
        .kind = EVENT_KIND_model_add,
        .u.model_add = {.model = uid('M', 500), .name = "other", .kind = MODEL_EMBEDDING, .context = 512}};
    REFUSED(w, ok, changed.u.model_add.model = (struct uuid){{0}}, ERR_INVALID);
    REFUSED(w, ok, changed.u.model_add.name[0] = '.', ERR_INVALID);
    REFUSED(w, ok, changed.u.model_add.kind = 0, ERR_INVALID);
    REFUSED(w, ok, changed.u.model_add.kind = 77, ERR_INVALID);
    REFUSED(w, ok, changed.u.model_add.context = 0, ERR_INVALID);
    REFUSED(w, ok, changed.u.model_add.context = CONTEXT_MAX + 1, ERR_INVALID);
    REFUSED(w, ok, changed.u.model_add.model = uid('M', 1), ERR_EXISTS);
    REFUSED(w, ok, memcpy(changed.u.model_add.name, "model-1", 8), ERR_EXISTS);
    struct event variant = {
        .kind = EVENT_KIND_variant_add,
        .u.variant_add = {.variant = uid('V', 500), .model = uid('M', 1), .engine = "e", .location = "l"}};
    REFUSED(w, variant, changed.u.variant_add.model = uid('M', 77), ERR_NOT_FOUND);
    REFUSED(w, variant, changed.u.variant_add.variant = (struct uuid){{0}}, ERR_INVALID);
    REFUSED(w, variant, changed.u.variant_add.engine[0] = 0, ERR_INVALID);
    REFUSED(w, variant, changed.u.variant_add.location[0] = 0, ERR_INVALID);
    REFUSED(w, variant, changed.u.variant_add.variant = uid('V', 1), ERR_EXISTS);
    for (uint64_t i = 2; i <= w->limits.models * 4; i++)
        assert_int_equal(do_variant(w, i, 1), 0);
    refused(w, variant, ERR_LIMIT);
    for (uint64_t i = 2; i <= w->limits.models; i++)
        assert_int_equal(do_model(w, i), 0);
    refused(w, ok, ERR_LIMIT);
    world_free(w);
}

static void test_price_errors(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 1000);
    struct event ok = {.kind = EVENT_KIND_price_set,
                       .u.price_set = {.price = uid('P', 500), .model = uid('M', 1)}};
    REFUSED(w, ok, changed.u.price_set.model = uid('M', 9), ERR_NOT_FOUND);
    REFUSED(w, ok, changed.u.price_set.price = (struct uuid){{0}}, ERR_OVERFLOW);
    REFUSED(w, ok, changed.u.price_set.prompt = -1, ERR_OVERFLOW);
    REFUSED(w, ok, changed.u.price_set.cached = PRICE_MAX + 1, ERR_OVERFLOW);
    REFUSED(w, ok, changed.u.price_set.completion = INT64_MIN, ERR_OVERFLOW);
    REFUSED(w, ok, changed.u.price_set.reasoning = INT64_MAX, ERR_OVERFLOW);
    REFUSED(w, ok, changed.u.price_set.price = uid('P', 1), ERR_EXISTS);
    for (uint64_t i = 2; i <= w->limits.prices; i++)
        assert_int_equal(do_price(w, i, 1, (int64_t)i, PRICE_MAX), 0);
    refused(w, ok, ERR_LIMIT);
    struct uuid model = uid('M', 1), last = uid('P', w->limits.prices);
    assert_true(uuid_eq(&view_model(w->core, &model)->price, &last));
    world_free(w);
}

static void test_model_remove(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 1000);
    struct event e = {.kind = EVENT_KIND_model_remove, .u.model_remove.model = uid('M', 9)};
    refused(w, e, ERR_NOT_FOUND);
    e.u.model_remove.model = uid('M', 1);
    assert_int_equal(do_deploy(w, 1, 1, 1), 0);
    refused(w, e, ERR_IN_USE);
    assert_int_equal(do_undeploy(w, 1), 0);
    refused(w, e, ERR_IN_USE); /* still draining */
    assert_int_equal(do_replica(w, 1, 0, 1, REPLICA_STOPPED), 0);
    struct event key = {.kind = EVENT_KIND_key_add,
                        .u.key_add = {.key = uid('K', 5),
                                      .tenant = uid('T', 1),
                                      .name = "k",
                                      .public_id = "x5",
                                      .scopes = SCOPE_INFERENCE,
                                      .budget = -1,
                                      .models = {.n = 1, .v = {uid('M', 1)}}}};
    assert_int_equal(world_step(w, &key), 0);
    refused(w, e, ERR_IN_USE); /* the key would become one for all models */
    assert_int_equal(do_revoke(w, 5), 0);
    assert_int_equal(do_model_remove(w, 1), 0);
    assert_int_equal(w->ops[ROW_KIND_variant][ROW_DELETE], 1);
    struct uuid model = uid('M', 1), variant = uid('V', 1);
    assert_null(view_model(w->core, &model));
    assert_null(view_variant(w->core, &variant));
    assert_null(view_model_named(w->core, "model-1", 7));
    assert_int_equal(do_model(w, 1), 0);
    assert_int_equal(do_variant(w, 1, 1), 0);
    world_free(w);
}

static void test_deploy_errors(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct event ok = {
        .kind = EVENT_KIND_deploy,
        .u.deploy = {.deployment = uid('D', 500), .model = uid('M', 1), .replicas = 2, .slots = 4}};
    refused(w, ok, ERR_NOT_FOUND);
    assert_int_equal(do_model(w, 1), 0);
    refused(w, ok, ERR_WRONG_STATE); /* no site, no variant */
    assert_int_equal(do_site(w, 1), 0);
    refused(w, ok, ERR_WRONG_STATE);
    assert_int_equal(do_variant(w, 1, 1), 0);
    REFUSED(w, ok, changed.u.deploy.deployment = (struct uuid){{0}}, ERR_INVALID);
    REFUSED(w, ok, changed.u.deploy.replicas = 0, ERR_INVALID);
    REFUSED(w, ok, changed.u.deploy.replicas = REPLICAS_PER_DEPLOYMENT_MAX + 1, ERR_INVALID);
    REFUSED(w, ok, changed.u.deploy.slots = 0, ERR_INVALID);
    REFUSED(w, ok, changed.u.deploy.slots = SLOTS_MAX + 1, ERR_INVALID);
    assert_int_equal(do_deploy(w, 1, 1, 2), 0);
    assert_int_equal(world_count(w, EFFECT_REPLICA_START), 2);
    refused(w, ok, ERR_WRONG_STATE); /* deployed already */
    for (uint64_t i = 2; i <= 9; i++) {
        assert_int_equal(do_model(w, i), 0);
        assert_int_equal(do_variant(w, i, i), 0);
    }
    REFUSED(w, ok, (changed.u.deploy.deployment = uid('D', 1), changed.u.deploy.model = uid('M', 2)),
            ERR_EXISTS);
    for (uint64_t i = 2; i <= 2; i++)
        assert_int_equal(do_deploy(w, i, i, 64), 0);
    REFUSED(w, ok, (changed.u.deploy.model = uid('M', 3), changed.u.deploy.replicas = 63), ERR_LIMIT);
    for (uint64_t i = 3; i <= w->limits.deployments; i++)
        assert_int_equal(do_deploy(w, i, i, 1), 0);
    REFUSED(w, ok, (changed.u.deploy.model = uid('M', 9), changed.u.deploy.replicas = 1), ERR_LIMIT);
    struct event undeploy = {.kind = EVENT_KIND_undeploy, .u.undeploy.deployment = uid('D', 99)};
    refused(w, undeploy, ERR_NOT_FOUND);
    world_free(w);
}

/* The moves that are allowed, said once more: row is from, column is to, in the order of enum replica_state. */
static const char *const moves[] = {"yyyyyy", "nyyyyy", "nnyyyy", "nynyyy", "nnnnyy", "nnnnnn"};

/* A world whose deployment 1 has one replica in state `from`. */
static struct world *world_with_replica(uint32_t from)
{
    static const char *const way[] = {"1", "12", "13", "14", "15"};
    struct world *w = world_usual(NULL, 1000);
    assert_int_equal(do_deploy(w, 1, 1, 1), 0);
    for (const char *p = way[from - 1]; *p; p++)
        assert_int_equal(do_replica(w, 1, 0, 1, (uint32_t)(*p - '0')), 0);
    return w;
}

static void test_replica_moves(void **state)
{
    (void)state;
    for (uint32_t from = REPLICA_WANTED; from < REPLICA_STOPPED; from++) {
        for (uint32_t to = 0; to <= REPLICA_STOPPED + 1; to++) {
            struct world *w = world_with_replica(from);
            struct event e = {.kind = EVENT_KIND_replica_state,
                              .u.replica_state = {.deployment = uid('D', 1), .epoch = 1, .state = to}};
            bool known = to >= REPLICA_WANTED && to <= REPLICA_STOPPED;
            if (!known || moves[from - 1][to - 1] == 'n') {
                refused(w, e, ERR_WRONG_STATE);
            } else {
                assert_int_equal(world_step(w, &e), 0);
                uint32_t pos = 0;
                const struct row_replica *row = view_replica_at(w->core, &pos);
                assert_true(to == REPLICA_STOPPED ? row == NULL : row && row->state == to);
            }
            world_free(w);
        }
    }
}

static void test_replica_reports(void **state)
{
    (void)state;
    struct world *w = world_with_replica(REPLICA_STARTING);
    struct event e = {.kind = EVENT_KIND_replica_state,
                      .u.replica_state = {.deployment = uid('D', 1), .epoch = 1, .state = REPLICA_READY}};
    REFUSED(w, e, changed.u.replica_state.deployment = uid('D', 2), ERR_NOT_FOUND);
    REFUSED(w, e, changed.u.replica_state.ordinal = 1, ERR_NOT_FOUND);
    REFUSED(w, e, changed.u.replica_state.epoch = 2, ERR_WRONG_STATE);
    REFUSED(w, e, changed.u.replica_state.epoch = 0, ERR_WRONG_STATE);
    REFUSED(w, e, changed.u.replica_state.slots = SLOTS_MAX + 1, ERR_OVERFLOW);
    REFUSED(w, e, changed.u.replica_state.context = CONTEXT_MAX + 1, ERR_OVERFLOW);
    assert_int_equal(world_step(w, &e), 0);
    assert_true(w->effects.routes_changed);
    assert_int_equal(view_counts(w->core).replicas_ready, 1);
    uint32_t pos = 0;
    const struct row_replica *row = view_replica_at(w->core, &pos);
    assert_int_equal(row->slots, 4); /* 0 in a report leaves what was */
    assert_int_equal(row->context, 2048);
    assert_int_equal(do_boot(w, 2), 0);
    assert_int_equal(world_count(w, EFFECT_REPLICA_START), 1);
    pos = 0;
    row = view_replica_at(w->core, &pos);
    assert_true(row->epoch == 2 && row->state == REPLICA_WANTED && row->endpoint[0] == 0);
    e.token = 0;
    refused(w, e, ERR_WRONG_STATE); /* the process of the epoch before */
    world_free(w);
}

static void test_undeploy(void **state)
{
    (void)state;
    struct world *w = world_usual(NULL, 1000);
    assert_int_equal(do_deploy(w, 1, 1, 3), 0);
    assert_int_equal(do_replica(w, 1, 2, 1, REPLICA_STOPPED), 0); /* one went on its own */
    assert_int_equal(do_undeploy(w, 1), 0);
    assert_int_equal(world_count(w, EFFECT_REPLICA_STOP), 2);
    assert_int_equal(do_undeploy(w, 1), 0);
    assert_int_equal(world_count(w, EFFECT_REPLICA_STOP), 0);
    assert_int_equal(do_replica(w, 1, 0, 1, REPLICA_STOPPED), 0);
    assert_int_equal(view_counts(w->core).deployments, 1);
    assert_int_equal(do_replica(w, 1, 1, 1, REPLICA_STOPPED), 0);
    assert_int_equal(view_counts(w->core).deployments, 0);
    assert_int_equal(w->mirror.count[ROW_KIND_replica] + w->mirror.count[ROW_KIND_deployment], 0);
    /* All replicas stopped on their own before: nothing is left to drain, so it goes at once. */
    assert_int_equal(do_deploy(w, 2, 1, 1), 0);
    assert_int_equal(do_replica(w, 2, 0, 1, REPLICA_STOPPED), 0);
    assert_int_equal(do_undeploy(w, 2), 0);
    assert_int_equal(view_counts(w->core).deployments, 0);
    /* The hub restarts while it drains: the processes are gone, and so is it. */
    assert_int_equal(do_deploy(w, 3, 1, 2), 0);
    assert_int_equal(do_undeploy(w, 3), 0);
    assert_int_equal(do_boot(w, 2), 0);
    assert_int_equal(world_count(w, EFFECT_REPLICA_START), 0);
    assert_int_equal(view_counts(w->core).deployments, 0);
    assert_int_equal(do_model_remove(w, 1), 0);
    world_free(w);
}

/* Entries dropped in the open batch keep their place until it is collected. */
static void test_limits_inside_a_batch(void **state)
{
    (void)state;
    struct limits n = small_limits();
    n.deployments = 1;
    n.replicas = 2;
    n.models = 1;
    struct world *w = world_usual(&n, 1000);
    assert_int_equal(do_deploy(w, 1, 1, 2), 0);
    assert_int_equal(do_undeploy(w, 1), 0);
    w->batching = true;
    assert_int_equal(do_replica(w, 1, 0, 1, REPLICA_STOPPED), 0);
    assert_int_equal(do_replica(w, 1, 1, 1, REPLICA_STOPPED), 0);
    assert_int_equal(do_deploy(w, 2, 1, 2), ERR_LIMIT);
    assert_int_equal(do_model_remove(w, 1), 0);
    assert_int_equal(do_model(w, 2), ERR_LIMIT);
    world_collect(w);
    assert_int_equal(do_model(w, 2), 0);
    assert_int_equal(do_variant(w, 2, 2), 0);
    assert_int_equal(do_deploy(w, 2, 2, 2), 0);
    world_collect(w);
    assert_int_equal(core_check(w->core), 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_kind),
        cmocka_unit_test(test_site_errors),
        cmocka_unit_test(test_tenant_errors),
        cmocka_unit_test(test_transfer_id_taken),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_key_errors),
        cmocka_unit_test(test_key_limits_sum),
        cmocka_unit_test(test_model_errors),
        cmocka_unit_test(test_price_errors),
        cmocka_unit_test(test_model_remove),
        cmocka_unit_test(test_deploy_errors),
        cmocka_unit_test(test_replica_moves),
        cmocka_unit_test(test_replica_reports),
        cmocka_unit_test(test_undeploy),
        cmocka_unit_test(test_limits_inside_a_batch),
    };
    return cmocka_run_group_tests_name("steps", tests, NULL, NULL);
}
