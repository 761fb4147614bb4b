/* SPDX-License-Identifier: Apache-2.0 */
/* What the overseers' report reads of denials: cells of as many rules as there may be, and one more. */
#include "hub/audit_denials.h"
#include "store/store.h"
#include "support.h"

#define DAY 20000

/* So many rules denied something, each once to so many tenants. */
static struct store *store_of(uint32_t nrules, uint32_t ntenants)
{
    struct store *store = store_memory_new(0);
    struct buf rows, nothing;
    struct err err;
    buf_init(&rows, (size_t)64 << 20);
    buf_init(&nothing, 64);
    for (uint32_t i = 0; i < ntenants * nrules; i++) {
        struct row_denial row = {.day = DAY, .tenant = uid('T', 1 + i % ntenants), .count = 1};
        (void)snprintf(row.rule, sizeof row.rule, "rule-%u", i / ntenants);
        store_row_add(&rows, ROW_KIND_denial, ROW_ADD, &row);
    }
    const struct store_batch batch = {.rows = &rows, .events = &nothing, .leaves = &nothing};
    assert_false(rows.failed);
    assert_int_equal(store->ops->commit(store, &batch, &err), 0);
    buf_fini(&rows);
    buf_fini(&nothing);
    return store;
}

static int denied(uint32_t nrules, uint32_t ntenants, struct denials_told *told)
{
    struct err err;
    struct store *store = store_of(nrules, ntenants);
    int64_t from_ms = DAY * INT64_C(86400000);
    int rc = denials_read(told, store, from_ms, from_ms + 86400000, &err);
    store->ops->close(store);
    return rc;
}

static void test_all_there_may_be(void **state)
{
    (void)state;
    struct denials_told told = {.n = 0};
    assert_int_equal(denied(2, CELL_TENANTS_MIN, &told), 0);
    assert_int_equal(told.n, 2);
    assert_true(told.list[1].key.count == CELL_TENANTS_MIN && !told.list[1].other);
    denials_free(&told);
    assert_int_equal(denied(CELLS_MAX, 1, &told), 0);
    assert_int_equal(told.n, 1); /* of too few each */
    assert_true(told.list[0].key.count == CELLS_MAX && told.list[0].other);
    denials_free(&told);
}

static void test_one_more(void **state)
{
    (void)state;
    struct denials_told told = {.n = 0};
    assert_int_equal(denied(CELLS_MAX + 1, 1, &told), ERR_TOO_LARGE);
    assert_int_equal(told.n, CELLS_MAX);
    denials_free(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_there_may_be),
                                       cmocka_unit_test(test_one_more)};
    return cmocka_run_group_tests_name("denials", tests, NULL, NULL);
}
