/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/replay.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/fs.h"
#include "core/layout.h"
#include "core/view.h"
#include "runtime/batch.h"
#include "runtime/journal.h"
#include "runtime/log_files.h"
#include "runtime/logbook.h"
#include "runtime/snapshot.h"
#include "runtime/state_block.h"
#include "store/store.h"
#include "tlog/leaf.h"
#include "tlog/proof.h"
#include "tlog/tile.h"

/* Rows are put into the database in portions; each is synced. */
#define ROWS_HOLD ((size_t)16 << 20)
#define ROWS_MAX ((size_t)96 << 20)
#define PIECE_MAX ((size_t)64 << 20)

/* A row of the journal, or of the log, as it was kept. */
struct piece {
    uint64_t first;
    uint32_t count;
    bool there;
    struct buf bytes, side; /* events and their hashes; or entries and their salts */
};

struct run {
    const struct replay *config;
    struct replay_found *found;
    struct store *kept, *made;
    char path[FS_PATH_MAX]; /* of what is made */
    struct state_block block;
    struct core *core;
    struct batch batch;
    struct logbook book;
    struct state_copy copy;
    uint8_t state[DIGEST_BYTES]; /* at the last mark */
    uint64_t marked;             /* which event that was; UINT64_MAX: there was none yet */
    struct buf rows;             /* that `made` does not have yet */
    struct piece journal, log;
    struct checkpoint point;      /* of the log's folder; size 0: none */
    struct merkle_edge published; /* the leaves that were made, up to the checkpoint's */
    bool unlogged;                /* there were events that have leaves, and none was kept */
    uint64_t next, total;
    struct err *err;
};

/* ---- telling what differs ---- */

static const char *code_words(int code)
{
    return code == 0 ? "accepted" : err_name(code);
}

__attribute__((format(printf, 3, 4))) static void say(char *dst, size_t cap, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(dst, cap, fmt, args);
    va_end(args);
}

#define SAY(field, ...) say((field), sizeof(field), __VA_ARGS__)

/* The first thing that differs is this event; returns ERR_CANCELLED, which ends the replay. */
static int differs(struct run *r, uint64_t event, const struct event *e, const char *what)
{
    struct replay_found *f = r->found;
    f->differs = f->at_event = true;
    f->event = event;
    f->event_ms = e ? e->at_ms : 0;
    SAY(f->kind, "%s", e ? layout_event(e->kind)->name : "");
    SAY(f->what, "%s", what);
    return ERR_CANCELLED;
}

/* ---- the state that is made ---- */

static int flush(struct run *r)
{
    static const struct buf nothing;
    const struct store_batch batch = {.rows = &r->rows, .events = &nothing, .leaves = &nothing};
    int rc = r->rows.len > 0 ? r->made->ops->commit(r->made, &batch, r->err) : 0;
    buf_clear(&r->rows);
    return rc;
}

/* As a hub does that starts, or whose commit failed. */
static int load(struct run *r)
{
    int rc = flush(r);
    if (rc != 0)
        return rc;
    return state_block_load(&r->block, &r->core, &r->config->limits, r->made, r->err);
}

/* ---- what was kept ---- */

static int keep_piece(struct piece *p, uint64_t first, uint32_t count, const void *bytes, size_t len,
                      const void *side, size_t side_len)
{
    p->first = first;
    p->count = count;
    p->there = true;
    buf_add(&p->bytes, bytes, len);
    buf_add(&p->side, side, side_len);
    return 1; /* one is enough */
}

static int take_journal(void *ctx, const struct journal_row *row)
{
    return keep_piece(ctx, row->first, row->count, row->events, row->events_len, row->leaves,
                      row->leaves_len);
}

static int take_log(void *ctx, const struct log_row *row)
{
    return keep_piece(ctx, row->first, row->count, row->entries, row->entries_len, row->salts,
                      (size_t)row->count * STORE_SALT_LEN);
}

static void piece_clear(struct piece *p)
{
    p->there = false;
    buf_clear(&p->bytes);
    buf_clear(&p->side);
}

