/* SPDX-License-Identifier: Apache-2.0 */
/* Services: replicas follow demand, up, down and to none; they move when a site is lost; a reload changes nothing. */
#include "core/service.h"
#include "core/work.h"
#include "dispatch_support.h"

enum { SITES = 3, SECOND = 1000 };

static struct limits limits_of(void)
{
    struct limits limits = dispatch_limits(4, 2 * SITES, 200);
    limits.services = 3;
    limits.demands = 6;
    limits.service_replicas = 60;
    return limits;
}

/* Three sites with four nodes of eight of the first chip, and four of the second, which is dearer. */
static struct world *network(const struct limits *limits)
{
    struct world *w = world_dispatch(limits, 1);
    assert_int_equal(do_chip(w, "chip", "v", 100), 0);
    assert_int_equal(do_chip(w, "dear", "v", 100), 0);
    for (uint64_t i = 0; i < SITES; i++) {
        assert_int_equal(do_site(w, i + 1), 0);
        struct event_pool_add pool = pool_request(2 * i + 1, i + 1, 4, 8);
        pool.price = UNIT / 10;
        assert_int_equal(do_pool(w, pool), 0);
        pool.pool = uid('p', 2 * i + 2);
        pool.price = UNIT;
        memcpy(pool.chip, "dear", 4);
        assert_int_equal(do_pool(w, pool), 0);
    }
    assert_int_equal(do_dispatch(w, (struct event_dispatch_set){.order = ORDER_SIZE,
                                                                .fit = FIT_BACKFILL,
                                                                .ageing = AGEING_DEFAULT,
                                                                .reserve = RESERVE_OFF}),
                     0);
    return w;
}

static struct event_service_set service_request(uint64_t n)
{
    return (struct event_service_set){.service = uid('Z', n),
                                      .tenant = uid('T', 1),
                                      .name = "chat",
                                      .chip0 = "chip",
                                      .count0 = 4,
                                      .tokens_s0 = 100,
                                      .max = 20,
                                      .target = 500,
                                      .cold_ms = 60 * SECOND,
                                      .hold_ms = 300 * SECOND,
                                      .idle_ms = 600 * SECOND};
}

/* And what is decided on it. */
static int set(struct world *w, struct event_service_set request)
{
    struct event e = {.kind = EVENT_KIND_service_set, .u.service_set = request};
    int rc = world_step(w, &e);
    return rc == 0 ? do_tick(w) : rc;
}

static int demand_only(struct world *w, uint64_t service, uint64_t site, uint64_t tokens_s,
                       uint32_t in_flight)
{
    struct event e = {.kind = EVENT_KIND_service_demand,
                      .u.service_demand = {.service = uid('Z', service),
                                           .site = site ? uid('S', site) : (struct uuid){{0}},
                                           .tokens_s = tokens_s,
                                           .in_flight = in_flight}};
    return world_step(w, &e);
}

/* On service 1, and what is decided on it. */
static int demand(struct world *w, uint64_t site, uint64_t tokens_s, uint32_t in_flight)
{
    int rc = demand_only(w, 1, site, tokens_s, in_flight);
    return rc == 0 ? do_tick(w) : rc;
}

static int remove_service(struct world *w, uint64_t service)
{
    struct event e = {.kind = EVENT_KIND_service_remove, .u.service_remove.service = uid('Z', service)};
    return world_step(w, &e);
}

/* Time goes on, with a tick whenever one is due. */
static void pass(struct world *w, int64_t ms)
{
    int64_t until = w->now + ms;
    world_settle(w);
    while (core_deadline_ms(w->core) <= until) {
        w->now = core_deadline_ms(w->core);
        world_settle(w);
    }
    w->now = until;
}

static struct view_service seen(const struct world *w)
{
    struct view_service v;
    struct uuid id = uid('Z', 1);
    assert_true(view_service(w->core, &id, w->now, &v));
    return v;
}

static uint32_t replicas(const struct world *w)
{
    struct view_service v = seen(w);
    return v.waiting + v.cold + v.warm;
}

static struct world *served(uint64_t tokens_s)
{
    struct limits limits = limits_of();
    struct world *w = network(&limits);
    assert_int_equal(set(w, service_request(1)), 0);
    assert_int_equal(replicas(w), 0);
    assert_int_equal(demand(w, 0, tokens_s, 0), 0);
    world_settle(w);
    return w;
}

