/* SPDX-License-Identifier: Apache-2.0 */
/* Where a deployment's replicas are: at the sites that it names, as evenly as there is room, each with chips that nobody else has;
 * given up with their site; as many as demand asks for; and what a boot leaves alone. */
#include "core/service.h"
#include "dispatch_support.h"

#define OWN 1
#define SITES 4

static struct world *world;

/* Site 1 is the hub's own machine; 2 and 3 have two chips each, 4 has none. Models 1 to 4. */
static int setup(void **state)
{
    struct limits limits = replica_limits(SITES);
    world = world_usual(&limits, 1000 * UNIT);
    assert_int_equal(do_chip(world, "h20", "nvidia", 0), 0);
    for (uint64_t i = OWN + 1; i <= SITES; i++)
        assert_int_equal(do_site_in(world, i, "DE"), 0);
    for (uint64_t i = 2; i <= 3; i++) {
        struct event_pool_add pool = pool_request(i, i, 1, 2);
        (void)snprintf(pool.chip, CHIP_CAP, "h20");
        assert_int_equal(do_pool(world, pool), 0);
    }
    for (uint64_t i = 2; i <= 4; i++) {
        assert_int_equal(do_model(world, i), 0);
        assert_int_equal(do_variant(world, i, i), 0);
    }
    *state = &world;
    return 0;
}

/* `sites`: digits. */
static struct event_deploy request(uint64_t n, uint32_t min, uint32_t max, const char *sites)
{
    struct event_deploy e = {.deployment = uid('D', n),
                             .model = uid('M', n),
                             .replicas = max,
                             .min = min,
                             .slots = 4,
                             .chips = 1,
                             .tenant = uid('T', 1)};
    for (const char *p = sites; *p; p++)
        e.sites.v[e.sites.n++] = uid('S', (uint64_t)(*p - '0'));
    return e;
}

static int send(struct event_deploy deploy)
{
    return world_step(world, &(struct event){.kind = EVENT_KIND_deploy, .u.deploy = deploy});
}

/* So many, as before they could be more or fewer. */
static int deploy(uint64_t n, uint32_t replicas, const char *sites)
{
    struct event_deploy e = request(n, 0, replicas, sites);
    e.chips = 0;
    e.tenant = (struct uuid){{0}};
    return send(e);
}

static int lose(uint64_t site, uint32_t lost)
{
    struct event e = {.kind = EVENT_KIND_site_contact,
                      .u.site_contact = {.site = uid('S', site), .lost = lost}};
    return world_step(world, &e);
}

static const struct row_replica *replica(uint64_t deployment, uint32_t ordinal)
{
    const struct row_replica *row;
    struct uuid id = uid('D', deployment);
    for (uint32_t pos = 0; (row = view_replica_at(world->core, &pos)) != NULL;) {
        if (uuid_eq(&row->deployment, &id) && row->ordinal == ordinal)
            break;
    }
    return row;
}

static void is_at(uint64_t deployment, uint32_t ordinal, uint64_t site, uint32_t epoch, uint32_t state)
{
    struct uuid id = uid('S', site);
    const struct row_replica *row = replica(deployment, ordinal);
    assert_non_null(row);
    assert_true(uuid_eq(&row->site, &id));
    assert_int_equal(row->epoch, epoch);
    assert_int_equal(row->state, state);
}

static void is_nowhere(uint64_t deployment, uint32_t ordinal)
{
    const struct row_replica *row = replica(deployment, ordinal);
    assert_non_null(row);
    assert_true(uuid_zero(&row->site));
    assert_int_equal(row->state, REPLICA_WANTED);
}

static int tick(void)
{
    return do_tick(world);
}

/* Time goes on, with a tick whenever one is due. */
static void pass(int64_t ms)
{
    int64_t until = world->now + ms;
    while (core_deadline_ms(world->core) <= until) {
        if (core_deadline_ms(world->core) > world->now)
            world->now = core_deadline_ms(world->core);
        assert_int_equal(tick(), 0);
    }
    world->now = until;
}

static uint32_t measured;

