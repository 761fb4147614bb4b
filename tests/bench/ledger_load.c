/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable transfers, by busbar and by SQLite alone. ledger_load FOLDER ROWS TRANSFERS ROUNDS: fills the table of transfers with so
 * many rows, once; then each round, on the same file: payments as events through core, group commit and the store, each acknowledged;
 * then the very rows of these commits, with other ids, by statements of SQLite, prepared and in transactions of the same
 * groups; then of these rows the transfers only. Pragmas are the store's own in all three. Prints a line of JSON for each.
 */
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/osrandom.h"
#include "bench.h"
#include "core/ledger.h"
#include "runtime/runtime.h"
#include "store/sql.h"

#define EUR 978
#define IN_FLIGHT (3 * COMMIT_EVENTS)

/* ---- the clock ---- */

struct times {
    uint64_t wall, cpu;
    uint64_t *commit; /* ns of each */
    uint32_t n, cap;
};

static void times_begin(struct times *t)
{
    t->n = 0;
    t->wall = clock_mono_ns();
    t->cpu = cpu_ns();
}

static void times_add(struct times *t, uint64_t ns)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 4096;
        t->commit = realloc(t->commit, t->cap * sizeof *t->commit);
        if (!t->commit)
            die("out of memory", "");
    }
    t->commit[t->n++] = ns;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void times_end(struct times *t, const char *target, uint64_t round, uint64_t transfers)
{
    double wall = (double)(clock_mono_ns() - t->wall) / 1e9, cpu = (double)(cpu_ns() - t->cpu) / 1e9;
    qsort(t->commit, t->n, sizeof *t->commit, by_size);
    printf("{\"target\":\"%s\",\"round\":%llu,\"transfers\":%llu,\"commits\":%u,\"seconds\":%.4f,"
           "\"cpu_seconds\":%.4f,\"per_second\":%.0f,\"per_cpu_second\":%.0f,\"commit_p50_ms\":%.3f,"
           "\"commit_p99_ms\":%.3f}\n",
           target, (unsigned long long)round, (unsigned long long)transfers, t->n, wall, cpu,
           (double)transfers / wall, (double)transfers / cpu, (double)t->commit[t->n / 2] / 1e6,
           (double)t->commit[(uint64_t)t->n * 99 / 100] / 1e6);
    fflush(stdout);
}

/* ---- SQLite alone ---- */

static sqlite3 *db_open(const char *path, const char *pragmas)
{
    sqlite3 *db;
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
        die("SQLite: ", sqlite3_errmsg(db));
    return db;
}

static void db_run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die("SQLite: ", sqlite3_errmsg(db));
}