static int read_journal(struct run *r)
{
    piece_clear(&r->journal);
    int rc = r->kept->ops->journal(r->kept, r->next, take_journal, &r->journal, r->err);
    return rc == 0 && r->journal.bytes.failed ? err_set(r->err, ERR_NO_MEMORY, "out of memory") : rc;
}

/* The leaves that come next, unless they are here already. */
static int read_log(struct run *r)
{
    if (r->log.there && r->log.first == r->book.edge.size)
        return 0;
    piece_clear(&r->log);
    int rc = r->kept->ops->log(r->kept, r->book.edge.size, take_log, &r->log, r->err);
    return rc == 0 && r->log.bytes.failed ? err_set(r->err, ERR_NO_MEMORY, "out of memory") : rc;
}

/* The entry of a bundle at *at; false: there is none that can be read. */
static bool next_leaf(const struct buf *bundle, size_t *at, struct leaf *out, const uint8_t **entry,
                      size_t *len)
{
    return tile_entry_next((const uint8_t *)bundle->data, bundle->len, at, entry, len) == 0 &&
           leaf_parse(out, (const char *)*entry, *len) == 0;
}

/* The first event that the leaves which were kept are of; UINT64_MAX: none are left. */
static uint64_t log_event(const struct run *r)
{
    struct leaf leaf;
    const uint8_t *entry;
    size_t at = 0, len;
    if (!r->log.there)
        return UINT64_MAX;
    return next_leaf(&r->log.bytes, &at, &leaf, &entry, &len) ? leaf.event : 0;
}

/* ---- comparing ---- */

static int leaf_differs(struct run *r, uint64_t event, const struct leaf *kept, const struct leaf *made)
{
    static const char no_leaf[] = "whether it has a leaf";
    struct replay_found *f = r->found;
    const struct leaf *one = kept ? kept : made;
    const char *what = "its leaf";
    if (kept && made && memcmp(&kept->entry, &made->entry, sizeof kept->entry) != 0)
        what = "the commitment to its entry";
    else if (kept && made && memcmp(&kept->decision, &made->decision, sizeof kept->decision) != 0)
        what = "the commitment to what it led to";
    else if (kept && made && memcmp(&kept->facts, &made->facts, sizeof kept->facts) != 0)
        what = "the commitment to its facts";
    differs(r, event, NULL, kept && made ? what : no_leaf);
    f->event_ms = one->time_ms;
    SAY(f->kind, "%s", one->kind);
    SAY(f->kept, "%s", kept ? code_words(kept->code) : "no leaf");
    SAY(f->made, "%s", made ? code_words(made->code) : "no leaf");
    return ERR_CANCELLED;
}

/* Leaves that were made with those that were kept, entry by entry; those of events from `end` on are not looked at. */
static int compare_leaves(struct run *r, uint64_t end)
{
    const struct buf *kept = &r->log.bytes, *made = &r->book.entries;
    size_t kept_at = 0, made_at = 0, kept_len = 0, made_len = 0;
    const uint8_t *kept_entry = NULL, *made_entry = NULL;
    for (;;) {
        struct leaf a, b;
        bool has_made = next_leaf(made, &made_at, &b, &made_entry, &made_len);
        bool cut = r->log.there && kept_at < kept->len;
        bool has_kept = cut && next_leaf(kept, &kept_at, &a, &kept_entry, &kept_len);
        if (cut && !has_kept)
            return has_made ? differs(r, b.event, NULL, "its leaf, which cannot be read")
                            : err_set(r->err, ERR_CORRUPT, "a leaf cannot be read");
        has_kept = has_kept && a.event < end;
        if (!has_kept && !has_made)
            return 0;
        if (has_kept && has_made && a.event != b.event) /* the lower one lacks its peer */
            return a.event < b.event ? leaf_differs(r, a.event, &a, NULL)
                                     : leaf_differs(r, b.event, NULL, &b);
        if (!has_kept || !has_made)
            return leaf_differs(r, has_kept ? a.event : b.event, has_kept ? &a : NULL, has_made ? &b : NULL);
        if (kept_len != made_len || memcmp(kept_entry, made_entry, kept_len) != 0)
            return leaf_differs(r, a.event, &a, &b);
        r->found->leaves++;
    }
}

