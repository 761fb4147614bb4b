/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `why` tells the truth: in a random world, one job that waits is asked about; in a copy of that world without the bar that
 * was named, the job starts at the next pass. Others that wait are cancelled first, but for the one that comes first by
 * name: what remains is what `alone` speaks of. And of jobs that run, the pool is the cheapest that was open. Of a job that
 * is not there yet, the same is told as of the job once it is.
 */
#include "dispatch_world.h"

#include "core/why.h"

struct answers {
    uint64_t of[WHYS_N];    /* answers */
    uint64_t true_[WHYS_N]; /* of them, proved */
    uint64_t not_alone;
};

static bool job_waits(const struct dispatch_world *w, uint64_t job)
{
    struct uuid id = uid('j', job);
    struct why why;
    return why_job(w->core, &id, &why) == 0 && why.state == JOB_QUEUED;
}

static bool job_runs(const struct dispatch_world *w, uint64_t job)
{
    struct uuid id = uid('j', job);
    struct why why;
    return why_job(w->core, &id, &why) == 0 && why.state == JOB_RUNNING;
}

static void must(struct dispatch_world *w, struct event e)
{
    assert_int_equal(dispatch_world_step(w, &e), 0);
}

static void cancel(struct dispatch_world *w, const struct uuid *job)
{
    must(w, (struct event){.kind = EVENT_KIND_job_cancel, .u.job_cancel = {.job = *job}});
}

/* Which pool, site and chip an id stands for, as dispatch_world.c builds them. */
static uint32_t pool_number(const struct uuid *id)
{
    uint32_t i = 0;
    struct uuid pool = uid('p', 0);
    while (!uuid_eq(&pool, id))
        pool = uid('p', ++i);
    assert_true(i < DW_POOLS);
    return i;
}

static bool of_array(const struct uuid *job, const struct uuid *array)
{
    struct uuid id = *job;
    id.b[14] = id.b[15] = 0;
    return uuid_eq(&id, array);
}

static const struct event_job_submit *request_of(const struct dispatch_world *w, uint64_t job)
{
    static struct event_job_submit of_array_event;
    struct uuid id = uid('j', job);
    for (size_t i = w->nlog; i-- > 0;) { /* one that was refused may have had the number before */
        const struct event_job_array *a = &w->log[i].u.job_array;
        if (w->log[i].kind == EVENT_KIND_job_array &&
            (a->total > 0 ? of_array(&id, &a->job) : uuid_eq(&id, &a->job))) {
            /* It begins with the same, but for the key. */
            memcpy(&of_array_event, a, offsetof(struct event_job_submit, key));
            of_array_event.key = a->key;
            return &of_array_event;
        }
        if (w->log[i].kind == EVENT_KIND_job_submit && uuid_eq(&w->log[i].u.job_submit.job, &id))
            return &w->log[i].u.job_submit;
    }
    fail_msg("a job that nobody submitted");
    return NULL;
}

/* ---- what would have to be another way ---- */

/* The request cannot change; another without that limit can. Returns its number. */
static uint64_t ask_anew(struct dispatch_world *w, uint64_t job, const struct why *why)
{
    struct event e = {.kind = EVENT_KIND_job_submit, .u.job_submit = *request_of(w, job)};
    struct event_job_submit *j = &e.u.job_submit;
    struct uuid id = uid('j', job);
    cancel(w, &id);
    j->job = uid('j', w->submitted);
    j->start_by_ms = j->deadline_ms = 0; /* another request is another class, if any */
    if (why->bar == WHY_SITE)
        j->site = (struct uuid){{0}};
    else if (why->bar == WHY_JURISDICTION)
        memset(j->jurisdiction, 0, sizeof j->jurisdiction);
    else if (why->bar == WHY_VENDOR)
        memset(j->vendor, 0, sizeof j->vendor);
    else if (why->bar == WHY_ISOLATION)
        j->flags &= ~JOB_ISOLATION_MASK;
    else
        memset(why->alternative == 0 ? j->chip0 : j->chip1, 0, CHIP_CAP);
    must(w, e);
    return w->submitted++;
}

