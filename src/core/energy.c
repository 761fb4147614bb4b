/* SPDX-License-Identifier: Apache-2.0 */
/* Energy of requests; core/energy.h has the story. */
#include "core/energy.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/charge.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

/* As of jobs (core/job_meter.c): clocks do not run alike, and no chip draws more than 100 kW with its share of a server. */
#define SLACK_MS 60000
#define SLACK_PART 32
#define CHIP_MJ_MS_MAX 100000
#define WEIGHT_MAX (UINT64_C(1) << 56) /* of a tenant: of a pot's all together they fit into 64 bits */
#define METER_KEY_LEN (sizeof(struct uuid) + 2 * sizeof(uint32_t))
#define POT_KEY_LEN (2 * sizeof(struct uuid))
#define WEIGHT_KEY_LEN (3 * sizeof(struct uuid))

static bool meter_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct replica_meter *)table)[i].row, key, len) == 0;
}

static bool weight_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct energy_weight *)table)[i].row, key, len) == 0;
}

static bool pot_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct energy_pot *)table)[i].site, key, len) == 0;
}

/* The one that is over for longest; by its key where that is the same. */
static bool over_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct row_replica_meter *x = &heap_entry(a, struct replica_meter, in_over)->row;
    const struct row_replica_meter *y = &heap_entry(b, struct replica_meter, in_over)->row;
    int order = memcmp(&x->deployment, &y->deployment, sizeof x->deployment);
    if (x->ended_ms != y->ended_ms)
        return x->ended_ms < y->ended_ms;
    if (order != 0)
        return order < 0;
    return x->ordinal != y->ordinal ? x->ordinal < y->ordinal : x->epoch < y->epoch;
}

void energy_carve(struct core *core, struct arena *arena)
{
    struct energy *g = &core->energy;
    uint32_t n = core->limits.replicas + ENERGY_OVER_MAX;
    _Static_assert(offsetof(struct row_replica_meter, site) == METER_KEY_LEN, "key is a prefix");
    _Static_assert(offsetof(struct row_energy_weight, tenant) == WEIGHT_KEY_LEN, "key is a prefix");
    CARVE(core, energy.meters, energy.meter, n);
    CARVE(core, energy.weights, energy.weight, ENERGY_WEIGHTS_MAX);
    CARVE(core, energy.pots, energy.pot, n);
    index_init(&g->meter_map, arena, n, meter_equal, g->meter);
    index_init(&g->weight_map, arena, ENERGY_WEIGHTS_MAX, weight_equal, g->weight);
    index_init(&g->pot_map, arena, n, pot_equal, g->pot);
    heap_init(&g->over, over_before);
}

/* What a replica drew that is over is part of the books. */
void energy_collect(struct core *core, row_fn *fn, void *ctx)
{
    struct energy *g = &core->energy;
    bool dead;
    for (uint32_t k = 0; k < g->meters.ndirty; k++)
        fn(ctx, ROW_KIND_replica_meter, ROW_PUT, &g->meter[table_changed(&g->meters, k, &dead)].row);
    table_clean(&g->meters);
    for (uint32_t k = 0; k < g->weights.ndirty; k++) {
        uint32_t i = table_changed(&g->weights, k, &dead);
        fn(ctx, ROW_KIND_energy_weight, dead ? ROW_DELETE : ROW_PUT, &g->weight[i].row);
    }
    table_clean(&g->weights);
    table_clean(&g->pots);
}

/* ---- pots ---- */

static uint32_t pot_find(const struct core *core, const struct uuid *site, const struct uuid *variant)
{
    const struct uuid key[] = {*site, *variant};
    return map_get(&core->energy.pot_map, key, POT_KEY_LEN);
}

/* There are as many places as for replicas. INDEX_NONE: those that went in this batch have theirs still. */
static uint32_t pot_take(struct core *core, const struct uuid *site, const struct uuid *variant)
{
    struct energy *g = &core->energy;
    uint32_t p = pot_find(core, site, variant);
    if (p != MAP_NONE)
        return p;
    p = table_take(&g->pots);
    if (p == INDEX_NONE)
        return p;
    g->pot[p] = (struct energy_pot){.site = *site, .variant = *variant};
    list_init(&g->pot[p].meters);
    list_init(&g->pot[p].weights);
    map_put(&g->pot_map, &g->pot[p].site, POT_KEY_LEN, p);
    return p;
}

