/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receipts: what the log says of a response or of a job, opened for its tenant, with the proof that it is in there
 * (docs/log.md). Whoever has one checks it with the log's key alone.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/fs.h"
#include "hub/api.h"
#include "runtime/log_files.h"
#include "runtime/publisher.h"
#include "tlog/leaf.h"

#define RECORDS_MAX 4096
#define WAIT_MS 50
#define WAITS_MAX 100
#define NOTE_FILE_MAX ((size_t)64 << 10) /* with the cosignatures of witnesses */
#define FACTS_BYTES_MAX ((size_t)8 << 20)

struct record {
    uint64_t leaf;
    size_t facts, facts_len; /* in the receipt's own buffer */
};

struct receipt {
    struct api_call *call;
    struct uuid id;
    struct buf facts;
    struct record records[RECORDS_MAX];
    uint32_t n, waits;
    bool full;                   /* there are more records */
    uint8_t salt[LEAF_SALT_LEN]; /* of the leaf that is looked at */
    char text[LEAF_TEXT_CAP];
    size_t text_len;
    uint64_t leaf;
    bool found;
    struct tile_reader reader;
};

static int parse(struct api_call *call)
{
    struct receipt *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NO_MEMORY;
    call->data = r;
    r->call = call;
    if (!uuid_parse(&r->id, call->param, strlen(call->param)))
        return err_set(&call->err, ERR_NOT_FOUND, "There is no receipt `%.60s`.", call->param);
    return 0;
}

/* What is no tenant's, a recall, is for every key; all else for its tenant's, also where two tenants have records under one id. */
static void take_record(void *ctx, const struct store_receipt *receipt, const char *facts)
{
    struct receipt *r = ctx;
    if (!uuid_zero(&receipt->tenant) && call_may(r->call, &receipt->tenant) != 0)
        return;
    r->full = r->n == RECORDS_MAX;
    if (r->full)
        return;
    r->records[r->n++] = (struct record){receipt->leaf, r->facts.len, receipt->facts_len};
    buf_add(&r->facts, facts, receipt->facts_len);
}

static int take_leaf(void *ctx, const struct log_row *row)
{
    struct receipt *r = ctx;
    const uint8_t *entry;
    size_t at = 0, len;
    for (uint64_t i = row->first; tile_entry_next(row->entries, row->entries_len, &at, &entry, &len) == 0;
         i++) {
        if (i != r->leaf || len >= sizeof r->text)
            continue;
        memcpy(r->text, entry, len);
        r->text_len = len;
        memcpy(r->salt, row->salts + (i - row->first) * LEAF_SALT_LEN, LEAF_SALT_LEN);
        r->found = true;
    }
    return 1;
}

/* ---- rendering ---- */

static void add_hash(struct buf *out, const struct merkle_hash *hash)
{
    char text[BASE64_LEN(MERKLE_HASH_LEN) + 1];
    base64_encode(text, hash->b, sizeof hash->b);
    buf_addf(out, "\"%s\"", text);
}

