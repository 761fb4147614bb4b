/* SPDX-License-Identifier: Apache-2.0 */
/* The store's promises, for SQLite and memory alike; then what only SQLite has: columns, backup, failing disks. */
#include "support.h"

#include <sqlite3.h>

#include "base/fs.h"
#include "store/store.h"
#include "testvfs.h"

struct bench {
    struct store *store;
    struct buf rows, events, leaves;
    uint64_t next;
    struct mirror mirror; /* what must be there */
};

static void bench_init(struct bench *b, struct store *store)
{
    *b = (struct bench){.store = store};
    buf_init(&b->rows, 1 << 24);
    buf_init(&b->events, 1 << 20);
    buf_init(&b->leaves, 1 << 20);
    mirror_init(&b->mirror);
    b->mirror.forget_transfers = true; /* load may leave out those that are over */
}

static void bench_fini(struct bench *b)
{
    b->store->ops->close(b->store);
    buf_fini(&b->rows);
    buf_fini(&b->events);
    buf_fini(&b->leaves);
    mirror_fini(&b->mirror);
}

static void add(struct bench *b, enum row_kind kind, enum row_op op, const void *row)
{
    store_row_add(&b->rows, kind, op, row);
}

/* Commits what was added, with `count` journal events; on success the mirror follows. */
static int commit(struct bench *b, uint32_t count)
{
    struct err err = {0};
    for (uint32_t i = 0; i < count; i++) {
        char leaf[32] = {(char)(b->next + i)};
        buf_addf(&b->events, "event %llu;", (unsigned long long)(b->next + i));
        buf_add(&b->leaves, leaf, sizeof leaf);
    }
    struct store_batch batch = {
        .rows = &b->rows, .first = b->next, .count = count, .events = &b->events, .leaves = &b->leaves};
    int rc = b->store->ops->commit(b->store, &batch, &err);
    const struct store_row *head;
    const void *row;
    for (size_t at = 0; rc == 0 && (head = store_row_next(&b->rows, &at, &row)) != NULL;)
        mirror_apply(&b->mirror, (enum row_kind)head->kind, (enum row_op)head->op, row);
    if (rc == 0)
        b->next += count;
    buf_clear(&b->rows);
    buf_clear(&b->events);
    buf_clear(&b->leaves);
    return rc;
}

static int load_row(void *ctx, enum row_kind kind, const void *row)
{
    mirror_apply(ctx, kind, ROW_PUT, row);
    return 0;
}

static int in_order(void *ctx, enum row_kind kind, const void *row)
{
    (void)row;
    int *last = ctx;
    assert_true((int)kind >= *last);
    *last = (int)kind;
    return 0;
}

static uint64_t loaded_digest(struct store *store)
{
    struct mirror m;
    struct err err = {0};
    mirror_init(&m);
    m.forget_transfers = true;
    int rc = store->ops->load(store, load_row, &m, &err);
    if (rc != 0)
        fail_msg("load: %s", err.msg);
    uint64_t digest = mirror_digest(&m);
    mirror_fini(&m);
    return digest;
}

/* The mirror without the books, which load leaves out; it has no transfers that are over. */
static uint64_t expected_digest(const struct bench *b)
{
    uint64_t digest = mirror_digest(&b->mirror);
    for (int kind = ROW_KIND_core + 1; kind < ROW_KIND_END; kind++)
        digest -= core_has_rows((enum row_kind)kind) ? 0 : b->mirror.digest[kind];
    return digest;
}

/* ---- for both ---- */

static uint64_t seed;

static void fill_row(const struct layout *layout, char *row)
{
    memset(row, 0, layout->size);
    for (uint16_t i = 0; i < layout->nfields; i++) {
        const struct field *f = &layout->fields[i];
        if (f->type == FIELD_text) {
            size_t len = test_below(&seed, f->size);
            for (size_t k = 0; k < len; k++)
                row[f->offset + k] = (char)('a' + test_below(&seed, 26));
        } else if (f->type == FIELD_uuids) {
            struct uuid_list list = {.n = (uint32_t)test_below(&seed, KEY_MODELS_MAX + 1)};
            for (size_t k = 0; k < list.n * sizeof(struct uuid); k++)
                list.v[k / sizeof list.v[0]].b[k % sizeof list.v[0]] = (uint8_t)test_random(&seed);
            memcpy(row + f->offset, &list, sizeof list);
        } else {
            for (size_t k = 0; k < f->size; k++)
                row[f->offset + k] = (char)test_random(&seed);
        }
    }
    if (layout->kind == ROW_KIND_transfer && test_below(&seed, 2))
        ((struct row_transfer *)(void *)row)->state = TRANSFER_PENDING;
}

