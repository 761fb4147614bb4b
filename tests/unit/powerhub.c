/* SPDX-License-Identifier: Apache-2.0 */
#include "powerhub.h"

#include "base/checked.h"
#include "base/digest.h"
#include "runtime/journal.h"
#include "tlog/leaf.h"
#include "tlog/tile.h"

_Atomic bool powerhub_works;

static int on_step(struct world *w, const struct event *event)
{
    struct powerhub *hub = w->step_ctx;
    uint32_t before = hub->batch.effects.n;
    powerhub_works = true;
    int rc = batch_step(&hub->batch, w->core, event);
    powerhub_works = false;
    for (uint32_t i = before; i < hub->batch.effects.n; i++)
        w->list[w->effects.n++] = hub->batch.effects.list[i];
    return rc;
}

bool mark_eq(const struct mark *a, const struct mark *b)
{
    struct merkle_hash x, y;
    merkle_edge_root(digest_sha256, &a->edge, &x);
    merkle_edge_root(digest_sha256, &b->edge, &y);
    return a->events == b->events && a->rows == b->rows && a->edge.size == b->edge.size &&
           memcmp(&x, &y, sizeof x) == 0;
}

/* ---- loading ---- */

static int load_row(void *core, enum row_kind kind, const void *row)
{
    return core_load(core, kind, row);
}

static int mirror_row(void *mirror, enum row_kind kind, const void *row)
{
    powerhub_works = false;
    mirror_apply(mirror, kind, ROW_PUT, row);
    powerhub_works = true;
    return 0;
}

static int load_core(struct store *store, const struct limits *limits, struct core **core, void **block)
{
    struct err err = {0};
    size_t size = core_size(limits);
    free(*block);
    *block = calloc(1, size);
    *core = core_init(*block, size, limits);
    powerhub_works = true;
    int rc = store->ops->load(store, load_row, *core, &err);
    powerhub_works = false;
    return rc ? rc : core_load_done(*core);
}

static int read_mirror(struct store *store, struct mirror *mirror)
{
    struct row_query queries[ROW_KIND_END];
    struct err err = {0};
    const struct layout *layout;
    uint32_t n = 0;
    for (; (layout = layout_row_at(n)) != NULL; n++)
        queries[n] = (struct row_query){.kind = (enum row_kind)layout->kind};
    mirror_fini(mirror);
    mirror_init(mirror);
    powerhub_works = true;
    int rc = store->ops->rows(store, queries, n, mirror_row, mirror, &err);
    powerhub_works = false;
    return rc;
}

static int open_store(struct powerhub *hub)
{
    struct err err = {0};
    if (hub->store)
        return 0;
    powerhub_works = true;
    int rc = store_sqlite_open(&hub->store, "/busbar.db", "test", &err);
    powerhub_works = false;
    return rc;
}

static int ready_batch(struct powerhub *hub)
{
    powerhub_works = true;
    int rc = batch_init(&hub->batch);
    powerhub_works = false;
    if (rc != 0)
        batch_fini(&hub->batch);
    hub->ready = rc == 0;
    return rc;
}

int powerhub_load(struct powerhub *hub)
{
    struct err err = {0};
    struct world *w = hub->w;
    hub->loaded = false;
    int rc = hub->ready ? 0 : ready_batch(hub);
    if (rc == 0)
        rc = open_store(hub);
    if (rc == 0)
        rc = load_core(hub->store, &w->limits, &w->core, &w->block);
    powerhub_works = true;
    if (rc == 0)
        rc = logbook_load(&hub->book, hub->store, &err);
    powerhub_works = false;
    if (rc == 0)
        rc = read_mirror(hub->store, &w->mirror);
    if (rc != 0)
        return rc;
    batch_reset(&hub->batch, view_core(w->core)->events);
    hub->acked =
        (struct mark){.events = hub->batch.first, .rows = mirror_digest(&w->mirror), .edge = hub->book.edge};
    hub->tried = hub->acked;
    hub->loaded = true;
    return 0;
}

