/* SPDX-License-Identifier: Apache-2.0 */
/* Which kinds of chips a deployment may use by the recipes, with how many of each; and that its replicas are of these and no others, also after a
 * reload and the loss of a site. */
#include "core/service.h"
#include "dispatch_support.h"
#include "hub/recipes.h"

static struct world *world;
static struct hub hub;

/* Site 1 is the hub's own; 2 has h100 (80 GiB), 3 gaudi3 (128 GiB), 4 ascend910b (64 GiB), one node of eight each. */
static int setup(void **state)
{
    (void)state;
    static const struct {
        const char *chip, *vendor;
        uint32_t mib;
    } kinds[] = {{"h100", "nvidia", 81920}, {"gaudi3", "intel", 131072}, {"ascend910b", "huawei", 65536}};
    struct problems problems;
    struct limits limits = small_limits();
    limits.sites = limits.pools = 5;
    limits.chips = 4;
    limits.nodes = 8;
    limits.corridors = 1;
    limits.jobs = limits.shares = 32;
    limits.shapes = 8;
    limits.services = limits.demands = 4;
    limits.service_replicas = 32;
    world = world_usual(&limits, 1000 * UNIT);
    for (uint64_t i = 0; i < 3; i++) {
        struct event chip = {
            .kind = EVENT_KIND_chip_add,
            .u.chip_add = {.watts = 1000, .memory_mib = kinds[i].mib, .gflops = 1, .origin = "US"}};
        struct event site = {.kind = EVENT_KIND_site_add,
                             .u.site_add = {.site = uid('S', i + 2), .jurisdiction = "DE"}};
        struct event_pool_add pool = pool_request(i + 2, i + 2, 1, 8);
        (void)snprintf(chip.u.chip_add.chip, CHIP_CAP, "%s", kinds[i].chip);
        (void)snprintf(chip.u.chip_add.vendor, NAME_CAP, "%s", kinds[i].vendor);
        (void)snprintf(site.u.site_add.name, NAME_CAP, "site-%u", (unsigned)i + 2);
        memset(pool.chip, 0, sizeof pool.chip);
        (void)snprintf(pool.chip, CHIP_CAP, "%s", kinds[i].chip);
        assert_int_equal(world_step(world, &chip), 0);
        assert_int_equal(world_step(world, &site), 0);
        assert_int_equal(do_pool(world, pool), 0);
    }
    problems_init(&problems);
    hub = (struct hub){0};
    assert_int_equal(recipes_load(&hub.recipes, NETWORK_DATA "/recipes.yaml", &problems), 0);
    problems_fini(&problems);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(core_check(world->core), 0);
    recipes_free(hub.recipes);
    world_free(world);
    return 0;
}

/* Model 2: weights of so many GiB, and 1 GiB of keys and values for a slot. */
static struct model_on model(uint64_t gib, const char *architecture, const char *quantisation,
                             const char *engine)
{
    struct event e = {.kind = EVENT_KIND_variant_add,
                      .u.variant_add = {.variant = uid('V', 2),
                                        .model = uid('M', 2),
                                        .format = "gguf",
                                        .location = "models/m.gguf",
                                        .size_bytes = gib << 30,
                                        .memory_bytes = (gib + 1) << 30}};
    assert_int_equal(do_model(world, 2), 0);
    (void)snprintf(e.u.variant_add.architecture, sizeof e.u.variant_add.architecture, "%s", architecture);
    (void)snprintf(e.u.variant_add.quantisation, sizeof e.u.variant_add.quantisation, "%s", quantisation);
    (void)snprintf(e.u.variant_add.engine, NAME_CAP, "%s", engine);
    assert_int_equal(world_step(world, &e), 0);
    const struct uuid id = uid('M', 2);
    struct model_on m = {.model = view_model(world->core, &id), .slots = 4};
    m.variant = model_variant(world->core, m.model);
    m.engine = m.variant->engine;
    return m;
}

static struct event_deploy request(const char *sites)
{
    struct event_deploy e = {.deployment = uid('D', 2),
                             .model = uid('M', 2),
                             .replicas = 2,
                             .min = 2,
                             .slots = 4,
                             .chips = 1,
                             .tenant = uid('T', 1)};
    for (const char *p = sites; *p; p++)
        e.sites.v[e.sites.n++] = uid('S', (uint64_t)(*p - '0'));
    return e;
}

static int kinds(const struct model_on *m, struct event_deploy *e, bool fixed, const char *words)
{
    struct err err = {0};
    int rc = deploy_kinds(&hub, world->core, m, e, fixed, &err);
    if (words && !strstr(err.msg, words))
        fail_msg("%s", err.msg);
    return rc;
}

