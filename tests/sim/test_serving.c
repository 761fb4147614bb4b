/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and the replicas that serve them: streams of traces, one modelled engine, a fleet, what is told to core. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/fleet.h"
#include "sim/serving.h"

#define SECOND INT64_C(1000000) /* us */

/* A file with this text; its path. */
static const char *file_of(const char *text)
{
    static char path[64];
    (void)snprintf(path, sizeof path, "/tmp/busbar-serving-%d.csv", (int)getpid());
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    return path;
}

/* ---- the replica's text ---- */

static void test_serve_text(void **state)
{
    (void)state;
    struct serve s;
    struct err err = {0};
    assert_int_equal(serve_read(&s, NULL, &err), 0);
    assert_int_equal(s.kinds, 1);
    assert_string_equal(s.kind[0].chip, "h100");
    assert_int_equal(
        serve_read(&s, "chip=a,chips=4,slots=8,decode=400,single=100,chip=any,cold=2m,target=50,max=9", &err),
        0);
    assert_true(s.kinds == 2 && s.kind[0].chips == 4 && s.kind[1].chip[0] == 0 && s.cold_ms == 120000);
    assert_true(s.max == 9 && s.target == 50);
    assert_int_equal(serve_step_ns(&s.kind[0], 1), 10000000); /* 100 tokens a second alone */
    assert_int_equal(serve_step_ns(&s.kind[0], 8), 20000000); /* 50 each, 400 in all */
    struct event_service_set e = {0};
    serve_event(&s, &e);
    assert_true(e.count0 == 4 && e.tokens_s0 == 400 && e.count1 == 2 && e.target == 500 && e.count2 == 0);
    static const char *const bad[] = {"chips=4",
                                      "chip=",
                                      "chip=a,slots=65",
                                      "chip=a,slots=2,single=10,decode=21",
                                      "cold=9",
                                      "min=5,max=4",
                                      "target=101",
                                      "what=1",
                                      "target",
                                      "in=0",
                                      "chip=a,chip=b,chip=c,chip=d,chip=e",
                                      "chip=a,chip=b,decode=1,single=1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (serve_read(&s, bad[i], &err) != ERR_INVALID)
            fail_msg("%s", bad[i]);
    }
}

/* ---- percentiles ---- */

static void test_spread(void **state)
{
    (void)state;
    static struct spread s;
    assert_int_equal(spread_at(&s, 500), 0);
    for (uint64_t i = 1; i <= 100000; i++)
        spread_add(&s, i);
    for (uint32_t p = 1; p <= 1000; p++) {
        uint64_t is = spread_at(&s, p), should = 100 * (uint64_t)p;
        if (is < should || is > should + should / 100 + 1)
            fail_msg("%u thousandths: %llu", p, (unsigned long long)is);
    }
    assert_int_equal(spread_at(&s, 1000), 100000);
    spread_add(&s, UINT64_MAX);
    assert_true(spread_at(&s, 1000) == UINT64_MAX);
}

/* ---- streams ---- */

static uint32_t count(struct requests *r, int64_t *last_ms)
{
    struct request q;
    uint32_t n = 0;
    *last_ms = 0;
    while (requests_next(r, &q)) {
        assert_true(q.arrival_ms >= *last_ms && q.in_tokens > 0 && q.out_tokens > 0);
        *last_ms = q.arrival_ms;
        n++;
    }
    return n;
}