int powerhub_begin(struct powerhub *hub, const struct limits *limits)
{
    *hub = (struct powerhub){.w = world_new(limits)};
    hub->w->step = on_step;
    hub->w->step_ctx = hub;
    hub->w->batching = true;
    logbook_init(&hub->book);
    return powerhub_load(hub);
}

int powerhub_reopen(struct powerhub *hub)
{
    hub->store->ops->close(hub->store);
    hub->store = NULL;
    return open_store(hub);
}

int powerhub_commit(struct powerhub *hub)
{
    struct world *w = hub->w;
    struct err err = {0};
    const struct store_row *head;
    const void *row;
    size_t at = 0;
    powerhub_works = true;
    bool whole = batch_collect(&hub->batch, w->core);
    powerhub_works = false;
    if (!whole) {
        hub->loaded = false; /* the runtime ends the process here, and is started again */
        return ERR_NO_MEMORY;
    }
    while ((head = store_row_next(&hub->batch.rows, &at, &row)) != NULL)
        mirror_apply(&w->mirror, (enum row_kind)head->kind, (enum row_op)head->op, row);
    powerhub_works = true;
    int rc = logbook_commit(&hub->book, hub->store, &hub->batch, &err);
    powerhub_works = false;
    hub->tried = (struct mark){.events = hub->batch.first + hub->batch.count,
                               .rows = mirror_digest(&w->mirror),
                               .edge = hub->book.next};
    if (rc != 0) {
        hub->loaded = false;
        return rc;
    }
    hub->acked = hub->tried;
    batch_reset(&hub->batch, hub->acked.events);
    return 0;
}

void powerhub_end(struct powerhub *hub)
{
    if (hub->store)
        hub->store->ops->close(hub->store);
    if (hub->ready)
        batch_fini(&hub->batch);
    logbook_fini(&hub->book);
    world_free(hub->w);
}

/* ---- what a run began with ---- */

static void mirror_copy(struct mirror *to, const struct mirror *from)
{
    mirror_init(to);
    for (int kind = 0; kind < ROW_KIND_END; kind++) {
        if (from->count[kind] == 0)
            continue;
        const void **rows = mirror_sorted(from, (enum row_kind)kind);
        for (uint32_t i = 0; i < from->count[kind]; i++)
            mirror_apply(to, (enum row_kind)kind, ROW_PUT, rows[i]);
        free(rows);
    }
}

void powerhub_keep(struct origin *origin, const struct powerhub *hub)
{
    origin->limits = hub->w->limits;
    origin->mark = hub->acked;
    mirror_copy(&origin->rows, &hub->w->mirror);
}

void powerhub_origin_fini(struct origin *origin)
{
    mirror_fini(&origin->rows);
}

/* ---- what a store has ---- */

/* Each sum of each account is that of its transfers, and debits equal credits. */
static const char *check_ledger(const struct mirror *rows)
{
    uint32_t n = rows->count[ROW_KIND_account], m = rows->count[ROW_KIND_transfer];
    const void **accounts = mirror_sorted(rows, ROW_KIND_account);
    const void **transfers = mirror_sorted(rows, ROW_KIND_transfer);
    int128 debits = 0, credits = 0;
    const char *wrong = NULL;
    for (uint32_t i = 0; i < n; i++) {
        const struct row_account *a = accounts[i];
        int128 posted[2] = {0}, held[2] = {0};
        for (uint32_t k = 0; k < m; k++) {
            const struct row_transfer *t = transfers[k];
            int64_t rest = t->state == TRANSFER_PENDING ? t->amount - t->posted - t->voided : 0;
            bool side[2] = {uuid_eq(&t->debit_owner, &a->owner) && t->debit_code == a->code,
                            uuid_eq(&t->credit_owner, &a->owner) && t->credit_code == a->code};
            for (int s = 0; s < 2; s++) {
                posted[s] += side[s] && t->ledger == a->ledger ? t->posted : 0;
                held[s] += side[s] && t->ledger == a->ledger ? rest : 0;
            }
        }
        debits += a->debits_posted + a->debits_pending;
        credits += a->credits_posted + a->credits_pending;
        if (posted[0] != a->debits_posted || posted[1] != a->credits_posted || held[0] != a->debits_pending ||
            held[1] != a->credits_pending)
            wrong = "an account is not the sum of its transfers";
    }
    free(accounts);
    free(transfers);
    return debits != credits ? "debits are not credits" : wrong;
}