static void weight_drop(struct core *core, struct energy_pot *pot, struct energy_weight *w)
{
    struct energy *g = &core->energy;
    list_remove(&w->in_pot);
    pot->nweights--;
    map_remove(&g->weight_map, &w->row, WEIGHT_KEY_LEN);
    table_drop(&g->weights, (uint32_t)(w - g->weight));
}

static void pot_drop(struct core *core, uint32_t p)
{
    struct energy *g = &core->energy;
    struct energy_pot *pot = &g->pot[p];
    list_for_each_safe (it, next, &pot->weights)
        weight_drop(core, pot, list_entry(it, struct energy_weight, in_pot));
    map_remove(&g->pot_map, &pot->site, POT_KEY_LEN);
    table_drop(&g->pots, p);
}

static struct energy_weight *weight_add(struct core *core, uint32_t p, const struct row_energy_weight *row)
{
    struct energy *g = &core->energy;
    uint32_t i = table_take(&g->weights);
    if (i == INDEX_NONE)
        return NULL;
    g->weight[i] = (struct energy_weight){.row = *row};
    list_push(&g->pot[p].weights, &g->weight[i].in_pot);
    g->pot[p].nweights++;
    map_put(&g->weight_map, &g->weight[i].row, WEIGHT_KEY_LEN, i);
    return &g->weight[i];
}

/* ---- sharing out ---- */

/* What waits is on accounts from now on. */
static uint64_t pot_empty(struct core *core, struct energy_pot *pot)
{
    uint64_t sum = 0;
    list_for_each_safe (it, next, &pot->meters) {
        struct replica_meter *m = list_entry(it, struct replica_meter, in_pot);
        if (m->row.waiting_mj == 0 && m->row.told == 0)
            continue;
        sum += m->row.waiting_mj;
        m->row.waiting_mj = 0;
        m->row.told = 0;
        table_touch(&core->energy.meters, (uint32_t)(m - core->energy.meter));
    }
    pot->ntold = 0;
    return sum;
}

/* Of equal remainders the key with the lower id comes first. */
static bool comes_first(const struct energy_weight *a, const struct energy_weight *b)
{
    if (a->rest != b->rest)
        return a->rest > b->rest;
    return memcmp(&a->row.key, &b->row.key, sizeof a->row.key) < 0;
}

static void divide(struct energy_pot *pot, uint64_t total_mj, uint64_t whole)
{
    uint64_t left = total_mj;
    list_for_each_safe (it, next, &pot->weights) {
        struct energy_weight *w = list_entry(it, struct energy_weight, in_pot);
        int128 exact = (int128)total_mj * w->row.weight;
        w->part_mj = (uint64_t)(exact / whole);
        w->rest = (uint64_t)(exact % whole) + 1; /* 0: it has got one more */
        left -= w->part_mj;
    }
    assert(left < pot->nweights || left == 0);
    for (; left > 0; left--) {
        struct energy_weight *most = NULL;
        list_for_each_safe (it, next, &pot->weights) {
            struct energy_weight *w = list_entry(it, struct energy_weight, in_pot);
            most = !most || comes_first(w, most) ? w : most;
        }
        most->part_mj++;
        most->rest = 0;
    }
}

/* Its site is to pay for the CO2e of what was asked for, out of what requests bring. */
static void add_carbon(struct core *core, const struct uuid *id, uint64_t carbon)
{
    struct site_id site = site_by_id(core, id);
    int64_t cost = charge_carbon(core, carbon), due;
    if (site.v == INDEX_NONE || cost == 0)
        return;
    struct row_site *row = &core->net.site[site.v].row;
    row->carbon_due = i64_add(row->carbon_due, cost, &due) && due < MONEY_MAX ? due : MONEY_MAX;
    table_touch(&core->net.sites, site.v);
}

static void share_out(struct core *core, uint32_t p)
{
    static const struct uuid nobody;
    struct energy_pot *pot = &core->energy.pot[p];
    uint64_t whole = 0, carbon = 0, total_mj = pot_empty(core, pot);
    list_for_each_safe (it, next, &pot->weights)
        whole += list_entry(it, struct energy_weight, in_pot)->row.weight;
    if (total_mj == 0)
        return; /* what they weigh counts when something is told */
    if (whole == 0) {
        used_idle(core, &pot->site, total_mj);
        return;
    }
    divide(pot, total_mj, whole);
    list_for_each_safe (it, next, &pot->weights) {
        struct energy_weight *w = list_entry(it, struct energy_weight, in_pot);
        if (uuid_eq(&w->row.key, &nobody))
            used_idle(core, &pot->site, w->part_mj);
        else if (w->part_mj > 0)
            carbon += bill_energy(core, &w->row, w->part_mj);
        weight_drop(core, pot, w);
    }
    add_carbon(core, &pot->site, carbon);
}

