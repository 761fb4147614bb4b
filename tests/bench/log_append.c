/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the transparency log costs, and that a changed bit of it is found. log_append LEAVES FOLDER FLIPS: meter records in batches of
 * COMMIT_EVENTS go to SQLite, once without their leaves and once with them, then become files, and are verified from these. Prints
 * a line of JSON for each part: leaves, wall and CPU seconds, leaves a second. No disk is asked to be another than it is: each
 * batch is synced. Then one bit at a time, FLIPS times, of an entry, a tile or the checkpoint is another, and the whole log is
 * verified. FOLDER/log is left with its vkey, FOLDER/proofs.json has proofs of some leaves, for other readers. BUSBAR_SEED.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/osrandom.h"
#include "bench.h"
#include "runtime/journal.h"
#include "runtime/log_files.h"
#include "runtime/log_verify.h"
#include "runtime/logbook.h"
#include "runtime/runtime.h"
#include "runtime/signer.h"

struct part {
    uint64_t wall, cpu;
};

static struct part begin(void)
{
    return (struct part){clock_mono_ns(), cpu_ns()};
}

static void end(const struct part *part, const char *name, uint64_t n)
{
    double wall = (double)(clock_mono_ns() - part->wall) / 1e9, cpu = (double)(cpu_ns() - part->cpu) / 1e9;
    printf("{\"part\":\"%s\",\"leaves\":%llu,\"seconds\":%.3f,\"cpu_seconds\":%.3f,\"per_second\":%.0f,"
           "\"per_cpu_second\":%.0f}\n",
           name, (unsigned long long)n, wall, cpu, (double)n / wall, (double)n / cpu);
    fflush(stdout);
}

/* A record of an answer, and facts as long as those of a real one. */
static void add_record(struct batch *batch, uint64_t n)
{
    static const char facts[] =
        "response 019ae000-0000-7000-8000-000000000000\ntenant 019ae000-0000-7000-8000-000000000001\n"
        "key 019ae000-0000-7000-8000-000000000002\nmodel stories\n"
        "weights sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nformat gguf\n"
        "quantisation Q8_0\nengine llama.cpp\nsite local\nprompt_tokens 120\ncached_tokens 0\n"
        "completion_tokens 300\nreasoning_tokens 0\nprice 019ae000-0000-7000-8000-000000000003\n"
        "cost_nano 1234567\ncurrency 978\nfinal 1\nstatus 200\nstarted_ms 1700000000000\ntime_ms "
        "1700000001000\n";
    struct event event = {.kind = EVENT_KIND_meter, .at_ms = 1700000000000 + (int64_t)n};
    event.u.meter = (struct event_meter){.worker = uuid_new(), .sequence = n, .request = uuid_new()};
    event.u.meter.prompt = 120;
    event.u.meter.completion = 300;
    journal_add(&batch->events, &batch->leaves, &event, 0, 1234567);
    struct store_receipt receipt = {
        .id = event.u.meter.request, .leaf = batch->count, .facts_len = (uint32_t)sizeof facts - 1};
    store_receipt_add(&batch->facts, &receipt, facts);
    batch->effect_ends[batch->count++] = 0;
}

static void append(const char *folder, const char *name, uint64_t leaves, bool logged, struct store **kept)
{
    char path[FS_PATH_MAX];
    struct err err = {0};
    struct store *store = NULL;
    struct batch batch;
    struct logbook book;
    if (!fs_join(path, folder, name) || store_sqlite_open(&store, path, NULL, &err) != 0 ||
        batch_init(&batch) != 0)
        die("store: ", err.msg);
    logbook_init(&book);
    if (logbook_load(&book, store, &err) != 0 || book.edge.size != 0)
        die("the folder is not empty", "");
    struct part part = begin();
    for (uint64_t n = 0; n < leaves;) {
        batch_reset(&batch, n);
        for (uint32_t i = 0; i < COMMIT_EVENTS && n < leaves; i++, n++)
            add_record(&batch, n);
        struct store_batch sb = {.rows = &batch.rows,
                                 .first = batch.first,
                                 .count = batch.count,
                                 .events = &batch.events,
                                 .leaves = &batch.leaves};
        int rc = logged ? logbook_commit(&book, store, &batch, &err) : store->ops->commit(store, &sb, &err);
        if (rc != 0)
            die("commit: ", err.msg);
    }
    end(&part, name, leaves);
    logbook_fini(&book);
    batch_fini(&batch);
    if (kept)
        *kept = store;
    else
        store->ops->close(store);
}

