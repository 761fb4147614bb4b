/* SPDX-License-Identifier: Apache-2.0 */
/* The log from leaves to files: what a leaf commits to, files that go on where they were, a signer that signs no fork, and
 * that a change of one bit is found, whichever it is. */
#include "support.h"

#include <pthread.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/ed25519.h"
#include "base/fs.h"
#include "runtime/facts.h"
#include "runtime/log_files.h"
#include "runtime/log_verify.h"
#include "runtime/runtime.h"
#include "runtime/signer.h"
#include "tlog/leaf.h"

#define LEAVES 600 /* two full tiles, one that is not, and one above them */

/* ---- leaves ---- */

static struct leaf leaf_number(uint64_t n)
{
    struct leaf leaf = {.event = 3 * n, .time_ms = 1700000000000 + (int64_t)n, .code = n % 7 == 0 ? -6 : 0};
    memcpy(leaf.kind, "job_submit", 11);
    digest_sha256(leaf.entry.b, &n, sizeof n);
    digest_sha256(leaf.decision.b, leaf.entry.b, 32);
    leaf.has_facts = n % 3 == 0;
    return leaf;
}

static void test_leaf_text(void **state)
{
    (void)state;
    char text[LEAF_TEXT_CAP], again[LEAF_TEXT_CAP];
    struct leaf leaf = leaf_number(21), back;
    size_t len = leaf_text(text, &leaf);
    assert_int_equal(strlen(text), len);
    assert_int_equal(leaf_parse(&back, text, len), 0);
    assert_int_equal(leaf_text(again, &back), len);
    assert_string_equal(text, again);
    /* One text for a leaf: each change of it is another leaf, or none. */
    for (size_t bit = 0; bit < 8 * len; bit++) {
        char changed[LEAF_TEXT_CAP];
        memcpy(changed, text, len);
        changed[bit / 8] ^= (char)(1u << bit % 8);
        if (leaf_parse(&back, changed, len) == 0) {
            assert_int_equal(leaf_text(again, &back), len);
            assert_memory_equal(changed, again, len);
        }
    }
    for (size_t cut = 0; cut < len; cut++) {
        char *exact = malloc(cut + 1);
        memcpy(exact, text, cut);
        assert_int_equal(leaf_parse(&back, exact, cut), ERR_INVALID);
        free(exact);
    }
    leaf = (struct leaf){.event = UINT64_MAX, .time_ms = -INT64_MAX, .code = -INT32_MAX, .has_facts = true};
    memset(leaf.kind, 'x', sizeof leaf.kind - 1);
    len = leaf_text(text, &leaf);
    assert_true(len < sizeof text);
    assert_int_equal(leaf_parse(&back, text, len), 0);
}

/* The commitments, word for word as the header says them. */
static void test_commitments(void **state)
{
    (void)state;
    static const char facts[] = "model stories\ncost_nano 17\n";
    uint8_t salt[LEAF_SALT_LEN] = {1, 2, 3}, bytes[256];
    struct merkle_hash all[2], got;
    static const char *const lines[2][2] = {{"fact/model", "stories"}, {"fact/cost_nano", "17"}};
    for (int i = 0; i < 2; i++) {
        struct merkle_hash own;
        size_t label = strlen(lines[i][0]), value = strlen(lines[i][1]);
        memcpy(bytes, salt, 32);
        memcpy(bytes + 32, lines[i][0], label);
        digest_sha256(own.b, bytes, 32 + label);
        memcpy(bytes, own.b, 32);
        memcpy(bytes + 32, lines[i][0], label + 1); /* with its NUL */
        memcpy(bytes + 33 + label, lines[i][1], value);
        digest_sha256(all[i].b, bytes, 33 + label + value);
    }
    struct merkle_hash want;
    digest_sha256(want.b, all, sizeof all);
    leaf_facts(digest_sha256, &got, salt, facts, sizeof facts - 1);
    assert_memory_equal(&got, &want, sizeof want);
    salt[31] ^= 1;
    leaf_facts(digest_sha256, &got, salt, facts, sizeof facts - 1);
    assert_memory_not_equal(&got, &want, sizeof want);
}

/* ---- leaves of events ---- */

struct grown {
    pthread_mutex_t lock;
    struct merkle_edge edge;
};

static void on_grown(void *ctx, const struct merkle_edge *edge)
{
    struct grown *g = ctx;
    pthread_mutex_lock(&g->lock);
    g->edge = *edge;
    pthread_mutex_unlock(&g->lock);
}