/* ---- requests ---- */

static struct energy_weight *weight_find(struct core *core, const struct event_meter *e,
                                         const struct uuid *whose)
{
    const struct uuid key[] = {e->site, e->variant, *whose};
    uint32_t i = map_get(&core->energy.weight_map, key, WEIGHT_KEY_LEN);
    return i == MAP_NONE ? NULL : &core->energy.weight[i];
}

void energy_count(struct core *core, const struct event_meter *e)
{
    static const struct uuid nobody;
    struct energy *g = &core->energy;
    uint64_t weight = (uint64_t)e->completion * PROMPT_WEIGHT + (e->prompt - e->cached);
    uint32_t p = weight > 0 ? pot_find(core, &e->site, &e->variant) : MAP_NONE;
    if (p == MAP_NONE || g->pot[p].nruns == 0)
        return;
    struct energy_weight *w = weight_find(core, e, &e->key);
    /* The last place of a pot is for all others, and each pot has one. */
    bool room = table_room(&g->weights) > g->pots.live && g->pot[p].nweights < ENERGY_KEYS_MAX;
    const struct row_energy_weight row = {.site = e->site,
                                          .variant = e->variant,
                                          .key = room ? e->key : nobody,
                                          .tenant = room ? e->tenant : nobody};
    if (!w && !room)
        w = weight_find(core, e, &nobody);
    if (!w)
        w = weight_add(core, p, &row);
    if (!w || w->row.weight > WEIGHT_MAX - weight)
        return;
    w->row.model = e->model;
    w->row.price = e->price;
    w->row.weight += weight;
    table_touch(&g->weights, (uint32_t)(w - g->weight));
}

/* ---- a replica's life ---- */

static uint32_t find(const struct core *core, const struct uuid *deployment, uint32_t ordinal, uint32_t epoch)
{
    const struct row_replica_meter key = {.deployment = *deployment, .ordinal = ordinal, .epoch = epoch};
    return map_get(&core->energy.meter_map, &key, METER_KEY_LEN);
}

static uint32_t put(struct core *core, const struct row_replica_meter *row)
{
    struct energy *g = &core->energy;
    if (table_room(&g->meters) == 0)
        return INDEX_NONE;
    uint32_t p = pot_take(core, &row->site, &row->variant);
    if (p == INDEX_NONE)
        return p;
    uint32_t i = table_take(&g->meters);
    g->meter[i] = (struct replica_meter){.row = *row, .pot = p};
    map_put(&g->meter_map, &g->meter[i].row, METER_KEY_LEN, i);
    list_push(&g->pot[p].meters, &g->meter[i].in_pot);
    g->pot[p].nmeters++;
    g->pot[p].nruns += row->state == JOB_USAGE_RUNS;
    g->pot[p].ntold += row->state == JOB_USAGE_RUNS && row->told;
    return i;
}

/* What it told is shared out first. With the last one of its pot goes what nobody will tell anything about. */
static void close_row(struct core *core, uint32_t i)
{
    struct energy *g = &core->energy;
    struct replica_meter *m = &g->meter[i];
    struct energy_pot *pot = &g->pot[m->pot];
    if (m->row.waiting_mj > 0)
        share_out(core, m->pot);
    m->row.state = JOB_USAGE_CLOSED;
    list_remove(&m->in_pot);
    if (--pot->nmeters == 0)
        pot_drop(core, m->pot);
    map_remove(&g->meter_map, &m->row, METER_KEY_LEN);
    table_drop(&g->meters, i);
}

static void await(struct core *core, uint32_t i)
{
    struct energy *g = &core->energy;
    heap_push(&g->over, &g->meter[i].in_over);
    if (++g->nover <= ENERGY_OVER_MAX)
        return;
    g->nover--;
    close_row(core, (uint32_t)(heap_entry(heap_pop(&g->over), struct replica_meter, in_over) - g->meter));
}

