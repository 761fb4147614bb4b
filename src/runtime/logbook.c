/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/logbook.h"

#include <endian.h>
#include <string.h>

#include "base/digest.h"
#include "base/osrandom.h"
#include "core/layout.h"
#include "runtime/journal.h"
#include "tlog/leaf.h"
#include "tlog/tile.h"

#define BUF_MAX ((size_t)16 << 20)

static const char entry_label[] = "entry", decision_label[] = "decision";

/* Events without a leaf, unless they led to something: a clock, leases of budget (the hub's own threads', gateways'), demand as
 * it is measured, parts of what is in force only with the event that follows them. */
static bool is_housekeeping(uint32_t kind)
{
    static const uint16_t kinds[] = {EVENT_KIND_tick,         EVENT_KIND_worker_join,   EVENT_KIND_lease_ask,
                                     EVENT_KIND_lease_return, EVENT_KIND_rules_put,     EVENT_KIND_plan_class,
                                     EVENT_KIND_plan_rent,    EVENT_KIND_service_demand};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i] == kind)
            return true;
    }
    return false;
}

void logbook_init(struct logbook *book)
{
    *book = (struct logbook){0};
    buf_init(&book->entries, BUF_MAX);
    buf_init(&book->salts, BUF_MAX);
    buf_init(&book->receipts, BUF_MAX);
    buf_init(&book->packed, MERKLE_EDGE_PACKED_MAX);
}

void logbook_fini(struct logbook *book)
{
    buf_fini(&book->entries);
    buf_fini(&book->salts);
    buf_fini(&book->receipts);
    buf_fini(&book->packed);
}

int logbook_load(struct logbook *book, struct store *store, struct err *err)
{
    buf_clear(&book->packed);
    int rc = store->ops->log_edge(store, &book->packed, err);
    if (rc != 0)
        return rc;
    book->edge = (struct merkle_edge){0};
    if (book->packed.len > 0 &&
        merkle_edge_unpack(&book->edge, (const uint8_t *)book->packed.data, book->packed.len) != 0)
        return err_set(err, ERR_CORRUPT, "the log's tree is damaged");
    return 0;
}

/* ---- what an event led to ---- */

struct packed {
    uint8_t b[256];
    size_t len;
};

static void pack(struct packed *p, const void *bytes, size_t len)
{
    memcpy(p->b + p->len, bytes, len);
    p->len += len;
}

static void pack_u32(struct packed *p, uint32_t v)
{
    v = htole32(v);
    pack(p, &v, sizeof v);
}

static void pack_u64(struct packed *p, uint64_t v)
{
    v = htole64(v);
    pack(p, &v, sizeof v);
}

static void chain_effect(struct merkle_hash *chain, const struct effect *e)
{
    struct packed p = {.len = 0};
    pack(&p, chain->b, sizeof chain->b);
    pack_u32(&p, (uint32_t)e->kind);
    pack_u32(&p, (uint32_t)e->code);
    pack_u64(&p, (uint64_t)e->amount);
    if (e->kind == EFFECT_ALARM) {
        pack(&p, e->site.b, sizeof e->site);
        pack(&p, e->vendor, 2 * sizeof(struct uuid));
    } else {
        const struct uuid *const ids[] = {&e->worker, &e->lease, &e->deployment};
        for (int i = 0; i < 3; i++)
            pack(&p, ids[i]->b, sizeof ids[i]->b);
    }
    const struct uuid *const ids[] = {&e->job, &e->pool, &e->service, &e->corridor};
    for (int i = 0; i < 4; i++)
        pack(&p, ids[i]->b, sizeof ids[i]->b);
    const uint32_t numbers[] = {e->ordinal, e->epoch, e->node, e->chips, e->alternative};
    for (int i = 0; i < 5; i++)
        pack_u32(&p, numbers[i]);
    pack_u64(&p, e->bytes);
    pack_u64(&p, e->bits_s);
    pack_u64(&p, (uint64_t)e->ms);
    digest_sha256(chain->b, p.b, p.len);
}

/* True if there was anything. Recalls are housekeeping as well. */
static bool chain_effects(struct merkle_hash *chain, const struct effect *effects, uint32_t n)
{
    bool any = false;
    *chain = (struct merkle_hash){{0}};
    for (uint32_t i = 0; i < n; i++) {
        if (effects[i].kind == EFFECT_REPLY || effects[i].kind == EFFECT_RECALL)
            continue;
        chain_effect(chain, &effects[i]);
        any = true;
    }
    return any;
}

/* ---- leaves ---- */

static void commit_to(struct merkle_hash *out, const uint8_t salt[LEAF_SALT_LEN], const char *label,
                      size_t label_len, const void *bytes, size_t len)
{
    struct merkle_hash label_salt;
    leaf_salt(digest_sha256, &label_salt, salt, label, label_len);
    leaf_commit(digest_sha256, out, &label_salt, label, label_len, bytes, len);
}