static void check_round_trip(struct store *store)
{
    struct bench b;
    bench_init(&b, store);
    const struct layout *layout;
    _Alignas(8) char row[2048], keep[2048];
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; (layout = layout_row_at(i)) != NULL; i++) {
            enum row_kind kind = (enum row_kind)layout->kind;
            fill_row(layout, row);
            add(&b, kind, ROW_PUT, row);
            memcpy(keep, row, layout->size);
            fill_row(layout, row);
            size_t key =
                (size_t)layout->fields[layout->nkeys - 1].offset + layout->fields[layout->nkeys - 1].size;
            memcpy(row, keep, key);
            if (round % 3 == 1)
                add(&b, kind, ROW_PUT, row); /* the same key again: replaced */
            if (round % 3 == 2 && core_has_rows(kind))
                add(&b, kind, ROW_DELETE, row); /* the rest of the row does not matter */
        }
        assert_int_equal(commit(&b, 1), 0);
    }
    assert_true(loaded_digest(store) == expected_digest(&b));
    int last = 0, greatest = 0;
    struct err err = {0};
    for (uint32_t i = 0; (layout = layout_row_at(i)) != NULL; i++)
        greatest = core_has_rows((enum row_kind)layout->kind) ? layout->kind : greatest;
    assert_int_equal(store->ops->load(store, in_order, &last, &err), 0);
    for (uint32_t i = 0; (layout = layout_row_at(i)) != NULL; i++) {
        if (core_has_rows((enum row_kind)layout->kind) && (int)layout->kind > greatest)
            greatest = (int)layout->kind;
    }
    assert_int_equal(last, greatest);
    bench_fini(&b);
}

static int refuse_fifth(void *ctx, enum row_kind kind, const void *row)
{
    (void)kind;
    (void)row;
    return ++*(int *)ctx == 5 ? ERR_LIMIT : 0;
}

static void check_load_stops(struct store *store)
{
    struct bench b;
    bench_init(&b, store);
    for (uint64_t i = 0; i < 10; i++)
        add(&b, ROW_KIND_worker, ROW_PUT, &(struct row_worker){.id = uid('W', i)});
    assert_int_equal(commit(&b, 1), 0);
    int seen = 0;
    struct err err = {0};
    assert_int_equal(store->ops->load(store, refuse_fifth, &seen, &err), ERR_LIMIT);
    assert_int_equal(seen, 5);
    bench_fini(&b);
}

struct pages {
    uint64_t next;
    uint32_t rows;
    uint32_t stop_after;
};

static int on_page(void *ctx, const struct journal_row *row)
{
    struct pages *p = ctx;
    char want[64];
    int n = snprintf(want, sizeof want, "event %llu;", (unsigned long long)row->first);
    assert_true(row->events_len >= (size_t)n && memcmp(row->events, want, (size_t)n) == 0);
    assert_int_equal(row->leaves_len, 32 * row->count);
    assert_int_equal(row->leaves[0], (uint8_t)row->first);
    if (p->rows++ > 0)
        assert_true(row->first == p->next);
    p->next = row->first + row->count;
    return p->rows == p->stop_after;
}

static void check_journal(struct store *store)
{
    struct bench b;
    bench_init(&b, store);
    for (uint32_t i = 1; i <= 10; i++)
        assert_int_equal(commit(&b, i), 0); /* 55 events; row k begins at k(k-1)/2 */
    struct err err = {0};
    struct pages p = {0};
    assert_int_equal(store->ops->journal(store, 0, on_page, &p, &err), 0);
    assert_true(p.rows == 10 && p.next == 55);
    p = (struct pages){0};
    assert_int_equal(store->ops->journal(store, 14, on_page, &p, &err), 0); /* the last of 10..14 */
    assert_true(p.rows == 6 && p.next == 55);
    p = (struct pages){0};
    assert_int_equal(store->ops->journal(store, 15, on_page, &p, &err), 0);
    assert_int_equal(p.rows, 5);
    p = (struct pages){0};
    assert_int_equal(store->ops->journal(store, 55, on_page, &p, &err), 0);
    assert_int_equal(p.rows, 0);
    p = (struct pages){.stop_after = 2};
    assert_int_equal(store->ops->journal(store, 0, on_page, &p, &err), 0);
    assert_int_equal(p.rows, 2);
    bench_fini(&b);
}

struct job_list {
    uint64_t sequence[8];
    uint32_t n;
};

static void take_job(void *ctx, const struct row_job *row)
{
    struct job_list *list = ctx;
    assert_true(list->n < 8);
    list->sequence[list->n++] = row->sequence;
}