/* All that run have told something. */
static bool is_full(const struct energy_pot *pot)
{
    return pot->ntold == pot->nruns;
}

void energy_end(struct core *core, const struct row_replica *replica, bool lost)
{
    struct energy *g = &core->energy;
    uint32_t i = find(core, &replica->deployment, replica->ordinal, replica->epoch);
    if (i == MAP_NONE || g->meter[i].row.state != JOB_USAGE_RUNS)
        return;
    struct replica_meter *m = &g->meter[i];
    struct energy_pot *pot = &g->pot[m->pot];
    pot->nruns--;
    pot->ntold -= m->row.told;
    m->row.told = 0;
    m->row.state = JOB_USAGE_OVER;
    m->row.ended_ms = core->now_ms;
    table_touch(&g->meters, i);
    if (is_full(pot))
        share_out(core, m->pot);
    if (lost || (m->row.flags & JOB_METER_FINAL))
        close_row(core, i);
    else
        await(core, i);
}

/* ---- reports ---- */

/* One that runs, of which nothing was told yet. False: there is none. */
static bool begin(const struct core *core, const struct event_replica_meter *e, struct row_replica_meter *out)
{
    const struct row_replica *row = replica_running(core, &e->deployment, e->ordinal, e->epoch);
    uint32_t d = deployment_find(core, &e->deployment);
    if (!row)
        return false;
    *out = (struct row_replica_meter){.deployment = e->deployment,
                                      .ordinal = e->ordinal,
                                      .epoch = e->epoch,
                                      .site = row->site,
                                      .variant = row->variant,
                                      .chips = row->chips,
                                      .state = JOB_USAGE_RUNS,
                                      .started_ms = row->placed_ms ? row->placed_ms
                                                                   : core->deployment[d].row.created_ms};
    return true;
}

/* No more than its chips can have drawn since it is there. */
static bool can_be(const struct core *core, const struct row_replica_meter *row,
                   const struct event_replica_meter *e, uint64_t more_mj)
{
    uint64_t ms = core->now_ms > row->started_ms ? (uint64_t)(core->now_ms - row->started_ms) : 0;
    uint32_t chips = row->chips ? row->chips : NODE_CHIPS_MAX;
    int128 most = (int128)(SLACK_MS + ms + ms / SLACK_PART) * chips * CHIP_MJ_MS_MAX;
    return e->run > 0 && !(e->flags & ~(uint32_t)(JOB_METER_ESTIMATED | JOB_METER_FINAL)) &&
           (int128)row->energy_mj + more_mj <= most;
}

/* What was not known; of a run before the one that it is in nothing is. */
static uint64_t news(const struct row_replica_meter *row, const struct event_replica_meter *e)
{
    if (e->run != row->run)
        return e->run > row->run ? e->energy_mj : 0;
    return e->energy_mj > row->run_mj ? e->energy_mj - row->run_mj : 0;
}

/* What one tells first waits: the others of its site come in the same call, and from then on all of them tell in turn. */
static void tell(struct core *core, uint32_t i, const struct event_replica_meter *e, uint64_t more_mj)
{
    bool first = core->energy.meter[i].row.run == 0;
    struct replica_meter *m = &core->energy.meter[i];
    struct energy_pot *pot = &core->energy.pot[m->pot];
    if (m->row.told)
        share_out(core, m->pot); /* others tell less often, or nothing */
    m->row.run = e->run;
    m->row.run_mj = e->energy_mj;
    m->row.energy_mj += more_mj;
    m->row.waiting_mj += more_mj;
    m->row.flags |= e->flags;
    m->row.told = !first && m->row.state == JOB_USAGE_RUNS;
    pot->ntold += m->row.told;
    table_touch(&core->energy.meters, i);
    if (!first && is_full(pot))
        share_out(core, m->pot);
}