/* Adds what was made, and was compared, to the tree of the checkpoint's size. */
static void add_published(struct run *r)
{
    uint8_t *made = (uint8_t *)r->book.entries.data;
    struct merkle_hash leaf;
    const uint8_t *entry;
    size_t at = 0, len;
    while (r->published.size < r->point.size &&
           tile_entry_next(made, r->book.entries.len, &at, &entry, &len) == 0) {
        merkle_leaf(digest_sha256, leaf.b, made + at - len, len); /* over its length, which was read */
        merkle_edge_add(digest_sha256, &r->published, &leaf);
    }
}

/* Makes the batch's leaves by the salts that were kept, and compares them. Events before there was a log have none. */
static int check_leaves(struct run *r)
{
    uint64_t end = r->batch.first + r->batch.count;
    int rc = read_log(r);
    if (rc != 0)
        return rc;
    bool before_log = r->book.edge.size == 0 && log_event(r) >= end;
    if (r->batch.count == 0)
        return 0;
    if (before_log) {
        rc = logbook_make(&r->book, &r->batch, (const uint8_t *)"", 0, r->err);
        r->unlogged = r->unlogged || r->book.count > 0;
        return rc;
    }
    bool mine = log_event(r) < end;
    struct piece none = {.there = false}, later = r->log;
    if (!mine)
        r->log = none;
    rc = logbook_make(&r->book, &r->batch, mine ? (const uint8_t *)r->log.side.data : (const uint8_t *)"",
                      mine ? r->log.count : 0, r->err);
    if (rc == 0)
        rc = compare_leaves(r, end);
    if (!mine)
        r->log = later;
    add_published(r);
    r->book.edge = r->book.next;
    return rc;
}

/* What the event was answered, with the entry that was kept of it; `from`: where its own entry begins that was made now. */
static int check_answer(struct run *r, uint64_t event, const struct journal_entry *kept, size_t from)
{
    struct journal_entry made;
    int rc = journal_next((const uint8_t *)r->batch.events.data, r->batch.events.len, &from, &made);
    if (rc != 0)
        return err_set(r->err, rc, "an event that was made anew cannot be read");
    if (kept->code == made.code && kept->amount == made.amount)
        return 0;
    SAY(r->found->kept, "%s, %lld", code_words(kept->code), (long long)kept->amount);
    SAY(r->found->made, "%s, %lld", code_words(made.code), (long long)made.amount);
    return differs(r, event, &kept->event, "how it was answered, or with what amount");
}

/* The state at a mark, as the hub's was before that event. */
static int take_mark(struct run *r, uint64_t event)
{
    r->marked = event;
    return state_copy_take(&r->copy, r->core) && state_copy_digest(&r->copy, r->state)
               ? 0
               : err_set(r->err, ERR_NO_MEMORY, "out of memory");
}

/* With what the hub told of it, where the replay has seen that mark. */
static int check_state(struct run *r, uint64_t event, const struct event *e)
{
    const struct event_state_digest *told = &e->u.state_digest;
    char hex[2][2 * DIGEST_BYTES + 1];
    if (told->event != r->marked)
        return 0;
    if (memcmp(told->state, r->state, sizeof r->state) == 0) {
        r->found->states++;
        return 0;
    }
    hex_encode(hex[0], told->state, sizeof told->state);
    hex_encode(hex[1], r->state, sizeof r->state);
    SAY(r->found->kept, "%s", hex[0]);
    SAY(r->found->made, "%s", hex[1]);
    (void)differs(r, event, e, "");
    SAY(r->found->what, "the digest of the state before event %llu", (unsigned long long)told->event);
    return ERR_CANCELLED;
}