static struct job_list jobs_of(struct store *store, const struct job_query *query)
{
    struct job_list list = {.n = 0};
    struct err err = {0};
    assert_int_equal(store->ops->jobs(store, query, take_job, &list, &err), 0);
    return list;
}

/* One by its id, also when it is over; pages from the newest on; those of one tenant, an array, some states. */
static void check_jobs(struct store *store)
{
    struct bench b;
    bench_init(&b, store);
    for (uint32_t i = 0; i < 6; i++) {
        struct row_job row = {
            .id = uid('J', i), .tenant = uid('T', i % 2), .sequence = i, .state = JOB_QUEUED};
        add(&b, ROW_KIND_job, ROW_PUT, &row);
    }
    assert_int_equal(commit(&b, 1), 0);
    struct row_job over = {.id = uid('J', 3), .tenant = uid('T', 1), .sequence = 30, .state = JOB_ENDED};
    add(&b, ROW_KIND_job, ROW_PUT, &over);
    assert_int_equal(commit(&b, 1), 0);
    const struct uuid third = uid('J', 3), tenant = uid('T', 1), nobody = uid('T', 7);
    const struct uuid array = uid('J', 0), unknown = uid('J', 9);
    struct row_job one;
    struct err err = {0};
    assert_int_equal(store->ops->get(store, ROW_KIND_job, &third, &one, &err), 0);
    assert_memory_equal(&one, &over, sizeof one);
    assert_int_equal(store->ops->get(store, ROW_KIND_job, &unknown, &one, &err), ERR_NOT_FOUND);
    assert_int_equal(
        store->ops->get(store, ROW_KIND_job_array, &third, &(struct row_job_array){.first = 0}, &err),
        ERR_NOT_FOUND);
    struct job_list found = jobs_of(store, &(struct job_query){.array = &array, .limit = 8});
    assert_int_equal(found.n, 5);
    assert_int_equal(found.sequence[4], 1);
    found = jobs_of(store, &(struct job_query){.states = 1u << JOB_ENDED | 1u << JOB_UNMET, .limit = 8});
    assert_int_equal(found.n, 1);
    assert_int_equal(found.sequence[0], 30);
    found = jobs_of(store, &(struct job_query){.limit = 2});
    assert_int_equal(found.n, 2);
    assert_int_equal(found.sequence[0], 5);
    assert_int_equal(found.sequence[1], 4);
    found = jobs_of(store, &(struct job_query){.tenant = &tenant, .before = &third, .limit = 8});
    assert_int_equal(found.n, 1);
    assert_int_equal(found.sequence[0], 1);
    assert_int_equal(jobs_of(store, &(struct job_query){.tenant = &nobody, .limit = 8}).n, 0);
    bench_fini(&b);
}

struct epoch_list {
    struct row_job_usage row[4];
    uint32_t n;
};

static void take_epoch(void *ctx, const struct row_job_usage *row)
{
    struct epoch_list *list = ctx;
    assert_true(list->n < 4);
    list->row[list->n++] = *row;
}

/* The epochs of a job in their order, none of another one, as they were committed last. */
static void check_job_usage(struct store *store)
{
    struct bench b;
    bench_init(&b, store);
    struct row_job_usage row = {.price = 7, .chip_ms = UINT64_C(1) << 40, .cost = 3};
    for (uint32_t epoch = 1; epoch <= 3; epoch++) {
        for (uint32_t job = 1; job <= 2; job++) {
            row.job = uid('J', job);
            row.epoch = epoch;
            row.unpaid = epoch * 10 + job;
            add(&b, ROW_KIND_job_usage, ROW_PUT, &row);
        }
    }
    assert_int_equal(commit(&b, 1), 0);
    row = (struct row_job_usage){.job = uid('J', 1), .epoch = 2, .state = JOB_USAGE_CLOSED, .cost = 22};
    add(&b, ROW_KIND_job_usage, ROW_PUT, &row);
    assert_int_equal(commit(&b, 1), 0);
    struct epoch_list list = {.n = 0};
    struct err err = {0};
    assert_int_equal(store->ops->job_usage(store, &row.job, take_epoch, &list, &err), 0);
    assert_int_equal(list.n, 3);
    for (uint32_t i = 0; i < list.n; i++)
        assert_int_equal(list.row[i].epoch, i + 1);
    assert_memory_equal(&list.row[1], &row, sizeof row);
    assert_true(list.row[2].unpaid == 31 && list.row[2].chip_ms == UINT64_C(1) << 40);
    list.n = 0;
    const struct uuid unknown = uid('J', 9);
    assert_int_equal(store->ops->job_usage(store, &unknown, take_epoch, &list, &err), 0);
    assert_int_equal(list.n, 0);
    bench_fini(&b);
}

