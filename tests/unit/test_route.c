/* SPDX-License-Identifier: Apache-2.0 */
/* Ways over corridors: which, how long, at what cost; what is granted, what is full, what happens when one is cut. */
#include "dispatch_support.h"

#include "core/route.h"

enum { SITES = 5 };
#define GB UINT64_C(1000000000)
#define GBIT UINT64_C(1000000000)

/* Five sites with a pool of two nodes of four chips each; chips cost 1 an hour everywhere, but 2 at site 1; power nothing. */
static struct world *network(void)
{
    struct limits limits = dispatch_limits(SITES, SITES, 200);
    limits.corridors = 16;
    struct world *w = world_dispatch(&limits, 1);
    assert_int_equal(do_chip(w, "chip", "", 0), 0);
    assert_int_equal(do_dispatch(w, (struct event_dispatch_set){.order = ORDER_FIFO,
                                                                .fit = FIT_BACKFILL,
                                                                .carbon_price = UNIT / 20,
                                                                .reserve = RESERVE_OFF}),
                     0);
    for (uint32_t i = 1; i <= SITES; i++) {
        assert_int_equal(do_site(w, i), 0);
        struct event_pool_add pool = pool_request(i, i, 2, 4);
        pool.price = i == 1 ? 2 * UNIT : UNIT;
        assert_int_equal(do_pool(w, pool), 0);
    }
    return w;
}

static struct event corridor(uint64_t id, uint64_t a, uint64_t b, uint64_t gbit, uint32_t rtt, int64_t price)
{
    return (struct event){.kind = EVENT_KIND_corridor_add,
                          .u.corridor_add = {.corridor = uid('C', id),
                                             .a = uid('S', a),
                                             .b = uid('S', b),
                                             .bits_s = gbit * GBIT,
                                             .rtt = rtt,
                                             .price = price}};
}

static void join(struct world *w, uint64_t id, uint64_t a, uint64_t b, uint64_t gbit, uint32_t rtt,
                 int64_t price)
{
    struct event e = corridor(id, a, b, gbit, rtt, price);
    assert_int_equal(world_step(w, &e), 0);
}

static void set_corridor(struct world *w, uint64_t id, uint32_t state, uint64_t gbit)
{
    struct event e = {.kind = EVENT_KIND_corridor_state,
                      .u.corridor_state = {.corridor = uid('C', id), .state = state, .bits_s = gbit * GBIT}};
    assert_int_equal(world_step(w, &e), 0);
}

static struct event_job_submit job(uint64_t id, uint32_t chips, int64_t ms, uint64_t source, uint64_t bytes)
{
    struct event_job_submit request = job_request(id, chips, ms);
    request.data_site = uid('S', source);
    request.data_bytes = bytes;
    return request;
}

static void submit(struct world *w, struct event_job_submit request)
{
    assert_int_equal(do_submit(w, request), 0);
}

/* Only there. */
static void submit_at(struct world *w, struct event_job_submit request, uint64_t site)
{
    request.site = uid('S', site);
    submit(w, request);
}

static struct effect kept[64];
static uint32_t nkept;

/* Passes; keeps the effects of transfers, starts and stops. */
static void settle(struct world *w)
{
    nkept = 0;
    while (core_deadline_ms(w->core) <= w->now) {
        assert_int_equal(do_tick(w), 0);
        for (uint32_t i = 0; i < w->effects.n; i++) {
            enum effect_kind kind = w->list[i].kind;
            if (kind == EFFECT_TRANSIT || kind == EFFECT_JOB_START || kind == EFFECT_JOB_STOP)
                kept[nkept++] = w->list[i];
        }
    }
}