/* At half of 100 tokens/s each, and at once. */
static void test_up(void **state)
{
    (void)state;
    struct world *w = served(1);
    assert_int_equal(replicas(w), 1);
    assert_int_equal(demand(w, 0, 250, 0), 0);
    assert_int_equal(world_count(w, EFFECT_REPLICA_ADD), 4); /* at once */
    assert_int_equal(demand(w, 2, 50, 0), 0);                /* what comes in elsewhere is added */
    assert_int_equal(replicas(w), 6);
    assert_int_equal(demand(w, 2, 51, 0), 0);
    assert_int_equal(replicas(w), 7);
    assert_int_equal(demand(w, 2, 1000000, 0), 0);
    assert_int_equal(replicas(w), 20); /* never more than the greatest number */
    world_settle(w);
    struct view_service v = seen(w);
    assert_true(v.cold == 20 && v.warm == 0 && v.sustained_tokens_s == 0);
    w->now += 60 * SECOND;
    assert_int_equal(do_tick(w), 0);
    v = seen(w);
    assert_true(v.cold == 0 && v.warm == 20 && v.sustained_tokens_s == 2000 && v.tokens_s == 1000250);
    world_free(w);
}

/* Down only when one was too many for the hold time, and then to what the greatest demand of that time needed. */
static void test_hysteresis(void **state)
{
    (void)state;
    struct world *w = served(500);
    pass(w, 100 * SECOND);
    assert_int_equal(replicas(w), 10);
    assert_int_equal(demand(w, 0, 100, 0), 0);
    pass(w, 299 * SECOND);
    assert_int_equal(replicas(w), 10);
    assert_int_equal(demand(w, 0, 460, 0), 0); /* for a moment all are needed */
    assert_int_equal(demand(w, 0, 100, 0), 0);
    pass(w, 200 * SECOND);
    assert_int_equal(demand(w, 0, 350, 0), 0);
    assert_int_equal(demand(w, 0, 50, 0), 0);
    pass(w, 99 * SECOND);
    assert_int_equal(replicas(w), 10);
    pass(w, 1 * SECOND);
    assert_int_equal(replicas(w), 7); /* 350 was asked for in the meantime */
    pass(w, 299 * SECOND);
    assert_int_equal(replicas(w), 7);
    pass(w, 1 * SECOND);
    assert_int_equal(replicas(w), 1);
    pass(w, 3600 * SECOND);
    assert_int_equal(replicas(w), 1); /* never none under load */
    world_free(w);
}

/* A shorter hold time and a lower target: by that target the demand of before needed all, and the time begins anew. */
static void test_other_terms(void **state)
{
    (void)state;
    struct world *w = served(500);
    pass(w, 100 * SECOND);
    assert_int_equal(demand(w, 0, 450, 0), 0); /* nine would do */
    pass(w, 100 * SECOND);
    assert_int_equal(demand(w, 0, 200, 0), 0);
    pass(w, 180 * SECOND);
    struct event_service_set terms = service_request(1);
    terms.target = 400;
    terms.hold_ms = 150 * SECOND;
    assert_int_equal(set(w, terms), 0);
    pass(w, 149 * SECOND);
    assert_int_equal(replicas(w), 10);
    pass(w, 1 * SECOND);
    assert_int_equal(replicas(w), 5);
    world_free(w);
}

static void test_to_none(void **state)
{
    (void)state;
    struct world *w = served(200);
    pass(w, 100 * SECOND);
    assert_int_equal(replicas(w), 4);
    assert_int_equal(demand(w, 0, 0, 1), 0);
    pass(w, 3600 * SECOND);
    assert_int_equal(replicas(w), 1); /* one request is not answered yet */
    assert_int_equal(demand(w, 0, 0, 0), 0);
    pass(w, 599 * SECOND);
    assert_int_equal(replicas(w), 1);
    pass(w, 1 * SECOND);
    assert_int_equal(replicas(w), 0);
    assert_true(core_deadline_ms(w->core) == INT64_MAX);
    assert_int_equal(demand(w, 0, 0, 1), 0); /* the first request of the morning */
    world_settle(w);
    assert_true(seen(w).cold == 1);
    struct event_service_set least = service_request(1);
    least.min = 2;
    assert_int_equal(set(w, least), 0);
    assert_int_equal(demand(w, 0, 0, 0), 0);
    pass(w, 3600 * SECOND);
    assert_int_equal(replicas(w), 2);
    world_free(w);
}