static int ask(uint64_t deployment, uint64_t tokens_s, uint32_t in_flight)
{
    struct event e = {.kind = EVENT_KIND_service_demand,
                      .u.service_demand = {.service = uid('D', deployment),
                                           .tokens_s = tokens_s,
                                           .in_flight = in_flight,
                                           .replica_tokens_s = measured}};
    int rc = world_step(world, &e);
    return rc == 0 ? tick() : rc;
}

static uint32_t chips_free(uint64_t pool)
{
    struct uuid id = uid('p', pool);
    return view_pool_use(world->core, &id).free;
}

static int drain(uint64_t site, uint32_t state)
{
    int rc = do_site_state(world, site, state);
    return rc == 0 ? tick() : rc;
}

static void test_spread(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 3, "23"), 0);
    assert_int_equal(tick(), 0);
    assert_int_equal(world_count(world, EFFECT_REPLICA_START), 3);
    is_at(1, 0, 2, 1, REPLICA_WANTED);
    is_at(1, 1, 3, 1, REPLICA_WANTED);
    is_at(1, 2, 2, 1, REPLICA_WANTED);
    assert_int_equal(replica(1, 2)->chips, 1);
    assert_string_equal(replica(1, 2)->chip, "h20");
    assert_int_equal(chips_free(2), 0);
    assert_int_equal(chips_free(3), 1);
    assert_int_equal(deploy(2, 2, "23"), 0); /* one chip is left, at 3 */
    assert_int_equal(tick(), 0);
    is_at(2, 0, 3, 1, REPLICA_WANTED);
    is_nowhere(2, 1);
    assert_int_equal(deploy(4, 2, ""), 0); /* the hub's own machine has no bound */
    is_at(4, 1, OWN, 1, REPLICA_WANTED);
    assert_int_equal(world_reload(world), 0);
    is_at(1, 1, 3, 1, REPLICA_WANTED);
    is_nowhere(2, 1);
}

/* Jobs and replicas have the same chips: who comes later waits. */
static void test_chips(void **state)
{
    (void)state;
    struct event_job_submit job = job_request(1, 2, HOUR);
    job.site = uid('S', 2);
    assert_int_equal(do_submit(world, job), 0);
    assert_int_equal(tick(), 0);
    assert_int_equal(deploy(1, 1, "2"), 0);
    assert_int_equal(tick(), 0);
    is_nowhere(1, 0);
    assert_int_equal(do_cancel(world, 1), 0);
    assert_int_equal(tick(), 0);
    is_at(1, 0, 2, 1, REPLICA_WANTED);
    job = job_request(2, 2, HOUR);
    job.site = uid('S', 2);
    assert_int_equal(do_submit(world, job), 0);
    assert_int_equal(tick(), 0);
    assert_int_equal(chips_free(2), 1); /* not two: it waits */
}

static void test_refused(void **state)
{
    (void)state;
    struct event_deploy e = request(1, 1, 1, "23");
    assert_int_equal(deploy(1, 1, "29"), ERR_NOT_FOUND);
    world_assert_untouched(world);
    assert_int_equal(deploy(1, 1, "22"), ERR_INVALID);
    assert_int_equal(deploy(1, 1, "4"), ERR_NO_CAPACITY);
    e.min = 2;
    assert_int_equal(send(e), ERR_INVALID);
    e = request(1, 0, 0, "23");
    assert_int_equal(send(e), ERR_INVALID);
    e = request(1, 1, 1, "23");
    e.chips = 3; /* no node has so many */
    assert_int_equal(send(e), ERR_NO_CAPACITY);
    e = request(1, 1, 1, "23");
    (void)snprintf(e.chip, CHIP_CAP, "other");
    assert_int_equal(send(e), ERR_NOT_FOUND);
    e.chip[0] = 0;
    e.tenant = uid('T', 99);
    assert_int_equal(send(e), ERR_NOT_FOUND);
    assert_int_equal(lose(2, 1), 0);
    assert_int_equal(deploy(1, 1, "23"), ERR_WRONG_STATE);
    world_assert_untouched(world);
    assert_int_equal(view_counts(world->core).deployments, 0);
}