/* The job runs where it is told, its data having come over these corridors ("" none). */
static void came(struct world *w, uint64_t id, uint64_t pool, const char *corridors)
{
    uint32_t n = (uint32_t)strlen(corridors);
    settle(w);
    assert_int_equal(nkept, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(kept[i].kind, EFFECT_TRANSIT);
        assert_true(is_uid(&kept[i].job, 'J', id) &&
                    is_uid(&kept[i].corridor, 'C', (uint64_t)(corridors[i] - '0')));
        assert_true(kept[i].bits_s == kept[0].bits_s && kept[i].ms == kept[0].ms);
    }
    assert_true(kept[n].kind == EFFECT_JOB_START && is_uid(&kept[n].pool, 'p', pool));
}

/* ---- which way ---- */

static void test_cheapest(void **state)
{
    (void)state;
    /* 1 to 4: directly at 9 a GB, over 2 at 8, over 3 at 8 with the shorter round trip, over 5 at 8 as short, but one
     * corridor more; once a price is another, another way. The corridors come in either order. */
    for (uint32_t turned = 0; turned < 2; turned++) {
        struct world *w = network();
        struct event list[] = {corridor(1, 1, 4, 100, 1000, 9), corridor(2, 1, 2, 100, 3000, 4),
                               corridor(3, 4, 2, 100, 3000, 4), corridor(4, 1, 3, 100, 1000, 4),
                               corridor(5, 3, 4, 100, 4000, 4), corridor(6, 1, 5, 100, 1000, 2),
                               corridor(7, 5, 3, 100, 0, 2)};
        for (uint32_t i = 0; i < 7; i++)
            assert_int_equal(world_step(w, &list[turned ? 6 - i : i]), 0);
        submit_at(w, job(1, 1, HOUR, 1, GB), 4);
        came(w, 1, 4, "45");
        set_corridor(w, 4, PLACE_CORDONED, 100); /* what is under way goes on */
        submit_at(w, job(2, 1, HOUR, 1, GB), 4);
        came(w, 2, 4, "675");
        set_corridor(w, 5, PLACE_LOST, 100);
        settle(w);
        assert_int_equal(nkept, 6); /* both have come anew, the other way */
        assert_true(is_uid(&kept[0].corridor, 'C', 2) && is_uid(&kept[3].corridor, 'C', 2));
        world_free(w);
    }
}

/* Of ways that are equal the one whose last corridor has the lower id; and power counts, with its carbon, at the mean of
 * both ends, but never as a gain. */
static void test_ties_and_energy(void **state)
{
    (void)state;
    for (uint32_t turned = 0; turned < 2; turned++) {
        struct world *w = network();
        struct event list[] = {corridor(1, 1, 2, 100, 1000, 5), corridor(2, 1, 2, 100, 1000, 5),
                               corridor(3, 1, 2, 100, 1000, 5)};
        for (uint32_t i = 0; i < 3; i++) {
            struct event *e = &list[turned ? 2 - i : i];
            e->u.corridor_add.energy = 3600000; /* 1 kWh */
            assert_int_equal(world_step(w, e), 0);
        }
        submit_at(w, job(1, 1, HOUR, 1, 3 * GB), 2);
        came(w, 1, 2, "1");
        struct event signal = {
            .kind = EVENT_KIND_site_signal,
            .u.site_signal = {.site = uid('S', 1), .price = UNIT, .carbon = 1000000, .pue = 1000}};
        assert_int_equal(world_step(w, &signal), 0);
        /* (1 + 1 kg at 0.05) / 2 a GB, and 5 nano-units. */
        submit_at(w, job(2, 1, HOUR, 1, 2 * GB), 2);
        assert_true(why_of(w, 2).terms[0].transfer == UNIT + UNIT / 20 + 10);
        signal.u.site_signal.price = -UNIT;
        assert_int_equal(world_step(w, &signal), 0);
        assert_true(why_of(w, 2).terms[0].transfer == 10);
        world_free(w);
    }
}