static void add_moved(void *ctx, const struct row_job_usage *row)
{
    struct row_job_usage *sum = ctx;
    sum->bytes_in += row->bytes_in;
    sum->bytes_out += row->bytes_out;
    sum->data_cost += row->data_cost;
    sum->data_unpaid += row->data_unpaid;
    sum->corridor = row->corridor;
    sum->chips++;
}

/* Of one tenant, of epochs that started in some hours, and only of those that moved something. */
static void check_moved(struct store *store)
{
    const int64_t hour_ms = 3600000;
    struct bench b;
    bench_init(&b, store);
    for (uint32_t i = 0; i < 16; i++) { /* tenants, hours, corridors and what moves nothing */
        const struct row_job_usage row = {.job = uid('J', i),
                                          .epoch = 1,
                                          .tenant = uid('T', i % 2),
                                          .started_ms = hour_ms * (i / 2 % 2 + 1) + (i % 2 ? hour_ms - 1 : 0),
                                          .corridor = uid('C', i / 4 % 2),
                                          .bytes_in = i < 8 ? 1000 + i : 0,
                                          .bytes_out = i < 8 ? 100 : 0,
                                          .data_cost = i < 8 ? 10 : 0,
                                          .data_unpaid = i < 8 ? 1 : 0};
        add(&b, ROW_KIND_job_usage, ROW_PUT, &row);
    }
    assert_int_equal(commit(&b, 1), 0);
    const struct uuid tenant = uid('T', 1);
    struct usage_query query = {.tenant = &tenant, .from_hour = 1, .to_hour = 2};
    struct row_job_usage sum = {.chips = 0};
    struct err err = {0};
    assert_int_equal(store->ops->moved(store, &query, add_moved, &sum, &err), 0);
    assert_int_equal(sum.chips, 2); /* corridors */
    assert_true(sum.bytes_in == 1001 + 1005 && sum.bytes_out == 200 && sum.data_cost == 20 &&
                sum.data_unpaid == 2);
    const struct uuid last = uid('C', 1);
    assert_true(uuid_eq(&sum.corridor, &last));
    query = (struct usage_query){.from_hour = 2, .to_hour = INT64_MAX};
    sum = (struct row_job_usage){.chips = 0};
    assert_int_equal(store->ops->moved(store, &query, add_moved, &sum, &err), 0);
    assert_true(sum.bytes_in == 4000 + 2 + 3 + 6 + 7 && sum.data_cost == 40);
    query.from_hour = 3;
    sum = (struct row_job_usage){.chips = 0};
    assert_int_equal(store->ops->moved(store, &query, add_moved, &sum, &err), 0);
    assert_int_equal(sum.chips, 0);
    bench_fini(&b);
}

static void add_usage(void *ctx, const struct row_usage *row)
{
    struct row_usage *sum = ctx;
    sum->requests += row->requests;
    sum->prompt += row->prompt;
    sum->completion += row->completion;
    sum->cost += row->cost;
    sum->hour++; /* rows seen */
}

static void usage_rows(struct bench *b)
{
    for (uint64_t i = 0; i < 60; i++) {
        struct row_usage row = {.tenant = uid('T', i % 2),
                                .key = uid('K', i % 3),
                                .model = uid('M', i % 5),
                                .hour = 100 + i % 4,
                                .requests = 1,
                                .prompt = i,
                                .completion = 2 * i,
                                .cost = (int64_t)i * 10 - 100};
        add(b, ROW_KIND_usage, ROW_ADD, &row);
        add(b, ROW_KIND_usage, ROW_ADD, &row); /* twice in one batch: added twice */
        assert_int_equal(commit(b, 1), 0);
    }
}

static void check_usage(struct store *store, bool grouped)
{
    struct bench b;
    struct err err = {0};
    bench_init(&b, store);
    usage_rows(&b);
    const uint32_t groups[] = {2, 3, 5, 4};
    struct uuid tenant = uid('T', 1);
    for (int by = USAGE_BY_TENANT; by <= USAGE_BY_HOUR; by++) {
        struct row_usage sum = {.hour = 0};
        struct usage_query q = {.by = (enum usage_by)by, .from_hour = 0, .to_hour = 1000};
        assert_int_equal(store->ops->usage(store, &q, add_usage, &sum, &err), 0);
        assert_true(sum.requests == 120 && sum.prompt == 2 * 1770 && sum.completion == 4 * 1770);
        assert_true(sum.cost == 2 * (17700 - 6000));
        if (grouped)
            assert_int_equal(sum.hour, groups[by]);
        sum = (struct row_usage){.hour = 0};
        q = (struct usage_query){
            .by = (enum usage_by)by, .tenant = &tenant, .from_hour = 101, .to_hour = 102};
        assert_int_equal(store->ops->usage(store, &q, add_usage, &sum, &err), 0);
        assert_int_equal(sum.requests, 30); /* i % 4 == 1 is odd, so all of tenant 1 */
    }
    bench_fini(&b);
}