static const char *engine_of(uint64_t model)
{
    const struct row_variant *row;
    struct uuid id = uid('M', model);
    for (uint32_t pos = 0; (row = view_variant_at(world->core, &pos)) != NULL;) {
        if (uuid_eq(&row->model, &id))
            break;
    }
    assert_non_null(row);
    const struct row_variant *stored = mirror_find(&world->mirror, ROW_KIND_variant, row);
    assert_non_null(stored);
    assert_string_equal(stored->engine, row->engine); /* as the store has it */
    return row->engine;
}

/* What serves a model may be another with each deployment; what is refused changes nothing. */
static void test_engine(void **state)
{
    (void)state;
    char before[NAME_CAP];
    struct event_deploy e = request(1, 1, 1, "23");
    (void)snprintf(before, sizeof before, "%s", engine_of(1));
    (void)snprintf(e.engine, NAME_CAP, "another");
    e.chips = 3;
    assert_int_equal(send(e), ERR_NO_CAPACITY);
    assert_string_equal(engine_of(1), before);
    e.chips = 1;
    assert_int_equal(send(e), 0);
    assert_string_equal(engine_of(1), "another");
    e = request(2, 1, 1, "23");
    assert_int_equal(send(e), 0);
    assert_string_equal(engine_of(2), before);
    assert_int_equal(world_reload(world), 0);
    assert_string_equal(engine_of(1), "another"); /* for as long as no other is named */
    assert_string_equal(engine_of(2), before);
}

/* A report of an epoch that was given up says nothing of the next. */
static void test_lost(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 2, "23"), 0);
    assert_int_equal(tick(), 0);
    assert_int_equal(deploy(2, 1, "2"), 0);
    assert_int_equal(tick(), 0);
    assert_int_equal(do_replica(world, 1, 0, 1, REPLICA_READY), 0);
    assert_string_equal(replica(1, 0)->version, "v1");
    assert_int_equal(world_reload(world), 0);
    assert_string_equal(replica(1, 0)->version, "v1");
    assert_int_equal(lose(2, 1), 0);
    assert_int_equal(tick(), 0);
    assert_true(world->effects.routes_changed);
    is_at(1, 0, 3, 2, REPLICA_WANTED); /* the other one of its list */
    is_nowhere(2, 0);                  /* it has no other: it waits */
    assert_int_equal(replica(1, 0)->endpoint[0], 0);
    assert_int_equal(replica(1, 0)->version[0], 0); /* of the engine that ran there */
    assert_int_equal(do_replica(world, 1, 0, 1, REPLICA_READY), ERR_WRONG_STATE);
    assert_int_equal(do_replica(world, 2, 0, 2, REPLICA_READY), ERR_WRONG_STATE); /* it is nowhere */
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(lose(2, 0), 0);
    assert_int_equal(tick(), 0);
    is_at(2, 0, 2, 2, REPLICA_WANTED);
    is_at(1, 0, 3, 2, REPLICA_WANTED);
    assert_int_equal(do_replica(world, 2, 0, 2, REPLICA_READY), 0);
}

/* Its chips are given back when its process has stopped, not before. */
static void test_draining(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 2, "2"), 0);
    assert_int_equal(tick(), 0);
    assert_int_equal(do_undeploy(world, 1), 0);
    assert_int_equal(world_count(world, EFFECT_REPLICA_STOP), 2);
    assert_int_equal(tick(), 0);
    assert_int_equal(chips_free(2), 0);
    assert_int_equal(do_boot(world, 2), 0); /* the site still stops them */
    is_at(1, 0, 2, 1, REPLICA_DRAINING);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_replica(world, 1, 1, 1, REPLICA_STOPPED), 0);
    assert_int_equal(chips_free(2), 1);
    assert_int_equal(lose(2, 1), 0); /* nobody will say that it has stopped */
    assert_int_equal(tick(), 0);
    assert_int_equal(tick(), 0);
    assert_int_equal(view_counts(world->core).deployments, 0);
    assert_int_equal(view_counts(world->core).replicas, 0);
    assert_int_equal(deploy(1, 1, "3"), 0);
}