/* A way has WAY_MAX corridors at most. */
static void test_longest(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(WAY_MAX + 2, 1, 8);
    limits.corridors = WAY_MAX + 2;
    struct world *w = world_dispatch(&limits, 1);
    assert_int_equal(do_chip(w, "chip", "", 0), 0);
    for (uint32_t i = 1; i <= WAY_MAX + 2; i++) {
        assert_int_equal(do_site(w, i), 0);
        if (i > 1)
            join(w, i - 1, i - 1, i, 1, 1, 1);
    }
    assert_int_equal(do_pool(w, pool_request(1, 1, 4, 4)), 0);
    submit(w, job(1, 1, HOUR, WAY_MAX + 1, 1));
    submit(w, job(2, 1, HOUR, WAY_MAX + 2, 1));
    settle(w);
    assert_int_equal(nkept, WAY_MAX + 1);
    assert_true(is_uid(&kept[0].corridor, 'C', WAY_MAX) && is_uid(&kept[WAY_MAX - 1].corridor, 'C', 1));
    assert_int_equal(why_of(w, 2).bar, WHY_CORRIDOR_DOWN);
    assert_int_equal(world_reload(w), 0);
    world_free(w);
}

/* ---- how long ---- */

static void test_time(void **state)
{
    (void)state;
    struct world *w = network();
    join(w, 1, 1, 2, 80, 1000, 0);
    join(w, 2, 2, 3, 8, 500, 0);
    /* Half of 80 Gbit/s: 4 GB in 0.8 s, and three round trips. */
    submit_at(w, job(1, 1, HOUR, 1, 4 * GB), 2);
    came(w, 1, 2, "1");
    assert_true(kept[0].bits_s == 40 * GBIT && kept[0].ms == 803 && kept[0].bytes == 4 * GB);
    /* A chain is as wide as its narrowest: half of 8. */
    submit_at(w, job(2, 1, HOUR, 1, GB), 3);
    came(w, 2, 3, "12");
    assert_true(kept[0].bits_s == 4 * GBIT && kept[0].ms == 2000 + 5);
    /* So much of the first is left: 80 - 40 - 4, half of it. */
    submit_at(w, job(3, 1, HOUR, 2, GB), 1);
    came(w, 3, 1, "1");
    assert_true(kept[0].bits_s == 18 * GBIT);
    /* The round trip bounds what streams carry: 16 x 6 MiB in 100 ms. */
    join(w, 3, 4, 5, 1000, 100000, 0);
    submit_at(w, job(4, 1, HOUR, 4, GB), 5);
    came(w, 4, 5, "3");
    assert_true(kept[0].bits_s == 16 * (UINT64_C(6) << 20) * 80 + 1);
    assert_true(kept[0].ms == 300 + 994);
    /* Chips are held while data comes. */
    struct why why = why_of(w, 4);
    assert_true(why.terms[0].transit_ms == 1294 && why.terms[0].run_ms == HOUR);
    assert_true(why.terms[0].chips == UNIT * (HOUR + 1294) / HOUR);
    world_free(w);
}

/* Nothing is brought where it is, or where there is nothing. */
static void test_at_home(void **state)
{
    (void)state;
    struct world *w = network();
    submit(w, job(1, 1, HOUR, 5, GB));
    came(w, 1, 5, "");
    submit(w, job(2, 1, HOUR, 5, 0));
    came(w, 2, 2, "");
    assert_int_equal(do_submit(w, job(3, 1, HOUR, 9, 1)), ERR_NOT_FOUND);
    assert_int_equal(do_submit(w, job(3, 1, HOUR, 1, DATA_BYTES_MAX + 1)), ERR_INVALID);
    struct event_job_submit nowhere = job(3, 1, HOUR, 1, 1);
    memset(&nowhere.data_site, 0, sizeof nowhere.data_site);
    assert_int_equal(do_submit(w, nowhere), ERR_NOT_FOUND);
    world_free(w);
}

