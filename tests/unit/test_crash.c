/* SPDX-License-Identifier: Apache-2.0 */
/* Power loss: what the store acknowledged is there after it, whole; and the test would see it if it were not. */
#include "support.h"

#include <sqlite3.h>

#include "store/store.h"
#include "testvfs.h"

#define BATCHES 60

static struct store *open_store(void)
{
    struct store *store = NULL;
    return store_sqlite_open(&store, "/busbar.db", "test", NULL) == 0 ? store : NULL;
}

/* Batch n moves n from account 1 to account 2, adds n to a usage cell, and is event n - 1 of the journal. */
static int commit_batch(struct store *store, int64_t n, uint64_t *seed)
{
    struct buf rows, events, leaves;
    char junk[3000], leaf[32] = {0};
    buf_init(&rows, 1 << 20);
    buf_init(&events, 1 << 20);
    buf_init(&leaves, 1 << 20);
    int64_t sum = n * (n + 1) / 2;
    store_row_add(&rows, ROW_KIND_core, ROW_PUT, &(struct row_core){.id = 1, .events = (uint64_t)n});
    store_row_add(&rows, ROW_KIND_account, ROW_PUT,
                  &(struct row_account){.owner = uid('A', 1), .debits_posted = sum});
    store_row_add(&rows, ROW_KIND_account, ROW_PUT,
                  &(struct row_account){.owner = uid('A', 2), .credits_posted = sum});
    store_row_add(&rows, ROW_KIND_transfer, ROW_PUT,
                  &(struct row_transfer){.id = uid('X', (uint64_t)n), .amount = n});
    store_row_add(&rows, ROW_KIND_lease, ROW_DELETE, &(struct row_lease){.id = uid('L', (uint64_t)n - 1)});
    store_row_add(&rows, ROW_KIND_lease, ROW_PUT, &(struct row_lease){.id = uid('L', (uint64_t)n)});
    store_row_add(&rows, ROW_KIND_usage, ROW_ADD, &(struct row_usage){.tenant = uid('T', 1), .cost = n});
    memset(junk, (int)n, sizeof junk);
    buf_add(&events, junk, 1 + test_below(seed, sizeof junk - 1));
    buf_add(&leaves, leaf, sizeof leaf);
    struct store_batch batch = {
        .rows = &rows, .first = (uint64_t)n - 1, .count = 1, .events = &events, .leaves = &leaves};
    int rc = store->ops->commit(store, &batch, NULL);
    buf_fini(&rows);
    buf_fini(&events);
    buf_fini(&leaves);
    return rc;
}

struct found {
    int64_t events, debits, credits, transfers, transfer_sum, leases, usage, journal;
    bool bad;
};

static int found_row(void *ctx, enum row_kind kind, const void *row)
{
    struct found *f = ctx;
    if (kind == ROW_KIND_core) {
        f->events = (int64_t)((const struct row_core *)row)->events;
    } else if (kind == ROW_KIND_account) {
        f->debits += ((const struct row_account *)row)->debits_posted;
        f->credits += ((const struct row_account *)row)->credits_posted;
    } else if (kind == ROW_KIND_transfer) {
        f->transfers++;
        f->transfer_sum += ((const struct row_transfer *)row)->amount;
    } else if (kind == ROW_KIND_lease) {
        f->leases++;
    }
    return 0;
}

static int found_journal(void *ctx, const struct journal_row *row)
{
    struct found *f = ctx;
    f->bad |=
        (int64_t)row->first != f->journal || row->count != 1 || row->events_len == 0 || row->leaves_len != 32;
    f->journal++;
    for (size_t i = 0; i < row->events_len; i++)
        f->bad |= row->events[i] != (uint8_t)(row->first + 1);
    return 0;
}

static void found_usage(void *ctx, const struct row_usage *row)
{
    ((struct found *)ctx)->usage += row->cost;
}

/* Checkpoints by themselves come every 4000 pages; here they come often, from beside. */
static void checkpoint(uint64_t *seed)
{
    static const char *const how[] = {"PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(FULL)",
                                      "PRAGMA wal_checkpoint(TRUNCATE)"};
    sqlite3 *db;
    if (sqlite3_open_v2("/busbar.db", &db, SQLITE_OPEN_READWRITE, "test") == SQLITE_OK)
        (void)sqlite3_exec(db, how[test_below(seed, 3)], NULL, NULL, NULL);
    sqlite3_close(db);
}

enum outcome { SOUND, LOST, DAMAGED };

/* Whether the file holds exactly batches 1..n for one n >= acked. */
static enum outcome verdict(int64_t acked)
{
    struct found f = {0};
    struct store *store = open_store();
    struct err err = {0};
    if (!store)
        return DAMAGED;
    struct usage_query q = {.by = USAGE_BY_TENANT, .to_hour = 10};
    bool readable = store->ops->load(store, found_row, &f, &err) == 0 &&
                    store->ops->journal(store, 0, found_journal, &f, &err) == 0 &&
                    store->ops->usage(store, &q, found_usage, &f, &err) == 0;
    store->ops->close(store);
    int64_t n = f.events;
    int64_t sum = n * (n + 1) / 2;
    if (!readable || f.bad || f.debits != sum || f.credits != sum || f.transfers != n ||
        f.transfer_sum != sum || f.usage != sum || f.journal != n || f.leases != (n > 0))
        return DAMAGED;
    return n < acked || n > acked + 1 ? LOST : SOUND;
}

static enum outcome one_run(uint64_t run_seed, bool lie)
{
    uint64_t seed = run_seed;
    testvfs_reset(test_random(&seed));
    testvfs_lie(lie);
    bool from_birth = test_below(&seed, 8) == 0; /* else the tables are there when trouble begins */
    struct store *store = from_birth ? NULL : open_store();
    testvfs_crash_at(1 + test_below(&seed, from_birth ? 200 : 700));
    if (from_birth)
        store = open_store();
    int64_t acked = 0;
    for (int64_t n = 1; store && n <= BATCHES && !testvfs_crashed(); n++) {
        if (commit_batch(store, n, &seed) == 0 && !testvfs_crashed())
            acked = n;
        uint64_t chance = test_below(&seed, 20);
        if (chance == 0) {
            store->ops->close(store);
            store = open_store();
        } else if (chance < 3) {
            checkpoint(&seed);
        }
    }
    if (store)
        store->ops->close(store);
    testvfs_power_loss();
    testvfs_lie(false);
    return verdict(acked);
}

static void test_power_loss(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint64_t runs = test_count(300, 20000);
    for (uint64_t i = 0; i < runs; i++) {
        enum outcome outcome = one_run(seed + i, false);
        if (outcome != SOUND)
            fail_msg("BUSBAR_SEED=%llu: %s", (unsigned long long)(seed + i),
                     outcome == LOST ? "an acknowledged commit is lost" : "the file is damaged");
    }
    printf("# power losses survived: %llu\n", (unsigned long long)runs);
}

/* The control: with syncs that do nothing, acknowledged commits are lost, and this test sees it. */
static void test_control_loses(void **state)
{
    (void)state;
    uint64_t seed = 1;
    uint32_t outcomes[3] = {0};
    for (uint64_t i = 0; i < 50; i++)
        outcomes[one_run(seed + i, true)]++;
    printf("# without syncs: %u sound, %u lost, %u damaged\n", outcomes[SOUND], outcomes[LOST],
           outcomes[DAMAGED]);
    assert_true(outcomes[LOST] + outcomes[DAMAGED] >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_loss),
        cmocka_unit_test(test_control_loses),
    };
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