static struct merkle_edge edge_now(struct grown *g)
{
    pthread_mutex_lock(&g->lock);
    struct merkle_edge edge = g->edge;
    pthread_mutex_unlock(&g->lock);
    return edge;
}

/* What the store has, read anew. */
struct audit {
    struct store *store;
    struct merkle_edge edge;
    struct leaf leaf;
    const uint8_t *salt;
    uint32_t sites;
};

static int take_journal(void *ctx, const struct journal_row *row)
{
    struct audit *a = ctx;
    size_t at = 0;
    for (uint64_t event = row->first; at < row->events_len; event++) {
        uint32_t frame;
        memcpy(&frame, row->events + at, 4); /* this machine is little-endian */
        if (event == a->leaf.event) {
            struct merkle_hash salt, want;
            leaf_salt(digest_sha256, &salt, a->salt, "entry", 5);
            leaf_commit(digest_sha256, &want, &salt, "entry", 5, row->events + at, 16 + frame);
            assert_memory_equal(&want, &a->leaf.entry, sizeof want);
            return 1;
        }
        at += 16 + frame;
    }
    return 0;
}

static int take_log(void *ctx, const struct log_row *row)
{
    struct audit *a = ctx;
    const uint8_t *entry;
    size_t at = 0, len;
    assert_int_equal(row->first, a->edge.size);
    while (tile_entry_next(row->entries, row->entries_len, &at, &entry, &len) == 0) {
        struct merkle_hash leaf = {{0}};
        uint8_t space[1 + LEAF_TEXT_CAP];
        memcpy(space + 1, entry, len);
        merkle_leaf(digest_sha256, leaf.b, space + 1, len);
        assert_int_equal(leaf_parse(&a->leaf, (const char *)entry, len), 0);
        a->sites += strcmp(a->leaf.kind, "site_add") == 0;
        merkle_edge_add(digest_sha256, &a->edge, &leaf);
    }
    assert_int_equal(row->first + row->count, a->edge.size);
    a->salt = row->salts + (size_t)(row->count - 1) * LEAF_SALT_LEN; /* of the last, whose leaf is there */
    return 0;
}

/* Each committed event has its leaf, in one tree that a failed commit does not break. */
static void test_leaves_of_events(void **state)
{
    (void)state;
    struct grown grown = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct audit audit = {.store = store_memory_new(3)};
    struct runtime_config config = {
        .store = audit.store, .limits = limits_default(), .log = {on_grown, &grown}};
    struct runtime *rt;
    struct err err = {0};
    struct event event = {.kind = EVENT_KIND_site_add, .u.site_add = {.name = "a"}};
    assert_int_equal(runtime_start(&rt, &config, &err), 0);
    assert_int_equal(edge_now(&grown).size, 1); /* the boot */
    uint32_t tries = 0;
    for (uint8_t i = 0; edge_now(&grown).size < 5 && tries < 100; i++, tries++) {
        event.u.site_add.site = uid('S', i);
        event.u.site_add.name[0] = (char)('a' + i % 26);
        uint64_t before = edge_now(&grown).size;
        if (runtime_post(rt, &event) != 0)
            i--; /* not ready: the commit failed, and it loads */
        for (int wait = 0; wait < 100 && edge_now(&grown).size == before; wait++)
            usleep(5000);
    }
    assert_int_equal(runtime_stats(rt).commit_failures, 1);
    assert_int_equal(audit.store->ops->log(audit.store, 0, take_log, &audit, &err), 0);
    struct merkle_edge edge = edge_now(&grown);
    struct merkle_hash want, root;
    merkle_edge_root(digest_sha256, &edge, &want);
    merkle_edge_root(digest_sha256, &audit.edge, &root);
    assert_int_equal(audit.edge.size, edge.size);
    assert_memory_equal(&root, &want, sizeof root);
    assert_true(audit.sites >= 4);
    assert_int_equal(audit.store->ops->journal(audit.store, audit.leaf.event, take_journal, &audit, &err), 0);
    runtime_stop(rt);
}

/* ---- facts ---- */

static void receipt_of(struct world *w, const char *engine, struct buf *out)
{
    struct event said = {.kind = EVENT_KIND_site_engine, .u.site_engine.site = uid('S', 1)};
    struct event end = {.kind = EVENT_KIND_job_end};
    struct facts facts = {.any = true, .id = uid('J', 1), .site = uid('S', 1), .chips = 1};
    memcpy(said.u.site_engine.engine, engine, strlen(engine));
    assert_int_equal(world_step(w, &said), 0);
    buf_clear(out);
    facts_add(out, &facts, w->core, &end, 0, 0);
    assert_false(out->failed);
}