static void on_memory(void (*check)(struct store *))
{
    check(store_memory_new(0));
}

static struct store *sqlite_at(const char *path, const char *vfs)
{
    struct store *store = NULL;
    struct err err = {0};
    if (store_sqlite_open(&store, path, vfs, &err) != 0)
        fail_msg("%s", err.msg);
    return store;
}

static void on_sqlite(void (*check)(struct store *))
{
    char *folder = test_folder();
    char path[FS_PATH_MAX];
    assert_true(fs_join(path, folder, "busbar.db"));
    check(sqlite_at(path, NULL));
    test_folder_remove(folder);
}

static void usage_memory(struct store *store)
{
    check_usage(store, false);
}

static void usage_sqlite(struct store *store)
{
    check_usage(store, true);
}

#define BOTH(name, check) \
    static void test_##name(void **state) \
    { \
        (void)state; \
        on_memory(check); \
        on_sqlite(check); \
    }
BOTH(round_trip, check_round_trip)
BOTH(load_stops, check_load_stops)
BOTH(journal, check_journal)
BOTH(jobs, check_jobs)
BOTH(job_usage, check_job_usage)
BOTH(moved, check_moved)

static void test_usage(void **state)
{
    (void)state;
    on_memory(usage_memory);
    on_sqlite(usage_sqlite);
}

static void test_memory_fails_once(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, store_memory_new(2));
    add(&b, ROW_KIND_worker, ROW_PUT, &(struct row_worker){.id = uid('W', 1)});
    assert_int_equal(commit(&b, 1), 0);
    add(&b, ROW_KIND_worker, ROW_PUT, &(struct row_worker){.id = uid('W', 2)});
    assert_int_equal(commit(&b, 1), ERR_IO);
    assert_true(loaded_digest(b.store) == expected_digest(&b));
    struct err err = {0};
    assert_int_equal(b.store->ops->backup(b.store, "/tmp/never", &err), ERR_UNSUPPORTED);
    assert_int_equal(commit(&b, 1), 0);
    bench_fini(&b);
}

/* ---- SQLite ---- */

static void exec(const char *path, const char *sql)
{
    sqlite3 *db;
    char *msg = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &msg) != SQLITE_OK)
        fail_msg("%s: %s", sql, msg);
    sqlite3_close(db);
}

static void some_rows(struct bench *b)
{
    for (uint64_t i = 0; i < 20; i++) {
        add(b, ROW_KIND_tenant, ROW_PUT, &(struct row_tenant){.id = uid('T', i), .name = "x", .ledger = EUR});
        add(b, ROW_KIND_site, ROW_PUT, &(struct row_site){.id = uid('S', i), .name = "y"});
    }
    assert_int_equal(commit(b, 3), 0);
}

/* An account's transfers are found by an index, not by reading all there are; in a file of an older binary as well. */
static void test_transfers_by_index(void **state)
{
    (void)state;
    char *folder = test_folder();
    char path[FS_PATH_MAX];
    assert_true(fs_join(path, folder, "busbar.db"));
    struct bench b;
    bench_init(&b, sqlite_at(path, NULL));
    some_rows(&b);
    b.store->ops->close(b.store);
    exec(path, "DROP INDEX bb_transfer_debit; DROP INDEX bb_transfer_credit");
    b.store = sqlite_at(path, NULL);
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    bool by_debit = false, by_credit = false;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "EXPLAIN QUERY PLAN SELECT * FROM bb_transfer WHERE 1 AND"
                                        " (\"debit_owner\" = ?1 OR \"credit_owner\" = ?1) ORDER BY \"id\"",
                                        -1, &stmt, NULL),
                     SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *line = (const char *)sqlite3_column_text(stmt, 3);
        by_debit = by_debit || strstr(line, "bb_transfer_debit");
        by_credit = by_credit || strstr(line, "bb_transfer_credit");
        assert_null(strstr(line, "SCAN bb_transfer"));
    }
    assert_true(by_debit && by_credit);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    bench_fini(&b);
    test_folder_remove(folder);
}

struct beside {
    struct store *store;
    uint32_t n;
};

