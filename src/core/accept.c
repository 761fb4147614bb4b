/* SPDX-License-Identifier: Apache-2.0 */
#include "core/accept.h"

#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "core/clusters.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

#define FIGURE_MAX UINT64_C(1000000000000000) /* thousandths of a token a second */

void acceptances_carve(struct core *core, struct arena *arena)
{
    CARVE(core, acceptances.table, acceptances.acceptance, ACCEPTANCES_MAX);
}

static struct row_acceptance *row_at(const struct core *core, uint32_t i)
{
    return table_live(&core->acceptances.table, i) ? &core->acceptances.acceptance[i].row : NULL;
}

const struct row_acceptance *view_acceptance_at(const struct core *core, uint32_t *pos)
{
    const struct row_acceptance *row = NULL;
    while (*pos < core->acceptances.table.used && !row)
        row = row_at(core, (*pos)++);
    return row;
}

uint32_t view_accept_mode(const struct core *core)
{
    return core->acceptances.mode.mode;
}

static const struct row_variant *variant_row(const struct core *core, const struct uuid *id)
{
    uint32_t i = map_get(&core->variant_map, id, sizeof *id);
    return i == MAP_NONE ? NULL : &core->variant[i].row;
}

uint32_t accept_begins(const struct core *core, const struct uuid *variant, uint32_t role)
{
    const struct row_variant *row = variant_row(core, variant);
    bool is_file = row && row->size_bytes > 0; /* what is at a URL has no weights that we know */
    return core->acceptances.mode.mode == ACCEPT_REQUIRE && is_file && role != REPLICA_WORKER ? ACCEPT_WAITING
                                                                                              : ACCEPT_OPEN;
}

bool view_takes_requests(const struct row_replica *row)
{
    return row->state == REPLICA_READY && row->accept != ACCEPT_WAITING && row->accept != ACCEPT_FAILED;
}

bool accept_bars(const struct core *core, const struct uuid *variant, const struct uuid *site)
{
    if (core->acceptances.mode.mode != ACCEPT_REQUIRE || core->acceptances.nbarred == 0)
        return false;
    for (uint32_t i = 0; i < core->acceptances.table.used; i++) {
        const struct row_acceptance *row = row_at(core, i);
        if (row && row->barred_ms != 0 && uuid_eq(&row->variant, variant) && uuid_eq(&row->site, site))
            return true;
    }
    return false;
}

void accept_forget(struct core *core, const struct uuid *gone)
{
    for (uint32_t i = 0; i < core->acceptances.table.used; i++) {
        const struct row_acceptance *row = row_at(core, i);
        if (!row || !(uuid_eq(&row->variant, gone) || uuid_eq(&row->site, gone)))
            continue;
        core->acceptances.nbarred -= row_at(core, i)->barred_ms != 0;
        table_drop(&core->acceptances.table, i);
    }
}

/* ---- rows ---- */

static bool is_same_place(const struct row_acceptance *row, const struct row_replica *r)
{
    return uuid_eq(&row->variant, &r->variant) && uuid_eq(&row->site, &r->site) && row->chips == r->chips &&
           memcmp(row->chip, r->chip, CHIP_CAP) == 0;
}

const struct row_acceptance *view_acceptance(const struct core *core, const struct row_replica *replica)
{
    for (uint32_t i = 0; i < core->acceptances.table.used; i++) {
        const struct row_acceptance *row = row_at(core, i);
        if (row && is_same_place(row, replica))
            return row;
    }
    return NULL;
}

/* Whether it goes first: those that failed last; where rows lie in the table decides nothing, since that is another after core_load. */
static bool is_older(const struct row_acceptance *a, const struct row_acceptance *b)
{
    int d = (a->fails > 0) - (b->fails > 0);
    d = d ? d : (a->at_ms > b->at_ms) - (a->at_ms < b->at_ms);
    d = d ? d : memcmp(&a->variant, &b->variant, sizeof a->variant);
    d = d ? d : memcmp(&a->site, &b->site, sizeof a->site);
    d = d ? d : memcmp(a->chip, b->chip, CHIP_CAP);
    return d ? d < 0 : a->chips < b->chips;
}

/* Keeps a place for the next one: it is free only once the deletion was collected. */
static void make_room(struct core *core, uint32_t but)
{
    struct table *table = &core->acceptances.table;
    uint32_t oldest = INDEX_NONE;
    for (uint32_t i = 0; i < table->used && table_room(table) <= 1; i++) {
        const struct row_acceptance *row = row_at(core, i);
        if (row && i != but && row->barred_ms == 0 &&
            (oldest == INDEX_NONE || is_older(row, row_at(core, oldest))))
            oldest = i;
    }
    if (oldest != INDEX_NONE)
        table_drop(table, oldest);
}

