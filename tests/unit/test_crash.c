/* SPDX-License-Identifier: Apache-2.0 */
/* Power loss: what the store acknowledged is there after it, whole; and the test would see it if it were not. Of a store that is made
 * or filled just then; test_power.c has what a hub does with it. */
#include "support.h"

#include <sqlite3.h>

#include "base/digest.h"
#include "store/store.h"
#include "testvfs.h"
#include "tlog/merkle.h"

#define BATCHES 60

static struct store *open_store(void)
{
    struct store *store = NULL;
    return store_sqlite_open(&store, "/busbar.db", "test", NULL) == 0 ? store : NULL;
}

/* The tree of n leaves: leaf i is the hash of the byte i. */
static const struct merkle_edge *tree_of(uint64_t n)
{
    static struct merkle_edge edge;
    if (edge.size > n)
        edge = (struct merkle_edge){0};
    while (edge.size < n) {
        uint8_t space[2] = {0, (uint8_t)edge.size};
        struct merkle_hash leaf;
        merkle_leaf(digest_sha256, leaf.b, space + 1, 1);
        merkle_edge_add(digest_sha256, &edge, &leaf);
    }
    return &edge;
}

/* What batch n adds to the log: a leaf, and a receipt of it. */
static void fill_log(struct buf parts[4], int64_t n)
{
    uint8_t bundled[3] = {0, 1, (uint8_t)(n - 1)}, packed[MERKLE_EDGE_PACKED_MAX];
    struct store_receipt receipt = {.id = uid('R', (uint64_t)n), .leaf = (uint64_t)n - 1, .facts_len = 4};
    for (int i = 0; i < 4; i++)
        buf_init(&parts[i], 4096);
    buf_add(&parts[0], bundled, sizeof bundled);
    buf_add(&parts[1], (uint8_t[STORE_SALT_LEN]){(uint8_t)n}, STORE_SALT_LEN);
    store_receipt_add(&parts[2], &receipt, "a b\n");
    buf_add(&parts[3], packed, merkle_edge_pack(tree_of((uint64_t)n), packed));
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
    struct buf parts[4];
    fill_log(parts, n);
    struct store_log log = {.first = (uint64_t)n - 1,
                            .count = 1,
                            .entries = &parts[0],
                            .salts = &parts[1],
                            .receipts = &parts[2],
                            .edge = &parts[3]};
    struct store_batch batch = {.rows = &rows,
                                .first = (uint64_t)n - 1,
                                .count = 1,
                                .events = &events,
                                .leaves = &leaves,
                                .log = &log};
    int rc = store->ops->commit(store, &batch, NULL);
    buf_fini(&rows);
    buf_fini(&events);
    buf_fini(&leaves);
    for (int i = 0; i < 4; i++)
        buf_fini(&parts[i]);
    return rc;
}

struct found {
    int64_t events, debits, credits, transfers, transfer_sum, leases, usage, journal, leaves, receipts;
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

static int found_leaf(void *ctx, const struct log_row *row)
{
    struct found *f = ctx;
    f->bad |= row->first != (uint64_t)f->leaves || row->count != 1 || row->entries_len != 3 ||
              row->entries[2] != (uint8_t)f->leaves || row->salts[0] != (uint8_t)(f->leaves + 1);
    f->leaves++;
    return 0;
}

static void found_receipt(void *ctx, const struct store_receipt *receipt, const char *facts)
{
    struct found *f = ctx;
    f->bad |= receipt->facts_len != 4 || memcmp(facts, "a b\n", 4) != 0;
    f->receipts++;
}

/* The log of n batches: leaves, receipts, and the edge of their tree. */
static bool log_is(struct store *store, struct found *f, int64_t n, struct err *err)
{
    uint8_t packed[MERKLE_EDGE_PACKED_MAX];
    size_t len = merkle_edge_pack(tree_of((uint64_t)n), packed);
    struct buf edge;
    buf_init(&edge, sizeof packed);
    bool good =
        store->ops->log(store, 0, found_leaf, f, err) == 0 && store->ops->log_edge(store, &edge, err) == 0;
    for (int64_t i = 1; good && i <= n; i++) {
        struct uuid id = uid('R', (uint64_t)i);
        good = store->ops->receipts(store, &id, found_receipt, f, err) == 0;
    }
    good = good && f->leaves == n && f->receipts == n;
    good = good && (n == 0 ? edge.len == 0 : edge.len == len && memcmp(edge.data, packed, len) == 0);
    buf_fini(&edge);
    return good;
}

/* Whether the file holds exactly batches 1..n for one n >= acked. */
static enum outcome verdict(int64_t acked)
{
    struct found f = {0};
    struct store *store = open_store();
    struct err err = {0};
    if (!store)
        return DAMAGED;
    struct usage_query q = {.by = USAGE_BY_TENANT, .to_hour = 10};
    struct row_query transfers = {.kind = ROW_KIND_transfer};
    bool readable = store->ops->load(store, found_row, &f, &err) == 0 &&
                    store->ops->rows(store, &transfers, 1, found_row, &f, &err) == 0 &&
                    store->ops->journal(store, 0, found_journal, &f, &err) == 0 &&
                    store->ops->usage(store, &q, found_usage, &f, &err) == 0 &&
                    log_is(store, &f, f.events, &err);
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
    uint64_t runs = test_count(150, 4000);
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