/* Where it runs turns on what it costs to bring the data there. */
static void test_score(void **state)
{
    (void)state;
    struct world *w = network();
    join(w, 1, 1, 2, 100, 1000, UNIT / 10); /* 0.1 a GB */
    submit(w, job(1, 1, HOUR, 1, 5 * GB));  /* 0.5 to save 1 */
    came(w, 1, 2, "1");
    submit(w, job(2, 1, HOUR, 1, 15 * GB));
    came(w, 2, 1, "");
    struct why why = why_of(w, 2);
    assert_true(is_uid(&why.terms[1].pool, 'p', 2) && why.terms[1].transfer == 3 * UNIT / 2);
    assert_int_equal(why.nterms, 2); /* no corridor leads to the others */
    world_free(w);
}

/* ---- full ---- */

/* Eight transfers of a corridor's sixteen shares have it; when one is over the next may come. */
static void test_full(void **state)
{
    (void)state;
    struct world *w = network();
    uint64_t granted = 0;
    uint32_t n = 0;
    join(w, 1, 1, 2, 16, 0, 0);
    for (uint64_t i = 1; i <= 8; i++) {
        submit_at(w, job(i, 1, HOUR, 1, 1000 * GB), 2);
        settle(w);
        for (uint32_t k = 0; k < nkept; k++) {
            granted += kept[k].kind == EFFECT_TRANSIT ? kept[k].bits_s : 0;
            n += kept[k].kind == EFFECT_TRANSIT;
        }
        assert_int_equal(world_reload(w), 0);
    }
    assert_int_equal(n, 5); /* 8 4 2 1 1 */
    assert_true(granted == 16 * GBIT);
    settle(w);
    struct why why = why_of(w, 7);
    assert_true(why.bar == WHY_CORRIDOR && why.alone);
    int64_t next = core_deadline_ms(w->core);
    assert_true(next == w->now + 1000000); /* 8 Gbit/s carry it in 1000 s */
    w->now = next;
    settle(w);
    assert_int_equal(nkept, 6); /* the three that waited; one at home is cheaper for none */
    assert_true(kept[0].bits_s == 4 * GBIT && kept[2].bits_s == 2 * GBIT && kept[4].bits_s == GBIT);
    assert_int_equal(world_reload(w), 0);
    world_free(w);
}

/* ---- cut ---- */

static void test_cut(void **state)
{
    (void)state;
    struct world *w = network();
    join(w, 1, 1, 2, 16, 0, 0);
    for (uint64_t i = 1; i <= 3; i++) {
        submit_at(w, job(i, 1, HOUR, 1, 1000 * GB), 2);
        settle(w);
        w->now += 1000;
    }
    /* 8, 4 and 2 are granted: of 12 the last goes, of 7 all do. */
    assert_int_equal(world_reload(w), 0);
    set_corridor(w, 1, PLACE_UP, 12);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 1);
    assert_true(is_uid(&w->list[0].job, 'J', 3) && w->list[0].code == ERR_CORRIDOR);
    settle(w);
    assert_int_equal(nkept, 0); /* nothing is left */
    set_corridor(w, 1, PLACE_UP, 7);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 2);
    settle(w);
    assert_int_equal(nkept, 6); /* they come again with less: 3.5, 1.75, 0.875 */
    assert_true(kept[0].bits_s == 7 * GBIT / 2 && kept[5].epoch == 2);
    /* What has come is not lost with the corridor. */
    w->now = core_deadline_ms(w->core);
    set_corridor(w, 1, PLACE_LOST, 7);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 2);
    settle(w);
    assert_int_equal(nkept, 0);
    struct why why = why_of(w, 3);
    assert_int_equal(why.bar, WHY_CORRIDOR_DOWN);
    assert_true(why.alone);
    assert_int_equal(world_reload(w), 0);
    set_corridor(w, 1, PLACE_UP, 7);
    settle(w);
    assert_int_equal(nkept, 4);
    assert_int_equal(do_end(w, 1, 2), 0);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(do_end(w, 3, 3), 0); /* before its data had come: its way is free */
    submit_at(w, job(4, 1, HOUR, 1, GB), 2);
    came(w, 4, 2, "1");
    world_free(w);
}