static void test_single(void **state)
{
    (void)state;
    struct requests_file file;
    struct requests *r;
    struct err err = {0};
    int64_t last;
    /* In any order, and a day later than the window. */
    const char *path = file_of("out_tokens,arrival_ms,in_tokens\n5,2000,10\n0,1000,0\n7,86401000,3\n");
    assert_int_equal(requests_read(&file, path, &err), 0);
    assert_false(file.rates);
    struct requests_options o = {.scale = 1000, .length_ms = 10000, .origins = 1};
    assert_int_equal(requests_open(&r, &file, &o, &err), 0);
    struct request q;
    assert_true(requests_next(r, &q) && q.arrival_ms == 1000 && q.in_tokens == 1 && q.out_tokens == 1);
    assert_true(requests_next(r, &q) && q.arrival_ms == 2000 && q.in_tokens == 10 && q.out_tokens == 5);
    assert_false(requests_next(r, &q));
    requests_free(r);
    o.scale = 3000; /* 20 s apart */
    o.length_ms = 0;
    assert_int_equal(requests_open(&r, &file, &o, &err), 0);
    assert_int_equal(count(r, &last), 9);
    assert_int_equal(last, 86401000 + 40000);
    requests_free(r);
    o.from_ms = 86400000;
    assert_int_equal(requests_open(&r, &file, &o, &err), 0);
    assert_int_equal(count(r, &last), 3);
    requests_free(r);
    o.from_ms = 2 * (int64_t)86400000;
    assert_int_equal(requests_open(&r, &file, &o, &err), ERR_INVALID);
    requests_free(r);
    requests_file_free(&file);
    assert_int_equal(requests_read(&file, file_of("arrival_ms,in_tokens\n1,2\n"), &err), ERR_INVALID);
    assert_int_equal(requests_read(&file, file_of("arrival_ms,in_tokens,out_tokens\n1,x,2\n"), &err),
                     ERR_INVALID);
    unlink(path);
    assert_int_equal(requests_read(&file, path, &err), ERR_NOT_FOUND);
}

/* 2 requests a second for ten minutes, then 4; of two places one is ten minutes ahead. */
static void test_rates(void **state)
{
    (void)state;
    struct requests_file file;
    struct requests *r;
    struct err err = {0};
    int64_t last;
    const char *path = file_of("model,t,rate\nother,0,1\nm,0,20\nm,600,40\n");
    assert_int_equal(requests_read(&file, path, &err), 0);
    unlink(path);
    assert_true(file.rates && file.rate.nmodels == 2);
    struct requests_options o = {
        .model = 1, .scale = 1000, .origins = 1, .in_mean = 1000, .out_mean = 100, .seed = 1};
    assert_int_equal(requests_open(&r, &file, &o, &err), 0);
    uint32_t half = 0, all = 0;
    uint64_t in = 0, out = 0;
    for (struct request q; requests_next(r, &q); all++) {
        half += q.arrival_ms < 600000;
        in += q.in_tokens;
        out += q.out_tokens;
    }
    requests_free(r);
    /* 12,000 and 24,000 expected: five standard deviations are 550 and 775. */
    assert_in_range(half, 11450, 12550);
    assert_in_range(all - half, 23225, 24775);
    assert_in_range(in / all, 960, 1040);
    assert_in_range(out / all, 96, 104);
    o.scale = 100;
    assert_int_equal(requests_open(&r, &file, &o, &err), 0);
    assert_in_range(count(r, &last), 3300, 3900);
    requests_free(r);
    const int64_t zones[] = {0, 600000};
    o.scale = 1000;
    o.origins = 2;
    o.zone_ms = zones;
    assert_int_equal(requests_open(&r, &file, &o, &err), 0);
    uint32_t of[2] = {0};
    half = 0;
    for (struct request q; requests_next(r, &q); of[q.origin]++)
        half += q.origin == 1 && q.arrival_ms < 600000;
    requests_free(r);
    assert_in_range(of[0], 17300, 18700);
    assert_in_range(half, 11450, 12550); /* there the busy part comes first */
    requests_file_free(&file);
}

/* ---- one engine ---- */

static struct serve serve_of(const char *text)
{
    struct serve s;
    struct err err = {0};
    assert_int_equal(serve_read(&s, text, &err), 0);
    return s;
}

/* Alone: the prompt's time, then the tokens at the speed of one. A second one takes part of the steps, and its prompt stops
 * the first for as long as it takes. */