/* A site says what it runs jobs with: one line of it, or none. A store may hold what a hub took before it refused such. */
static void test_engine_in_facts(void **state)
{
    (void)state;
    static const char *const forged[] = {"local\ncost_nano 0", "slurm 23\ncost_nano 0", "slurm\t23",
                                         "sl\xfcrm", "a\x7f"};
    struct world *w = world_new(NULL);
    struct buf out;
    struct event site = {.kind = EVENT_KIND_site_add, .u.site_add = {.site = uid('S', 1), .name = "a"}};
    buf_init(&out, 65536);
    assert_int_equal(world_step(w, &site), 0);
    receipt_of(w, "slurm 23.11.4", &out);
    assert_non_null(memmem(out.data, out.len, "\nengine slurm\nengine_version 23.11.4\n", 37));
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        receipt_of(w, forged[i], &out);
        assert_non_null(memmem(out.data, out.len, "\nsite a\n", 8));
        assert_null(memmem(out.data, out.len, "\nengine", 7));
        assert_null(memmem(out.data, out.len, "\ncost_nano", 10));
    }
    buf_fini(&out);
    world_free(w);
}

/* ---- a log in a folder ---- */

struct fixture {
    char dir[64], log[96], keys[96];
    struct log_files files;
    struct signer_state signer;
};

static int add_leaves(struct fixture *f, uint64_t to)
{
    struct err err = {0};
    char text[LEAF_TEXT_CAP];
    int rc = 0;
    while (rc == 0 && log_files_size(&f->files) < to) {
        struct leaf leaf = leaf_number(log_files_size(&f->files));
        size_t len = leaf_text(text, &leaf);
        rc = log_files_add(&f->files, (const uint8_t *)text, len, &err);
    }
    return rc ? rc : log_files_sync(&f->files, &err);
}

/* The request for a signature of what is in the folder. */
static void request(struct fixture *f, uint64_t old, const char *origin, struct buf *out)
{
    struct tile_reader *reader = calloc(1, sizeof *reader);
    *reader = (struct tile_reader){.hash = digest_sha256,
                                   .read = log_files_read_hashes,
                                   .ctx = f->log,
                                   .size = log_files_size(&f->files)};
    struct checkpoint point = {.size = reader->size};
    struct proof proof = {0};
    char text[CHECKPOINT_TEXT_CAP], hash[64];
    memcpy(point.origin, origin, strlen(origin));
    tile_edge_root(digest_sha256, f->files.edge, &point.root);
    if (old <= reader->size)
        assert_int_equal(proof_consistency(digest_sha256, tile_subtree, reader, old, reader->size, &proof),
                         0);
    buf_clear(out);
    buf_add_text(out, "sign\n");
    for (unsigned i = 0; i < proof.n; i++) {
        base64_encode(hash, proof.hash[i].b, MERKLE_HASH_LEN);
        buf_addf(out, "%s\n", hash);
    }
    (void)checkpoint_text(text, &point);
    buf_addf(out, "\n%s", text);
    free(reader);
}

static void assert_signed(struct fixture *f, uint64_t old)
{
    struct buf message, reply;
    struct err err = {0};
    buf_init(&message, SIGNER_MESSAGE_MAX);
    buf_init(&reply, SIGNER_MESSAGE_MAX);
    request(f, old, f->signer.key.name, &message);
    signer_answer(&f->signer, message.data, message.len, &reply);
    assert_memory_equal(reply.data, "ok\n", 3);
    assert_int_equal(log_files_checkpoint(&f->files, reply.data + 3, reply.len - 3, &err), 0);
    buf_fini(&message);
    buf_fini(&reply);
}