/* ---- rules ---- */

/* Of a job that is let run to its end nobody knows here whether its data has come: no corridor stops it, and what it had of one
 * is given back. */
static void test_cut_out_of_touch(void **state)
{
    (void)state;
    struct world *w = network();
    join(w, 1, 1, 2, 16, 0, 0);
    struct event_job_submit finish = job(1, 1, HOUR, 1, 1000 * GB);
    finish.flags = JOB_FINISH;
    submit_at(w, finish, 2);
    settle(w);
    struct event away = {.kind = EVENT_KIND_site_contact, .u.site_contact = {.site = uid('S', 2), .lost = 1}};
    assert_int_equal(world_step(w, &away), 0);
    settle(w);
    set_corridor(w, 1, PLACE_LOST, 16);
    assert_int_equal(world_count(w, EFFECT_JOB_STOP), 0);
    assert_int_equal(world_job(w, 1)->state, JOB_RUNNING);
    assert_int_equal(w->mirror.count[ROW_KIND_transit], 0);
    assert_int_equal(world_reload(w), 0);
    away.u.site_contact.lost = 0;
    assert_int_equal(world_step(w, &away), 0);
    settle(w);
    assert_int_equal(world_job(w, 1)->epoch, 1);
    world_free(w);
}

static void rules(struct world *w, const char *text)
{
    assert_int_equal(do_rules(w, text), 0);
    settle(w);
}

static struct event_job_submit declared(struct event_job_submit request, const char *data_class)
{
    (void)snprintf(request.data_class, CODE_CAP, "%s", data_class);
    return request;
}

/* Ways go around corridors that are denied, what comes over them is stopped, and work without data is not judged by them. */
static void test_rules(void **state)
{
    (void)state;
    struct world *w = network();
    join(w, 1, 1, 2, 100, 1000, 1);
    join(w, 2, 1, 3, 100, 1000, 1);
    join(w, 3, 3, 2, 100, 1000, 1);
    submit_at(w, declared(job(1, 1, HOUR, 1, 100 * GB), "secret"), 2);
    came(w, 1, 2, "1");
    rules(w, "deny a when corridor.a = site-1 and corridor.b = site-2 and data.class = secret "
             "because \"b\" cite \"c\"\n");
    assert_int_equal(nkept, 4);
    assert_true(kept[0].kind == EFFECT_JOB_STOP && kept[0].code == ERR_FORBIDDEN);
    assert_true(is_uid(&kept[1].corridor, 'C', 2) && is_uid(&kept[2].corridor, 'C', 3));
    submit_at(w, declared(job(2, 1, HOUR, 1, GB), "public"), 2);
    came(w, 2, 2, "1");
    submit_at(w, declared(job(3, 1, HOUR, 1, 0), "secret"), 2);
    came(w, 3, 2, "");
    assert_int_equal(world_reload(w), 0);
    submit_at(w, declared(job(4, 1, HOUR, 1, GB), "secret"), 2);
    came(w, 4, 2, "23");
    rules(w, "deny a when corridor.a = site-1 and data.class = secret because \"b\" cite \"c\"\n");
    assert_int_equal(why_of(w, 4).bar, WHY_CORRIDOR_DOWN);
    /* Nobody has declared what it is: across a border that needs review, which denies. */
    submit_at(w, job(5, 1, HOUR, 1, GB), 2);
    settle(w);
    assert_int_equal(why_of(w, 5).bar, WHY_CORRIDOR_DOWN);
    join(w, 4, 2, 1, 100, 1000, 9); /* its a is another site */
    settle(w);
    assert_true(why_of(w, 4).state == JOB_RUNNING && why_of(w, 5).state == JOB_RUNNING);
    world_free(w);
}

/* ---- a restart ---- */

struct running {
    uint64_t job;
    uint32_t epoch;
};

