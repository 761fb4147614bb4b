/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loss of power in five scenarios of a hub (powerscenes.h): what was acknowledged is there, whole, nothing else is, and the books
 * add up (powerhub.h). With fewer syncs, or none, this fails.
 *
 * A scenario runs once with all its writes recorded, then power is lost before many of them, each time by other chances. Of what a
 * loss leaves SQLite checks every page and index, and all rows of all tables are digested; content that was not seen before is
 * loaded by a hub, and proved in full. Power may be lost once more while what a crash left is written back.
 */
#include "powerscenes.h"

#include <sqlite3.h>

#include "base/digest.h"
#include "testvfs.h"

/* Of every connection that is opened from now on, instead of what it asks for. NULL: what it asks for. */
static const char *synchronous;

static int keep_synchronous(void *ctx, int action, const char *name, const char *value, const char *c,
                            const char *d)
{
    (void)ctx;
    (void)c;
    (void)d;
    return action == SQLITE_PRAGMA && value && strcmp(name, "synchronous") == 0 ? SQLITE_IGNORE : SQLITE_OK;
}

static int on_connection(sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    (void)message;
    (void)api;
    if (synchronous) {
        sqlite3_exec(db, synchronous, NULL, NULL, NULL);
        sqlite3_set_authorizer(db, keep_synchronous, NULL);
    }
    return SQLITE_OK;
}

/* ---- a run ---- */

static struct recording {
    uint64_t writes;
    struct commit {
        uint64_t from, to; /* writes before it, and with it */
        struct mark mark;
    } commits[BATCHES];
} recording;

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

static void record(const struct scenario *scenario, uint64_t run_seed)
{
    uint64_t seed = run_seed;
    struct powerhub hub;
    testvfs_reset(test_random(&seed));
    testvfs_record();
    assert_int_equal(powerhub_begin(&hub, &origin.limits), 0);
    for (uint64_t i = 0; i < BATCHES; i++) {
        struct commit *c = &recording.commits[i];
        scenario->step(hub.w, i);
        c->from = testvfs_count();
        assert_int_equal(powerhub_commit(&hub), 0);
        c->to = testvfs_count();
        c->mark = hub.acked;
        uint64_t chance = test_below(&seed, 12);
        if (chance == 0)
            assert_int_equal(powerhub_reopen(&hub), 0);
        else if (chance < 3)
            checkpoint(&seed);
    }
    assert_true(hub.acked.events > origin.mark.events + BATCHES);
    powerhub_end(&hub);
    recording.writes = testvfs_count();
}

/* Whether a store may be at that mark when power was lost before write `at`: the last one that was acknowledged, or the one of the
 * commit that ran. */
static bool may_be(const struct mark *mark, uint64_t at)
{
    const struct mark *acked = &origin.mark;
    for (uint32_t i = 0; i < BATCHES; i++) {
        const struct commit *c = &recording.commits[i];
        if (c->to < at)
            acked = &c->mark;
        else if (c->from < at && mark_eq(mark, &c->mark))
            return true;
    }
    return mark_eq(mark, acked);
}

/* ---- what a loss leaves ---- */

static const char lost[] = "what was acknowledged is lost";

struct content_digest {
    uint8_t b[DIGEST_LEN];
};

static void digest_row(struct digest_stream *stream, sqlite3_stmt *stmt)
{
    for (int i = 0; i < sqlite3_column_count(stmt); i++) {
        int type = sqlite3_column_type(stmt, i), len = sqlite3_column_bytes(stmt, i);
        const int32_t head[] = {type, len};
        digest_stream_add(stream, head, sizeof head);
        if (len > 0)
            digest_stream_add(stream, sqlite3_column_blob(stmt, i), (size_t)len);
    }
}

/* Adds each row that a statement gives; *text has the first column of the last one. False: it cannot be read to its end. */
static bool digest_rows(struct digest_stream *stream, sqlite3 *db, const char *sql, char *text, size_t cap)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
            break;
        if (stream)
            digest_row(stream, stmt);
        if (text)
            (void)snprintf(text, cap, "%s", (const char *)sqlite3_column_text(stmt, 0));
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_DONE;
}

/* All there is in a file: NULL, or what is wrong with it. */
static const char *digest_all(sqlite3 *db, struct content_digest *digest)
{
    struct digest_stream *stream = digest_stream_new();
    char verdict[32] = "", sql[160];
    sqlite3_stmt *names = NULL;
    bool good = digest_rows(NULL, db, "PRAGMA integrity_check(1)", verdict, sizeof verdict) &&
                digest_rows(stream, db, "SELECT * FROM sqlite_schema", NULL, 0);
    if (good && sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
                                   -1, &names, NULL) != SQLITE_OK)
        good = false;
    int rc = SQLITE_DONE;
    while (good && (rc = sqlite3_step(names)) == SQLITE_ROW) {
        (void)snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", (const char *)sqlite3_column_text(names, 0));
        good = digest_rows(stream, db, sql, NULL, 0);
    }
    sqlite3_finalize(names);
    digest_stream_get(stream, digest->b);
    digest_stream_free(stream);
    if (!good || rc != SQLITE_DONE)
        return "the file cannot be read";
    return strcmp(verdict, "ok") == 0 ? NULL : "SQLite finds the file damaged";
}

/* Opens what is there and digests it. What SQLite writes back as it closes may be lost as well, by chance, and then all is there
 * as it was. */