static void enlarge(struct dispatch_world *w, const struct uuid *pool)
{
    struct uuid site = uid('s', pool_number(pool) % DW_SITES);
    struct event cap = {.kind = EVENT_KIND_site_cap, .u.site_cap = {.site = site}};
    struct event shed = {.kind = EVENT_KIND_site_shed, .u.site_shed = {.site = site}};
    struct event add = {.kind = EVENT_KIND_pool_add};
    for (size_t i = 0; i < w->nlog; i++) {
        if (w->log[i].kind == EVENT_KIND_pool_add && uuid_eq(&w->log[i].u.pool_add.pool, pool))
            add.u = w->log[i].u;
    }
    add.u.pool_add.pool = uid('p', DW_POOLS);
    add.u.pool_add.nodes = add.u.pool_add.domain = 16;
    must(w, cap); /* more nodes draw more */
    must(w, shed);
    must(w, add);
}

static void empty(struct dispatch_world *w, const struct uuid *pool)
{
    for (uint32_t i = 0; i < w->nrunning;) {
        struct event e = {.kind = EVENT_KIND_job_end,
                          .u.job_end = {.job = uid('j', w->running[i].job), .epoch = w->running[i].epoch}};
        if (uuid_eq(&w->running[i].pool, pool))
            must(w, e); /* it is the next one's place now */
        else
            i++;
    }
}

/* What the job's event says of how the target has to end. */
static uint32_t kind_wanted(const struct dispatch_world *w, uint64_t job, const struct uuid *target)
{
    struct uuid id = uid('j', job);
    for (size_t i = w->nlog; i-- > 0;) {
        const struct event_job_array *a = &w->log[i].u.job_array;
        if (w->log[i].kind != EVENT_KIND_job_array || a->at > 0 ||
            !(a->total > 0 ? of_array(&id, &a->job) : uuid_eq(&id, &a->job)))
            continue;
        const struct uuid *after[] = {&a->after0, &a->after1, &a->after2};
        const uint32_t kind[] = {a->after_kind0, a->after_kind1, a->after_kind2};
        for (uint32_t k = 0; k < 3; k++) {
            if (uuid_eq(after[k], target))
                return kind[k];
        }
    }
    fail_msg("job %llu comes after nobody", (unsigned long long)job);
    return 0;
}

/* What it comes after ends as it has to; or a place in its array becomes free. */
static void end_as_wanted(struct dispatch_world *w, uint64_t job, const struct why *why)
{
    bool bad = why->bar == WHY_AFTER && kind_wanted(w, job, &why->job) == AFTER_NOT_OK;
    for (uint32_t i = 0; i < w->nrunning;) {
        struct event e = {
            .kind = EVENT_KIND_job_end,
            .u.job_end = {.job = uid('j', w->running[i].job), .epoch = w->running[i].epoch, .code = bad}};
        if (uuid_eq(&e.u.job_end.job, &why->job) || of_array(&e.u.job_end.job, &why->job))
            must(w, e);
        else
            i++;
    }
}

static void raise_nodes(struct dispatch_world *w, const struct uuid *pool)
{
    for (uint32_t i = 0; i < w->nodes[pool_number(pool)]; i++) {
        struct event e = {.kind = EVENT_KIND_node_state,
                          .u.node_state = {.pool = *pool, .node = i, .state = PLACE_UP}};
        must(w, e);
    }
}

/* What is kept for losses changes with all else: it is not what is asked about, unless it is the bar. */
static void keep_nothing(struct dispatch_world *w)
{
    struct event e = {.kind = EVENT_KIND_dispatch_set, .u.dispatch_set = w->dispatch};
    e.u.dispatch_set.reserve = RESERVE_OFF;
    if (w->dispatch.reserve == RESERVE_KEEP)
        must(w, e);
}