/* Who does not serve yet goes before who does. */
static void test_warm_stays(void **state)
{
    (void)state;
    struct limits limits = limits_of();
    struct world *w = network(&limits);
    struct event_service_set last = service_request(1);
    last.count0 = 8; /* a node of its own for each */
    assert_int_equal(set(w, last), 0);
    assert_int_equal(demand(w, 0, 100, 0), 0);
    pass(w, 100 * SECOND);
    assert_true(seen(w).warm == 2);
    assert_int_equal(demand(w, 0, 200, 0), 0);
    world_settle(w);
    assert_true(seen(w).warm == 2 && seen(w).cold == 2);
    /* The first replica's node is lost: the oldest one is among the cold ones now. */
    const void **rows = mirror_sorted(&w->mirror, ROW_KIND_service_replica);
    struct row_service_replica oldest = *(const struct row_service_replica *)rows[0];
    for (uint32_t i = 1; i < 4; i++) {
        const struct row_service_replica *row = rows[i];
        oldest = row->ordinal < oldest.ordinal ? *row : oldest;
    }
    free(rows);
    rows = mirror_sorted(&w->mirror, ROW_KIND_share);
    struct uuid pool = {{0}};
    uint32_t node = 0;
    for (uint32_t i = 0; i < w->mirror.count[ROW_KIND_share]; i++) {
        const struct row_share *share = rows[i];
        struct row_job key = {.id = oldest.job};
        const struct row_job *job = mirror_find(&w->mirror, ROW_KIND_job, &key);
        if (!uuid_eq(&share->job, &oldest.job))
            continue;
        pool = job->pool;
        node = share->node;
    }
    free(rows);
    assert_int_equal(do_node_state(w, &pool, node, PLACE_LOST), 0);
    world_settle(w);
    struct view_service v = seen(w);
    assert_true(v.warm == 1 && v.cold == 3);
    last.max = 1;
    assert_int_equal(set(w, last), 0);
    assert_true(seen(w).warm == 1 && seen(w).cold == 0);
    world_free(w);
}

/* A site is lost: its replicas wait, start elsewhere and are cold again; where nothing else is they wait. */
static void test_moves(void **state)
{
    (void)state;
    struct world *w = served(1000); /* 20 replicas of 4 chips: 24 fit on the cheap chips of three sites */
    pass(w, 100 * SECOND);
    assert_true(seen(w).warm == 20);
    assert_int_equal(do_site_state(w, 1, PLACE_LOST), 0);
    world_settle(w);
    assert_int_equal(replicas(w), 20);
    struct view_service v = seen(w);
    assert_true(v.waiting == 4 && v.warm >= 12 && v.warm + v.cold == 16);
    assert_int_equal(do_site_state(w, 1, PLACE_UP), 0);
    world_settle(w);
    assert_true(seen(w).waiting == 0);
    world_free(w);
}

/* One that runs as another kind counts as what that kind sustains. */
static void test_alternatives(void **state)
{
    (void)state;
    struct limits limits = limits_of();
    struct world *w = network(&limits);
    struct event_service_set e = service_request(1);
    memcpy(e.chip1, "dear", 4);
    e.count1 = 8;
    e.tokens_s1 = 25;
    e.max = 40;
    assert_int_equal(set(w, e), 0);
    assert_int_equal(demand(w, 0, 1250, 0), 0);
    assert_int_equal(replicas(w), 25);
    pass(w, 0);
    /* 24 on the cheap chips sustain 2400; four of the dear make it 2500. */
    assert_int_equal(replicas(w), 28);
    pass(w, 61 * SECOND);
    assert_true(seen(w).warm == 28 && seen(w).sustained_tokens_s == 2500);
    world_free(w);
}

