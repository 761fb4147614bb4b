/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the books, once in the life of a data folder.
 *
 * A hub of before may have charged what no line tells of, or have lines of what no account of use does. So that both are whole from
 * then on, each tenant gets what is missing: spending as a line of no day, which is on no invoice, and use as amounts from an
 * opening account. It is found from the store at a start, before there is any work, and never again: what is wrong later is found by
 * `ledger check`, not papered over.
 */
#include <stdlib.h>
#include <string.h>

#include "core/ledger.h"
#include "hub/ledger.h"

struct opening {
    struct row_account wallet;
    int64_t back;              /* what of it went back to funding */
    struct event_books_open e; /* lines less accounts of use */
};

struct openings {
    struct opening *tenant; /* by id */
    uint32_t n, at;
    struct event events[HUB_SETTLE_MAX];
    uint32_t nevents;
    bool opened;
};

static struct opening *find(struct openings *o, const struct uuid *tenant)
{
    for (uint32_t low = 0, high = o->n; low < high;) {
        uint32_t mid = low + (high - low) / 2;
        int order = memcmp(&o->tenant[mid].wallet.owner, tenant, sizeof *tenant);
        if (order == 0)
            return &o->tenant[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static int take_account(struct openings *o, const struct row_account *row)
{
    if (row->code != ACCOUNT_WALLET)
        return 0;
    struct opening *more = realloc(o->tenant, (o->n + 1) * sizeof *more);
    if (!more)
        return ERR_NO_MEMORY;
    o->tenant = more;
    o->tenant[o->n++] = (struct opening){.wallet = *row};
    return 0;
}

static int take(void *ctx, enum row_kind kind, const void *data)
{
    struct openings *o = ctx;
    const struct row_bill *bill = data;
    const struct row_transfer *transfer = data;
    const struct row_used *used = data;
    if (kind == ROW_KIND_account)
        return take_account(o, data);
    struct opening *t = find(o, kind == ROW_KIND_bill       ? &bill->tenant
                                : kind == ROW_KIND_transfer ? &transfer->debit_owner
                                                            : &used->owner);
    if (!t)
        return 0;
    if (kind == ROW_KIND_transfer) {
        bool back = transfer->debit_code == ACCOUNT_WALLET && transfer->credit_code == ACCOUNT_FUNDING;
        t->back += back ? transfer->posted : 0;
    } else if (kind == ROW_KIND_bill) {
        t->e.cost += bill->cost - bill->granted;
#define U(name, number, field, text) t->e.field += bill->field;
        USAGE_UNITS(U)
#undef U
    } else {
#define U(name, number, field, text) \
    t->e.field -= used->unit == (number) && used->side == SIDE_USED ? used->debits : 0;
        USAGE_UNITS(U)
#undef U
    }
    return 0;
}

static void is_open(void *ctx, const struct core *core)
{
    struct openings *o = ctx;
    o->opened = view_core(core)->books_ms != 0;
}

static bool lacks_nothing(const struct event_books_open *e)
{
    uint64_t any = (uint64_t)e->cost;
#define U(name, number, field, text) any |= e->field;
    USAGE_UNITS(U)
#undef U
    return any == 0;
}

/* The next events: of those tenants that lack something, and after the last one that all is done. */
static void fill(void *ctx, const struct core *core)
{
    struct openings *o = ctx;
    (void)core;
    o->nevents = 0;
    while (o->at < o->n && o->nevents < HUB_SETTLE_MAX - 1) {
        struct opening *t = &o->tenant[o->at++];
        struct event_books_open e = t->e;
        e.cost = t->wallet.debits_posted - t->back - e.cost;
        if (e.cost < 0) /* nothing that an opening could mend: `ledger check` tells of it */
            e.cost = 0;
        if (lacks_nothing(&e))
            continue;
        e.tenant = t->wallet.owner;
        o->events[o->nevents++] = (struct event){.kind = EVENT_KIND_books_open, .u.books_open = e};
    }
    if (o->at == o->n)
        o->events[o->nevents++] = (struct event){.kind = EVENT_KIND_books_open, .u.books_open.done = 1};
}

int hub_books_open(struct hub *hub, struct err *err)
{
    static const struct row_query all[] = {{.kind = ROW_KIND_account},
                                           {.kind = ROW_KIND_transfer},
                                           {.kind = ROW_KIND_bill},
                                           {.kind = ROW_KIND_used}};
    struct openings *o = calloc(1, sizeof *o);
    if (!o)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    struct store *store = runtime_store(hub->runtime);
    int rc = hub_settle(hub, is_open, o, NULL, &o->nevents);
    if (rc == 0 && !o->opened) {
        rc = store->ops->rows(store, all, sizeof all / sizeof all[0], take, o, err);
        do {
            if (rc == 0 && (rc = hub_settle(hub, fill, o, o->events, &o->nevents)) != 0)
                err_set(err, rc, "cannot open the books: %s", err_text(rc));
        } while (rc == 0 && o->at < o->n);
    }
    free(o->tenant);
    free(o);
    return rc;
}