static int get_beside(void *ctx, enum row_kind kind, const void *row)
{
    struct beside *s = ctx;
    struct row_tenant other;
    struct err err = {0};
    const struct uuid id = uid('T', 19);
    (void)row;
    assert_int_equal(kind, ROW_KIND_tenant);
    assert_int_equal(s->store->ops->get(s->store, ROW_KIND_tenant, &id, &other, &err), 0);
    s->n++;
    return 0;
}

/* Rows may be all there are: whoever reads something else does not wait until they are read. */
static void test_reads_beside_rows(void **state)
{
    (void)state;
    char *folder = test_folder();
    char path[FS_PATH_MAX];
    assert_true(fs_join(path, folder, "busbar.db"));
    struct bench b;
    struct err err = {0};
    bench_init(&b, sqlite_at(path, NULL));
    some_rows(&b);
    struct beside beside = {.store = b.store};
    const struct row_query all = {.kind = ROW_KIND_tenant};
    assert_int_equal(b.store->ops->rows(b.store, &all, 1, get_beside, &beside, &err), 0);
    assert_int_equal(beside.n, 20);
    bench_fini(&b);
    test_folder_remove(folder);
}

/* A file of an older binary lacks columns: they come with their defaults, and nothing else changes. */
static void test_added_columns(void **state)
{
    (void)state;
    char *folder = test_folder();
    char path[FS_PATH_MAX];
    assert_true(fs_join(path, folder, "busbar.db"));
    struct bench b;
    bench_init(&b, sqlite_at(path, NULL));
    some_rows(&b);
    b.store->ops->close(b.store);
    exec(path, "ALTER TABLE bb_tenant DROP COLUMN created_ms; ALTER TABLE bb_tenant DROP COLUMN name;"
               "DROP TABLE bb_replica; ALTER TABLE bb_key DROP COLUMN models; ALTER TABLE bb_key DROP "
               "COLUMN hash");
    b.store = sqlite_at(path, NULL);
    for (uint64_t i = 0; i < 20; i++)
        mirror_apply(&b.mirror, ROW_KIND_tenant, ROW_PUT,
                     &(struct row_tenant){.id = uid('T', i), .ledger = EUR});
    assert_true(loaded_digest(b.store) == expected_digest(&b));
    struct row_key key = {
        .id = uid('K', 1), .public_id = "p", .hash = {1}, .models = {.n = 1, .v = {uid('M', 1)}}};
    add(&b, ROW_KIND_key, ROW_PUT, &key);
    assert_int_equal(commit(&b, 1), 0);
    assert_true(loaded_digest(b.store) == expected_digest(&b));
    bench_fini(&b);
    test_folder_remove(folder);
}

struct bills {
    struct row_bill row[4];
    uint32_t n;
};

static int take_bill(void *ctx, enum row_kind kind, const void *row)
{
    struct bills *bills = ctx;
    assert_true(kind == ROW_KIND_bill && bills->n < 4);
    bills->row[bills->n++] = *(const struct row_bill *)row;
    return 0;
}

static struct bills all_bills(struct store *store)
{
    const struct row_query all = {.kind = ROW_KIND_bill};
    struct bills bills = {.n = 0};
    struct err err;
    assert_int_equal(store->ops->rows(store, &all, 1, take_bill, &bills, &err), 0);
    return bills;
}

/* Lines of bills of an older binary have a key without the month that bills them: their table is made anew, with all that is in it. */
static void test_added_key(void **state)
{
    (void)state;
    char *folder = test_folder();
    char path[FS_PATH_MAX];
    assert_true(fs_join(path, folder, "busbar.db"));
    struct bench b;
    bench_init(&b, sqlite_at(path, NULL));
    b.store->ops->close(b.store);
    exec(
        path,
        "DROP TABLE bb_bill; CREATE TABLE bb_bill (tenant BLOB NOT NULL DEFAULT '', day BIGINT NOT NULL "
        "DEFAULT 0,"
        " item BLOB NOT NULL DEFAULT '', variant BLOB NOT NULL DEFAULT '', site BLOB NOT NULL DEFAULT '',"
        " price BLOB NOT NULL DEFAULT '', rate BIGINT NOT NULL DEFAULT 0, requests BIGINT NOT NULL DEFAULT 0,"
        " cost BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (tenant, day, item, variant, site, price, rate));"
        "INSERT INTO bb_bill VALUES (x'01000000000000000000000000000000', 7, zeroblob(16), zeroblob(16),"
        " zeroblob(16), zeroblob(16), 5, 3, 300), (x'01000000000000000000000000000000', 8, zeroblob(16),"
        " zeroblob(16), zeroblob(16), zeroblob(16), 5, 1, 100)");
    struct row_bill more = {.tenant = {{1}}, .day = 7, .rate = 5, .requests = 1, .cost = 11};
    for (uint64_t open = 0; open < 2; open++) {
        b.store = sqlite_at(path, NULL);
        struct bills bills = all_bills(b.store);
        assert_true(bills.n == 2 + open && bills.row[0].cost == 300 + 11 * (int64_t)open);
        assert_true(bills.row[0].billed == 0 && bills.row[0].requests == 3 + open && bills.row[0].day == 7);
        assert_true(bills.row[1 + open].day == 8 && bills.row[1 + open].cost == 100);
        if (open == 0) {
            add(&b, ROW_KIND_bill, ROW_ADD, &more);
            more.billed = 9; /* a line of its own */
            add(&b, ROW_KIND_bill, ROW_ADD, &more);
            assert_int_equal(commit(&b, 1), 0);
            b.store->ops->close(b.store);
        } else {
            assert_true(bills.row[1].billed == 9 && bills.row[1].cost == 11);
        }
    }
    bench_fini(&b);
    test_folder_remove(folder);
}