static void append(struct logbook *book, const struct leaf *leaf, const uint8_t salt[LEAF_SALT_LEN])
{
    char space[1 + LEAF_TEXT_CAP];
    uint8_t bundled[LEAF_TEXT_CAP + 2];
    struct merkle_hash hash;
    size_t len = leaf_text(space + 1, leaf);
    buf_add(&book->entries, bundled, tile_entry_put(bundled, sizeof bundled, space + 1, len));
    buf_add(&book->salts, salt, LEAF_SALT_LEN);
    merkle_leaf(digest_sha256, hash.b, (uint8_t *)space + 1, len);
    merkle_edge_add(digest_sha256, &book->next, &hash);
    book->count++;
}

static void take_salt(const struct logbook *book, uint8_t salt[LEAF_SALT_LEN])
{
    if (!book->given)
        os_random(salt, LEAF_SALT_LEN);
    else if (book->count < book->ngiven)
        memcpy(salt, book->given + (size_t)book->count * LEAF_SALT_LEN, LEAF_SALT_LEN);
    else
        memset(salt, 0, LEAF_SALT_LEN);
}

/* The event that stands between two offsets of the batch's entries. */
static void add_event(struct logbook *book, const struct batch *batch, uint32_t place,
                      const struct journal_entry *entry, size_t from, size_t to,
                      const struct store_receipt *receipt, const char *facts)
{
    struct leaf leaf = {.event = batch->first + place, .time_ms = entry->event.at_ms, .code = entry->code};
    struct merkle_hash chain;
    uint8_t salt[LEAF_SALT_LEN];
    uint32_t effects = place > 0 ? batch->effect_ends[place - 1] : 0;
    bool led = chain_effects(&chain, batch->effects.list + effects, batch->effect_ends[place] - effects);
    const char *kind = layout_event(entry->event.kind)->name;
    if (!led && is_housekeeping(entry->event.kind))
        return;
    (void)text_set(leaf.kind, sizeof leaf.kind, kind, text_len(kind, sizeof leaf.kind));
    take_salt(book, salt);
    commit_to(&leaf.entry, salt, entry_label, sizeof entry_label - 1, batch->events.data + from, to - from);
    commit_to(&leaf.decision, salt, decision_label, sizeof decision_label - 1, chain.b, sizeof chain.b);
    if (receipt) {
        struct store_receipt numbered = *receipt;
        numbered.leaf = book->next.size;
        leaf_facts(digest_sha256, &leaf.facts, salt, facts, receipt->facts_len);
        leaf.has_facts = true;
        store_receipt_add(&book->receipts, &numbered, facts);
    }
    append(book, &leaf, salt);
}

int logbook_make(struct logbook *book, const struct batch *batch, const uint8_t *salts, uint32_t nsalts,
                 struct err *err)
{
    struct journal_entry entry;
    const char *facts = NULL, *next_facts = NULL;
    size_t at = 0, facts_at = 0;
    const struct store_receipt *receipt = store_receipt_next(&batch->facts, &facts_at, &next_facts);
    book->next = book->edge;
    book->count = 0;
    book->given = salts;
    book->ngiven = nsalts;
    buf_clear(&book->entries);
    buf_clear(&book->salts);
    buf_clear(&book->receipts);
    buf_clear(&book->packed);
    for (uint32_t place = 0; place < batch->count; place++) {
        size_t from = at;
        int rc = journal_next((const uint8_t *)batch->events.data, batch->events.len, &at, &entry);
        if (rc != 0)
            return err_set(err, rc, "a batch's own events cannot be read");
        const struct store_receipt *mine = receipt && receipt->leaf == place ? receipt : NULL;
        facts = next_facts;
        if (mine)
            receipt = store_receipt_next(&batch->facts, &facts_at, &next_facts);
        add_event(book, batch, place, &entry, from, at, mine, facts);
    }
    uint8_t packed[MERKLE_EDGE_PACKED_MAX];
    buf_add(&book->packed, packed, merkle_edge_pack(&book->next, packed));
    if (book->entries.failed || book->salts.failed || book->receipts.failed || book->packed.failed)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    return 0;
}

int logbook_commit(struct logbook *book, struct store *store, const struct batch *batch, struct err *err)
{
    struct store_batch sb = {.rows = &batch->rows,
                             .first = batch->first,
                             .count = batch->count,
                             .events = &batch->events,
                             .leaves = &batch->leaves};
    int rc = logbook_make(book, batch, NULL, 0, err);
    struct store_log log = {.first = book->edge.size,
                            .count = book->count,
                            .entries = &book->entries,
                            .salts = &book->salts,
                            .receipts = &book->receipts,
                            .edge = &book->packed};
    sb.log = book->count > 0 ? &log : NULL;
    if (rc == 0)
        rc = store->ops->commit(store, &sb, err);
    if (rc == 0)
        book->edge = book->next;
    return rc;
}
