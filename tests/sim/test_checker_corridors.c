/* SPDX-License-Identifier: Apache-2.0 */
/* The checker: each violation of data under way provoked once. */
#include "checker_support.h"

#define GB UINT64_C(1000000000)

static struct uuid corridor_id(uint32_t i)
{
    struct uuid id = {{9}};
    id.b[15] = (uint8_t)i;
    return id;
}

/* A corridor of 8 Gbit/s, site 1 to site 2: a GB takes a second. */
static void add_corridor(uint32_t i)
{
    ck_event.kind = EVENT_KIND_corridor_add;
    ck_event.u.corridor_add = (struct event_corridor_add){
        .corridor = corridor_id(i), .a = ck_site(1), .b = ck_site(2), .bits_s = 8 * GB, .rtt = 10000};
    ck_step();
}

static void set_corridor(uint32_t i, uint32_t state, uint64_t bits_s)
{
    ck_event.kind = EVENT_KIND_corridor_state;
    ck_event.u.corridor_state =
        (struct event_corridor_state){.corridor = corridor_id(i), .state = state, .bits_s = bits_s};
}

/* Its data lies at site 2, and pool 1 is at site 1. */
static void submit(uint32_t j)
{
    struct event_job_submit *e = ck_submit_made(j, "a100", 1);
    e->duration_ms = 1000;
    e->data_site = ck_site(2);
    e->data_bytes = GB;
    ck_step();
}

/* One corridor, and one job whose data would have to come over it. */
static void arrange(void)
{
    add_corridor(1);
    submit(1);
}

static struct effect *comes(uint32_t j, uint32_t corridor, uint64_t bits_s, int64_t ms)
{
    struct effect *e = ck_effect(EFFECT_TRANSIT, j, 0);
    e->corridor = corridor_id(corridor);
    e->bytes = GB;
    e->bits_s = bits_s;
    e->ms = ms;
    return e;
}

/* Two of them share it, and when both are over there is room for another. */
static void test_clean(void **state)
{
    (void)state;
    add_corridor(1);
    for (uint32_t j = 1; j <= 2; j++) {
        submit(j);
        (void)comes(j, 1, 4 * GB, 2010);
        ck_tick_one(j, 1, 0, 1, 1);
    }
    ck_now_ms += 2010;
    submit(3);
    (void)comes(3, 1, 8 * GB, 1010);
    ck_tick_one(3, 1, 0, 1, 1);
    ck_end(3, 1); /* before its data has come: its way is free */
    ck_step();
    submit(4);
    (void)comes(4, 1, 8 * GB, 1010);
    ck_tick_one(4, 1, 0, 1, 1);
    submit(5);
    ck_tick_one(5, 3, 0, 1, 1); /* where its data lies */
    set_corridor(1, PLACE_LOST, 8 * GB);
    ck_stop(4, 1, 1);
    ck_step();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_clean();
}

/* How the data of one job came, and where the job started then. */
struct came {
    uint32_t times, corridor;
    uint64_t bytes, bits_s;
    int64_t ms;
    uint32_t pool; /* 0: nowhere */
    enum checker_kind found;
};

static void test_came(void **state)
{
    const struct came *came = *state;
    arrange();
    for (uint32_t i = 0; i < came->times; i++)
        comes(1, came->corridor, came->bits_s, came->ms)->bytes = came->bytes;
    if (came->pool != 0)
        ck_start_one(1, came->pool, 0, 1, 1);
    ck_tick();
    ck_found(came->found);
}

static struct came does_not_come = {.pool = 1, .found = CHECKER_WAY};
static struct came comes_where_it_is = {1, 1, GB, GB, 8010, 3, CHECKER_WAY};
static struct came other_data = {1, 1, GB - 1, GB, 8010, 1, CHECKER_WAY};
static struct came there_and_back = {2, 1, GB, GB, 8010, 1, CHECKER_WAY};
static struct came no_such_corridor = {1, 2, GB, GB, 8010, 1, CHECKER_WAY};
static struct came no_start = {1, 1, GB, GB, 8010, 0, CHECKER_WAY};
static struct came too_soon = {1, 1, GB, 8 * GB, 999, 1, CHECKER_WAY_TIME};

#define CAME(name) \
    { \
#name, test_came, ck_setup, ck_teardown, &(name) \
    }

static void test_corridor_down(void **state)
{
    (void)state;
    add_corridor(1);
    set_corridor(1, PLACE_CORDONED, 8 * GB);
    ck_step();
    submit(1);
    (void)comes(1, 1, GB, 8010);
    ck_tick_one(1, 1, 0, 1, 1);
    ck_found(CHECKER_CORRIDOR_DOWN);
}

static void test_overbooked(void **state)
{
    (void)state;
    add_corridor(1);
    for (uint32_t j = 1; j <= 2; j++) {
        submit(j);
        (void)comes(j, 1, 5 * GB, 2010);
        ck_tick_one(j, 1, 0, 1, 1);
    }
    ck_found(CHECKER_CORRIDOR_OVER);
}

/* A job runs while its data comes over corridor 1, which then is so. */
static void goes_on_when(uint32_t corridor_state, uint64_t bits_s)
{
    arrange();
    (void)comes(1, 1, 5 * GB, 2010);
    ck_tick_one(1, 1, 0, 1, 1);
    set_corridor(1, corridor_state, bits_s);
    ck_step();
    checker_end_of_time(ck_checker, ck_now_ms);
}

static void test_lost_goes_on(void **state)
{
    (void)state;
    goes_on_when(PLACE_CORDONED, 8 * GB);
    ck_clean(); /* what is under way goes on */
    set_corridor(1, PLACE_LOST, 8 * GB);
    ck_step();
    checker_end_of_time(ck_checker, ck_now_ms);
    ck_found(CHECKER_CORRIDOR_RUNS);
}

static void test_shrunk_goes_on(void **state)
{
    (void)state;
    goes_on_when(PLACE_UP, 4 * GB);
    ck_found(CHECKER_CORRIDOR_RUNS);
}

/* With a strict order a job waits for no pool that its data cannot reach. */
static void test_order(void **state)
{
    (void)state;
    ck_set_order(ORDER_FIFO, FIT_STRICT);
    submit(1);
    ck_submit(2, 1, 1000);
    ck_tick_one(2, 1, 0, 1, 1);
    ck_clean();
    add_corridor(1);
    ck_submit(3, 1, 1000);
    ck_tick_one(3, 1, 0, 1, 1);
    ck_found(CHECKER_OVERTAKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_clean),         CAME(does_not_come),    CAME(comes_where_it_is), CAME(other_data),
        CAME(there_and_back),     CAME(no_such_corridor), CAME(no_start),          CAME(too_soon),
        TEST(test_corridor_down), TEST(test_overbooked),  TEST(test_lost_goes_on), TEST(test_shrunk_goes_on),
        TEST(test_order),
    };
    return cmocka_run_group_tests_name("checker_corridors", tests, NULL, NULL);
}