static int write_row(void *ctx, const struct log_row *row)
{
    struct err err = {0};
    const uint8_t *entry;
    size_t at = 0, len;
    while (tile_entry_next(row->entries, row->entries_len, &at, &entry, &len) == 0) {
        if (log_files_add(ctx, entry, len, &err) != 0)
            die("files: ", err.msg);
    }
    return 0;
}

/* One checkpoint for all of them. */
static void publish(const char *dir, const char *keys, struct store *store, struct signer_state *signer)
{
    struct log_files files;
    struct err err = {0};
    struct checkpoint point = {0};
    struct buf message, reply;
    char text[CHECKPOINT_TEXT_CAP];
    bool again;
    buf_init(&message, SIGNER_MESSAGE_MAX);
    buf_init(&reply, SIGNER_MESSAGE_MAX);
    if (log_files_open(&files, dir, &again, &err) != 0 || signer_open(signer, keys, &err) != 0)
        die("files: ", err.msg);
    struct part part = begin();
    if (store->ops->log(store, 0, write_row, &files, &err) != 0 || log_files_sync(&files, &err) != 0)
        die("files: ", err.msg);
    memcpy(point.origin, signer->key.name, sizeof point.origin);
    point.size = log_files_size(&files);
    tile_edge_root(digest_sha256, files.edge, &point.root);
    (void)checkpoint_text(text, &point);
    buf_addf(&message, "sign\n\n%s", text);
    signer_answer(signer, message.data, message.len, &reply);
    if (memcmp(reply.data, "ok\n", 3) != 0 ||
        log_files_checkpoint(&files, reply.data + 3, reply.len - 3, &err) != 0)
        die("the signer refuses", "");
    end(&part, "published", point.size);
    log_files_fini(&files);
    buf_fini(&message);
    buf_fini(&reply);
}

/* ---- for other readers ---- */

#define PROOFS 1000

static uint64_t seed = 1;

/* xorshift64*, by S. Vigna. */
static uint64_t below(uint64_t n)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * UINT64_C(2685821657736338717) % n;
}

static void add_proof(struct buf *out, struct tile_reader *reader, uint64_t index)
{
    struct tile tile = {.level = TILE_ENTRIES, .index = index / TILE_WIDTH};
    struct err err = {0};
    struct proof proof;
    struct buf bundle;
    const uint8_t *entry = NULL;
    size_t at = 0, len = 0;
    char hash[BASE64_LEN(MERKLE_HASH_LEN) + 1];
    tile.width = tile_width(TILE_ENTRIES, tile.index, reader->size);
    buf_init(&bundle, (size_t)16 << 20);
    if (log_files_read(reader->ctx, &tile, &bundle, &err) != 0 ||
        proof_inclusion(digest_sha256, tile_subtree, reader, index, reader->size, &proof) != 0)
        die("proof: ", err.msg);
    for (uint64_t i = 0; i <= index % TILE_WIDTH; i++) {
        if (tile_entry_next((const uint8_t *)bundle.data, bundle.len, &at, &entry, &len) != 0)
            die("proof: the bundle is short", "");
    }
    buf_addf(out, "{\"index\":%llu,\"leaf\":", (unsigned long long)index);
    buf_add_json(out, (const char *)entry, len);
    buf_add_text(out, ",\"proof\":[");
    for (unsigned i = 0; i < proof.n; i++) {
        base64_encode(hash, proof.hash[i].b, MERKLE_HASH_LEN);
        buf_addf(out, "%s\"%s\"", i ? "," : "", hash);
    }
    buf_add_text(out, "]}");
    buf_fini(&bundle);
}