/* Each fact with the salt that opens it. */
static void add_facts(struct buf *out, const struct receipt *r, const struct record *record)
{
    const char *facts = r->facts.data + record->facts;
    char label[LEAF_LABEL_MAX];
    struct leaf_fact fact;
    struct merkle_hash salt;
    buf_add_char(out, '[');
    for (size_t at = 0, n = 0; leaf_fact_next(facts, record->facts_len, &at, &fact); n++) {
        leaf_salt(digest_sha256, &salt, r->salt, label, leaf_fact_label(label, &fact));
        buf_addf(out, "%s{\"name\":", n ? "," : "");
        buf_add_json(out, fact.name, fact.name_len);
        buf_add_text(out, ",\"value\":");
        buf_add_json(out, fact.value, fact.value_len);
        buf_add_text(out, ",\"salt\":");
        add_hash(out, &salt);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static int add_record(struct api_call *call, struct receipt *r, const struct record *record)
{
    struct store *store = runtime_store(call->hub->runtime);
    struct buf *out = &call->out;
    struct proof proof;
    r->leaf = record->leaf;
    r->found = false;
    int rc = store->ops->log(store, record->leaf, take_leaf, r, &call->err);
    if (rc == 0 && !r->found)
        rc = err_set(&call->err, ERR_CORRUPT, "A leaf of the log is missing.");
    if (rc == 0)
        rc = proof_inclusion(digest_sha256, tile_subtree, &r->reader, record->leaf, r->reader.size, &proof);
    if (rc != 0)
        return rc;
    buf_addf(out, "{\"index\":%llu,\"leaf\":", (unsigned long long)record->leaf);
    buf_add_json(out, r->text, r->text_len);
    buf_add_text(out, ",\"proof\":[");
    for (unsigned i = 0; i < proof.n; i++) {
        buf_add_text(out, i ? "," : "");
        add_hash(out, &proof.hash[i]);
    }
    buf_add_text(out, "],\"facts\":");
    add_facts(out, r, record);
    buf_add_char(out, '}');
    return 0;
}

static int read_file(struct api_call *call, const char *name, struct buf *out)
{
    char path[FS_PATH_MAX];
    return fs_join(path, call->hub->tlog_dir, name) ? fs_read(path, out, &call->err) : ERR_INVALID;
}

static int render(struct api_call *call, struct receipt *r, const struct buf *note, const struct buf *key)
{
    struct buf *out = &call->out;
    size_t key_len = key->len > 0 ? key->len - 1 : 0; /* without its line end */
    buf_addf(out, "{\"id\":\"%s\",\"key\":", call->param);
    buf_add_json(out, key->data, key_len);
    buf_add_text(out, ",\"checkpoint\":");
    buf_add_json(out, note->data, note->len);
    buf_add_text(out, ",\"records\":[");
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < r->n; i++) {
        buf_add_text(out, i ? "," : "");
        rc = add_record(call, r, &r->records[i]);
    }
    buf_add_text(out, "]}");
    return rc == 0 && out->failed ? err_set(&call->err, ERR_TOO_LARGE, "The receipt is too long.") : rc;
}

/* The records that a checkpoint must have: all that there are. False: wait for it. */
static bool is_published(const struct receipt *r, const struct checkpoint *point)
{
    return r->records[r->n - 1].leaf < point->size;
}

static int prove(struct api_call *call, struct receipt *r)
{
    struct buf note, key;
    struct note parsed;
    struct checkpoint point = {.size = 0};
    buf_init(&note, NOTE_FILE_MAX);
    buf_init(&key, 4096);
    int rc = read_file(call, LOG_CHECKPOINT, &note);
    if (rc == 0 && (note_parse(&parsed, note.data, note.len) != 0 ||
                    checkpoint_parse(&point, parsed.text, parsed.text_len) != 0))
        rc = err_set(&call->err, ERR_CORRUPT, "The log's checkpoint is damaged.");
    if (rc == 0 && is_published(r, &point)) {
        r->reader = (struct tile_reader){.hash = digest_sha256,
                                         .read = log_files_read_hashes,
                                         .ctx = (void *)call->hub->tlog_dir,
                                         .size = point.size};
        rc = read_file(call, "vkey", &key);
        rc = rc ? rc : render(call, r, &note, &key);
    } else if ((rc == 0 || rc == ERR_NOT_FOUND) && ++r->waits <= WAITS_MAX) {
        rc = 0;
        call->again_ms = WAIT_MS;
    } else if (rc == 0 || rc == ERR_NOT_FOUND) {
        rc = err_set(&call->err, ERR_UNAVAILABLE, "The log has no checkpoint with this yet.");
    }
    buf_fini(&note);
    buf_fini(&key);
    return rc;
}

static int work(struct api_call *call)
{
    struct receipt *r = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    r->n = 0;
    r->full = false;
    buf_init(&r->facts,
             FACTS_BYTES_MAX); /* the client may go before the next look: nothing is kept until then */
    int rc = store->ops->receipts(store, &r->id, take_record, r, &call->err);
    if (rc == 0 && (r->full || r->facts.failed))
        rc = err_set(&call->err, ERR_TOO_LARGE, "The receipt has more than %d records, or too many facts.",
                     RECORDS_MAX);
    if (rc == 0 && r->n == 0)
        rc = err_set(&call->err, ERR_NOT_FOUND, "There is no receipt `%.60s`.", call->param);
    if (rc == 0)
        rc = prove(call, r);
    buf_fini(&r->facts);
    return rc;
}

const struct api_handler api_receipt_show = {.parse = parse, .work = work};