/* Steps the event at *at of the batch that was kept. ERR_CANCELLED: it differs. */
static int replay_event(struct run *r, size_t *at, uint64_t event)
{
    const struct piece *p = &r->journal;
    struct journal_entry entry;
    uint32_t place = r->batch.count;
    int rc = journal_next((const uint8_t *)p->bytes.data, p->bytes.len, at, &entry);
    if (rc != 0)
        return differs(r, event, NULL, "its entry in the journal, which cannot be read");
    if (p->side.len < (size_t)(place + 1) * JOURNAL_LEAF_LEN ||
        memcmp(p->side.data + (size_t)place * JOURNAL_LEAF_LEN, entry.leaf, JOURNAL_LEAF_LEN) != 0)
        return differs(r, event, &entry.event, "its entry in the journal, by the hash that was kept of it");
    bool boot = entry.event.kind == EVENT_KIND_hub_boot;
    if (boot) {
        r->found->boots++;
        memcpy(r->found->version, entry.event.u.hub_boot.version, sizeof r->found->version);
    }
    if (place == 0 && (boot || (entry.event.kind == EVENT_KIND_tick && entry.event.u.tick.reloaded)) &&
        (rc = load(r)) != 0)
        return rc;
    if (entry.event.kind == EVENT_KIND_tick && entry.event.u.tick.mark && (rc = take_mark(r, event)) != 0)
        return rc;
    size_t from = r->batch.events.len;
    (void)batch_step(&r->batch, r->core, &entry.event); /* its code is in what it made */
    rc = check_answer(r, event, &entry, from);
    return rc == 0 && entry.event.kind == EVENT_KIND_state_digest && entry.code == 0
               ? check_state(r, event, &entry.event)
               : rc;
}

/* One batch as it was committed. */
static int replay_batch(struct run *r)
{
    const struct piece *p = &r->journal;
    size_t at = 0, end = 0;
    int rc = 0;
    if (p->first != r->next || p->count == 0 || p->count > BATCH_EVENTS_MAX)
        return differs(r, r->next, NULL, "the journal, which lacks it");
    batch_reset(&r->batch, p->first);
    for (uint32_t i = 0; rc == 0 && i < p->count; i++) {
        end = at;
        rc = replay_event(r, &at, p->first + i);
    }
    end = rc == 0 ? at : end;
    if (rc == 0 && at != p->bytes.len)
        rc = differs(r, p->first + p->count, NULL, "the journal, which has more");
    if (rc != 0 && rc != ERR_CANCELLED)
        return rc;
    /* Leaves are of the bytes that were kept, which may be an older form of the same events. An event before the one that differs
     * may have a leaf that does. */
    struct replay_found later = *r->found;
    if (rc != 0 && r->batch.count > 0 && r->found->event < r->batch.first + r->batch.count)
        r->batch.count = (uint32_t)(r->found->event - r->batch.first);
    buf_clear(&r->batch.events);
    buf_add(&r->batch.events, p->bytes.data, end);
    int leaves_rc = check_leaves(r);
    if (leaves_rc == 0 && rc != 0)
        *r->found = later;
    if (leaves_rc != 0 || rc != 0)
        return leaves_rc ? leaves_rc : rc;
    if (!batch_collect(&r->batch, r->core))
        return err_set(r->err, ERR_NO_MEMORY, "out of memory");
    buf_add(&r->rows, r->batch.rows.data, r->batch.rows.len); /* each is padded to 8 bytes */
    r->next += p->count;
    r->found->events += p->count;
    return r->rows.failed            ? err_set(r->err, ERR_NO_MEMORY, "out of memory")
           : r->rows.len > ROWS_HOLD ? flush(r)
                                     : 0;
}

/* ---- after the last event ---- */