/* In the form of a receipt: the checkpoint, and leaves with their proofs. */
static void write_proofs(char *dir, const char *folder, const struct note_key *key,
                         const struct log_found *found)
{
    static struct tile_reader reader;
    char path[FS_PATH_MAX], text[NOTE_KEY_TEXT_CAP];
    struct err err = {0};
    struct buf out;
    reader = (struct tile_reader){
        .hash = digest_sha256, .read = log_files_read_hashes, .ctx = dir, .size = found->point.size};
    buf_init(&out, (size_t)64 << 20);
    buf_add_text(&out, "{\"checkpoint\":");
    buf_add_json(&out, found->note.data, found->note.len);
    buf_add_text(&out, ",\"records\":[");
    for (int i = 0; i < PROOFS; i++) {
        buf_add_text(&out, i ? "," : "");
        add_proof(&out, &reader, i == 0 ? reader.size - 1 : below(reader.size));
    }
    buf_add_text(&out, "]}");
    note_key_text(text, key);
    if (out.failed || !fs_join(path, folder, "proofs.json") ||
        fs_write_atomic(path, out.data, out.len, 0644, &err) != 0 || !fs_join(path, dir, "vkey") ||
        fs_write_atomic(path, text, strlen(text), 0644, &err) != 0)
        die("proofs: ", err.msg);
    buf_fini(&out);
}

/* ---- one bit ---- */

static void flip(const char *path, uint64_t *bit)
{
    FILE *file = fopen(path, "r+b");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        die("cannot open ", path);
    if (*bit == UINT64_MAX)
        *bit = below(8 * (uint64_t)ftell(file));
    (void)fseek(file, (long)(*bit / 8), SEEK_SET);
    int c = fgetc(file);
    (void)fseek(file, (long)(*bit / 8), SEEK_SET);
    if (fputc(c ^ 1 << *bit % 8, file) == EOF || fclose(file) != 0)
        die("cannot write ", path);
}

static void flips(const struct log_verify *config, const char *dir, uint64_t size, uint64_t n)
{
    static const uint8_t levels[] = {TILE_ENTRIES, 0, 1, 2};
    struct part part = begin();
    for (uint64_t i = 0; i < n; i++) {
        struct tile tile = {.level = levels[i % 4]};
        char path[FS_PATH_MAX], name[TILE_PATH_CAP] = LOG_CHECKPOINT;
        uint64_t tiles =
            (tile.level == TILE_ENTRIES ? size : size >> tile.level * TILE_HEIGHT) / TILE_WIDTH + 1;
        uint64_t bit = UINT64_MAX;
        tile.index = below(tiles);
        tile.width = tile_width(tile.level, tile.index, size);
        if (i % 5 != 4 && tile.width > 0)
            tile_path(name, &tile);
        struct log_found found;
        struct err err = {0};
        if (!fs_join(path, dir, name))
            die("the path is too long", "");
        flip(path, &bit);
        if (log_verify(config, &found, &err) != ERR_CORRUPT)
            die("a changed bit was not found in ", path);
        buf_fini(&found.note);
        flip(path, &bit);
    }
    if (n > 0)
        end(&part, "flips, all found", n);
}

int main(int argc, char **argv)
{
    uint64_t leaves = 0, nflips = 0;
    const char *given = getenv("BUSBAR_SEED");
    char dir[FS_PATH_MAX], keys[FS_PATH_MAX];
    struct err err = {0};
    struct store *store;
    struct signer_state signer;
    struct log_found found;
    if (argc != 4 || !u64_parse(argv[1], strlen(argv[1]), 100000000, &leaves) || leaves == 0 ||
        !u64_parse(argv[3], strlen(argv[3]), 1000000, &nflips) || !fs_join(dir, argv[2], "log") ||
        !fs_join(keys, argv[2], "signer") || (given && !u64_parse(given, strlen(given), UINT64_MAX, &seed)))
        die("usage: log_append LEAVES FOLDER FLIPS", "");
    seed |= seed == 0;
    append(argv[2], "without the log", leaves, false, NULL);
    append(argv[2], "with the log", leaves, true, &store);
    publish(dir, keys, store, &signer);
    store->ops->close(store);
    struct log_verify config = {.source = {log_source_folder, dir}, .key = &signer.key};
    struct part part = begin();
    if (log_verify(&config, &found, &err) != 0)
        die("verify: ", err.msg);
    end(&part, "verified", found.leaves);
    write_proofs(dir, argv[2], &signer.key, &found);
    flips(&config, dir, found.point.size, nflips);
    buf_fini(&found.note);
    return 0;
}