static const char *look(uint64_t *chance, struct content_digest *digest, uint64_t *second)
{
    struct content_digest again;
    for (int round = 0; round < 2; round++) {
        sqlite3 *db = NULL;
        const char *wrong = "the file cannot be opened";
        if (sqlite3_open_v2("/busbar.db", &db, SQLITE_OPEN_READWRITE, "test") == SQLITE_OK)
            wrong = digest_all(db, round ? &again : digest);
        bool once_more = round == 0 && !wrong && test_below(chance, 2) == 0;
        if (once_more)
            testvfs_crash_at(1 + test_below(chance, 12));
        sqlite3_close(db);
        if (wrong || !once_more)
            return wrong;
        *second += testvfs_crashed();
        testvfs_power_loss();
    }
    return memcmp(&again, digest, sizeof again) == 0 ? NULL : "a second loss changed what was there";
}

/* What was proved once, of this recording. */
static struct known {
    struct content_digest digest;
    struct mark mark;
} known[4 * BATCHES];
static uint32_t nknown;

static struct counts {
    uint64_t losses, second, proved;
} tally;

/* NULL, or what is wrong: `lost` if a whole state is there, but not one that may be. */
static const char *one_loss(uint64_t at, uint64_t seed)
{
    struct content_digest digest;
    uint64_t chance = seed;
    testvfs_cut(at, test_random(&chance));
    tally.losses++;
    const char *wrong = look(&chance, &digest, &tally.second);
    if (wrong)
        return wrong;
    uint32_t i = 0;
    while (i < nknown && memcmp(&known[i].digest, &digest, sizeof digest) != 0)
        i++;
    struct mark found;
    if (i == nknown || test_below(&chance, 32) == 0) {
        tally.proved++;
        wrong = powerhub_found(&origin, &found);
        if (wrong)
            return wrong;
        if (i < nknown && !mark_eq(&found, &known[i].mark))
            return "the same rows are another state";
        if (i == nknown && nknown < sizeof known / sizeof known[0])
            known[nknown++] = (struct known){.digest = digest, .mark = found};
    } else {
        found = known[i].mark;
    }
    return may_be(&found, at) ? NULL : lost;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

#define CUTS_MAX 100u

static void test_power_loss(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), runs = test_count(2, 40), cuts = test_count(20, CUTS_MAX);
    tally = (struct counts){0};
    for (uint64_t run = 0; run < SCENARIOS * runs; run++) {
        const struct scenario *scenario = &scenarios[run % SCENARIOS];
        uint64_t random = seed + run, at[CUTS_MAX];
        record(scenario, test_random(&random));
        nknown = 0;
        for (uint64_t i = 0; i < cuts; i++)
            at[i] = 1 + test_below(&random, recording.writes);
        qsort(at, cuts, sizeof at[0], ascending);
        for (uint64_t i = 0; i < cuts; i++) {
            const char *wrong = one_loss(at[i], random + i);
            if (wrong)
                fail_msg("BUSBAR_SEED=%llu, run %llu, %s, before write %llu of %llu: %s",
                         (unsigned long long)seed, (unsigned long long)run, scenario->name,
                         (unsigned long long)at[i], (unsigned long long)recording.writes, wrong);
        }
    }
    printf(
        "# power losses survived: %llu in %u scenarios (%llu runs), %llu with a second loss while what was "
        "left was written back; %llu states proved in full\n",
        (unsigned long long)tally.losses, SCENARIOS, (unsigned long long)(SCENARIOS * runs),
        (unsigned long long)tally.second, (unsigned long long)tally.proved);
}

/* ---- the controls ---- */

struct outcome {
    uint64_t sound, lost, damaged;
};

/* With other syncs acknowledged commits are lost in every scenario, and this test sees it. */
static struct outcome control(const char *pragma)
{
    struct outcome all = {0};
    uint64_t runs = test_count(1, 20), cuts = test_count(12, CUTS_MAX);
    synchronous = pragma;
    for (size_t s = 0; s < SCENARIOS; s++) {
        struct outcome here = {0};
        for (uint64_t run = 0; run < runs; run++) {
            uint64_t random = 7 + run;
            record(&scenarios[s], test_random(&random));
            nknown = 0;
            for (uint64_t i = 0; i < cuts; i++) {
                const char *wrong = one_loss(1 + test_below(&random, recording.writes), random + i);
                here.sound += !wrong;
                here.lost += wrong == lost;
                here.damaged += wrong && wrong != lost;
            }
        }
        assert_true(here.lost + here.damaged >= runs);
        all.sound += here.sound;
        all.lost += here.lost;
        all.damaged += here.damaged;
    }
    synchronous = NULL;
    printf("# %s: of %llu losses %llu sound, %llu lost, %llu damaged\n", pragma,
           (unsigned long long)(all.sound + all.lost + all.damaged), (unsigned long long)all.sound,
           (unsigned long long)all.lost, (unsigned long long)all.damaged);
    return all;
}

/* NORMAL keeps the file whole and forgets commits; OFF may damage it, too. */
static void test_controls_lose(void **state)
{
    (void)state;
    struct outcome normal = control("PRAGMA synchronous=NORMAL"), off = control("PRAGMA synchronous=OFF");
    assert_true(normal.lost > 0 && normal.damaged == 0);
    assert_true(off.damaged > 0 && off.lost + off.damaged > normal.lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_power_loss, scenes_begin, scenes_end),
        cmocka_unit_test_setup_teardown(test_controls_lose, scenes_begin, scenes_end),
    };
    sqlite3_auto_extension((void (*)(void))on_connection);
    return cmocka_run_group_tests_name("power", tests, NULL, NULL);
}