static void test_engine(void **state)
{
    (void)state;
    struct serve serve = serve_of("chip=a,prefill=1000,decode=200,single=100,slots=4");
    struct flight f[2] = {{.in_tokens = 500, .out_tokens = 101}, {.in_tokens = 1000, .out_tokens = 1}};
    struct served s;
    uint32_t who;
    bool first, over;
    served_init(&s, &serve.kind[0], 0);
    served_take(&s, 0, &f[0], 0);
    int64_t t = served_next_us(&s);
    assert_in_range(t, SECOND / 2, SECOND / 2 + 2);
    assert_false(served_happen(&s, f, t - 1, &who, &first, &over));
    assert_true(served_happen(&s, f, t, &who, &first, &over) && who == 0 && first && !over);
    assert_in_range(served_next_us(&s), t + SECOND, t + SECOND + 2); /* 100 tokens more at 100 a second */
    served_take(&s, 1, &f[1], t + SECOND / 2);
    assert_in_range(served_next_us(&s), t + SECOND * 3 / 2, t + SECOND * 3 / 2 + 2);
    t = served_next_us(&s);
    assert_true(served_happen(&s, f, t, &who, &first, &over) && who == 1 && first && over);
    assert_int_equal(served_count(&s), 1);
    assert_in_range(served_next_us(&s), t + SECOND / 2 - 2,
                    t + SECOND / 2 + 2); /* it stood still meanwhile */
    assert_true(served_leave(&s, &who) && who == 0);
    assert_false(served_leave(&s, &who));
    assert_true(served_next_us(&s) == INT64_MAX);
}

/* With all slots in use they get what `decode` says together. */
static void test_engine_full(void **state)
{
    (void)state;
    struct serve serve = serve_of("chip=a,prefill=1000000,decode=200,single=100,slots=4");
    struct flight f[4];
    struct served s;
    uint32_t who, ended = 0;
    bool first, over;
    int64_t t = 0;
    served_init(&s, &serve.kind[0], 0);
    for (uint32_t i = 0; i < 4; i++) {
        f[i] = (struct flight){.in_tokens = 1, .out_tokens = 501};
        served_take(&s, i, &f[i], 0);
    }
    while ((t = served_next_us(&s)) != INT64_MAX) {
        while (served_happen(&s, f, t, &who, &first, &over))
            ended += over;
        if (ended == 0)
            assert_true(t < SECOND);
    }
    assert_int_equal(ended, 4);
    assert_in_range(s.at_us, 10 * SECOND, 10 * SECOND + 1000); /* 4 x 500 at 200 a second */
}

/* ---- a fleet ---- */

static void happen_until(struct fleet *f, int64_t us)
{
    while (fleet_next_us(f) <= us)
        fleet_happen(f);
}

static void test_fleet(void **state)
{
    (void)state;
    static struct fleet f;
    struct serve serve = serve_of("chip=a,prefill=1000,decode=20,single=10,slots=2,cold=60s");
    struct request q = {.in_tokens = 1000, .out_tokens = 11};
    struct uuid a = {{1}}, b = {{2}};
    assert_true(fleet_init(&f, &serve, 0) && fleet_origins(&f, 1));
    fleet_arrive(&f, &q, 0);
    fleet_arrive(&f, &q, 1);
    fleet_arrive(&f, &q, 2);
    assert_true(f.queue == 3 && f.waited_cold == 3 && f.origin[0].in_flight == 3);
    fleet_add(&f, &a);
    fleet_start(&f, fleet_find(&f, &a), 0, 10 * SECOND);
    assert_true(f.wanted == 1 && f.running == 1 && f.warm == 0);
    happen_until(&f, 70 * SECOND - 1);
    assert_int_equal(f.queue, 3); /* it is cold */
    happen_until(&f, 70 * SECOND);
    assert_true(f.warm == 1 && f.queue == 1);
    happen_until(&f, 71 * SECOND + 10);
    assert_int_equal(f.ttft.n, 1);
    assert_in_range(f.ttft.max, 71 * SECOND, 71 * SECOND + 10);
    /* It is lost before anything is answered: its two begin anew, before the third, and in order. */
    fleet_stop(&f, fleet_find(&f, &a), 72 * SECOND);
    assert_true(f.restarted == 2 && f.queue == 3 && f.warm == 0 && f.running == 0);
    assert_int_equal(f.flight[f.first].arrival_us, 0);
    assert_int_equal(f.flight[f.flight[f.first].next].arrival_us, 1);
    fleet_drop(&f, fleet_find(&f, &a));
    assert_int_equal(fleet_find(&f, &a), UINT32_MAX);
    fleet_add(&f, &b);
    fleet_start(&f, fleet_find(&f, &b), 0, 100 * SECOND);
    happen_until(&f, 1000 * SECOND);
    assert_true(f.answered == 3 && f.queue == 0 && f.origin[0].in_flight == 0 && f.origin[0].queued == 0);
    assert_int_equal(f.ttft.n, 3); /* one a request, though the first had two */
    fleet_count(&f, 1000 * SECOND);
    assert_int_equal(f.running_us, 62 * SECOND + 900 * SECOND);
    assert_int_equal(f.warm_us, 2 * SECOND + 840 * SECOND);
    assert_true(f.cold_starts == 2 && f.moved == 0);
    fleet_stop(&f, fleet_find(&f, &b), 1000 * SECOND);
    fleet_start(&f, fleet_find(&f, &b), 0, 1001 * SECOND);
    assert_true(f.cold_starts == 3 && f.moved == 1); /* stopped, but still wanted */
    fleet_fini(&f);
}

