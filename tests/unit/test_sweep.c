/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults that a hub survives, in the five scenarios of powerscenes.h: any operation on any of the store's files fails, or any request
 * for memory, SQLite's or our own (malloc, calloc, realloc, strdup of all that is linked here), one or three in a row. Each time either
 * all goes on or there is an error; then the state is loaded anew as the runtime does it, and what failed is done again. What was
 * acknowledged is there all the while, nothing else is, and at the end the books add up and the log is the one of its leaves.
 */
#include "powerscenes.h"

#include <sqlite3.h>

#include "testvfs.h"

#define OK(call) assert_int_equal(call, 0)

/* Of the requests for memory those in [from, to) are refused. */
struct refusals {
    uint64_t asked, from, to;
};

static bool refused(struct refusals *r)
{
    r->asked++;
    return r->asked >= r->from && r->asked < r->to;
}

static void refuse(struct refusals *r, uint64_t n, uint32_t count)
{
    *r = (struct refusals){.from = n ? n : UINT64_MAX, .to = n ? n + count : UINT64_MAX};
}

/* ---- SQLite's memory ---- */

static struct refusals sqlites;
static sqlite3_mem_methods memory;

static void *take(int n)
{
    return refused(&sqlites) ? NULL : memory.xMalloc(n);
}

static void *take_more(void *p, int n)
{
    return refused(&sqlites) ? NULL : memory.xRealloc(p, n);
}

static void refuse_memory(uint64_t n, uint32_t count)
{
    refuse(&sqlites, n, count);
}

static uint64_t memory_asked(void)
{
    return sqlites.asked;
}

/* ---- our own: linked with --wrap, so these stand for what all of our code calls ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *text);

static struct refusals ours;

static bool our_refused(void)
{
    return powerhub_works && refused(&ours);
}

void *__wrap_malloc(size_t size)
{
    return our_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return our_refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return our_refused() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *text)
{
    return our_refused() ? NULL : __real_strdup(text);
}

static void refuse_ours(uint64_t n, uint32_t count)
{
    refuse(&ours, n, count);
}

static uint64_t ours_asked(void)
{
    return ours.asked;
}

/* ---- the sweeps ---- */

static const struct fault {
    const char *name;
    void (*at)(uint64_t n, uint32_t count); /* from now on the n-th, and so many in all, fail; 0: none */
    uint64_t (*seen)(void);                 /* operations since then */
    uint64_t stride, stride_full;
} faults[] = {{"I/O", testvfs_fail_at, testvfs_touched, 293, 1},
              {"SQLite's memory", refuse_memory, memory_asked, 9973, 29},
              {"our own memory", refuse_ours, ours_asked, 61, 1}};

static uint32_t reloads;

/* Loads until it succeeds, as the runtime does. What is there then is what was acknowledged. */
static void recover(struct powerhub *hub, const struct mark *acked)
{
    for (int tries = 0; !hub->loaded; tries++) {
        reloads++;
        if (powerhub_load(hub) != 0)
            assert_true(tries < 100);
    }
    assert_true(mark_eq(&hub->acked, acked));
}

/* A whole scenario, in which what failed is done again. Returns the operations of the fault's kind. */
static uint64_t one_fault(const struct scenario *scenario, const struct fault *fault, uint64_t n,
                          uint32_t count)
{
    struct powerhub hub;
    struct mark acked = origin.mark, found;
    testvfs_reset(n);
    fault->at(n, count);
    (void)powerhub_begin(&hub, &origin.limits);
    for (uint64_t i = 0; i < BATCHES;) {
        recover(&hub, &acked);
        scenario->step(hub.w, i);
        if (powerhub_commit(&hub) != 0)
            continue;
        acked = hub.acked;
        i++;
    }
    uint64_t seen = fault->seen();
    fault->at(0, 0);
    powerhub_end(&hub);
    testvfs_power_loss();
    const char *wrong = powerhub_found(&origin, &found);
    if (wrong || !mark_eq(&found, &acked))
        fail_msg("%s, %s fails at %llu for %u: %s", scenario->name, fault->name, (unsigned long long)n, count,
                 wrong ? wrong : "what was acknowledged is lost");
    return seen;
}

static void sweep(const struct fault *fault)
{
    uint64_t total = 0, stride = test_count(fault->stride, fault->stride_full);
    reloads = 0;
    for (size_t s = 0; s < SCENARIOS; s++) {
        uint64_t all = one_fault(&scenarios[s], fault, 0, 0);
        for (uint64_t n = 1 + s; n <= all; n += stride, total++)
            (void)one_fault(&scenarios[s], fault, n, total % 2 ? 3 : 1);
    }
    printf("# %s: %llu faults at every operation in %llu, %u reloads\n", fault->name,
           (unsigned long long)total, (unsigned long long)stride, reloads);
    assert_true(reloads > total / 4);
}

static void test_files(void **state)
{
    (void)state;
    sweep(&faults[0]);
}

static void test_sqlite_memory(void **state)
{
    (void)state;
    sweep(&faults[1]);
}

static void test_our_memory(void **state)
{
    (void)state;
    sweep(&faults[2]);
}

static int count_row(void *ctx, enum row_kind kind, const void *row)
{
    (void)kind;
    (void)row;
    ++*(uint32_t *)ctx;
    return 0;
}

/* A reader that ran out of memory, wherever that was, reads what is new the next time. */
static void test_readers_go_on(void **state)
{
    (void)state;
    struct powerhub hub;
    struct err err = {0};
    struct row_query query = {.kind = ROW_KIND_payment};
    uint32_t refusals = 0, seen = 0;
    testvfs_reset(1);
    OK(powerhub_begin(&hub, &origin.limits));
    refuse_memory(0, 0);
    OK(hub.store->ops->rows(hub.store, &query, 1, count_row, &seen, &err));
    uint64_t all = sqlites.asked;
    for (uint32_t n = 1; n <= all; n++) {
        uint32_t again = 0;
        refuse_memory(n, 4);
        refusals += hub.store->ops->rows(hub.store, &query, 1, count_row, &seen, &err) != 0;
        refuse_memory(0, 0);
        OK(scenes_pay(hub.w, n, 5));
        OK(powerhub_commit(&hub));
        OK(hub.store->ops->rows(hub.store, &query, 1, count_row, &again, &err));
        assert_int_equal(again, n);
    }
    assert_true(refusals > 10);
    powerhub_end(&hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_our_memory, scenes_begin, scenes_end),
        cmocka_unit_test_setup_teardown(test_files, scenes_begin, scenes_end),
        cmocka_unit_test_setup_teardown(test_sqlite_memory, scenes_begin, scenes_end),
        cmocka_unit_test_setup_teardown(test_readers_go_on, scenes_begin, scenes_end),
    };
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory);
    sqlite3_mem_methods counted = memory;
    counted.xMalloc = take;
    counted.xRealloc = take_more;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &counted);
    refuse_memory(0, 0);
    refuse_ours(0, 0);
    return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