static const struct row_replica *replica(uint32_t ordinal)
{
    const struct row_replica *row;
    for (uint32_t pos = 0; (row = view_replica_at(world->core, &pos)) != NULL;) {
        if (row->ordinal == ordinal)
            break;
    }
    assert_non_null(row);
    return row;
}

static void test_known(void **state)
{
    (void)state;
    struct model_on m = model(10, "llama", "Q8_0", "llama-server");
    struct hostable_on on = model_hostable(&hub, world->core, &m, "h100");
    struct buf words;
    buf_init(&words, 1000);
    assert_int_equal(on.what, HOSTABLE_DOCUMENTED);
    assert_string_equal(on.recipe->build, "CUDA");
    hostable_words(&hub, &m, "h100", &on, &words);
    assert_memory_equal(words.data, "llama.cpp CUDA, documented", words.len);
    on = model_hostable(&hub, world->core, &m, "gaudi3");
    assert_int_equal(on.what, HOSTABLE_NONE);
    buf_clear(&words);
    hostable_words(&hub, &m, "gaudi3", &on, &words);
    assert_memory_equal(words.data, "no recipe for", 13);
    assert_string_equal(model_hostable(&hub, world->core, &m, "ascend910b").recipe->build, "CANN");
    /* Our own engine has recipes for processors alone: any node has some. */
    m.engine = "reference";
    assert_int_equal(model_hostable(&hub, world->core, &m, "gaudi3").what, HOSTABLE_PROCESSORS);
    /* Of what nobody knows nobody says that it does not run. */
    recipes_free(hub.recipes);
    hub.recipes = NULL;
    assert_int_equal(model_hostable(&hub, world->core, &m, "gaudi3").what, HOSTABLE_UNTESTED);
    buf_fini(&words);
}

static void test_unknown(void **state)
{
    (void)state;
    struct model_on m = model(10, "mamba", "Q8_0", "llama-server");
    struct event_deploy e = request("234");
    assert_int_equal(model_hostable(&hub, world->core, &m, "gaudi3").what, HOSTABLE_UNTESTED);
    assert_int_equal(kinds(&m, &e, false, NULL), 0);
    assert_int_equal(e.chip[0], 0); /* any kind, as before there were recipes */
    assert_int_equal(e.chips, 1);
}

static void test_kinds(void **state)
{
    (void)state;
    struct model_on m = model(100, "llama", "Q8_0", "llama-server"); /* 104 GiB with four slots */
    struct event_deploy e = request("3");
    assert_int_equal(kinds(&m, &e, false, "no recipe for `"), ERR_WRONG_STATE);
    e = request("2");
    assert_int_equal(kinds(&m, &e, false, NULL), 0);
    assert_int_equal(e.chips, 2);
    assert_string_equal(e.chip, "h100"); /* the only one, and what comes later may have no recipe */
    assert_string_equal(e.chip1, "");
    e = request("234");
    assert_int_equal(kinds(&m, &e, false, NULL), 0);
    assert_string_equal(e.chip, "h100");
    assert_string_equal(e.chip1, "ascend910b");
    assert_int_equal(e.chips, 2);
    assert_int_equal(e.chips1, 2);
    assert_int_equal(e.chips2, 0);
    e = request("23");
    e.chips = 5;
    assert_int_equal(kinds(&m, &e, true, NULL), 0);
    assert_string_equal(e.chip, "h100");
    assert_int_equal(e.chips, 5);
    e.chips = 16;
    e.chip[0] = 0;
    assert_int_equal(kinds(&m, &e, true, "so many chips"), ERR_WRONG_STATE);
}

/* Our own engine takes the processors of any node, also of one that comes later. */
static void test_processors(void **state)
{
    (void)state;
    struct model_on m = model(10, "llama", "Q8_0", "reference");
    struct event_deploy e = request("234");
    assert_int_equal(kinds(&m, &e, false, NULL), 0);
    assert_string_equal(e.chip, "");
    assert_int_equal(e.chips, 1);
}

/* A site's pool of another kind comes later: nobody is placed there who has no recipe for it. */
static void test_later_kind(void **state)
{
    (void)state;
    struct model_on m = model(10, "llama", "Q8_0", "llama-server");
    struct event_deploy e = request("2");
    struct event_pool_add pool = pool_request(5, 2, 4, 8);
    assert_int_equal(kinds(&m, &e, false, NULL), 0);
    e.replicas = e.min = 9; /* one more than the node has chips */
    assert_int_equal(world_step(world, &(struct event){.kind = EVENT_KIND_deploy, .u.deploy = e}), 0);
    memset(pool.chip, 0, sizeof pool.chip);
    (void)snprintf(pool.chip, CHIP_CAP, "gaudi3");
    assert_int_equal(do_pool(world, pool), 0);
    world_settle(world);
    for (uint32_t i = 0; i < 9; i++)
        assert_string_not_equal(replica(i)->chip, "gaudi3");
}