/* The tree as it was kept, which is the one that is signed. */
static int check_edge(struct run *r)
{
    struct merkle_edge kept = {0};
    char root[2][BASE64_LEN(MERKLE_HASH_LEN) + 1];
    struct merkle_hash hash[2];
    struct buf packed;
    buf_init(&packed, MERKLE_EDGE_PACKED_MAX);
    int rc = r->kept->ops->log_edge(r->kept, &packed, r->err);
    if (rc == 0 && packed.len > 0 && merkle_edge_unpack(&kept, (const uint8_t *)packed.data, packed.len) != 0)
        rc = err_set(r->err, ERR_CORRUPT, "the log's tree is damaged");
    buf_fini(&packed);
    if (rc != 0)
        return rc;
    const struct merkle_edge *edges[] = {&kept, &r->book.edge};
    for (int i = 0; i < 2; i++) {
        merkle_edge_root(digest_sha256, edges[i], &hash[i]);
        base64_encode(root[i], hash[i].b, MERKLE_HASH_LEN);
    }
    if (kept.size == r->book.edge.size && memcmp(&hash[0], &hash[1], sizeof hash[0]) == 0)
        return 0;
    r->found->differs = true;
    SAY(r->found->what, "the log's tree");
    SAY(r->found->kept, "%llu leaves, %s", (unsigned long long)kept.size, root[0]);
    SAY(r->found->made, "%llu leaves, %s", (unsigned long long)r->book.edge.size, root[1]);
    return ERR_CANCELLED;
}

/* Of a larger tree than was made, as an export's may be that was made while the hub ran: that it extends what was made. */
static int check_extends(struct run *r, bool *holds)
{
    struct proof proof;
    struct merkle_hash root;
    struct tile_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return err_set(r->err, ERR_NO_MEMORY, "out of memory");
    *reader = (struct tile_reader){.hash = digest_sha256,
                                   .read = log_files_read_hashes,
                                   .ctx = (void *)r->config->log,
                                   .size = r->point.size};
    int rc = proof_consistency(digest_sha256, tile_subtree, reader, r->published.size, r->point.size, &proof);
    free(reader);
    if (rc != 0)
        return err_set(r->err, rc == ERR_NO_MEMORY ? rc : ERR_CORRUPT, "the log's files are not whole");
    merkle_edge_root(digest_sha256, &r->published, &root);
    *holds = proof_consistency_holds(digest_sha256, &proof, r->published.size, r->point.size, &root,
                                     &r->point.root);
    return 0;
}

/* What was published, with the tree that was made at its size. One older than where the replay begins cannot be compared. */
static int check_published(struct run *r)
{
    char root[2][BASE64_LEN(MERKLE_HASH_LEN) + 1];
    struct merkle_hash made;
    bool holds;
    if (r->point.size == 0 || r->published.size > r->point.size)
        return 0;
    merkle_edge_root(digest_sha256, &r->published, &made);
    holds = memcmp(&made, &r->point.root, sizeof made) == 0;
    int rc = r->published.size < r->point.size ? check_extends(r, &holds) : 0;
    r->found->checkpoint = r->point.size;
    if (rc != 0 || holds)
        return rc;
    base64_encode(root[0], r->point.root.b, MERKLE_HASH_LEN);
    base64_encode(root[1], made.b, MERKLE_HASH_LEN);
    r->found->differs = true;
    SAY(r->found->what, "the log's checkpoint");
    SAY(r->found->kept, "%llu leaves, %s", (unsigned long long)r->point.size, root[0]);
    SAY(r->found->made, "%llu leaves, %s", (unsigned long long)r->published.size, root[1]);
    return ERR_CANCELLED;
}

/* The log as a whole. */
static int check_log(struct run *r)
{
    struct merkle_hash root;
    int rc = check_edge(r);
    merkle_edge_root(digest_sha256, &r->book.edge, &root);
    base64_encode(r->found->root, root.b, MERKLE_HASH_LEN);
    r->found->tree = r->book.edge.size;
    r->found->no_log = rc == 0 && r->book.edge.size == 0 && (r->unlogged || r->point.size > 0);
    return rc == 0 && !r->found->no_log ? check_published(r) : rc;
}

static int check_rows(struct run *r)
{
    struct store_difference d;
    int rc = flush(r);
    if (rc == 0)
        rc = store_sqlite_compare(r->config->database, r->path, &d, r->err);
    if (rc != ERR_CORRUPT)
        return rc;
    r->found->differs = true;
    SAY(r->found->kind, "%s", d.row);
    SAY(r->found->what, "%s%s", d.field[0] ? "the row's field " : "the row", d.field);
    SAY(r->found->kept, "%s", d.kept[0] ? d.kept : "none");
    SAY(r->found->made, "%s", d.made[0] ? d.made : "none");
    return ERR_CANCELLED;
}