/* The one with the fewest slots in use gets the next request; a place that is given twice forgets who had it. */
static void test_fleet_spreads(void **state)
{
    (void)state;
    static struct fleet f;
    struct serve serve = serve_of("chip=a,prefill=1000,decode=40,single=10,slots=4,cold=0s");
    struct request q = {.in_tokens = 1, .out_tokens = 100000};
    assert_true(fleet_init(&f, &serve, 0) && fleet_origins(&f, 1));
    for (uint8_t i = 1; i <= 3; i++) {
        struct uuid id = {{i}};
        fleet_add(&f, &id);
        fleet_start(&f, fleet_find(&f, &id), 0, 0);
    }
    happen_until(&f, 0);
    for (uint32_t i = 0; i < 13; i++) {
        fleet_arrive(&f, &q, i);
        uint32_t least = 4, most = 0;
        for (uint32_t k = 0; k < 3; k++) {
            uint32_t n = served_count(&f.unit[k].served);
            least = n < least ? n : least;
            most = n > most ? n : most;
        }
        assert_true(most - least <= 1);
    }
    assert_int_equal(f.queue, 1);
    struct uuid id = {{1}}, again = {{9}};
    fleet_stop(&f, fleet_find(&f, &id), 20);
    fleet_drop(&f, fleet_find(&f, &id));
    assert_int_equal(f.queue, 5);
    fleet_add(&f, &again);
    happen_until(&f, SECOND); /* nothing of the one before happens to it */
    assert_int_equal(f.unit[fleet_find(&f, &again)].state, UNIT_WAITS);
    fleet_fini(&f);
}

/* ---- told to core ---- */