/* INDEX_NONE: there is no place. */
static uint32_t row_of(struct core *core, const struct row_replica *r)
{
    struct table *table = &core->acceptances.table;
    uint32_t i = 0;
    while (i < table->used && !(row_at(core, i) && is_same_place(row_at(core, i), r)))
        i++;
    if (i < table->used)
        return i;
    i = table_take(table);
    if (i == INDEX_NONE)
        return i;
    struct row_acceptance *row = &core->acceptances.acceptance[i].row;
    *row = (struct row_acceptance){.variant = r->variant, .site = r->site, .chips = r->chips};
    memcpy(row->chip, r->chip, sizeof row->chip);
    make_room(core, i);
    return i;
}

/* ---- speed ---- */

static uint64_t *figures_of(struct row_acceptance *row, bool many)
{
    return many ? &row->many0 : &row->one0;
}

_Static_assert(offsetof(struct row_acceptance, one6) - offsetof(struct row_acceptance, one0) ==
                   (ACCEPT_KEPT - 1) * sizeof(uint64_t),
               "they are a list");
_Static_assert(offsetof(struct row_acceptance, many6) - offsetof(struct row_acceptance, many0) ==
                   (ACCEPT_KEPT - 1) * sizeof(uint64_t),
               "they are a list");

static void insert(uint64_t *list, uint32_t *n, uint64_t value)
{
    uint32_t at = (*n)++;
    for (; at > 0 && list[at - 1] > value; at--)
        list[at] = list[at - 1];
    list[at] = value;
}

/* Of that row alone: another site could claim what it likes. The lower one of two in the middle; 0: nothing was measured. */
static uint64_t median_of(struct row_acceptance *row, bool many)
{
    uint64_t list[ACCEPT_KEPT];
    uint32_t n = 0, kept = row->passes < ACCEPT_KEPT ? (uint32_t)row->passes : ACCEPT_KEPT;
    for (uint32_t k = 0; k < kept; k++)
        insert(list, &n, figures_of(row, many)[k]);
    return n == 0 ? 0 : list[(n - 1) / 2];
}

void accept_usual(const struct row_acceptance *row, uint64_t *one, uint64_t *many)
{
    struct row_acceptance copy = *row;
    *one = median_of(&copy, false);
    *many = median_of(&copy, true);
}

bool view_accept_speed(const struct core *core, const struct row_replica *r, uint64_t *one, uint64_t *many)
{
    const struct row_acceptance *row = view_acceptance(core, r);
    *one = *many = 0;
    if (row && r->role != REPLICA_HEAD && row->batch == accept_batch(r->slots) &&
        memcmp(row->version, r->version, NAME_CAP) == 0)
        accept_usual(row, one, many);
    return *one > 0;
}

uint32_t accept_batch(uint32_t slots)
{
    return slots == 0 ? 1 : slots < ACCEPT_BATCH_MAX ? slots : ACCEPT_BATCH_MAX;
}

bool accept_is_slow(uint64_t one, uint64_t many, uint64_t usual_one, uint64_t usual_many)
{
    return one > 0 && usual_one > 0 &&
           (int128)one * many * 1000 * 1000 < (int128)usual_one * usual_many * ACCEPT_SHARE * ACCEPT_SHARE;
}

static bool is_slow(struct row_acceptance *row, const struct event_accept_result *e,
                    const struct row_replica *r)
{
    return r->role != REPLICA_HEAD && e->verdict == ACCEPT_PASSED &&
           accept_is_slow(e->one, e->many, median_of(row, false), median_of(row, true));
}

/* Figures of another engine, or of another number of requests at a time, say nothing of this one's. */
static void begin_anew(struct row_acceptance *row, const struct event_accept_result *e,
                       const struct row_replica *r)
{
    if (r->role != REPLICA_HEAD &&
        (memcmp(row->version, r->version, NAME_CAP) != 0 || (e->one > 0 && e->batch != row->batch)))
        row->passes = 0;
}

/* ---- steps ---- */