/* ---- the whole ---- */

static int take_total(void *ctx, enum row_kind kind, const void *row)
{
    (void)kind;
    *(uint64_t *)ctx = ((const struct row_core *)row)->events;
    return 1;
}

static int open_made(struct run *r)
{
    struct store *old = NULL;
    int rc = fs_join(r->path, r->config->scratch, "replay.db")
                 ? 0
                 : err_set(r->err, ERR_INVALID, "the folder's path is too long");
    if (rc == 0 && r->config->from) {
        rc = store_sqlite_open_read(&old, r->config->from, r->err);
        if (rc == 0) {
            rc = old->ops->backup(old, r->path, r->err);
            old->ops->close(old);
        }
    }
    return rc ? rc : store_sqlite_open(&r->made, r->path, NULL, r->err);
}

static int read_checkpoint(struct run *r)
{
    char path[FS_PATH_MAX];
    struct buf text;
    struct note note;
    if (!r->config->log)
        return 0;
    buf_init(&text, PIECE_MAX);
    int rc = fs_join(path, r->config->log, LOG_CHECKPOINT) ? fs_read(path, &text, r->err) : ERR_INVALID;
    if (rc == 0 && (note_parse(&note, text.data, text.len) != 0 ||
                    checkpoint_parse(&r->point, note.text, note.text_len) != 0))
        rc = err_set(r->err, ERR_CORRUPT, "%s is no checkpoint", path);
    buf_fini(&text);
    return rc;
}

static int begin(struct run *r)
{
    const struct row_query core = {.kind = ROW_KIND_core};
    int rc = store_sqlite_open_read(&r->kept, r->config->database, r->err);
    if (rc == 0)
        rc = r->kept->ops->rows(r->kept, &core, 1, take_total, &r->total, r->err);
    if (rc == 0)
        rc = open_made(r);
    if (rc == 0)
        rc = batch_init(&r->batch);
    if (rc == 0)
        rc = load(r);
    if (rc == 0)
        rc = logbook_load(&r->book, r->made, r->err);
    if (rc == 0)
        rc = read_checkpoint(r);
    if (rc != 0)
        return rc;
    r->published = r->book.edge;
    r->next = r->found->first = view_core(r->core)->events;
    if (r->next > r->total)
        return err_set(r->err, ERR_INVALID, "the backup is younger than the data");
    return 0;
}

static int run(struct run *r)
{
    int rc = begin(r);
    while (rc == 0 && r->next < r->total) {
        if (r->config->progress)
            r->config->progress(r->config->ctx, r->next, r->total);
        rc = read_journal(r);
        if (rc == 0)
            rc =
                r->journal.there ? replay_batch(r) : differs(r, r->next, NULL, "the journal, which lacks it");
    }
    if (rc == 0)
        rc = check_log(r);
    if (rc == 0)
        rc = check_rows(r);
    if (rc == 0 && r->config->progress)
        r->config->progress(r->config->ctx, r->next, r->total);
    return rc == ERR_CANCELLED ? 0 : rc;
}

int replay_run(const struct replay *replay, struct replay_found *found, struct err *err)
{
    struct run r = {.config = replay, .found = found, .err = err};
    struct buf *bufs[] = {&r.journal.bytes, &r.journal.side, &r.log.bytes, &r.log.side};
    *found = (struct replay_found){.events = 0};
    for (int i = 0; i < 4; i++)
        buf_init(bufs[i], PIECE_MAX);
    buf_init(&r.rows, ROWS_MAX);
    logbook_init(&r.book);
    state_copy_init(&r.copy);
    r.marked = UINT64_MAX;
    int rc = run(&r);
    for (int i = 0; i < 4; i++)
        buf_fini(bufs[i]);
    buf_fini(&r.rows);
    logbook_fini(&r.book);
    batch_fini(&r.batch);
    state_block_fini(&r.block);
    state_copy_fini(&r.copy);
    if (r.made)
        r.made->ops->close(r.made);
    if (r.kept)
        r.kept->ops->close(r.kept);
    return rc;
}