static int begin(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err err = {0};
    bool again;
    snprintf(f->dir, sizeof f->dir, "/tmp/busbar-log-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->log, sizeof f->log, "%s/log", f->dir);
    snprintf(f->keys, sizeof f->keys, "%s/signer", f->dir);
    assert_int_equal(log_files_open(&f->files, f->log, &again, &err), 0);
    assert_int_equal(signer_open(&f->signer, f->keys, &err), 0);
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    char command[128];
    log_files_fini(&f->files);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static int verify(struct fixture *f, const struct checkpoint *kept, struct log_found *found)
{
    struct err err = {0};
    struct log_verify config = {.source = {log_source_folder, f->log}, .key = &f->signer.key, .kept = kept};
    int rc = log_verify(&config, found, &err);
    buf_fini(&found->note);
    return rc;
}

static void reopen(struct fixture *f, bool want_again, uint64_t size)
{
    struct err err = {0};
    bool again;
    log_files_fini(&f->files);
    assert_int_equal(log_files_open(&f->files, f->log, &again, &err), 0);
    assert_int_equal(again, want_again);
    assert_int_equal(log_files_size(&f->files), size);
}

/* Files go on from their checkpoint in steps of every kind, and are the same as those written at once. */
static void test_files_go_on(void **state)
{
    struct fixture *f = *state;
    static const uint64_t sizes[] = {1, 2, 255, 256, 257, 511, 512, 513, LEAVES};
    struct log_found found;
    struct checkpoint kept = {.size = 0};
    uint64_t old = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(add_leaves(f, sizes[i]), 0);
        assert_signed(f, old);
        old = sizes[i];
        assert_int_equal(verify(f, kept.size ? &kept : NULL, &found), 0);
        assert_int_equal(found.leaves, old);
        kept = found.point;
        assert_int_equal(add_leaves(f, old + 20), 0); /* no checkpoint names these: lost, as by a crash */
        reopen(f, false, old);
    }
    assert_int_equal(verify(f, &kept, &found), 0);
    assert_int_equal(found.tiles, 4); /* 256, 256 and 88 of level 0; 2 of level 1 */
    /* A tile that is gone: all is written anew. */
    char path[256];
    snprintf(path, sizeof path, "%s/tile/0/002.p/88", f->log);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(verify(f, NULL, &found), ERR_CORRUPT);
    reopen(f, true, 0);
    assert_int_equal(add_leaves(f, LEAVES), 0);
    assert_int_equal(verify(f, &kept, &found), 0);
    snprintf(path, sizeof path, "%s/tile/0/001.p", f->log);
    assert_false(fs_exists(path)); /* partial tiles went with the full one */
}

/* A checkpoint that was kept from another log, or a later one, is told. */
static void test_kept(void **state)
{
    struct fixture *f = *state;
    struct log_found found;
    assert_int_equal(add_leaves(f, 300), 0);
    assert_signed(f, 0);
    assert_int_equal(verify(f, NULL, &found), 0);
    struct checkpoint kept = found.point;
    kept.root.b[5] ^= 1;
    assert_int_equal(verify(f, &kept, &found), ERR_CORRUPT);
    kept.size = 299;
    assert_int_equal(verify(f, &kept, &found), ERR_CORRUPT);
    kept.size = 301;
    assert_int_equal(verify(f, &kept, &found), ERR_CORRUPT);
    kept = found.point;
    kept.origin[0]++;
    assert_int_equal(verify(f, &kept, &found), ERR_CORRUPT);
}

/* ---- one bit ---- */

/* A file that the checkpoint needs, by number; false: there are no more. */
static bool named_file(struct fixture *f, unsigned number, char path[256])
{
    char name[TILE_PATH_CAP];
    if (number == 0) {
        snprintf(path, 256, "%s/checkpoint", f->log);
        return true;
    }
    static const uint8_t levels[] = {TILE_ENTRIES, 0, 1};
    for (int i = 0; i < 3; i++) {
        struct tile tile = {.level = levels[i]};
        for (; (tile.width = tile_width(tile.level, tile.index, LEAVES)) > 0; tile.index++) {
            if (--number > 0)
                continue;
            tile_path(name, &tile);
            snprintf(path, 256, "%s/%s", f->log, name);
            return true;
        }
    }
    return false;
}

static void flip(const char *path, uint64_t bit)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, (long)(bit / 8), SEEK_SET);
    int c = fgetc(file);
    fseek(file, (long)(bit / 8), SEEK_SET);
    fputc(c ^ 1 << bit % 8, file);
    fclose(file);
}

/* Invariant 7. */
static void test_one_bit(void **state)
{
    struct fixture *f = *state;
    struct log_found found;
    uint64_t seed = test_seed(), flips = test_count(300, 10000);
    char path[256];
    unsigned files = 0;
    assert_int_equal(add_leaves(f, LEAVES), 0);
    assert_signed(f, 0);
    assert_int_equal(verify(f, NULL, &found), 0);
    while (named_file(f, files, path))
        files++;
    assert_int_equal(files, 1 + 3 + 3 + 1);
    for (uint64_t i = 0; i < flips; i++) {
        struct err err = {0};
        struct buf bytes;
        named_file(f, (unsigned)(i % files), path);
        buf_init(&bytes, 1 << 20);
        assert_int_equal(fs_read(path, &bytes, &err), 0);
        uint64_t bit = test_below(&seed, 8 * bytes.len);
        buf_fini(&bytes);
        flip(path, bit);
        if (verify(f, NULL, &found) != ERR_CORRUPT)
            fail_msg("BUSBAR_SEED: bit %llu of %s was not found", (unsigned long long)bit, path);
        flip(path, bit);
    }
    assert_int_equal(verify(f, NULL, &found), 0);
    printf("# flips of one bit, all found: %llu\n", (unsigned long long)flips);
}