static void test_refused(void **state)
{
    (void)state;
    struct world *w = served(100);
    const void **rows = mirror_sorted(&w->mirror, ROW_KIND_service_replica);
    struct event cancel = {.kind = EVENT_KIND_job_cancel,
                           .u.job_cancel.job = ((const struct row_service_replica *)rows[0])->job};
    free(rows);
    assert_int_equal(world_step(w, &cancel), ERR_IN_USE);
    struct event_job_submit replica = job_request(1, 1, 0);
    replica.flags = JOB_REPLICA;
    assert_int_equal(do_submit(w, replica), ERR_INVALID);
    struct event_service_set e[12];
    for (uint32_t i = 0; i < 12; i++)
        e[i] = service_request(2);
    memset(&e[0].service, 0, sizeof(struct uuid));
    e[1].target = 0;
    e[2].target = 1001;
    e[3].max = 0;
    e[4].max = SERVICE_REPLICAS_MAX + 1;
    e[5].min = 21;
    e[6].tokens_s0 = 0;
    e[7].count0 = 0;
    e[8].hold_ms = -1;
    e[9].flags = JOB_INTERRUPTIBLE;
    e[10].count1 = 1; /* of no tokens */
    e[11].idle_ms = SERVICE_MS_MAX + 1;
    for (uint32_t i = 0; i < 12; i++) {
        if (set(w, e[i]) != ERR_INVALID)
            fail_msg("case %u", i);
        world_assert_untouched(w);
    }
    struct event_service_set none = service_request(2);
    none.tenant = uid('T', 9);
    assert_int_equal(set(w, none), ERR_NOT_FOUND);
    none = service_request(2);
    none.variant = uid('V', 9);
    assert_int_equal(set(w, none), ERR_NOT_FOUND);
    none = service_request(2);
    memcpy(none.chip0, "none", 4);
    assert_int_equal(set(w, none), ERR_NOT_FOUND);
    none = service_request(1);
    none.count0 = 8;
    assert_int_equal(set(w, none), ERR_WRONG_STATE);
    assert_int_equal(demand(w, 9, 1, 0), ERR_NOT_FOUND);
    assert_int_equal(demand(w, 1, SERVICE_TOKENS_MAX + 1, 0), ERR_OVERFLOW);
    world_assert_untouched(w);
    assert_int_equal(set(w, service_request(2)), 0);
    assert_int_equal(set(w, service_request(3)), 0);
    assert_int_equal(set(w, service_request(4)), ERR_LIMIT);
    world_free(w);
}

static void test_model_in_use(void **state)
{
    (void)state;
    struct limits limits = limits_of();
    struct world *w = network(&limits);
    assert_int_equal(do_model(w, 1), 0);
    assert_int_equal(do_variant(w, 1, 1), 0);
    struct event_service_set e = service_request(1);
    e.variant = uid('V', 1);
    assert_int_equal(set(w, e), 0);
    assert_int_equal(do_model_remove(w, 1), ERR_IN_USE);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(do_model_remove(w, 1), ERR_IN_USE);
    assert_int_equal(remove_service(w, 1), 0);
    assert_int_equal(do_model_remove(w, 1), 0);
    world_free(w);
}

static void test_remove(void **state)
{
    (void)state;
    struct world *w = served(500);
    assert_int_equal(demand_only(w, 1, 1, 10, 0), 0);
    assert_int_equal(remove_service(w, 1), 0);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 10);
    assert_int_equal(world_count(w, EFFECT_REPLICA_DROP), 10);
    assert_int_equal(w->mirror.count[ROW_KIND_service], 0);
    assert_int_equal(w->mirror.count[ROW_KIND_service_demand], 0);
    assert_int_equal(w->mirror.count[ROW_KIND_service_replica], 0);
    assert_int_equal(w->mirror.count[ROW_KIND_share], 0);
    assert_int_equal(remove_service(w, 1), ERR_NOT_FOUND);
    assert_int_equal(demand(w, 0, 10, 0), ERR_NOT_FOUND);
    assert_int_equal(set(w, service_request(1)), 0); /* it may come again */
    assert_int_equal(replicas(w), 0);
    world_free(w);
}