struct pasts {
    struct row_unit_past row[4];
    uint32_t n;
};

static int take_past(void *ctx, enum row_kind kind, const void *row)
{
    struct pasts *pasts = ctx;
    assert_true(kind == ROW_KIND_unit_past && pasts->n < 4);
    pasts->row[pasts->n++] = *(const struct row_unit_past *)row;
    return 0;
}

/* Pasts of chips of an older binary have the site beside the key: two sites at one time were one line. */
static void test_widened_key(void **state)
{
    (void)state;
    char *folder = test_folder();
    char path[FS_PATH_MAX];
    assert_true(fs_join(path, folder, "busbar.db"));
    struct bench b;
    struct err err;
    bench_init(&b, sqlite_at(path, NULL));
    b.store->ops->close(b.store);
    exec(path,
         "DROP TABLE bb_unit_past; CREATE TABLE bb_unit_past (unit BLOB NOT NULL DEFAULT '', at_ms BIGINT "
         "NOT NULL DEFAULT 0, what BIGINT NOT NULL DEFAULT 0, site BLOB NOT NULL DEFAULT '', \"from\" BLOB "
         "NOT NULL DEFAULT '', text BLOB NOT NULL DEFAULT '', PRIMARY KEY (unit, at_ms, what));"
         "INSERT INTO bb_unit_past (unit, at_ms, what, site, \"from\") VALUES "
         "(x'01000000000000000000000000000000', 7, 2, x'02000000000000000000000000000000', zeroblob(16))");
    b.store = sqlite_at(path, NULL);
    const struct row_unit_past more = {.unit = {{1}}, .at_ms = 7, .what = 2, .site = {{3}}};
    add(&b, ROW_KIND_unit_past, ROW_PUT, &more);
    assert_int_equal(commit(&b, 1), 0);
    const struct row_query all = {.kind = ROW_KIND_unit_past};
    struct pasts pasts = {.n = 0};
    assert_int_equal(b.store->ops->rows(b.store, &all, 1, take_past, &pasts, &err), 0);
    assert_int_equal(pasts.n, 2);
    assert_int_equal(pasts.row[0].site.b[0], 2);
    assert_int_equal(pasts.row[1].site.b[0], 3);
    bench_fini(&b);
    test_folder_remove(folder);
}

static void test_backup(void **state)
{
    (void)state;
    char *folder = test_folder();
    char path[FS_PATH_MAX], copy[FS_PATH_MAX];
    assert_true(fs_join(path, folder, "busbar.db") && fs_join(copy, folder, "copy.db"));
    struct bench b;
    struct err err = {0};
    bench_init(&b, sqlite_at(path, NULL));
    some_rows(&b);
    assert_int_equal(b.store->ops->backup(b.store, copy, &err), 0);
    assert_int_equal(b.store->ops->backup(b.store, copy, &err), ERR_IO); /* never over something */
    struct store *other = sqlite_at(copy, NULL);
    assert_true(loaded_digest(other) == expected_digest(&b));
    struct pages p = {0};
    assert_int_equal(other->ops->journal(other, 0, on_page, &p, &err), 0);
    assert_int_equal(p.next, 3);
    other->ops->close(other);
    some_rows(&b); /* the backup did not disturb it */
    bench_fini(&b);
    test_folder_remove(folder);
}