/* The step and the passes that it makes due. What runs is kept if `list` is given. */
static int play(struct world *w, struct event e, uint64_t *sum, struct running *list, uint32_t *n)
{
    e.at_ms = 0;
    int rc = world_step(w, &e);
    for (bool more = true; more;) {
        for (uint32_t i = 0; i < w->effects.n; i++) {
            const struct effect *x = &w->list[i];
            uint64_t job = 0;
            while (job < 1000 && !is_uid(&x->job, 'J', job))
                job++;
            *sum = *sum * 31 + x->kind + job * 3 + x->epoch * 5 + x->bits_s + (uint64_t)x->ms + x->node +
                   x->pool.b[15];
            if (list && x->kind == EFFECT_JOB_START)
                list[(*n)++] = (struct running){job, x->epoch};
        }
        more = core_deadline_ms(w->core) <= w->now;
        if (more)
            assert_int_equal(do_tick(w), 0);
    }
    return rc;
}

/* Two worlds, one of them reloaded before each step: the same is decided, and the same rows are written. */
static void test_goes_on_the_same(void **state)
{
    (void)state;
    struct world *a = network(), *b = network();
    struct running list[1000];
    uint32_t n = 0;
    uint64_t random = 3, sums[2] = {0}, transits = 0;
    for (uint64_t i = 0; i < 7; i++) {
        uint64_t bits = 1 + test_below(&random, 16);
        uint64_t from = 1 + i % SITES, to = 1 + (i * 2 + 1) % SITES;
        to = to == from ? 1 + (i + 2) % SITES : to;
        join(a, i, from, to, bits, 1000, (int64_t)i % 3);
        join(b, i, from, to, bits, 1000, (int64_t)i % 3);
    }
    const struct event_dispatch_set strict = {.order = ORDER_FIFO, .fit = FIT_STRICT};
    assert_int_equal(do_dispatch(a, strict), 0);
    assert_int_equal(do_dispatch(b, strict), 0);
    for (uint64_t i = 1; i < 400; i++) {
        struct event e = {.kind = EVENT_KIND_job_submit,
                          .u.job_submit =
                              job(i, 1 + (uint32_t)test_below(&random, 8), HOUR,
                                  1 + test_below(&random, SITES), test_below(&random, 3) * 100 * GB)};
        if (n > 0 && test_below(&random, 2)) {
            struct running *r = &list[test_below(&random, n)];
            e = (struct event){.kind = EVENT_KIND_job_end,
                               .u.job_end = {.job = uid('J', r->job), .epoch = r->epoch}};
            *r = list[--n];
        } else if (test_below(&random, 8) == 0) {
            e = (struct event){.kind = EVENT_KIND_corridor_state,
                               .u.corridor_state = {.corridor = uid('C', test_below(&random, 7)),
                                                    .state = test_below(&random, 4) ? PLACE_UP : PLACE_LOST,
                                                    .bits_s = GBIT * (1 + test_below(&random, 16))}};
        }
        assert_int_equal(world_reload(b), 0);
        int rc = play(a, e, &sums[0], list, &n);
        assert_int_equal(play(b, e, &sums[1], NULL, NULL), rc); /* ends of what was stopped are refused */
        if (sums[0] != sums[1])
            fail_msg("step %llu, event %u", (unsigned long long)i, e.kind);
        assert_true(mirror_digest(&a->mirror) == mirror_digest(&b->mirror));
        transits += a->mirror.count[ROW_KIND_transit];
        a->now += (int64_t)test_below(&random, 60000);
        b->now = a->now;
    }
    printf("# %llu transfers under way, summed over steps\n", (unsigned long long)transits);
    assert_true(transits > 200);
    world_free(a);
    world_free(b);
}

/* ---- the run's length ---- */