/* Past a limit of the core there are as many as fit; when there is room again there are more. */
static void test_no_room(void **state)
{
    (void)state;
    struct limits limits = limits_of();
    limits.service_replicas = 3;
    struct world *w = network(&limits);
    assert_int_equal(set(w, service_request(1)), 0);
    assert_int_equal(set(w, service_request(2)), 0);
    assert_int_equal(demand(w, 0, 150, 0), 0);
    assert_int_equal(replicas(w), 3);
    assert_int_equal(demand_only(w, 2, 0, 50, 0), 0);
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_REPLICA_ADD), 0);
    assert_int_equal(remove_service(w, 1), 0);
    w->now += SECOND;
    assert_int_equal(do_tick(w), 0);
    assert_int_equal(world_count(w, EFFECT_REPLICA_ADD), 1);
    world_free(w);
}

/* Two worlds, one of them reloaded before each step: every decision and every row is the same. */
static void test_reload(void **state)
{
    (void)state;
    struct limits limits = limits_of();
    struct world *both[] = {network(&limits), network(&limits)};
    uint64_t seed = test_seed();
    uint32_t decisions = 0, drops = 0;
    /* Strict, since a reservation is made anew after a load. */
    const struct event_dispatch_set strict = {.order = ORDER_SIZE, .fit = FIT_STRICT};
    for (int k = 0; k < 2; k++) {
        assert_int_equal(do_dispatch(both[k], strict), 0);
        assert_int_equal(set(both[k], service_request(1)), 0);
    }
    for (uint32_t i = 0; i < 400; i++) {
        uint64_t tokens_s = test_below(&seed, 3) ? test_below(&seed, 1200) : 0;
        uint64_t site = test_below(&seed, 3);
        int64_t ms = 1 + (int64_t)test_below(&seed, test_below(&seed, 4) ? 100 * SECOND : 1000 * SECOND);
        bool fault = test_below(&seed, 10) == 0;
        uint64_t place = 1 + test_below(&seed, SITES);
        uint32_t place_state = test_below(&seed, 3) ? PLACE_UP : PLACE_LOST;
        for (int k = 0; k < 2; k++) {
            both[k]->now += ms;
            assert_int_equal(do_tick(both[k]), 0);
        }
        assert_same_effects(both[0], both[1]);
        drops += world_count(both[0], EFFECT_REPLICA_DROP);
        assert_int_equal(world_reload(both[1]), 0);
        for (int k = 0; k < 2; k++)
            assert_int_equal(
                fault ? do_site_state(both[k], place, place_state) : demand(both[k], site, tokens_s, 0), 0);
        assert_same_effects(both[0], both[1]);
        decisions += both[0]->effects.n;
        assert_int_equal(world_reload(both[1]), 0);
        for (int k = 0; k < 2; k++)
            assert_int_equal(do_tick(both[k]), 0);
        assert_same_effects(both[0], both[1]);
        for (int k = 0; k < 2; k++)
            world_settle(both[k]);
        assert_true(mirror_digest(&both[0]->mirror) == mirror_digest(&both[1]->mirror));
        assert_int_equal(core_check(both[0]->core), 0);
    }
    assert_true(decisions > 400 && drops > 20);
    world_free(both[0]);
    world_free(both[1]);
}

/* Rows that do not add up are refused. */
static void test_damaged(void **state)
{
    (void)state;
    struct world *w = served(100);
    assert_int_equal(world_reload(w), 0);
    const void **rows = mirror_sorted(&w->mirror, ROW_KIND_service_replica);
    struct row_service_replica replica = *(const struct row_service_replica *)rows[0];
    free(rows);
    mirror_apply(&w->mirror, ROW_KIND_service_replica, ROW_DELETE, &replica);
    assert_int_equal(world_reload(w), ERR_CORRUPT); /* a replica's job without its service */
    mirror_apply(&w->mirror, ROW_KIND_service_replica, ROW_PUT, &replica);
    assert_int_equal(world_reload(w), 0);
    struct row_service_replica other = {.job = uid('J', 7), .service = replica.service};
    mirror_apply(&w->mirror, ROW_KIND_service_replica, ROW_PUT, &other);
    assert_int_equal(world_reload(w), ERR_CORRUPT);
    mirror_apply(&w->mirror, ROW_KIND_service_replica, ROW_DELETE, &other);
    struct row_service_demand asked = {.service = uid('Z', 9), .tokens_s = 1};
    mirror_apply(&w->mirror, ROW_KIND_service_demand, ROW_PUT, &asked);
    assert_int_equal(world_reload(w), ERR_CORRUPT);
    mirror_apply(&w->mirror, ROW_KIND_service_demand, ROW_DELETE, &asked);
    struct row_service row = {.id = uid('Z', 1)};
    row = *(const struct row_service *)mirror_find(&w->mirror, ROW_KIND_service, &row);
    row.made = 0; /* the next replica would have the id of one that is there */
    mirror_apply(&w->mirror, ROW_KIND_service, ROW_PUT, &row);
    assert_int_equal(world_reload(w), ERR_CORRUPT);
    row = *(const struct row_service *)mirror_find(&w->mirror, ROW_KIND_service, &row);
    row.target = 0;
    mirror_apply(&w->mirror, ROW_KIND_service, ROW_PUT, &row);
    assert_int_equal(world_reload(w), ERR_CORRUPT);
    world_free(w);
}