int step_accept_mode(struct core *core, const struct event *event)
{
    struct acceptances *all = &core->acceptances;
    uint32_t mode = event->u.accept_mode.mode;
    if (mode < ACCEPT_OFF || mode > ACCEPT_REQUIRE)
        return ERR_INVALID;
    all->mode = (struct row_accept_mode){.id = 1, .mode = mode};
    all->mode_touched = true;
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        struct row_replica *row = &core->replica[i].row;
        if (!table_live(&core->replicas, i) || row->accept == ACCEPT_PASSED)
            continue;
        /* One that answers already goes on until it is checked. */
        uint32_t begins =
            row->state == REPLICA_READY ? ACCEPT_OPEN : accept_begins(core, &row->variant, row->role);
        if (mode == ACCEPT_REQUIRE && row->accept == ACCEPT_FAILED)
            continue;
        row->accept = begins;
        table_touch(&core->replicas, i);
        if (row->role == REPLICA_HEAD && view_takes_requests(row))
            cluster_ready(core, core->replica[i].deployment);
    }
    core->effects->routes_changed = true;
    network_changed(core);
    return 0;
}

static bool words_hold(const char *text)
{
    size_t len = text_len(text, TEXT_CAP);
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return false; /* it is a line of facts */
    }
    return len < TEXT_CAP;
}

#define COPY(S, type, name, size) COPY_##type(name)
#define COPY_u32(name) row->name = e->name;
#define COPY_u64(name) row->name = e->name;
#define COPY_digest(name) memcpy(row->name, e->name, sizeof row->name);

static void take_figures(struct row_acceptance *row, const struct event_accept_result *e,
                         const struct row_replica *r)
{
    uint32_t batch = row->batch;
    ACCEPT_FIGURES(COPY, _)
    row->batch = e->one > 0 ? e->batch : batch; /* that of the figures which are kept */
    row->check = e->check;
    memcpy(row->reason, e->reason, sizeof row->reason);
    memcpy(row->version, r->version, sizeof row->version);
    if (e->verdict == ACCEPT_PASSED && e->one > 0 && r->role != REPLICA_HEAD) {
        uint32_t k = (uint32_t)(row->passes++ % ACCEPT_KEPT);
        figures_of(row, false)[k] = e->one;
        figures_of(row, true)[k] = e->many;
    }
}

/* The replica's place failed once more: from how many on it is barred there. */
static void count_fail(struct core *core, struct row_acceptance *row, uint32_t role)
{
    row->fails++;
    if (row->fails >= ACCEPT_FAILS_MAX && row->barred_ms == 0 && (row->chips > 0 || role == REPLICA_HEAD)) {
        row->barred_ms = core->now_ms;
        core->acceptances.nbarred++;
        network_changed(core);
    }
}

/* A site's replica gives up its place, a head its plan; the hub's own stays, and takes no requests. */
static void cordon(struct core *core, uint32_t i, bool barred)
{
    uint32_t served = core->replica[i].served;
    if (core->replica[i].row.role == REPLICA_HEAD)
        cluster_reject(core, core->replica[i].deployment, barred);
    else if (core->replica[i].row.state != REPLICA_DRAINING && served != INDEX_NONE)
        job_evict(core, (struct job_id){core->service.replica[served].job}, ERR_NOT_ACCEPTED);
}

static uint32_t replica_at(const struct core *core, const struct event_accept_result *e)
{
    uint32_t i = 0;
    while (i < core->replicas.used &&
           !(table_live(&core->replicas, i) && core->replica[i].row.ordinal == e->ordinal &&
             uuid_eq(&core->replica[i].row.deployment, &e->deployment)))
        i++;
    return i < core->replicas.used ? i : INDEX_NONE;
}

static int check_result(const struct core *core, const struct event_accept_result *e, uint32_t *out)
{
    if (uuid_zero(&e->check) || e->verdict < ACCEPT_PASSED || e->verdict > ACCEPT_UNCHECKED ||
        !words_hold(e->reason) || (e->verdict != ACCEPT_PASSED && e->reason[0] == 0))
        return ERR_INVALID;
    if (e->one > FIGURE_MAX || e->many > FIGURE_MAX || e->read > FIGURE_MAX)
        return ERR_OVERFLOW;
    uint32_t i = *out = replica_at(core, e);
    if (i == INDEX_NONE)
        return ERR_NOT_FOUND;
    const struct row_replica *row = &core->replica[i].row;
    return row->epoch == e->epoch && row->state == REPLICA_READY ? 0 : ERR_WRONG_STATE;
}