static sqlite3_stmt *db_prepare(sqlite3 *db, const char *sql, size_t len)
{
    sqlite3_stmt *stmt;
    if (sqlite3_prepare_v3(db, sql, (int)len, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
        die("SQLite: ", sqlite3_errmsg(db));
    return stmt;
}

static sqlite3_stmt *prepare_put(sqlite3 *db, uint32_t kind)
{
    struct buf sql;
    buf_init(&sql, 8192);
    sql_upsert(&sql, layout_row(kind), false);
    sqlite3_stmt *stmt = db_prepare(db, sql.data, sql.len);
    buf_fini(&sql);
    return stmt;
}

static void step(sqlite3 *db, sqlite3_stmt *stmt)
{
    if (sqlite3_step(stmt) != SQLITE_DONE)
        die("SQLite: ", sqlite3_errmsg(db));
    sqlite3_reset(stmt);
}

static const char pragmas[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                              "PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-16384;";

/* ---- rows that are there already ---- */

/* As of a payment long ago; ids rise with n, as a UUIDv7 does with time. */
static void fill(const char *path, uint64_t rows)
{
    sqlite3 *db =
        db_open(path, "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-262144;");
    sqlite3_stmt *put = prepare_put(db, ROW_KIND_transfer);
    struct row_transfer row = {.debit_code = ACCOUNT_FUNDING,
                               .credit_code = ACCOUNT_WALLET,
                               .ledger = EUR,
                               .amount = 1000000,
                               .posted = 1000000,
                               .state = TRANSFER_POSTED,
                               .code = TRANSFER_TOPUP};
    uint64_t random = 1;
    db_run(db, "BEGIN");
    for (uint64_t n = 0; n < rows; n++) {
        if (n > 0 && n % 100000 == 0)
            db_run(db, "COMMIT; BEGIN");
        uint64_t ms = UINT64_C(1600000000000) + n;
        for (int i = 0; i < 6; i++)
            row.id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
        random = random * 6364136223846793005u + 1442695040888963407u;
        memcpy(row.id.b + 8, &random, sizeof random);
        row.id.b[6] = 0x70;
        row.debit_owner = row.credit_owner = row.ref = row.id;
        row.event_ms = row.booked_ms = (int64_t)ms;
        sql_bind(put, layout_row(ROW_KIND_transfer), &row, layout_row(ROW_KIND_transfer)->nfields);
        step(db, put);
    }
    sqlite3_finalize(put);
    db_run(db, "COMMIT");
    sqlite3_close(db);
}

/* ---- busbar ---- */

/* What a commit wrote, kept for SQLite alone. */
struct kept {
    struct buf rows, events, leaves, entries, salts, edge;
};
static struct kept *kept;
static uint32_t nkept, kept_cap;
static struct times ours;
static struct store_ops timed;
static int (*commit)(struct store *store, const struct store_batch *batch, struct err *err);
static atomic_bool keeping;

static void keep_one(struct buf *to, const struct buf *from)
{
    buf_init(to, (size_t)1 << 30);
    buf_add(to, from->data, from->len);
}

static int timed_commit(struct store *store, const struct store_batch *batch, struct err *err)
{
    uint64_t start = clock_mono_ns();
    int rc = commit(store, batch, err);
    if (!keeping || rc != 0)
        return rc;
    times_add(&ours, clock_mono_ns() - start);
    if (nkept == kept_cap) {
        kept_cap = kept_cap ? 2 * kept_cap : 1024;
        kept = realloc(kept, kept_cap * sizeof *kept);
    }
    struct kept *k = &kept[nkept++];
    keep_one(&k->rows, batch->rows);
    keep_one(&k->events, batch->events);
    keep_one(&k->leaves, batch->leaves);
    keep_one(&k->entries, batch->log->entries);
    keep_one(&k->salts, batch->log->salts);
    keep_one(&k->edge, batch->log->edge);
    return rc;
}

struct client {
    uv_loop_t loop;
    struct mailbox box;
    struct runtime *rt;
    uint64_t done, refused;
};

static void on_effect(void *ctx, const struct effect *effect)
{
    struct client *c = ctx;
    if (effect->kind != EFFECT_REPLY)
        return;
    c->done++;
    c->refused += effect->code != 0;
}

static void client_begin(struct client *c, const char *path)
{
    struct err err = {0};
    struct store *store;
    *c = (struct client){0};
    if (store_sqlite_open(&store, path, NULL, &err) != 0)
        die("store: ", err.msg);
    timed = *store->ops;
    commit = timed.commit;
    timed.commit = timed_commit;
    store->ops = &timed;
    struct runtime_config config = {.store = store, .limits = limits_default()};
    uint64_t start = clock_mono_ns();
    if (runtime_start(&c->rt, &config, &err) != 0)
        die("runtime: ", err.msg);
    fprintf(stderr, "loaded in %.2f s\n", (double)(clock_mono_ns() - start) / 1e9);
    uv_loop_init(&c->loop);
    if (mailbox_init(&c->box, &c->loop, on_effect, c) != 0 || runtime_attach(c->rt, &c->box) != 0)
        die("mailbox", "");
}

static void client_end(struct client *c)
{
    runtime_detach(c->rt, &c->box);
    runtime_stop(c->rt);
    mailbox_close(&c->box, NULL);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    uv_loop_close(&c->loop);
    if (c->refused)
        die("an event was refused", "");
}

/* Posts and waits for all replies. */
static void client_run(struct client *c, struct event *events, uint64_t n)
{
    uint64_t posted = 0;
    for (c->done = 0; c->done < n;) {
        for (; posted < n && posted - c->done < IN_FLIGHT; posted++) {
            events[posted].token = mailbox_token(&c->box);
            if (runtime_post(c->rt, &events[posted]) != 0)
                die("the hub takes no event", "");
        }
        uv_run(&c->loop, UV_RUN_ONCE);
    }
}

static struct uuid tenant;

static void begin_books(const char *path)
{
    struct client c;
    tenant = uuid_new();
    struct event add = {.kind = EVENT_KIND_tenant_add,
                        .u.tenant_add = {.tenant = tenant, .ledger = EUR, .transfer = uuid_new()}};
    memcpy(add.u.tenant_add.name, "bench-", 6);
    hex_encode(add.u.tenant_add.name + 6, tenant.b, sizeof tenant.b); /* a folder may be used again */
    client_begin(&c, path);
    client_run(&c, &add, 1);
    client_end(&c);
}

static void run_ours(const char *path, uint64_t round, uint64_t transfers)
{
    struct client c;
    struct event *events = calloc(transfers, sizeof *events);
    for (uint64_t i = 0; i < transfers; i++) {
        events[i].kind = EVENT_KIND_wallet_topup;
        events[i].u.wallet_topup =
            (struct event_wallet_topup){.payment = uuid_new(), .tenant = tenant, .amount = 1000};
    }
    client_begin(&c, path);
    keeping = true;
    times_begin(&ours);
    client_run(&c, events, transfers);
    times_end(&ours, "busbar", round, transfers);
    keeping = false;
    client_end(&c);
    free(events);
}

/* ---- the same rows ---- */

struct peer {
    sqlite3 *db;
    sqlite3_stmt *put[ROW_KIND_END], *journal, *log, *edge;
    struct times times;
    uint64_t other; /* added to the time in ids and to numbers, so that they are new and rise */
};

static void peer_prepare(struct peer *p, const char *path)
{
    static const char journal[] = "INSERT INTO bb_journal(first, count, events, leaves) VALUES (?,?,?,?)";
    static const char log[] = "INSERT INTO bb_log(first, count, entries, salts) VALUES (?,?,?,?)";
    static const char edge[] =
        "INSERT INTO bb_log_edge(id, edge) VALUES (1,?) ON CONFLICT(id) DO UPDATE SET edge = excluded.edge";
    p->db = db_open(path, pragmas);
    const struct layout *layout;
    for (uint32_t i = 0; (layout = layout_row_at(i)) != NULL; i++)
        p->put[layout->kind] = prepare_put(p->db, layout->kind);
    p->journal = db_prepare(p->db, journal, sizeof journal - 1);
    p->log = db_prepare(p->db, log, sizeof log - 1);
    p->edge = db_prepare(p->db, edge, sizeof edge - 1);
}

static void peer_close(struct peer *p)
{
    for (int i = 0; i < ROW_KIND_END; i++)
        sqlite3_finalize(p->put[i]);
    sqlite3_finalize(p->journal);
    sqlite3_finalize(p->log);
    sqlite3_finalize(p->edge);
    sqlite3_close(p->db);
}

/* Two blobs under a new number. */
static void put_blobs(struct peer *p, sqlite3_stmt *stmt, uint64_t first, const struct buf *a,
                      const struct buf *b)
{
    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)first);
    sqlite3_bind_int64(stmt, 2, 1);
    sqlite3_bind_blob64(stmt, 3, a->data, a->len, SQLITE_STATIC);
    sqlite3_bind_blob64(stmt, 4, b->data, b->len, SQLITE_STATIC);
    step(p->db, stmt);
}

static void put_rows(struct peer *p, const struct kept *k, bool transfers_only)
{
    const struct store_row *head;
    const void *row;
    size_t at = 0;
    while ((head = store_row_next(&k->rows, &at, &row)) != NULL) {
        bool is_new = head->kind == ROW_KIND_transfer || head->kind == ROW_KIND_payment;
        if (transfers_only && head->kind != ROW_KIND_transfer)
            continue;
        if (is_new) /* the first field is the id, its first six bytes the time; done before the clock runs would be the same */
            ((uint8_t *)(uintptr_t)row)[2] ^= (uint8_t)p->other;
        sql_bind(p->put[head->kind], layout_row(head->kind), row, layout_row(head->kind)->nfields);
        step(p->db, p->put[head->kind]);
    }
}

static void run_peer(const char *path, uint64_t round, uint64_t transfers, bool transfers_only)
{
    static struct peer p;
    static uint64_t numbers = UINT64_C(1) << 40;
    peer_prepare(&p, path);
    p.other = transfers_only ? 3 : 1; /* of the bytes as they are after the run before */
    times_begin(&p.times);
    for (uint32_t i = 0; i < nkept; i++) {
        uint64_t start = clock_mono_ns();
        db_run(p.db, "BEGIN IMMEDIATE");
        put_rows(&p, &kept[i], transfers_only);
        if (!transfers_only) {
            put_blobs(&p, p.journal, numbers, &kept[i].events, &kept[i].leaves);
            put_blobs(&p, p.log, numbers, &kept[i].entries, &kept[i].salts);
            sqlite3_bind_blob64(p.edge, 1, kept[i].edge.data, kept[i].edge.len, SQLITE_STATIC);
            step(p.db, p.edge);
            numbers++;
        }
        db_run(p.db, "COMMIT");
        times_add(&p.times, clock_mono_ns() - start);
    }
    times_end(&p.times, transfers_only ? "SQLite, transfers" : "SQLite, all rows", round, transfers);
    peer_close(&p);
}

/* What SQLite alone wrote stands in the way of the next start of the hub: the journal's and the log's numbers. */
static void drop_kept(const char *path)
{
    sqlite3 *db = db_open(path, pragmas);
    db_run(db, "DELETE FROM bb_journal WHERE first >= 1 << 40; DELETE FROM bb_log WHERE first >= 1 << 40;");
    sqlite3_close(db);
    for (uint32_t i = 0; i < nkept; i++) {
        struct buf *const bufs[] = {&kept[i].rows,    &kept[i].events, &kept[i].leaves,
                                    &kept[i].entries, &kept[i].salts,  &kept[i].edge};
        for (size_t k = 0; k < sizeof bufs / sizeof bufs[0]; k++)
            buf_fini(bufs[k]);
    }
    nkept = 0;
}

int main(int argc, char **argv)
{
    uint64_t rows = 0, transfers = 0, rounds = 0;
    char path[FS_PATH_MAX];
    if (argc != 5 || !fs_join(path, argv[1], "ledger.db") ||
        !u64_parse(argv[2], strlen(argv[2]), 100000000, &rows) ||
        !u64_parse(argv[3], strlen(argv[3]), 10000000, &transfers) || transfers == 0 ||
        !u64_parse(argv[4], strlen(argv[4]), 1000, &rounds))
        die("usage: ledger_load FOLDER ROWS TRANSFERS ROUNDS", "");
    begin_books(path);
    fill(path, rows);
    for (uint64_t round = 1; round <= rounds; round++) {
        run_ours(path, round, transfers);
        run_peer(path, round, transfers, false);
        run_peer(path, round, transfers, true);
        drop_kept(path);
    }
    return 0;
}