/* Takes the bar away. Returns the job that must start. */
static uint64_t remove_bar(struct dispatch_world *w, uint64_t job, const struct why *why)
{
    struct uuid site = uid('s', pool_number(&why->pool) % DW_SITES);
    keep_nothing(w);
    switch (why->bar) {
    case WHY_RESERVE:
        return job;
    case WHY_RULE:
        dispatch_world_rules(w, w->rules & ~(1u << strtoul(why->denies->id, NULL, 10)));
        return job;
    case WHY_SIZE:
        enlarge(w, &why->pool);
        return job;
    case WHY_SITE_DOWN:
        must(w, (struct event){.kind = EVENT_KIND_site_state,
                               .u.site_state = {.site = site, .state = PLACE_UP}});
        must(w, (struct event){.kind = EVENT_KIND_site_contact, .u.site_contact.site = site});
        return job;
    case WHY_NODE_DOWN:
        raise_nodes(w, &why->pool);
        return job;
    case WHY_FULL:
        empty(w, &why->pool);
        return job;
    case WHY_POWER:
        must(w, (struct event){.kind = EVENT_KIND_site_cap, .u.site_cap = {.site = site}});
        must(w, (struct event){.kind = EVENT_KIND_site_shed, .u.site_shed = {.site = site}});
        return job;
    case WHY_CORRIDOR_DOWN:
        dispatch_world_rules(w, w->rules & ((1u << DW_RULES_CORRIDOR) - 1));
        for (uint32_t i = 0; i < DW_CORRIDORS; i++)
            dispatch_world_corridor(w, i, PLACE_UP, UINT64_C(1000000000000));
        return job;
    case WHY_CORRIDOR:
        for (uint32_t i = 0; i < DW_CORRIDORS; i++)
            dispatch_world_corridor(w, i, PLACE_UP, UINT64_C(1000000000000));
        return job;
    case WHY_CHOICE:
        dispatch_world_plan(w, false);
        return job;
    case WHY_AFTER:
    case WHY_ARRAY:
        end_as_wanted(w, job, why);
        return job;
    case WHY_RESERVED:
    case WHY_TURN:
        cancel(w, &why->job);
        return job;
    default:
        return ask_anew(w, job, why);
    }
}

/* ---- one question ---- */

/* Each job that ever was, lone ones first. */
static uint64_t jobs_ever(const struct dispatch_world *w)
{
    return w->submitted + w->arrays * 12;
}

static uint64_t nth_job(const struct dispatch_world *w, uint64_t n)
{
    return n < w->submitted ? n : DW_TASKS * ((n - w->submitted) / 12 + 1) + (n - w->submitted) % 12 + 1;
}

static void cancel_others(struct dispatch_world *w, uint64_t job, const struct uuid *besides)
{
    for (uint64_t i = 0; i < DW_SERVICES; i++) { /* its replicas cannot be cancelled, it can */
        struct event e = {.kind = EVENT_KIND_service_remove, .u.service_remove.service = uid('z', i)};
        (void)dispatch_world_step(w, &e);
    }
    for (uint64_t n = 0; n < jobs_ever(w); n++) {
        uint64_t i = nth_job(w, n);
        struct uuid id = uid('j', i);
        if (i != job && !uuid_eq(&id, besides) && job_waits(w, i))
            cancel(w, &id);
    }
    dispatch_world_settle(w);
}

/* An array of which tasks that waited were cancelled with the others cannot end well any more. */
static bool is_spoilt(const struct dispatch_world *w, uint64_t job, const struct why *why)
{
    return why->bar == WHY_AFTER && of_array(&why->job, &why->job) &&
           kind_wanted(w, job, &why->job) == AFTER_OK;
}

static struct dispatch_world one, two;

static void ask(const struct dispatch_world *w, uint64_t job, struct answers *tally)
{
    struct uuid id = uid('j', job);
    struct why why;
    assert_int_equal(why_job(w->core, &id, &why), 0);
    bool of_another = why.bar == WHY_RESERVED || why.bar == WHY_TURN;
    dispatch_world_copy(&one, w);
    cancel_others(&one, job, of_another ? &why.job : &id);
    if (!job_waits(&one, job)) {
        dispatch_world_fini(&one);
        return; /* the others were what it waited for */
    }
    assert_int_equal(why_job(one.core, &id, &why), 0);
    tally->of[why.bar]++;
    tally->not_alone += !why.alone;
    if (why.alone && why.bar != WHY_NOTHING && !is_spoilt(&one, job, &why)) {
        dispatch_world_copy(&two, &one);
        uint64_t must_start = remove_bar(&two, job, &why);
        dispatch_world_settle(&two);
        if (!job_runs(&two, must_start))
            fail_msg("job %llu at %lld ms, without \"%s\", still waits", (unsigned long long)job,
                     (long long)w->now_ms, why_bar_word(why.bar));
        if (checker_violations(two.checker) > 0)
            fail_msg("without \"%s\": %s", why_bar_word(why.bar), checker_first(two.checker));
        tally->true_[why.bar]++;
        dispatch_world_fini(&two);
    }
    dispatch_world_fini(&one);
}