/* The journal from the origin on, by a core of its own. */
struct replay {
    struct world *w;
    uint64_t next; /* event */
    bool bad;
};

static int replay_row(void *ctx, const struct journal_row *row)
{
    struct replay *r = ctx;
    struct journal_entry entry;
    size_t at = 0;
    uint64_t event = row->first;
    r->bad |= row->first > r->next;
    for (; journal_next(row->events, row->events_len, &at, &entry) == 0; event++) {
        if (memcmp(row->leaves + (event - row->first) * JOURNAL_LEAF_LEN, entry.leaf, sizeof entry.leaf) != 0)
            r->bad = true;
        if (event < r->next)
            continue;
        r->w->effects.n = 0;
        r->bad |= core_step(r->w->core, &entry.event, &r->w->effects) != entry.code;
        r->next++;
    }
    r->bad |= at != row->events_len || event != row->first + row->count;
    world_collect(r->w);
    return 0;
}

static const char *check_journal(const struct origin *origin, struct store *store, const struct mark *mark)
{
    struct err err = {0};
    struct replay r = {.w = world_new(&origin->limits), .next = origin->mark.events};
    mirror_fini(&r.w->mirror);
    mirror_copy(&r.w->mirror, &origin->rows);
    int rc = world_reload(r.w);
    if (rc == 0)
        rc = store->ops->journal(store, origin->mark.events, replay_row, &r, &err);
    const char *wrong = rc != 0                  ? "the journal cannot be read"
                        : r.bad                  ? "the journal is not whole, or decides otherwise"
                        : r.next != mark->events ? "the journal ends elsewhere"
                        : mirror_digest(&r.w->mirror) != mark->rows ? "the replay ends with other rows"
                                                                    : NULL;
    world_free(r.w);
    return wrong;
}

static int take_leaves(void *ctx, const struct log_row *row)
{
    struct merkle_edge *edge = ctx;
    const uint8_t *entry;
    size_t at = 0, len;
    uint32_t count = 0;
    if (row->first != edge->size)
        return 1;
    for (; tile_entry_next(row->entries, row->entries_len, &at, &entry, &len) == 0; count++) {
        uint8_t space[1 + LEAF_TEXT_CAP];
        struct merkle_hash leaf;
        memcpy(space + 1, entry, len);
        merkle_leaf(digest_sha256, leaf.b, space + 1, len);
        merkle_edge_add(digest_sha256, edge, &leaf);
    }
    return count != row->count;
}

static const char *check_log(struct store *store, const struct mark *mark)
{
    struct err err = {0};
    struct mark again = *mark;
    again.edge = (struct merkle_edge){0};
    if (store->ops->log(store, 0, take_leaves, &again.edge, &err) != 0)
        return "the log cannot be read";
    return mark_eq(mark, &again) ? NULL : "the log's tree is not the one of its leaves";
}

const char *powerhub_found(const struct origin *origin, struct mark *mark)
{
    struct powerhub hub;
    const char *wrong = powerhub_begin(&hub, &origin->limits) != 0 ? "the state cannot be loaded" : NULL;
    *mark = hub.acked;
    if (!wrong && core_check(hub.w->core) != 0)
        wrong = "the state does not add up";
    if (!wrong)
        wrong = check_ledger(&hub.w->mirror);
    if (!wrong)
        wrong = check_log(hub.store, mark);
    if (!wrong)
        wrong = check_journal(origin, hub.store, mark);
    powerhub_end(&hub);
    return wrong;
}