static void test_damaged_values(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "UPDATE bb_tenant SET ledger = -1",
        "UPDATE bb_tenant SET ledger = 4294967296",
        "UPDATE bb_tenant SET id = x'0011' WHERE id = (SELECT MIN(id) FROM bb_tenant)",
        "UPDATE bb_tenant SET name = hex(zeroblob(40))",
        "UPDATE bb_tenant SET name = CAST(x'610062' AS TEXT)",
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        char *folder = test_folder();
        char path[FS_PATH_MAX];
        assert_true(fs_join(path, folder, "busbar.db"));
        struct bench b;
        struct err err = {0};
        struct mirror ignored;
        bench_init(&b, sqlite_at(path, NULL));
        some_rows(&b);
        exec(path, damages[i]);
        mirror_init(&ignored);
        assert_int_equal(b.store->ops->load(b.store, load_row, &ignored, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.msg, "tenant"));
        mirror_fini(&ignored);
        bench_fini(&b);
        test_folder_remove(folder);
    }
}

static void test_cannot_open(void **state)
{
    (void)state;
    struct store *store = NULL;
    struct err err = {0};
    assert_int_equal(store_sqlite_open(&store, "/nowhere/at/all.db", NULL, &err), ERR_IO);
    assert_null(store);
    char *folder = test_folder();
    char path[FS_PATH_MAX];
    assert_true(fs_join(path, folder, "busbar.db"));
    char junk[8192];
    memset(junk, 'j', sizeof junk);
    assert_int_equal(fs_write_atomic(path, junk, sizeof junk, 0600, &err), 0);
    assert_int_equal(store_sqlite_open(&store, path, NULL, &err), ERR_IO);
    test_folder_remove(folder);
}

/* Commit after commit meets a disk that fails `count` writes or syncs after letting `skip` pass. A commit that
 * failed is not there after the next load, one that succeeded is; nothing works in between. */
static void fail_and_go_on(unsigned kinds, uint32_t skip, uint32_t count)
{
    struct bench b;
    struct err err = {0};
    testvfs_reset(seed);
    bench_init(&b, sqlite_at("/busbar.db", "test"));
    some_rows(&b);
    testvfs_fail(kinds, skip, count);
    uint64_t done = 0;
    for (uint64_t i = 0; i < 200 && done < 5; i++) {
        add(&b, ROW_KIND_worker, ROW_PUT, &(struct row_worker){.id = uid('W', i), .sequence = i});
        add(&b, ROW_KIND_tenant, ROW_DELETE, &(struct row_tenant){.id = uid('T', i % 20)});
        int rc = commit(&b, 1);
        done += rc == 0 && testvfs_fails_left() == 0;
        if (rc == 0)
            continue;
        assert_int_equal(rc, ERR_IO);
        add(&b, ROW_KIND_worker, ROW_PUT, &(struct row_worker){.id = uid('W', 9999)});
        assert_int_equal(commit(&b, 1), ERR_IO); /* must be loaded first */
        struct mirror ignored;
        int loaded = ERR_IO;
        for (int k = 0; k < 100 && loaded != 0; k++) {
            mirror_init(&ignored);
            loaded = b.store->ops->load(b.store, load_row, &ignored, &err);
            uint64_t found = mirror_digest(&ignored);
            mirror_fini(&ignored);
            if (loaded == 0 && found != expected_digest(&b))
                fail_msg("kinds %u skip %u count %u: a commit that failed is there", kinds, skip, count);
        }
        assert_int_equal(loaded, 0);
    }
    assert_int_equal(done, 5);
    assert_true(loaded_digest(b.store) == expected_digest(&b));
    struct pages p = {0};
    assert_int_equal(b.store->ops->journal(b.store, 0, on_page, &p, &err), 0);
    assert_true(p.next == b.next);
    bench_fini(&b);
}

static void test_failing_disk(void **state)
{
    (void)state;
    for (unsigned kinds = TESTVFS_WRITE; kinds <= (TESTVFS_WRITE | TESTVFS_SYNC); kinds++) {
        for (uint32_t skip = 0; skip < 12; skip++) {
            for (uint32_t count = 1; count < 5; count++)
                fail_and_go_on(kinds, skip, count);
        }
    }
}

static int start(void **state)
{
    (void)state;
    seed = test_seed();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_load_stops),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_job_usage),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_memory_fails_once),
        cmocka_unit_test(test_added_columns),
        cmocka_unit_test(test_added_key),
        cmocka_unit_test(test_widened_key),
        cmocka_unit_test(test_backup),
        cmocka_unit_test(test_damaged_values),
        cmocka_unit_test(test_cannot_open),
        cmocka_unit_test(test_failing_disk),
        cmocka_unit_test(test_transfers_by_index),
        cmocka_unit_test(test_reads_beside_rows),
    };
    return cmocka_run_group_tests_name("store", tests, start, NULL);
}