int step_accept_result(struct core *core, const struct event *event)
{
    const struct event_accept_result *e = &event->u.accept_result;
    uint32_t i;
    int rc = check_result(core, e, &i);
    if (rc != 0)
        return rc;
    struct row_replica *replica = &core->replica[i].row;
    uint32_t k = row_of(core, replica);
    if (k == INDEX_NONE)
        return ERR_LIMIT;
    struct row_acceptance *row = &core->acceptances.acceptance[k].row;
    table_touch(&core->acceptances.table, k);
    begin_anew(row, e, replica);
    bool slow = is_slow(row, e, replica);
    if (!slow)
        take_figures(row, e, replica);
    else {
        struct event_accept_result as = *e;
        static const char words[] = "slower than 70 % of what this variant's replicas gave here before";
        as.verdict = ACCEPT_FAILED;
        memset(as.reason, 0, sizeof as.reason);
        memcpy(as.reason, words, sizeof words);
        take_figures(row, &as, replica);
    }
    row->verdict = slow ? (uint32_t)ACCEPT_FAILED : e->verdict;
    row->at_ms = event->at_ms;
    bool fails = row->verdict == ACCEPT_FAILED && core->acceptances.mode.mode == ACCEPT_REQUIRE;
    replica->accept = row->verdict == ACCEPT_FAILED && !fails ? (uint32_t)ACCEPT_OPEN : row->verdict;
    replica->accepted_ms = event->at_ms;
    table_touch(&core->replicas, i);
    core->effects->routes_changed = true;
    if (core->replica[i].served != INDEX_NONE)
        service_due(core, core->deployment[core->replica[i].deployment].service);
    if (replica->role == REPLICA_HEAD && view_takes_requests(replica))
        cluster_ready(core, core->replica[i].deployment);
    if (!fails) {
        row->fails = row->verdict == ACCEPT_PASSED ? 0 : row->fails;
        return 0;
    }
    count_fail(core, row, replica->role);
    cordon(core, i, row->barred_ms != 0);
    return 0;
}

static bool is_lifted(const struct row_acceptance *row, const struct event_accept_lift *e)
{
    return row && uuid_eq(&row->variant, &e->variant) &&
           (uuid_zero(&e->site) || uuid_eq(&row->site, &e->site));
}

/* What was usual goes too: who lifts says that what was found is no measure, the speed included. */
int step_accept_lift(struct core *core, const struct event *event)
{
    const struct event_accept_lift *e = &event->u.accept_lift;
    bool any = false;
    for (uint32_t i = 0; i < core->acceptances.table.used; i++) {
        const struct row_acceptance *row = row_at(core, i);
        any = any || (is_lifted(row, e) && (row->barred_ms != 0 || row->fails != 0));
    }
    for (uint32_t i = 0; any && i < core->acceptances.table.used; i++) {
        struct row_acceptance *row = row_at(core, i);
        if (!is_lifted(row, e))
            continue;
        core->acceptances.nbarred -= row->barred_ms != 0;
        row->barred_ms = 0;
        row->fails = 0;
        row->passes = 0;
        table_touch(&core->acceptances.table, i);
    }
    if (!any)
        return ERR_NOT_FOUND;
    network_changed(core);
    return 0;
}

/* ---- the store ---- */

void acceptances_collect(struct core *core, row_fn *fn, void *ctx)
{
    struct acceptances *all = &core->acceptances;
    if (all->mode_touched)
        fn(ctx, ROW_KIND_accept_mode, ROW_PUT, &all->mode);
    all->mode_touched = false;
    for (uint32_t k = 0; k < all->table.ndirty; k++) {
        bool dead;
        uint32_t i = table_changed(&all->table, k, &dead);
        fn(ctx, ROW_KIND_acceptance, dead ? ROW_DELETE : ROW_PUT, &all->acceptance[i].row);
    }
    table_clean(&all->table);
}

void acceptances_dump(const struct core *core, row_fn *fn, void *ctx)
{
    if (core->acceptances.mode.id != 0)
        fn(ctx, ROW_KIND_accept_mode, ROW_PUT, &core->acceptances.mode);
    for (uint32_t i = 0; i < core->acceptances.table.used; i++) {
        if (row_at(core, i))
            fn(ctx, ROW_KIND_acceptance, ROW_PUT, row_at(core, i));
    }
}

int load_accept_mode(struct core *core, const struct row_accept_mode *row)
{
    if (row->mode < ACCEPT_OFF || row->mode > ACCEPT_REQUIRE)
        return ERR_CORRUPT;
    core->acceptances.mode = *row;
    return 0;
}

int load_acceptance(struct core *core, const struct row_acceptance *row)
{
    if (row->verdict < ACCEPT_PASSED || row->verdict > ACCEPT_UNCHECKED)
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->acceptances.table);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->acceptances.acceptance[i].row = *row;
    core->acceptances.nbarred += row->barred_ms != 0;
    if (row->barred_ms != 0)
        network_changed(core); /* jobs are loaded before, and found their places without it */
    return 0;
}