static void test_reports(void **state)
{
    (void)state;
    struct serving *s;
    struct err err = {0};
    const char *path = file_of("arrival_ms,in_tokens,out_tokens\n5000,8000,1500\n");
    struct serving_options o = {
        .requests = path, .serve = "drain=0s,cold=30s", .start_ms = 1000000, .seed = 1};
    struct uuid tenant = {{7}};
    struct event e;
    assert_int_equal(serving_open(&s, &o, &err), 0);
    unlink(path);
    assert_true(serving_setup(s, 0, &tenant, &e) && e.kind == EVENT_KIND_service_set);
    assert_int_equal(serving_failed(s, &err), 0);
    assert_false(serving_setup(s, 1, &tenant, &e));
    struct uuid service = {{'V'}}, pool;
    service.b[15] = 1;
    assert_int_equal(serving_next_ms(s), 1005000); /* the first is told when it comes */
    assert_true(serving_event(s, 1005000, &e));
    /* A prompt of a second, and an answer of a second: 3000 tokens of output in ten seconds. */
    assert_true(e.u.service_demand.tokens_s == 300 && e.u.service_demand.in_flight == 1);
    assert_true(uuid_eq(&e.u.service_demand.service, &service));
    assert_false(serving_event(s, 1005000, &e));
    struct effect add = {.kind = EFFECT_REPLICA_ADD, .service = service, .job = {{1}}};
    struct effect start = {
        .kind = EFFECT_JOB_START, .service = service, .job = {{1}}, .pool = {{3}}, .chips = 2};
    struct effect stop = {.kind = EFFECT_JOB_STOP, .service = service, .job = {{1}}, .pool = {{3}}};
    struct effect drop = {.kind = EFFECT_REPLICA_DROP, .service = service, .job = {{1}}};
    assert_int_equal(serving_effect(s, &add, 1005000, &pool), 0);
    assert_true(serving_effect(s, &start, 1005000, &pool) == 2 && uuid_eq(&pool, &start.pool));
    struct serving_state now;
    serving_now(s, 0, &now);
    assert_true(now.wanted == 1 && now.running == 1 && now.warm == 0 && now.queue == 1);
    assert_int_equal(serving_next_ms(s), 1015000);
    uint32_t told = 0;
    int64_t last = 0;
    for (int64_t at; (at = serving_next_ms(s)) != INT64_MAX; last = at) {
        while (serving_event(s, at, &e))
            told++;
        assert_true(!serving_over(s));
    }
    /* 30 s cold, 1 s of prompt, 30 s of answer; a minute after it came the window is empty. */
    assert_true(told >= 6 && last >= 1066000 && last <= 1085000);
    assert_true(e.u.service_demand.tokens_s == 0 && e.u.service_demand.in_flight == 0);
    assert_true(serving_effect(s, &stop, 1400000, &pool) == 2 && uuid_eq(&pool, &start.pool));
    assert_int_equal(serving_effect(s, &drop, 1400000, &pool), 0);
    assert_true(serving_over(s));
    serving_end(s, 1400000);
    struct serving_sum sum;
    serving_result(s, 0, &sum);
    assert_true(sum.requests == 1 && sum.answered == 1 && sum.waited_cold == 1 && sum.restarted == 0);
    assert_in_range(sum.ttft_max_us, 31 * SECOND, 31 * SECOND + 100);
    assert_in_range(sum.end_max_us, 61 * SECOND - 100000, 61 * SECOND + 100000);
    assert_true(sum.replica_ms == 395000 && sum.ideal_ms == 2000 && sum.cold_starts == 1);
    serving_free(s);
}

static void test_names(void **state)
{
    (void)state;
    struct serving *s;
    struct err err = {0};
    char text[200];
    const char *path = file_of("model,t,rate\na,0,1\nb,0,2\n");
    static const struct {
        const char *rest;
        int rc;
        uint32_t n;
    } cases[] = {{"", 0, 2},
                 {"#b", 0, 1},
                 {"#b*0.5@0", 0, 1},
                 {"#c", ERR_NOT_FOUND, 0},
                 {"*0", ERR_INVALID, 0},
                 {"*1.2345", ERR_INVALID, 0},
                 {"@x", ERR_INVALID, 0},
                 {"*x", ERR_INVALID, 0},
                 {"@1*2", ERR_INVALID, 0},
                 {",", ERR_INVALID, 0},
                 {",,", ERR_INVALID, 0},
                 {"*1.", ERR_INVALID, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(text, sizeof text, "%s%s", path, cases[i].rest);
        struct serving_options o = {.requests = text};
        if (serving_open(&s, &o, &err) != cases[i].rc || (cases[i].rc == 0 && serving_count(s) != cases[i].n))
            fail_msg("%s: %s", cases[i].rest, err.msg);
        serving_free(s);
    }
    /* The same file twice: services are told apart. */
    (void)snprintf(text, sizeof text, "%s,%s@0", path, path);
    struct serving_options o = {.requests = text};
    assert_int_equal(serving_open(&s, &o, &err), 0);
    assert_int_equal(serving_count(s), 4);
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t k = 0; k < i; k++)
            assert_string_not_equal(serving_name(s, i), serving_name(s, k));
    }
    serving_free(s);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serve_text), cmocka_unit_test(test_spread),
        cmocka_unit_test(test_single),     cmocka_unit_test(test_rates),
        cmocka_unit_test(test_engine),     cmocka_unit_test(test_engine_full),
        cmocka_unit_test(test_fleet),      cmocka_unit_test(test_fleet_spreads),
        cmocka_unit_test(test_reports),    cmocka_unit_test(test_names)};
    return cmocka_run_group_tests_name("sim_serving", tests, NULL, NULL);
}