int step_replica_meter(struct core *core, const struct event *event)
{
    const struct event_replica_meter *e = &event->u.replica_meter;
    struct energy *g = &core->energy;
    struct row_replica_meter row;
    uint32_t i = find(core, &e->deployment, e->ordinal, e->epoch);
    if (i != MAP_NONE)
        row = g->meter[i].row;
    else if (!begin(core, e, &row))
        return ERR_NOT_FOUND; /* it was never there, or nothing more is to be told of it */
    if (!uuid_zero(&e->site) && !uuid_eq(&e->site, &row.site))
        return ERR_FORBIDDEN;
    uint64_t more_mj = news(&row, e);
    if (!can_be(core, &row, e, more_mj))
        return ERR_INVALID;
    bool later = e->run > row.run, final = e->run == row.run && (e->flags & ~row.flags);
    if ((row.flags & JOB_METER_FINAL) || !(later || final || more_mj > 0))
        return 0; /* nothing that counts and was not known */
    if (i == MAP_NONE && (i = put(core, &row)) == INDEX_NONE)
        return ERR_LIMIT;
    tell(core, i, e, more_mj);
    if (g->meter[i].row.state == JOB_USAGE_OVER && (e->flags & JOB_METER_FINAL)) {
        heap_remove(&g->over, &g->meter[i].in_over);
        g->nover--;
        close_row(core, i);
    }
    return 0;
}

/* ---- from rows ---- */

int load_replica_meter(struct core *core, const struct row_replica_meter *row)
{
    bool runs = replica_running(core, &row->deployment, row->ordinal, row->epoch) != NULL;
    if (row->state == JOB_USAGE_CLOSED)
        return 0; /* part of the books, not of the state */
    if (row->state != (runs ? JOB_USAGE_RUNS : JOB_USAGE_OVER) || row->waiting_mj > row->energy_mj ||
        row->told > runs || find(core, &row->deployment, row->ordinal, row->epoch) != MAP_NONE)
        return ERR_CORRUPT;
    uint32_t i = put(core, row);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    if (!runs)
        await(core, i);
    return 0;
}

int load_energy_weight(struct core *core, const struct row_energy_weight *row)
{
    uint32_t p = pot_find(core, &row->site, &row->variant);
    if (p == MAP_NONE || map_get(&core->energy.weight_map, row, WEIGHT_KEY_LEN) != MAP_NONE ||
        (!uuid_zero(&row->key) && key_by_id(core, &row->key).v == INDEX_NONE))
        return ERR_CORRUPT;
    return weight_add(core, p, row) ? 0 : ERR_LIMIT;
}

static bool pot_holds(const struct energy_pot *pot)
{
    uint32_t n = 0, runs = 0, told = 0, weights = 0;
    list_for_each_safe (it, next, (struct list *)&pot->meters) {
        const struct replica_meter *m = list_entry(it, struct replica_meter, in_pot);
        n++;
        runs += m->row.state == JOB_USAGE_RUNS;
        told += m->row.told;
        if (m->row.waiting_mj > m->row.energy_mj || (m->row.told && m->row.state != JOB_USAGE_RUNS))
            return false;
    }
    list_for_each_safe (it, next, (struct list *)&pot->weights) {
        const struct energy_weight *w = list_entry(it, struct energy_weight, in_pot);
        weights++;
        if (!uuid_eq(&w->row.site, &pot->site) || !uuid_eq(&w->row.variant, &pot->variant))
            return false;
    }
    return n > 0 && n == pot->nmeters && runs == pot->nruns && told == pot->ntold &&
           weights == pot->nweights && weights <= ENERGY_KEYS_MAX + 1;
}

/* Each is in its pot, and what runs is a replica that does. */
bool energy_holds(const struct core *core)
{
    const struct energy *g = &core->energy;
    uint32_t in_pots = 0, over = 0, weights = 0;
    for (uint32_t p = 0; p < g->pots.used; p++) {
        if (!table_live(&g->pots, p))
            continue;
        if (!pot_holds(&g->pot[p]))
            return false;
        in_pots += g->pot[p].nmeters;
        weights += g->pot[p].nweights;
    }
    for (uint32_t i = 0; i < g->meters.used; i++) {
        const struct row_replica_meter *row = &g->meter[i].row;
        if (!table_live(&g->meters, i))
            continue;
        bool runs = replica_running(core, &row->deployment, row->ordinal, row->epoch) != NULL;
        if (row->state != (runs ? JOB_USAGE_RUNS : JOB_USAGE_OVER))
            return false;
        over += !runs;
    }
    return in_pots == g->meters.live && weights == g->weights.live && over == g->nover &&
           over <= ENERGY_OVER_MAX;
}

const struct row_replica_meter *view_replica_meter(const struct core *core, const struct row_replica *row)
{
    uint32_t i = find(core, &row->deployment, row->ordinal, row->epoch);
    return i == MAP_NONE ? NULL : &core->energy.meter[i].row;
}