/* Six chips hold it, though not eight are there. */
static void test_six(void **state)
{
    (void)state;
    struct model_on m = model(340, "llama", "Q8_0", "llama-server"); /* 4.8 times 72 GiB */
    struct event_deploy e = request("5");
    struct event site = {.kind = EVENT_KIND_site_add,
                         .u.site_add = {.site = uid('S', 5), .jurisdiction = "DE", .name = "site-5"}};
    struct event_pool_add pool = pool_request(5, 5, 1, 6);
    memset(pool.chip, 0, sizeof pool.chip);
    (void)snprintf(pool.chip, CHIP_CAP, "h100");
    assert_int_equal(world_step(world, &site), 0);
    assert_int_equal(do_pool(world, pool), 0);
    assert_int_equal(kinds(&m, &e, false, NULL), 0);
    assert_int_equal(e.chips, 6);
    const struct hostable_on on = model_hostable(&hub, world->core, &m, "h100");
    assert_int_equal(hostable_chips(&on, 4), 8); /* these would not */
}

/* A kind of unknown memory may not hold it: beside one that does it is left out, alone it is tried. */
static void test_unknown_memory(void **state)
{
    (void)state;
    struct model_on m = model(100, "llama", "Q8_0", "llama-server");
    struct event_deploy e = request("25");
    struct event chip = {
        .kind = EVENT_KIND_chip_add,
        .u.chip_add = {.chip = "new1", .vendor = "nvidia", .watts = 1, .gflops = 1, .origin = "US"}};
    struct event site = {.kind = EVENT_KIND_site_add,
                         .u.site_add = {.site = uid('S', 5), .jurisdiction = "DE", .name = "site-5"}};
    struct event_pool_add pool = pool_request(5, 5, 4, 8);
    memset(pool.chip, 0, sizeof pool.chip);
    (void)snprintf(pool.chip, CHIP_CAP, "new1");
    assert_int_equal(world_step(world, &chip), 0);
    assert_int_equal(world_step(world, &site), 0);
    assert_int_equal(do_pool(world, pool), 0);
    assert_int_equal(kinds(&m, &e, false, NULL), 0);
    assert_string_equal(e.chip, "h100");
    assert_string_equal(e.chip1, "");
    e = request("5");
    assert_int_equal(kinds(&m, &e, false, NULL), 0);
    assert_string_equal(e.chip, "new1");
    assert_int_equal(e.chips, 1);
}

static void test_too_large(void **state)
{
    (void)state;
    struct model_on m = model(700, "llama", "Q8_0", "llama-server");
    struct event_deploy e = request("24");
    assert_int_equal(kinds(&m, &e, false, "enough memory"), ERR_WRONG_STATE);
}

/* In q4_k_m the CANN build reads nothing. */
static void test_format(void **state)
{
    (void)state;
    struct model_on m = model(40, "llama", "Q4_K_M", "llama-server");
    struct event_deploy e = request("4");
    assert_int_equal(kinds(&m, &e, false, "no recipe"), ERR_WRONG_STATE);
    assert_int_equal(model_hostable(&hub, world->core, &m, "ascend910b").what, HOSTABLE_NONE);
    /* Our own engine reads no such file, on whatever processors. */
    m.engine = "reference";
    assert_int_equal(model_hostable(&hub, world->core, &m, "gaudi3").what, HOSTABLE_NONE);
}

/* A quantisation that no recipe names: nobody says that it runs, nor that it does not. */
static void test_nameless_format(void **state)
{
    (void)state;
    struct model_on m = model(10, "llama", "IQ4_XS", "llama-server");
    struct hostable_on on = model_hostable(&hub, world->core, &m, "ascend910b");
    assert_int_equal(on.what, HOSTABLE_UNTESTED);
    assert_null(on.recipe);
    assert_int_equal(model_hostable(&hub, world->core, &m, "gaudi3").what, HOSTABLE_UNTESTED);
}

