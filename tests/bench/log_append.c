/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the transparency log costs. log_append LEAVES FOLDER: meter records in batches of COMMIT_EVENTS go to SQLite, once without
 * their leaves and once with them, then become files, and are verified from these. Prints a line of JSON for each part: leaves,
 * wall and CPU seconds, leaves a second. No disk is asked to be another than it is: each batch is synced.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/osrandom.h"
#include "runtime/journal.h"
#include "runtime/log_files.h"
#include "runtime/log_verify.h"
#include "runtime/logbook.h"
#include "runtime/runtime.h"
#include "runtime/signer.h"

static void die(const char *words, const char *more)
{
    fprintf(stderr, "log_append: %s%s\n", words, more);
    exit(1);
}

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

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

int main(int argc, char **argv)
{
    uint64_t leaves = 0;
    char dir[FS_PATH_MAX], keys[FS_PATH_MAX];
    struct err err = {0};
    struct store *store;
    struct signer_state signer;
    struct log_found found;
    if (argc != 3 || !u64_parse(argv[1], strlen(argv[1]), 100000000, &leaves) || leaves == 0 ||
        !fs_join(dir, argv[2], "log") || !fs_join(keys, argv[2], "signer"))
        die("usage: log_append LEAVES FOLDER", "");
    append(argv[2], "without the log", leaves, false, NULL);
    append(argv[2], "with the log", leaves, true, &store);
    publish(dir, keys, store, &signer);
    store->ops->close(store);
    struct log_verify config = {.source = {log_source_folder, dir}, .key = &signer.key};
    struct part part = begin();
    if (log_verify(&config, &found, &err) != 0)
        die("verify: ", err.msg);
    end(&part, "verified", found.leaves);
    buf_fini(&found.note);
    return 0;
}