/* The services of the replicas that the last step added, in order, as digits. */
static uint64_t added(const struct world *w)
{
    uint64_t digits = 0;
    for (uint32_t i = 0; i < w->effects.n; i++) {
        if (w->list[i].kind == EFFECT_REPLICA_ADD)
            digits = digits * 10 + w->list[i].service.b[15];
    }
    return digits;
}

/* Of services that want replicas at one time the one with the lower id is first, in whatever order they came. */
static void test_order_of_services(void **state)
{
    (void)state;
    struct limits limits = limits_of();
    for (uint64_t k = 0; k < 2; k++) {
        struct world *w = network(&limits);
        for (uint64_t i = 0; i < 2; i++)
            assert_int_equal(set(w, service_request(i == k ? 1 : 2)), 0);
        assert_int_equal(demand_only(w, 2, 0, 100, 0), 0);
        assert_int_equal(demand_only(w, 1, 0, 100, 0), 0);
        assert_int_equal(do_tick(w), 0);
        assert_int_equal(added(w), 1122);
        assert_int_equal(remove_service(w, 1), 0);
        assert_int_equal(set(w, service_request(3)), 0);
        assert_int_equal(set(w, service_request(1)), 0);
        assert_int_equal(demand_only(w, 3, 0, 100, 0), 0);
        assert_int_equal(demand_only(w, 1, 0, 100, 0), 0);
        assert_int_equal(do_tick(w), 0);
        assert_int_equal(added(w), 1133);
        world_free(w);
    }
}

/* A replica has no end of its own: that one failed says nothing of how long jobs run. */
static void test_teaches_nothing(void **state)
{
    (void)state;
    struct world *w = served(10);
    const struct uuid service = uid('Z', 1);
    struct event e = {.kind = EVENT_KIND_job_end,
                      .u.job_end = {.job = replica_job_id(&service, 0), .epoch = 1, .code = 1}};
    w->now += 5 * SECOND;
    assert_int_equal(world_step(w, &e), 0);
    assert_int_equal(w->mirror.count[ROW_KIND_habit], 0);
    world_free(w);
}

/* A site may give a replica back for ever: it has no end that would be reached so. */
static void test_comes_back(void **state)
{
    (void)state;
    struct world *w = served(10);
    const struct uuid service = uid('Z', 1), job = replica_job_id(&service, 0);
    for (uint32_t i = 1; i <= JOB_RETURNS_MAX + 2; i++) {
        struct event e = {.kind = EVENT_KIND_job_return,
                          .u.job_return = {.job = job, .epoch = view_job(w->core, &job)->epoch, .code = 1}};
        assert_int_equal(world_step(w, &e), 0);
        assert_int_equal(world_count(w, EFFECT_JOB_STOP), 1);
        do
            assert_int_equal(do_tick(w), 0);
        while (core_deadline_ms(w->core) <= w->now);
        assert_int_equal(view_job(w->core, &job)->state, JOB_RUNNING);
        assert_int_equal(view_job(w->core, &job)->returns, i);
    }
    assert_int_equal(core_check(w->core), 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up),
        cmocka_unit_test(test_hysteresis),
        cmocka_unit_test(test_other_terms),
        cmocka_unit_test(test_to_none),
        cmocka_unit_test(test_warm_stays),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_alternatives),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_model_in_use),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_order_of_services),
        cmocka_unit_test(test_teaches_nothing),
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