/* A name that is not what the file is built as is worth nothing. */
static void test_name(void **state)
{
    (void)state;
    struct model_on m = model(10, "mamba", "Q8_0", "llama-server");
    struct row_model named = *m.model;
    struct row_variant built = *m.variant;
    m.model = &named;
    m.variant = &built;
    (void)snprintf(named.name, sizeof named.name, "phi-2");
    struct hostable_on on = model_hostable(&hub, world->core, &m, "h100");
    assert_int_equal(on.what, HOSTABLE_UNTESTED);
    assert_null(on.recipe);
    assert_int_equal(model_hostable(&hub, world->core, &m, "gaudi3").what, HOSTABLE_UNTESTED);
    (void)snprintf(built.architecture, sizeof built.architecture, "phi2");
    assert_int_equal(model_hostable(&hub, world->core, &m, "h100").what, HOSTABLE_DOCUMENTED);
    (void)memset(built.architecture, 0, sizeof built.architecture); /* its file tells nothing */
    assert_int_equal(model_hostable(&hub, world->core, &m, "gaudi3").what, HOSTABLE_NONE);
}

/* Both run where there is a recipe; with the site of one kind gone they go to the other, and nobody to the third. */
static void test_placed(void **state)
{
    (void)state;
    struct model_on m = model(60, "llama", "Q8_0", "llama-server");
    struct event_deploy e = request("234");
    assert_int_equal(kinds(&m, &e, false, NULL), 0);
    assert_int_equal(e.chips, 1);  /* of 72 GiB */
    assert_int_equal(e.chips1, 2); /* of 57.6 GiB */
    assert_int_equal(world_step(world, &(struct event){.kind = EVENT_KIND_deploy, .u.deploy = e}), 0);
    /* It tells of all kinds that it may have, and of no other. */
    struct buf words;
    buf_init(&words, 1000);
    deployment_words(&hub, world->core, view_deployment(world->core, &e.deployment), &words);
    buf_add_char(&words, 0);
    assert_string_equal(words.data,
                        "h100: llama.cpp CUDA, documented; ascend910b: llama.cpp CANN, documented");
    buf_fini(&words);
    world_settle(world);
    for (uint32_t i = 0; i < 2; i++) {
        assert_string_not_equal(replica(i)->chip, "gaudi3");
        assert_string_not_equal(replica(i)->chip, "");
        assert_int_equal(replica(i)->chips, strcmp(replica(i)->chip, "h100") == 0 ? 1 : 2);
    }
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_site_state(world, 2, PLACE_LOST), 0);
    world_settle(world);
    for (uint32_t i = 0; i < 2; i++) {
        assert_string_equal(replica(i)->chip, "ascend910b");
        assert_int_equal(replica(i)->chips, 2); /* its kind's, not the first one's */
    }
    assert_int_equal(do_site_state(world, 4, PLACE_LOST), 0);
    world_settle(world);
    for (uint32_t i = 0; i < 2; i++)
        assert_string_equal(replica(i)->chip, ""); /* gaudi3 is free all the same */
    /* What a replica sustains is one figure of all kinds. */
    struct event said = {
        .kind = EVENT_KIND_service_demand,
        .u.service_demand = {.service = uid('D', 2), .tokens_s = 1, .replica_tokens_s = 500}};
    struct view_service service;
    assert_int_equal(world_step(world, &said), 0);
    assert_true(view_service(world->core, &said.u.service_demand.service, 0, &service));
    assert_int_equal(service.row->tokens_s0, 500);
    assert_int_equal(service.row->tokens_s1, 500);
    assert_int_equal(service.row->tokens_s2, 0);
}

static void test_refused(void **state)
{
    (void)state;
    (void)model(10, "llama", "Q8_0", "llama-server");
    struct event e = {.kind = EVENT_KIND_deploy, .u.deploy = request("234")};
    struct event_deploy *d = &e.u.deploy;
    d->chips1 = 2;
    memcpy(d->chip1, "h100", 5);
    assert_int_equal(world_step(world, &e), ERR_INVALID); /* the first is of any kind */
    memcpy(d->chip, "abacus", 7);
    assert_int_equal(world_step(world, &e), ERR_NOT_FOUND);
    memset(d->chip, 0, sizeof d->chip);
    memcpy(d->chip, "gaudi3", 7);
    d->chips1 = NODE_CHIPS_MAX + 1;
    assert_int_equal(world_step(world, &e), ERR_INVALID);
    *d = request("4");
    memcpy(d->chip, "gaudi3", 7);
    memcpy(d->chip1, "h100", 5);
    d->chips1 = 1;
    assert_int_equal(world_step(world, &e), ERR_NO_CAPACITY);
    assert_null(view_deployment(world->core, &d->deployment));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_known, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_processors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_six, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_format, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nameless_format, setup, teardown),
        cmocka_unit_test_setup_teardown(test_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_placed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