/* ---- the signer ---- */

static void assert_refused(struct fixture *f, const struct buf *message, const char *why)
{
    struct buf reply;
    struct checkpoint before = f->signer.head;
    buf_init(&reply, SIGNER_MESSAGE_MAX);
    signer_answer(&f->signer, message->data, message->len, &reply);
    buf_add_char(&reply, 0);
    assert_memory_equal(reply.data, "no\n", 3);
    if (!strstr(reply.data, why))
        fail_msg("%s", reply.data);
    assert_memory_equal(&before, &f->signer.head, sizeof before);
    buf_fini(&reply);
}

static void test_signer_refuses(void **state)
{
    struct fixture *f = *state;
    struct buf message;
    struct err err = {0};
    bool again;
    buf_init(&message, SIGNER_MESSAGE_MAX);
    request(f, 0, "busbar/0000000000000000", &message);
    assert_refused(f, &message, "another log");
    assert_int_equal(add_leaves(f, 300), 0);
    assert_signed(f, 0);
    /* The same again is no fork: the first answer may have been lost. */
    assert_signed(f, 300);
    /* It begins anew from its files and knows what it signed. */
    uint8_t seed[32];
    memcpy(seed, f->signer.seed, sizeof seed);
    assert_int_equal(signer_open(&f->signer, f->keys, &err), 0);
    assert_memory_equal(seed, f->signer.seed, sizeof seed);
    assert_int_equal(f->signer.head.size, 300);
    assert_int_equal(add_leaves(f, 400), 0);
    request(f, 200, f->signer.key.name, &message); /* a proof from elsewhere */
    assert_refused(f, &message, "forks");
    /* Another history, grown past the head, with a proof that holds for itself. */
    snprintf(f->log, sizeof f->log, "%s/other", f->dir);
    log_files_fini(&f->files);
    assert_int_equal(log_files_open(&f->files, f->log, &again, &err), 0);
    char text[LEAF_TEXT_CAP];
    struct leaf leaf = leaf_number(7);
    assert_int_equal(log_files_add(&f->files, (const uint8_t *)text, leaf_text(text, &leaf), &err), 0);
    assert_int_equal(add_leaves(f, 200), 0);
    request(f, 200, f->signer.key.name, &message);
    assert_refused(f, &message, "smaller");
    assert_int_equal(add_leaves(f, 300), 0);
    request(f, 300, f->signer.key.name, &message);
    assert_refused(f, &message, "forks");
    assert_int_equal(add_leaves(f, 500), 0);
    request(f, 300, f->signer.key.name, &message);
    assert_refused(f, &message, "forks");
    buf_fini(&message);
}

static void test_signer_reads_strictly(void **state)
{
    struct fixture *f = *state;
    struct buf good, message;
    buf_init(&good, SIGNER_MESSAGE_MAX);
    buf_init(&message, SIGNER_MESSAGE_MAX);
    assert_int_equal(add_leaves(f, 3), 0);
    request(f, 0, f->signer.key.name, &good);
    for (size_t cut = 0; cut < good.len; cut++) {
        buf_clear(&message);
        buf_add(&message, good.data, cut);
        assert_refused(f, &message, "");
    }
    buf_clear(&message);
    buf_add(&message, good.data, good.len);
    buf_add_text(&message, "more\n");
    assert_refused(f, &message, "more in it");
    buf_clear(&message);
    buf_add_text(&message, "key\n");
    assert_refused(f, &message, "not in the form");
    assert_int_equal(f->signer.head.origin[0], 0);
    buf_fini(&good);
    buf_fini(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaf_text),
        cmocka_unit_test(test_commitments),
        cmocka_unit_test(test_leaves_of_events),
        cmocka_unit_test(test_engine_in_facts),
        cmocka_unit_test_setup_teardown(test_files_go_on, begin, end),
        cmocka_unit_test_setup_teardown(test_kept, begin, end),
        cmocka_unit_test_setup_teardown(test_one_bit, begin, end),
        cmocka_unit_test_setup_teardown(test_signer_refuses, begin, end),
        cmocka_unit_test_setup_teardown(test_signer_reads_strictly, begin, end),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