/* A gang waits for the node that is busy; who would be gone in time but for the way of its data may not pass it. */
static void test_reservation(void **state)
{
    (void)state;
    struct world *w = network();
    join(w, 1, 1, 2, 16, 0, 0); /* half of it carries 1000 GB in 1000 s */
    submit_at(w, job(1, 4, 2000000, 2, 0), 2);
    settle(w);
    submit_at(w, job(2, 8, HOUR, 2, 0), 2);
    settle(w);
    assert_int_equal(why_of(w, 2).bar, WHY_FULL);
    submit_at(w, job(3, 1, 1500000, 1, 1000 * GB), 2);
    settle(w);
    assert_int_equal(nkept, 0);
    assert_int_equal(why_of(w, 3).bar, WHY_RESERVED);
    submit_at(w, job(4, 2, 900000, 1, 1000 * GB), 2);
    came(w, 4, 2, "1");
    world_free(w);
}

/* Where it runs it is thought to end when its data has come and its run is over, after a restart too: so long a gang
 * waits, and who is gone by then may pass it. */
static void test_end(void **state)
{
    (void)state;
    for (uint32_t reload = 0; reload < 2; reload++) {
        struct world *w = network();
        join(w, 1, 1, 2, 16, 0, 0);
        submit_at(w, job(1, 4, 1000000, 1, 1000 * GB), 2); /* over after 2000 s */
        came(w, 1, 2, "1");
        if (reload)
            assert_int_equal(world_reload(w), 0);
        submit_at(w, job(2, 8, HOUR, 2, 0), 2);
        submit_at(w, job(3, 1, 2000001, 2, 0), 2);
        settle(w);
        assert_int_equal(nkept, 0);
        submit_at(w, job(4, 2, 2000000, 2, 0), 2);
        came(w, 4, 2, "");
        world_free(w);
    }
}

/* ---- measured ---- */

static int measure(struct world *w, uint64_t id, uint64_t there, uint64_t back, uint32_t rtt, uint64_t models)
{
    struct event e = {.kind = EVENT_KIND_corridor_measure,
                      .u.corridor_measure = {.corridor = uid('C', id),
                                             .there_bits_s = there,
                                             .back_bits_s = back,
                                             .rtt = rtt,
                                             .models = models}};
    int rc = world_step(w, &e);
    if (rc != 0)
        world_assert_untouched(w);
    assert_int_equal(core_check(w->core), 0);
    return rc;
}

static const struct row_corridor *row_of(struct world *w, uint64_t id)
{
    struct row_corridor key = {.id = uid('C', id)};
    return mirror_find(&w->mirror, ROW_KIND_corridor, &key);
}

static bool plans(struct world *w, uint64_t id, uint64_t bits_s, uint32_t rtt)
{
    return row_of(w, id)->bits_s == bits_s && row_of(w, id)->rtt == rtt;
}

static int say(struct world *w, uint64_t id, uint64_t bits_s, int64_t price, uint32_t flags)
{
    struct event e = {
        .kind = EVENT_KIND_corridor_set,
        .u.corridor_set = {.corridor = uid('C', id), .bits_s = bits_s, .price = price, .flags = flags}};
    int rc = world_step(w, &e);
    if (rc != 0)
        world_assert_untouched(w);
    return rc;
}