/* Who drains at a site that is lost is over, also where there is room for it elsewhere. */
static void test_draining_lost(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 1, "23"), 0);
    assert_int_equal(tick(), 0);
    const uint64_t here = uuid_eq(&replica(1, 0)->site, &(struct uuid[]){uid('S', 2)}[0]) ? 2 : 3;
    const uint64_t there = 5 - here;
    const uint32_t room = chips_free(there);
    assert_int_equal(do_undeploy(world, 1), 0);
    assert_int_equal(lose(here, 1), 0);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(tick(), 0);
    assert_int_equal(view_counts(world->core).replicas, 0);
    assert_int_equal(view_counts(world->core).deployments, 0);
    assert_int_equal(chips_free(there), room);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(deploy(1, 1, there == 2 ? "2" : "3"), 0);
}

/* One that waits is gone at once, and the model can be had elsewhere. */
static void test_undeploy_waiting(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 2, "2"), 0);
    assert_int_equal(tick(), 0);
    assert_int_equal(deploy(2, 2, "2"), 0);
    assert_int_equal(tick(), 0);
    is_nowhere(2, 1);
    assert_int_equal(do_undeploy(world, 2), 0);
    assert_int_equal(view_counts(world->core).deployments, 1);
    assert_int_equal(deploy(2, 1, "3"), 0);
    assert_int_equal(tick(), 0);
    is_at(2, 0, 3, 1, REPLICA_WANTED);
}

/* What runs elsewhere outlives the hub; what runs here does not. */
static void test_boot(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 2, ""), 0);
    assert_int_equal(deploy(2, 1, "2"), 0);
    assert_int_equal(tick(), 0);
    assert_int_equal(do_replica(world, 1, 0, 1, REPLICA_READY), 0);
    assert_int_equal(do_replica(world, 2, 0, 1, REPLICA_READY), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_boot(world, 2), 0);
    assert_int_equal(world_count(world, EFFECT_REPLICA_START), 2);
    is_at(1, 0, OWN, 2, REPLICA_WANTED);
    is_at(2, 0, 2, 1, REPLICA_READY);
    assert_true(replica(2, 0)->endpoint[0]);
}

/* A site that is drained keeps its replica until another one is ready elsewhere, and for good where there is no room. */
static void test_drain(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 1, "23"), 0);
    assert_int_equal(tick(), 0);
    assert_int_equal(do_replica(world, 1, 0, 1, REPLICA_READY), 0);
    assert_int_equal(drain(2, PLACE_DRAINING), 0);
    pass(10);
    is_at(1, 0, 2, 1, REPLICA_READY);
    is_at(1, 1, 3, 1, REPLICA_WANTED);
    assert_int_equal(do_replica(world, 1, 1, 1, REPLICA_READY), 0);
    assert_int_equal(tick(), 0);
    is_at(1, 0, 2, 1, REPLICA_DRAINING);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_replica(world, 1, 0, 1, REPLICA_STOPPED), 0);
    assert_null(replica(1, 0));
    assert_int_equal(chips_free(2), 2);
    assert_int_equal(drain(3, PLACE_DRAINING), 0);
    is_at(1, 1, 3, 1, REPLICA_READY);
    is_nowhere(1, 2);
    assert_int_equal(drain(2, PLACE_UP), 0);
    is_at(1, 2, 2, 1, REPLICA_WANTED);
}

/* Also where all the others are ready: who leaves is not one of the two that were asked for before somebody comes for it. */
static void test_drain_of_two(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 2, "23"), 0);
    assert_int_equal(tick(), 0);
    for (uint32_t k = 0; k < 2; k++)
        assert_int_equal(do_replica(world, 1, k, 1, REPLICA_READY), 0);
    is_at(1, 0, 2, 1, REPLICA_READY);
    is_at(1, 1, 3, 1, REPLICA_READY);
    assert_int_equal(drain(2, PLACE_DRAINING), 0);
    pass(10);
    is_at(1, 0, 2, 1, REPLICA_READY);
    is_at(1, 2, 3, 1, REPLICA_WANTED);
    assert_int_equal(world_reload(world), 0);
    pass(10);
    is_at(1, 0, 2, 1, REPLICA_READY);
    assert_int_equal(do_replica(world, 1, 2, 1, REPLICA_READY), 0);
    assert_int_equal(tick(), 0);
    is_at(1, 0, 2, 1, REPLICA_DRAINING);
}