static int64_t sum_of(const struct why_terms *t)
{
    return t->chips + t->energy + t->carbon + t->transfer;
}

/* What runs costs what is said, and the others are in order. */
static void check_terms(const struct dispatch_world *w)
{
    for (uint32_t i = 0; i < w->nrunning; i++) {
        struct uuid id = uid('j', w->running[i].job);
        struct why why;
        assert_int_equal(why_job(w->core, &id, &why), 0);
        assert_int_equal(why.state, JOB_RUNNING);
        assert_true(why.nterms > 0 && uuid_eq(&why.terms[0].pool, &w->running[i].pool));
        for (uint32_t k = 2; k < why.nterms; k++) {
            int64_t a = sum_of(&why.terms[k - 1]), b = sum_of(&why.terms[k]);
            assert_true(a <= b + 1000); /* roundings of single terms */
        }
    }
}

/* A request of before, once more: told beforehand, and then submitted, asked about and cancelled. */
static void foretell(struct dispatch_world *w, uint64_t *foretold)
{
    struct event e = w->log[test_below(&w->random, w->nlog)];
    if (e.kind != EVENT_KIND_job_submit)
        return;
    struct event_job_submit *j = &e.u.job_submit;
    struct why_terms places[DW_POOLS + 1];
    struct why before, after;
    uint32_t n;
    struct event tick = {.kind = EVENT_KIND_tick};
    (void)dispatch_world_step(w, &tick); /* core knows what time it is */
    j->job = uid('j', w->submitted);
    j->data_bytes = 0;
    int said = why_request(w->core, j, &before, places, DW_POOLS + 1, &n);
    int rc = dispatch_world_step(w, &e);
    assert_int_equal(said, rc);
    if (rc != 0)
        return;
    w->submitted++;
    assert_int_equal(why_job(w->core, &j->job, &after), 0);
    /* What is kept for losses is foretold by its count of chips only. */
    if (w->dispatch.reserve != RESERVE_KEEP && after.state == JOB_QUEUED) {
        assert_string_equal(why_bar_word(before.bar), why_bar_word(after.bar));
        assert_true(before.alone == after.alone && uuid_eq(&before.pool, &after.pool) &&
                    before.alternative == after.alternative && before.nterms == after.nterms);
        assert_memory_equal(before.terms, after.terms, after.nterms * sizeof after.terms[0]);
        ++*foretold;
    }
    cancel(w, &j->job);
}

static struct dispatch_world world;

static void test_truth(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint64_t wanted = test_count(100, 2000), proved = 0, foretold = 0;
    struct answers tally = {0};
    for (uint64_t round = 0; proved < wanted; round++) {
        dispatch_world_init(&world, seed + round, 0);
        for (uint64_t n = 20 + test_below(&world.random, 300); n > 0; n--)
            dispatch_world_instant(&world);
        world.now_ms -= 1000; /* the last instant goes on */
        if (checker_violations(world.checker) > 0)
            fail_msg("%s", checker_first(world.checker));
        check_terms(&world);
        uint32_t asked = 0;
        for (uint64_t i = 0; i < 200 && asked < 8; i++) {
            uint64_t job = nth_job(&world, test_below(&world.random, jobs_ever(&world)));
            if (!job_waits(&world, job))
                continue;
            ask(&world, job, &tally);
            asked++;
        }
        for (uint32_t i = 0; i < 16; i++)
            foretell(&world, &foretold);
        dispatch_world_fini(&world);
        proved = 0;
        for (uint32_t i = 0; i < WHYS_N; i++)
            proved += tally.true_[i];
    }
    for (uint32_t i = 0; i < WHYS_N; i++)
        printf("# %s: %llu answers, %llu proved\n", why_bar_word(i), (unsigned long long)tally.of[i],
               (unsigned long long)tally.true_[i]);
    printf("# %llu foretold\n", (unsigned long long)foretold);
    assert_true(foretold > 0);
    printf("# %llu of which more than one thing is in the way\n", (unsigned long long)tally.not_alone);
    /* A job with nothing in its way would have started: the pass that should have looked at it did not. */
    assert_int_equal(tally.of[WHY_NOTHING], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_truth)};
    return cmocka_run_group_tests_name("property_why", tests, NULL, NULL);
}