/* What was measured is planned by, but no more than somebody said there is; what is only assumed is no limit. */
static void test_measured(void **state)
{
    (void)state;
    struct world *w = network();
    join(w, 1, 1, 2, 10, 20000, 0);
    assert_int_equal(measure(w, 1, 0, 0, 50000, 0), 0);
    assert_true(plans(w, 1, 10 * GBIT, 50000));
    assert_int_equal(measure(w, 1, 0, 3 * GBIT, 0, 7), 0); /* back only: then that */
    assert_true(plans(w, 1, 3 * GBIT, 50000));
    assert_int_equal(measure(w, 1, 4 * GBIT, 0, 0, 8), 0);
    assert_true(plans(w, 1, 4 * GBIT, 50000));
    assert_true(row_of(w, 1)->bytes_models == 15 && row_of(w, 1)->back_bits_s == 3 * GBIT);
    assert_int_equal(measure(w, 1, 40 * GBIT, 0, 0, 0), 0);
    assert_true(plans(w, 1, 10 * GBIT, 50000));
    assert_int_equal(say(w, 1, GBIT, 5, CORRIDOR_ASSUMED), 0);
    assert_true(plans(w, 1, 40 * GBIT, 50000) && row_of(w, 1)->price == 5);
    assert_int_equal(world_reload(w), 0);
    assert_true(plans(w, 1, 40 * GBIT, 50000));
    set_corridor(w, 1, PLACE_CORDONED, 2); /* the faults of a simulation say it so: of the same corridor */
    assert_true(plans(w, 1, 40 * GBIT, 50000));
    assert_int_equal(say(w, 1, 2 * GBIT, 0, 0), 0);
    assert_true(plans(w, 1, 2 * GBIT, 50000) && row_of(w, 1)->state == PLACE_CORDONED);
    assert_int_equal(measure(w, 9, 1, 1, 1, 1), ERR_NOT_FOUND);
    assert_int_equal(measure(w, 1, CORRIDOR_BITS_MAX + 1, 0, 0, 0), ERR_INVALID);
    assert_int_equal(measure(w, 1, 0, CORRIDOR_BITS_MAX + 1, 0, 0), ERR_INVALID);
    assert_int_equal(measure(w, 1, 0, 0, CORRIDOR_RTT_MAX + 1, 0), ERR_INVALID);
    assert_int_equal(measure(w, 1, 0, 0, 0, UINT64_MAX), ERR_INVALID); /* more than can be counted */
    assert_int_equal(say(w, 9, 1, 0, 0), ERR_NOT_FOUND);
    assert_int_equal(say(w, 1, 0, 0, 0), ERR_INVALID);
    assert_int_equal(say(w, 1, 1, -1, 0), ERR_INVALID);
    assert_int_equal(say(w, 1, 1, PRICE_MAX + 1, 0), ERR_INVALID);
    assert_int_equal(say(w, 1, 1, 0, 2), ERR_INVALID);
    world_free(w);
}

/* A corridor that turns out to be narrower takes nothing back; what is granted from then on is of what there is, once that is free. */
static void test_measured_meanwhile(void **state)
{
    (void)state;
    for (uint32_t reload = 0; reload < 2; reload++) {
        struct world *w = network();
        join(w, 1, 1, 2, 16, 0, 0);
        submit_at(w, job(1, 1, HOUR, 1, 1000 * GB), 2); /* granted 8 of 16, for 1000 s */
        came(w, 1, 2, "1");
        assert_true(kept[0].bits_s == 8 * GBIT);
        assert_int_equal(measure(w, 1, GBIT, 0, 0, 0), 0);
        settle(w);
        assert_int_equal(nkept, 0); /* nobody is stopped */
        assert_true(plans(w, 1, 8 * GBIT, 0));
        if (reload)
            assert_int_equal(world_reload(w), 0);
        submit_at(w, job(2, 1, HOUR, 1, GB), 2);
        settle(w);
        assert_int_equal(nkept, 0); /* it is full */
        w->now += 1000000;
        came(w, 2, 2, "1");
        assert_true(kept[0].bits_s == GBIT / 2 && plans(w, 1, GBIT, 0));
        /* But what an operator says there is, is all that there is. */
        assert_int_equal(say(w, 1, GBIT / 4, 0, 0), 0);
        settle(w);
        assert_true(nkept > 0 && row_of(w, 1)->bits_s == GBIT / 4);
        assert_int_equal(core_check(w->core), 0);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cheapest),
        cmocka_unit_test(test_ties_and_energy),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_at_home),
        cmocka_unit_test(test_score),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_cut_out_of_touch),
        cmocka_unit_test(test_goes_on_the_same),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_reservation),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_measured),
        cmocka_unit_test(test_measured_meanwhile),
    };
    return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