/* Demand makes more of them, and none of it none. */
static void test_scales(void **state)
{
    (void)state;
    struct event_deploy e = request(1, 0, 3, "23");
    e.hold_ms = 1000;
    e.idle_ms = 2000;
    assert_int_equal(send(e), 0);
    assert_int_equal(tick(), 0);
    assert_int_equal(view_counts(world->core).replicas, 0);
    assert_int_equal(ask(1, 0, 1), 0);
    is_at(1, 0, 2, 1, REPLICA_WANTED);
    assert_int_equal(ask(1, 150, 9), 0); /* four slots of 20 tokens a second each, at 70 % */
    assert_int_equal(view_counts(world->core).replicas, 3);
    for (uint32_t k = 0; k < 3; k++)
        assert_int_equal(do_replica(world, 1, k, 1, REPLICA_READY), 0);
    assert_int_equal(ask(1, 10, 1), 0);
    pass(999);
    is_at(1, 2, 2, 1, REPLICA_READY);
    pass(1);
    is_at(1, 1, 3, 1, REPLICA_DRAINING);
    is_at(1, 2, 2, 1, REPLICA_DRAINING);
    assert_int_equal(ask(1, 0, 0), 0);
    assert_int_equal(world_reload(world), 0);
    pass(1999);
    is_at(1, 0, 2, 1, REPLICA_READY);
    pass(1);
    is_at(1, 0, 2, 1, REPLICA_DRAINING);
    for (uint32_t k = 0; k < 3; k++)
        assert_int_equal(do_replica(world, 1, k, 1, REPLICA_STOPPED), 0);
    assert_int_equal(view_counts(world->core).replicas, 0);
    assert_int_equal(view_counts(world->core).deployments, 1);
    assert_int_equal(chips_free(2) + chips_free(3), 4);
    assert_int_equal(ask(1, 0, 1), 0);
    is_at(1, 3, 2, 1, REPLICA_WANTED); /* no ordinal is given twice */
}

/* What a replica was measured to sustain counts in place of what was thought. */
static void test_measured(void **state)
{
    (void)state;
    assert_int_equal(send(request(1, 0, 3, "23")), 0);
    measured = 200;
    assert_int_equal(ask(1, 130, 1), 0);
    measured = 0;
    assert_int_equal(view_counts(world->core).replicas, 1);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(ask(1, 150, 1), 0);
    assert_int_equal(view_counts(world->core).replicas, 2);
}

/* Rows from when replicas had no jobs. */
static void test_convert(void **state)
{
    (void)state;
    struct row_deployment before = {
        .id = uid('D', 1), .model = uid('M', 1), .replicas = 2, .slots = 4, .sites = {1, {uid('S', 2)}}};
    struct row_replica was = {.deployment = uid('D', 1),
                              .variant = uid('V', 1),
                              .site = uid('S', 2),
                              .epoch = 3,
                              .state = REPLICA_READY,
                              .slots = 4};
    mirror_apply(&world->mirror, ROW_KIND_deployment, ROW_PUT, &before);
    for (was.ordinal = 0; was.ordinal < 2; was.ordinal++)
        mirror_apply(&world->mirror, ROW_KIND_replica, ROW_PUT, &was);
    assert_int_equal(world_reload(world), 0);
    assert_non_null(replica(1, 0));
    assert_int_equal(do_boot(world, 2), 0);
    assert_int_equal(tick(), 0);
    assert_null(replica(1, 0));
    is_at(1, REPLICAS_PER_DEPLOYMENT_MAX, 2, 1, REPLICA_WANTED);
    is_at(1, REPLICAS_PER_DEPLOYMENT_MAX + 1, 2, 1, REPLICA_WANTED);
    assert_int_equal(chips_free(2), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(do_boot(world, 3), 0); /* once */
    is_at(1, REPLICAS_PER_DEPLOYMENT_MAX, 2, 1, REPLICA_WANTED);
}

static bool may(uint64_t site)
{
    struct uuid id = uid('M', 1);
    struct uuid_list sites = {.n = 1, .v = {uid('S', site)}};
    return view_may_deploy(world->core, &sites, view_model(world->core, &id), 1);
}

static void test_rules(void **state)
{
    (void)state;
    assert_true(may(2));
    assert_int_equal(
        do_rules(world, "deny a when site.name = site-2 and job.kind = inference because \"b\" cite \"c\"\n"),
        0);
    assert_true(!may(2) && may(3));
    assert_int_equal(
        do_rules(world, "deny a when site.name = site-2 and job.kind = training because \"b\" cite \"c\"\n"),
        0);
    assert_true(may(2));
    assert_int_equal(do_rules(world, "deny a when chip.vendor = nvidia because \"b\" cite \"c\"\n"), 0);
    assert_true(!may(2) && !may(3));
    /* Who asks is not known; one who is at home there may. */
    assert_int_equal(
        do_rules(world, "require a that tenant.jurisdiction = site.jurisdiction because \"b\" cite \"c\"\n"),
        0);
    assert_true(may(2));
}

/* A rule that forbids the model at a site sends its replica elsewhere. */
static void test_rules_move(void **state)
{
    (void)state;
    assert_int_equal(deploy(1, 1, "23"), 0);
    assert_int_equal(tick(), 0);
    is_at(1, 0, 2, 1, REPLICA_WANTED);
    assert_int_equal(
        do_rules(world, "deny a when site.name = site-2 and model.name = model-1 because \"b\" cite \"c\"\n"),
        0);
    assert_int_equal(tick(), 0);
    is_at(1, 0, 3, 2, REPLICA_WANTED);
    assert_int_equal(
        do_rules(world, "require a that tenant.jurisdiction = site.jurisdiction because \"b\" cite \"c\"\n"),
        0);
    assert_int_equal(tick(), 0);
    is_at(1, 0, 3, 2, REPLICA_WANTED);
}

/* ---- anything, in any order ---- */

#define STEPS 3000
#define JOBS 6

static uint64_t seed;

static uint64_t any(uint64_t n)
{
    return test_random(&seed) % n;
}

static uint32_t running_in(const struct uuid *pool)
{
    const struct row_job *row;
    uint32_t chips = 0;
    for (uint32_t pos = 0; (row = view_job_at(world->core, &pos)) != NULL;)
        chips += row->state == JOB_RUNNING && uuid_eq(&row->pool, pool) ? row->count0 : 0;
    return chips;
}

/* A replica is where its job runs, and nowhere while that waits; a pool's chips are those of the jobs that run in it. */
static void holds(void)
{
    const struct row_replica *row;
    uint32_t counted[5] = {0};
    for (uint32_t pos = 0; (row = view_replica_at(world->core, &pos)) != NULL;) {
        const struct row_deployment *d = view_deployment(world->core, &row->deployment);
        struct uuid id = replica_job_id(&row->deployment, row->ordinal);
        const struct row_job *job = view_job(world->core, &id);
        if (d->sites.n == 0) {
            assert_null(job);
            continue;
        }
        assert_non_null(job);
        assert_true((job->state == JOB_RUNNING) == !uuid_zero(&row->site));
        if (job->state == JOB_RUNNING)
            assert_true(uuid_eq(&view_pool(world->core, &job->pool)->site, &row->site));
        for (uint64_t n = 1; n <= 4; n++)
            counted[n] += row->state != REPLICA_DRAINING && is_uid(&row->deployment, 'D', n);
    }
    for (uint64_t n = 1; n <= 4; n++) {
        struct uuid id = uid('D', n);
        const struct row_deployment *d = view_deployment(world->core, &id);
        /* One that waits beside one that leaves is one more. */
        assert_true(counted[n] <= (d ? 2 * d->replicas : 0));
    }
    for (uint64_t p = 2; p <= 3; p++) {
        struct uuid id = uid('p', p);
        struct view_pool_use use = view_pool_use(world->core, &id);
        assert_int_equal(use.chips, running_in(&id));
        assert_true(use.chips <= 2);
    }
    assert_int_equal(core_check(world->core), 0);
}

/* As its site might tell of it. */
static void report_any(void)
{
    static const uint32_t states[] = {REPLICA_STARTING, REPLICA_READY, REPLICA_BACKOFF, REPLICA_STOPPED};
    struct view_counts n = view_counts(world->core);
    uint32_t pos = 0;
    if (n.replicas == 0)
        return;
    const struct row_replica *row = NULL;
    for (uint64_t k = any(n.replicas) + 1; k > 0; k--)
        row = view_replica_at(world->core, &pos);
    struct event e = {
        .kind = EVENT_KIND_replica_state,
        .u.replica_state = {.deployment = row->deployment,
                            .ordinal = row->ordinal,
                            .epoch = row->epoch - (any(8) == 0),
                            .state = row->state == REPLICA_DRAINING ? REPLICA_STOPPED : states[any(4)]}};
    if (row->state == REPLICA_DRAINING || e.u.replica_state.state != REPLICA_STOPPED)
        (void)world_step(world, &e); /* some are refused */
}

static void deploy_any(void)
{
    static const char *const sites[] = {"", "2", "3", "23", "32"};
    uint32_t max = 1 + (uint32_t)any(3);
    struct event_deploy e = request(1 + any(4), (uint32_t)any(max + 1), max, sites[any(5)]);
    e.chips = 1 + (uint32_t)any(2);
    e.hold_ms = 1 + (int64_t)any(2000);
    e.idle_ms = 1 + (int64_t)any(2000);
    (void)send(e);
}

static void job_any(void)
{
    uint64_t n = 1 + any(JOBS);
    struct event_job_submit job = job_request(n, 1 + (uint32_t)any(2), HOUR);
    job.flags = any(2) ? JOB_INTERRUPTIBLE : 0;
    if (do_cancel(world, n) != 0)
        (void)do_submit(world, job);
}

static void step_any(void)
{
    static const uint32_t states[] = {PLACE_UP, PLACE_UP, PLACE_CORDONED, PLACE_DRAINING, PLACE_LOST};
    static uint64_t boots = 10;
    switch (any(12)) {
    case 0:
        deploy_any();
        break;
    case 1:
        (void)do_undeploy(world, 1 + any(4));
        break;
    case 2:
        (void)lose(2 + any(2), (uint32_t)any(2));
        break;
    case 3:
        (void)do_site_state(world, 2 + any(2), states[any(5)]);
        break;
    case 4:
    case 5:
        (void)ask(1 + any(4), any(4) * 60, (uint32_t)any(3));
        break;
    case 6:
        job_any();
        break;
    case 7:
        pass((int64_t)any(3000));
        break;
    case 8:
        assert_int_equal(any(4) ? 0 : do_boot(world, ++boots), 0);
        break;
    default:
        report_any();
    }
}

static void test_any_order(void **state)
{
    (void)state;
    seed = 20261122;
    for (uint32_t i = 0; i < STEPS; i++) {
        step_any();
        assert_int_equal(tick(), 0);
        holds();
        if (any(20) == 0) {
            uint64_t before = world_views(world);
            assert_int_equal(world_reload(world), 0);
            assert_true(world_views(world) == before);
            holds();
        }
    }
    for (uint64_t n = 1; n <= 4; n++)
        (void)do_undeploy(world, n);
    for (uint32_t i = 0; i < 2000 && view_counts(world->core).replicas > 0; i++) {
        report_any();
        assert_int_equal(tick(), 0);
        holds();
    }
    assert_int_equal(view_counts(world->core).replicas, 0);
    assert_int_equal(view_counts(world->core).deployments, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_spread, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_chips, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_engine, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_lost, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_draining, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_draining_lost, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_undeploy_waiting, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_boot, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_drain, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_drain_of_two, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_scales, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_measured, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_convert, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_rules, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_rules_move, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_any_order, setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
