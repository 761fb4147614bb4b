/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What epochs of jobs use, and who pays for it.
 *
 * Each epoch has a row from its start, with the price of a chip-hour then. Reports tell totals of the epoch, never what was
 * added, so one that comes twice or late is nothing new; what it costs follows from the totals, and the row tells how much
 * of that was paid. So no order and no repetition of reports bills a chip-ms twice.
 *
 * The last figures may come after the epoch is over, while another one of the job runs, or when the core has forgotten the
 * job. The row stays in memory until both the end and the final report have come; of those that are over, as many
 * wait for it as limits.meters says, and the one that has waited longest is closed for another. A closed row is part of the
 * books, and nothing is added to it.
 *
 * Whole nano-units leave grants whose conditions the job meets, then the tenant's wallet, never more than is available there, nor than
 * the budgets of tenant, project and key (core/budget.h) and the key's limit leave: these count all that the job costs, whoever
 * pays for it. What a gateway holds comes free again, or is spent: until then the rest is owed. If it could not be paid even
 * so, the job is stopped for good.
 *
 * A price has a base and discounts, which are those of the start, and a factor by the hour of the day and what power costs
 * (core/terms.h). The hour is that in which the report says the last of it was used, what power costs and its carbon are those of when it
 * is told, as no signals of the past are kept; and the part is a line of its own: what was told before stays as it was billed. What is left
 * of a tenant's free chip-ms is used up first. Where terms say so energy is a line, too: what power costs when it is told, times the
 * site's overhead.
 *
 * Data is a line of its own: bytes that came over the corridor between the hub's own site and the epoch's, or went, times what a
 * GB cost there when the epoch started, half to even. It is told once all of it has moved, which may be long after the
 * final report: of an epoch whose final report says DATA_DUE the row stays until one with DATA_TOLD has come too.
 */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

#define HOUR_MS 3600000
/* Clocks of a site and of the hub do not run alike, and time goes slower here while the wall clock is behind
 * (runtime/event_clock.h). */
#define SLACK_MS 60000
#define SLACK_PART 32
#define CHIP_MJ_MS_MAX 100000 /* 100 kW: no chip, with its share of a server, draws as much */
#define GB INT64_C(1000000000)
/* Of a nano-unit: energy is in mJ, 3.6e9 of them a kWh, and the PUE in thousandths. */
#define KWH_PARTS (INT64_C(3600000000) * 1000)
#define KEY_LEN (sizeof(struct uuid) + sizeof(uint32_t)) /* a row begins with job and epoch */

static bool usage_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp(&((const struct job_usage *)table)[i].row, key, len) == 0;
}

/* The one that is over for longest; by its key where that is the same. */
static bool over_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct row_job_usage *x = &heap_entry(a, struct job_usage, in_over)->row;
    const struct row_job_usage *y = &heap_entry(b, struct job_usage, in_over)->row;
    int order = memcmp(&x->job, &y->job, sizeof x->job);
    if (x->ended_ms != y->ended_ms)
        return x->ended_ms < y->ended_ms;
    return order != 0 ? order < 0 : x->epoch < y->epoch;
}

void job_meters_carve(struct core *core, struct arena *arena)
{
    uint32_t n = core->limits.jobs + core->limits.meters;
    CARVE(core, meters.table, meters.usage, n);
    index_init(&core->meters.map, arena, n, usage_equal, core->meters.usage);
    heap_init(&core->meters.over, over_before);
}

uint32_t job_usage_find(const struct core *core, const struct uuid *job, uint32_t epoch)
{
    const struct row_job_usage key = {.job = *job, .epoch = epoch};
    return map_get(&core->meters.map, &key, KEY_LEN);
}

/* ---- an epoch's life ---- */

static uint32_t put(struct core *core, const struct row_job_usage *row, uint32_t tenant)
{
    uint32_t i = table_take(&core->meters.table);
    if (i == INDEX_NONE)
        return i;
    core->meters.usage[i] = (struct job_usage){.row = *row, .tenant = {tenant}, .terms = INDEX_NONE};
    map_put(&core->meters.map, row, KEY_LEN, i);
    return i;
}

static void close_row(struct core *core, uint32_t i)
{
    struct job_usage *u = &core->meters.usage[i];
    u->row.state = JOB_USAGE_CLOSED;
    if (u->terms != INDEX_NONE)
        core->tariff.term[u->terms].epochs--;
    map_remove(&core->meters.map, &u->row, KEY_LEN);
    table_drop(&core->meters.table, i);
}

/* It was waiting for its last figures. */
static void stop_waiting(struct core *core, uint32_t i)
{
    heap_remove(&core->meters.over, &core->meters.usage[i].in_over);
    core->meters.nover--;
    close_row(core, i);
}

/* Blobs are at the hub's own site, so that is where data comes from and goes. */
static void name_corridor(const struct core *core, const struct pool *pool, struct row_job_usage *row)
{
    struct site_id own = {site_first(core)};
    uint32_t i = pool->site.v == own.v ? INDEX_NONE : corridor_between(core, own, pool->site);
    if (i == INDEX_NONE)
        return;
    row->corridor = core->net.corridor[i].row.id;
    row->data_price = core->net.corridor[i].row.price;
}

/* No report of it can bring anything new. */
static bool is_complete(const struct row_job_usage *row)
{
    return (row->flags & JOB_METER_FINAL) &&
           (!(row->flags & JOB_METER_DATA_DUE) || (row->flags & JOB_METER_DATA_TOLD));
}

/* The price in the hour of that moment; `own` as of struct version. */
static void set_factor(const struct core *core, struct row_job_usage *row, uint32_t terms, bool own,
                       int64_t used_ms)
{
    const struct row_site *site = &core->net.site[site_by_id(core, &row->site).v].row;
    struct version v = {
        .kind = VERSION_CHIPS, .base = row->base, .discount = row->discount, .factor = PER_MILLE, .own = own};
    if (terms != INDEX_NONE) {
        struct terms said;
        TERMS_COPY(&said, &core->tariff.term[terms].row);
        v.factor = terms_factor(&said, used_ms, site->price, site_mean_price(core, site));
    }
    bool plain = v.discount == 0 && v.factor == PER_MILLE && !own;
    row->price = version_rate(&v);
    row->version = plain ? (struct uuid){{0}} : version_pack(&v);
}

/* What an hour costs from the start, and by which terms; INDEX_NONE: by none. */
static uint32_t set_price(const struct core *core, const struct job *job, const struct pool *pool,
                          struct row_job_usage *row)
{
    if (job->row.flags & JOB_REPLICA)
        return INDEX_NONE; /* what a service's replicas serve is paid for by the token */
    const struct tariff *t = &core->tariff;
    uint32_t all = terms_at(core, NULL, NULL, pool->row.chip, core->now_ms);
    uint32_t tenants = terms_at(core, &row->tenant, NULL, pool->row.chip, core->now_ms);
    bool own = tenants != INDEX_NONE && (t->term[tenants].row.flags & TERMS_HOUR);
    row->base = own ? t->term[tenants].row.hour : pool->row.price;
    if (all != INDEX_NONE) {
        const struct row_terms *terms = &t->term[all].row;
        row->discount = (job->row.start_by_ms > 0 ? terms->deferrable : 0) +
                        (job->row.flags & JOB_INTERRUPTIBLE ? terms->interruptible : 0);
        row->discount = row->discount < PER_MILLE ? row->discount : PER_MILLE;
        row->terms_ms = terms->from_ms;
    }
    set_factor(core, row, all, own, core->now_ms);
    return all;
}

void job_usage_open(struct core *core, struct job_id id)
{
    const struct job *job = &core->work.job[id.v];
    const struct pool *pool = &core->net.pool[job->pool];
    struct row_job_usage row = {.job = job->row.id,
                                .epoch = job->row.epoch,
                                .tenant = job->row.tenant,
                                .site = pool->row.site,
                                .pool = pool->row.id,
                                .chips = job->chips,
                                .state = JOB_USAGE_RUNS,
                                .started_ms = job->row.started_ms,
                                .kind = job->row.kind,
                                .key = job->row.key};
    uint32_t terms = set_price(core, job, pool, &row);
    name_corridor(core, pool, &row);
    uint32_t i = job_usage_find(core, &row.job, row.epoch);
    if (i != MAP_NONE)
        stop_waiting(core, i); /* of a job that is forgotten, whose id is in use again */
    i = put(core, &row, core->work.lane[job->lane].tenant);
    assert(i != INDEX_NONE); /* there is room for all that can run: try_start */
    core->meters.usage[i].terms = terms;
    if (terms != INDEX_NONE)
        core->tariff.term[terms].epochs++;
}

/* It waits for its last figures; the one that has waited longest does no more, if that is one too many. */
static void await(struct core *core, uint32_t i)
{
    struct job_meters *m = &core->meters;
    heap_push(&m->over, &m->usage[i].in_over);
    if (++m->nover <= core->limits.meters)
        return;
    m->nover--;
    close_row(core, (uint32_t)(heap_entry(heap_pop(&m->over), struct job_usage, in_over) - m->usage));
}

void job_usage_end(struct core *core, struct job_id id)
{
    const struct job *job = &core->work.job[id.v];
    uint32_t i = job_usage_find(core, &job->row.id, job->row.epoch);
    assert(i != MAP_NONE);
    struct row_job_usage *row = &core->meters.usage[i].row;
    row->state = JOB_USAGE_OVER;
    row->ended_ms = core->now_ms;
    table_touch(&core->meters.table, i);
    /* Of a deployment's replica nobody will tell more. */
    if (is_complete(row) || !uuid_zero(&job->row.deployment))
        close_row(core, i);
    else
        await(core, i);
}

/* ---- money ---- */

/* What the epoch has cost so far, in 1/HOUR_MS of a nano-unit. */
static int128 worth(const struct row_job_usage *row)
{
    return (int128)row->past_cost * HOUR_MS + row->past_rest +
           (int128)row->price * (row->chip_ms - row->past_chip_ms);
}

/* What is told now is a part at the price of the hour of its use, less what of it is free. */
static void add_part(const struct core *core, const struct job_usage *u, struct row_job_usage *next,
                     struct job_part *part)
{
    const struct row_site *site = &core->net.site[site_by_id(core, &next->site).v].row;
    struct row_job_usage now = u->row;
    struct version v;
    uint32_t terms = u->terms;
    set_factor(core, &now, terms, version_read(&v, &now.version) && v.own, part->at.used_ms);
    if (terms != INDEX_NONE && !uuid_eq(&now.version, &u->row.version)) {
        next->past_cost = (int64_t)(worth(&u->row) / HOUR_MS);
        next->past_rest = (uint64_t)(worth(&u->row) % HOUR_MS);
        next->past_chip_ms = u->row.chip_ms;
        next->price = now.price;
        next->version = now.version;
    }
    uint32_t pool = map_get(&core->net.pool_map, &next->pool, sizeof next->pool);
    uint64_t more = next->chip_ms - u->row.chip_ms;
    uint64_t left =
        next->base > 0 ? allowance_left(core, u->tenant.v, NULL, core->net.pool[pool].row.chip) : 0;
    part->free_chip_ms = more < left ? more : left;
    next->past_chip_ms += part->free_chip_ms;
    if (terms == INDEX_NONE || !(core->tariff.term[terms].row.flags & TERMS_ENERGY))
        return;
    v = (struct version){
        .kind = VERSION_ENERGY, .base = site->price > 0 ? site->price : 0, .factor = site_pue(site)};
    part->energy_version = version_pack(&v);
    part->energy_rate = version_rate(&v);
    int128 exact = ((int128)next->energy_cost + next->energy_unpaid) * KWH_PARTS + next->energy_rest +
                   (int128)(next->energy_mj - u->row.energy_mj) * v.base * v.factor;
    next->energy_rest = (uint64_t)(exact % KWH_PARTS);
    next->energy_unpaid = i64_clamp(exact / KWH_PARTS - next->energy_cost, MONEY_MAX);
}

/* What its data has cost, in whole nano-units. */
static int128 data_worth(const struct row_job_usage *row)
{
    int128 exact = ((int128)row->bytes_in + row->bytes_out) * row->data_price;
    int128 whole = exact / GB, rest = exact % GB;
    return whole + (rest > GB / 2 || (rest == GB / 2 && (whole & 1)));
}

/* Of the ids of a line's transfers. */
struct tags {
    uint8_t charge, limit, grants, parts;
};

static struct tags tags_of(enum transfer_code code)
{
    static const struct tags job = {CHARGE_JOB, CHARGE_LIMIT_JOB, CHARGE_GRANTS_JOB, CHARGE_PARTS_JOB};
    static const struct tags data = {CHARGE_DATA, CHARGE_LIMIT_DATA, CHARGE_GRANTS_DATA, CHARGE_PARTS_DATA};
    static const struct tags energy = {CHARGE_ENERGY, CHARGE_LIMIT_ENERGY, CHARGE_GRANTS_ENERGY,
                                       CHARGE_PARTS_ENERGY};
    return code == TRANSFER_DATA ? data : code == TRANSFER_ENERGY ? energy : job;
}

/* A charge with all of its parts, or none of it: grants pay first, then the wallet as far as it goes. */
static int post_charge(struct core *core, const struct row_job_usage *row, const struct payer *p,
                       struct transfer_order *like, struct charge *charge, int64_t owed,
                       struct charged *charged, int64_t *carbon)
{
    struct transfer_order order[GRANTS_PER_CHARGE + 2 + CHARGE_PARTS_MAX];
    const struct work_done work = {.kind = GRANT_BATCH << row->kind, .site = &row->site, .pool = &row->pool};
    struct parts parts;
    int64_t granted, available = ledger_available(&core->ledger, like->debit),
                     bound = payer_room(core, p, true);
    struct transfer_order first = *like;
    uint32_t n, limits;
    owed = owed < bound ? owed : bound;
    charge->amount = 0;
    if (owed <= 0)
        return 0;
    first.id = charge_id(core, tags_of(like->code).grants);
    n = grants_pay(core, p->tenant, &work, owed, &first, order, &granted);
    like->amount = owed - granted < available ? owed - granted : available;
    if (like->amount > 0)
        order[n++] = *like;
    charge->amount = granted + (like->amount > 0 ? like->amount : 0);
    if (charge->amount == 0)
        return 0;
    struct transfer_order own = *like;
    own.id = charge_id(core, tags_of(like->code).limit);
    own.amount = charge->amount;
    int rc = payer_limit(core, p, &own, &order[n], &limits);
    if (rc == 0)
        rc = charge_divide(core, charge, &parts);
    if (rc != 0)
        return rc;
    memcpy(&order[n + limits], parts.order, parts.n * sizeof order[0]);
    rc = ledger_link(&core->ledger, order, n + limits + parts.n);
    if (rc != 0)
        return rc;
    budgets_spend(core, &p->draws, charge->amount, false);
    budgets_spend_soft(core, p->tenant, p->key, charge->amount);
    *charged = (struct charged){.tax = parts.tax, .granted = granted};
    *carbon = parts.carbon;
    return 0;
}

/* Pays a line, as far as grants, the wallet and budgets go; *cost rises by what was paid. 0, or an error and nothing was paid. */
static int pay_line(struct core *core, struct row_job_usage *row, const struct payer *p,
                    enum transfer_code code, int64_t worth, int64_t *cost, struct charged *charged)
{
    const struct tenant *t = &core->tenant[p->tenant.v];
    bool data = code == TRANSFER_DATA;
    const struct tags tags = tags_of(code);
    int64_t owed = worth - *cost, carbon = 0;
    struct transfer_order order = {.id = charge_id(core, tags.charge),
                                   .debit = t->wallet,
                                   .code = code,
                                   .event_ms = core->now_ms,
                                   .ref = row->job};
    if (owed <= 0)
        return 0;
    int rc = ledger_account(&core->ledger, data ? &row->corridor : &row->site, ACCOUNT_REVENUE, t->row.ledger,
                            &order.credit);
    struct charge charge = {.from = order.credit,
                            .site = data ? NULL : &row->site,
                            .tax = t->row.tax,
                            .carbon = code == TRANSFER_JOB ? row->carbon_due : 0,
                            .id = charge_id(core, tags.parts),
                            .ref = row->job};
    if (rc == 0)
        rc = post_charge(core, row, p, &order, &charge, owed, charged, &carbon);
    if (rc != 0)
        return rc;
    *cost += charge.amount;
    row->carbon_due -= carbon;
    return 0;
}

/* Pays what the row owes. 0, or an error and nothing was paid. */
static int pay(struct core *core, struct row_job_usage *row, const struct payer *p, struct job_part *part)
{
    if (worth(row) / HOUR_MS > MONEY_MAX || data_worth(row) > MONEY_MAX || row->energy_unpaid >= MONEY_MAX)
        return ERR_OVERFLOW;
    int64_t chips = (int64_t)(worth(row) / HOUR_MS), data = (int64_t)data_worth(row);
    int rc = pay_line(core, row, p, TRANSFER_JOB, chips, &row->cost, &part->chips);
    if (rc != 0)
        return rc;
    /* The first line is paid by now: what cannot be paid of the others is owed. */
    int64_t energy = row->energy_cost + row->energy_unpaid;
    (void)pay_line(core, row, p, TRANSFER_ENERGY, energy, &row->energy_cost, &part->energy);
    (void)pay_line(core, row, p, TRANSFER_DATA, data, &row->data_cost, &part->data);
    row->energy_unpaid = energy - row->energy_cost;
    row->unpaid = chips - row->cost;
    row->data_unpaid = data - row->data_cost;
    row->remainder = (uint64_t)(worth(row) % HOUR_MS);
    return 0;
}

/* What the CO2e of the energy costs that was not known before, at the price and by the grid as they are now. */
static void add_carbon(const struct core *core, struct row_job_usage *row, uint64_t energy_mj)
{
    int64_t due;
    bool fits = i64_add(row->carbon_due, charge_carbon(core, carbon_ng(core, &row->site, energy_mj)), &due);
    row->carbon_due = fits && due < MONEY_MAX ? due : MONEY_MAX;
}

/* The tenant owes something. What is held for it may come back, or it does not suffice: then whatever of the job runs is over. */
static void collect_debt(struct core *core, const struct row_job_usage *row, const struct payer *p)
{
    const struct work_done work = {.kind = GRANT_BATCH << row->kind, .site = &row->site, .pool = &row->pool};
    int128 unpaid = (int128)row->unpaid + row->energy_unpaid + row->data_unpaid;
    int128 unspent = grants_unspent(core, p->tenant, &work) +
                     ledger_unspent(&core->ledger, core->tenant[p->tenant.v].wallet);
    struct job_id id = job_by_id(core, &row->job);
    int64_t room = payer_room(core, p, false);
    int128 most = unspent < room ? unspent : room;
    if (unpaid > most && id.v != INDEX_NONE && core->work.job[id.v].row.state == JOB_RUNNING)
        work_break(core, id, ERR_BUDGET_SPENT, ENDING_BUDGET << JOB_CODE_BITS);
    lease_recall(core, p->tenant);
}

/* What its chips could have computed in so much more time. */
static void add_compute(struct core *core, const struct row_job_usage *row, struct tenant_id tenant,
                        uint64_t chip_ms)
{
    uint32_t i = map_get(&core->net.pool_map, &row->pool, sizeof row->pool);
    if (i != MAP_NONE)
        compute_add(core, tenant, chip_ms, core->net.chip[core->net.pool[i].chip.v].row.gflops);
}

/* ---- reports ---- */

/* The longest that it can have run by then. */
static uint64_t most_ms(const struct row_job_usage *row, int64_t by_ms)
{
    uint64_t ms = by_ms > row->started_ms ? (uint64_t)(by_ms - row->started_ms) : 0;
    return SLACK_MS + ms + ms / SLACK_PART;
}

/* No chip was the job's before the epoch began, so a total above what its chips can have done since then is wrong. */
static bool can_be(const struct row_job_usage *row, const struct event_job_meter *e, int64_t now_ms)
{
    const uint32_t flags = JOB_METER_ESTIMATED | JOB_METER_TRUNCATED | JOB_METER_FINAL | JOB_METER_DATA_DUE |
                           JOB_METER_DATA_TOLD;
    uint64_t ms = most_ms(row, now_ms);
    return !(e->flags & ~flags) && e->ms <= ms && e->chip_ms <= ms * row->chips && e->cpu_ms <= INT64_MAX &&
           (int128)e->energy_mj <= (int128)ms * row->chips * CHIP_MJ_MS_MAX &&
           e->bytes_in <= DATA_BYTES_MAX && e->bytes_out <= DATA_BYTES_MAX;
}

static bool rise(uint64_t *to, uint64_t total)
{
    bool more = total > *to;
    *to = more ? total : *to;
    return more;
}

/* Of chips that had to be given back neither time nor energy is paid for: of the energy so much as of the time. */
static uint64_t energy_within(const struct event_job_meter *e, uint64_t chip_ms)
{
    int128 most = (int128)chip_ms * CHIP_MJ_MS_MAX;
    int128 share = e->chip_ms > chip_ms ? (int128)e->energy_mj * chip_ms / e->chip_ms : e->energy_mj;
    return (uint64_t)(share < most ? share : most);
}

/* Nobody pays for chips that the job had to give back, however long a site that was cut off has let it run: what an epoch that
 * is over can have used bounds its figures. False: the row knew all of it. */
static bool add_report(struct row_job_usage *row, const struct event_job_meter *e)
{
    uint32_t flags = row->flags;
    bool more = rise(&row->bytes_in, e->bytes_in);
    more |= rise(&row->bytes_out, e->bytes_out);
    if (flags & JOB_METER_FINAL) { /* only its data is still told */
        row->flags |= e->flags & JOB_METER_DATA_TOLD;
        return more || row->flags != flags;
    }
    uint64_t ms = row->state == JOB_USAGE_OVER ? most_ms(row, row->ended_ms) : e->ms;
    uint64_t chip_ms = row->state == JOB_USAGE_OVER ? ms * row->chips : e->chip_ms;
    more |= rise(&row->ms, e->ms < ms ? e->ms : ms);
    more |= rise(&row->chip_ms, e->chip_ms < chip_ms ? e->chip_ms : chip_ms);
    more |= rise(&row->cpu_ms, e->cpu_ms);
    more |= rise(&row->energy_mj, row->state == JOB_USAGE_OVER ? energy_within(e, chip_ms) : e->energy_mj);
    row->flags |= e->flags;
    return more || row->flags != flags;
}

/* A corridor tells all that was metered over it. */
static void corridor_moved(struct core *core, const struct uuid *id, uint64_t bytes)
{
    uint32_t i = bytes > 0 ? map_get(&core->net.corridor_map, id, sizeof *id) : MAP_NONE;
    if (i == MAP_NONE)
        return;
    core->net.corridor[i].row.bytes_jobs += bytes;
    table_touch(&core->net.corridors, i);
}

static void use_allowance(struct core *core, const struct job_usage *u, uint64_t chip_ms)
{
    uint32_t pool = map_get(&core->net.pool_map, &u->row.pool, sizeof u->row.pool);
    allowance_use(core, u->tenant.v, NULL, core->net.pool[pool].row.chip, chip_ms);
}

int step_job_meter(struct core *core, const struct event *event)
{
    const struct event_job_meter *e = &event->u.job_meter;
    struct job_meters *m = &core->meters;
    uint32_t i = job_usage_find(core, &e->job, e->epoch);
    if (i == MAP_NONE) /* it was never there, or is closed: both times nothing more is to be told */
        return job_by_id(core, &e->job).v == INDEX_NONE ? ERR_NOT_FOUND : ERR_WRONG_STATE;
    struct job_usage *u = &m->usage[i];
    if (!uuid_zero(&e->site) && !uuid_eq(&e->site, &u->row.site))
        return ERR_FORBIDDEN;
    if (!can_be(&u->row, e, event->at_ms))
        return ERR_INVALID;
    struct row_job_usage next = u->row;
    struct tenant_id tenant = u->tenant;
    if (is_complete(&next) || !add_report(&next, e))
        return 0; /* nothing that counts and was not known */
    struct job_part part = {.free_chip_ms = 0};
    int rc = event_time(core, tenant, e->used_ms, next.started_ms, &part.at);
    if (rc != 0) {
        tally_add(core, TALLY_JOB_METER_REFUSED, rc);
        return rc;
    }
    uint64_t moved = next.bytes_in - u->row.bytes_in + next.bytes_out - u->row.bytes_out;
    add_part(core, u, &next, &part);
    const struct payer payer = payer_of(core, tenant, &next.key);
    add_carbon(core, &next, next.energy_mj - u->row.energy_mj);
    rc = pay(core, &next, &payer, &part);
    if (rc != 0)
        return rc;
    add_compute(core, &next, tenant, next.chip_ms - u->row.chip_ms);
    bill_job(core, &u->row, &next, &part);
    event_time_count(core, tenant, &part.at);
    use_allowance(core, u, part.free_chip_ms);
    u->row = next;
    table_touch(&m->table, i);
    corridor_moved(core, &next.corridor, moved);
    if (next.state == JOB_USAGE_OVER && is_complete(&next))
        stop_waiting(core, i);
    if (next.unpaid > 0 || next.energy_unpaid > 0 || next.data_unpaid > 0)
        collect_debt(core, &next, &payer);
    return 0;
}

/* ---- from rows ---- */

/* What was paid and what is owed is all that the epoch has cost. */
static bool adds_up(const struct row_job_usage *row)
{
    return row->price >= 0 && row->cost >= 0 && row->unpaid >= 0 && row->data_price >= 0 &&
           row->data_cost >= 0 && row->data_unpaid >= 0 && row->energy_cost >= 0 && row->energy_unpaid >= 0 &&
           row->past_cost >= 0 && row->past_chip_ms <= row->chip_ms && row->discount <= PER_MILLE &&
           ((int128)row->cost + row->unpaid) * HOUR_MS + row->remainder == worth(row) &&
           (int128)row->data_cost + row->data_unpaid == data_worth(row);
}

int load_job_usage(struct core *core, const struct row_job_usage *row)
{
    struct tenant_id tenant = tenant_by_id(core, &row->tenant);
    struct job_id id = job_by_id(core, &row->job);
    const struct job *job = id.v == INDEX_NONE ? NULL : &core->work.job[id.v];
    bool runs = job && job->row.state == JOB_RUNNING && job->row.epoch == row->epoch;
    if (row->state == JOB_USAGE_CLOSED)
        return 0; /* part of the books, not of the state */
    if (tenant.v == INDEX_NONE || job_usage_find(core, &row->job, row->epoch) != MAP_NONE ||
        row->state != (runs ? JOB_USAGE_RUNS : JOB_USAGE_OVER) || !adds_up(row))
        return ERR_CORRUPT;
    uint32_t i = put(core, row, tenant.v);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    if (!runs)
        await(core, i);
    return 0;
}

void load_job_usages_done(struct core *core)
{
    for (uint32_t i = 0; i < core->work.jobs.used; i++) {
        const struct job *job = &core->work.job[i];
        if (table_live(&core->work.jobs, i) && job->row.state == JOB_RUNNING &&
            job_usage_find(core, &job->row.id, job->row.epoch) == MAP_NONE)
            job_usage_open(core, (struct job_id){i}); /* it started before epochs were metered */
    }
}

/* What runs has a row that says so; the others are over, and counted. */
bool job_usages_hold(const struct core *core)
{
    const struct job_meters *m = &core->meters;
    uint32_t runs = 0, of_jobs = 0;
    for (uint32_t i = 0; i < m->table.used; i++) {
        if (!table_live(&m->table, i))
            continue;
        if (!adds_up(&m->usage[i].row))
            return false;
        runs += m->usage[i].row.state == JOB_USAGE_RUNS;
    }
    for (uint32_t i = 0; i < core->work.jobs.used; i++) {
        const struct row_job *job = &core->work.job[i].row;
        if (!table_live(&core->work.jobs, i) || job->state != JOB_RUNNING)
            continue;
        uint32_t u = job_usage_find(core, &job->id, job->epoch);
        if (u == MAP_NONE || m->usage[u].row.state != JOB_USAGE_RUNS)
            return false;
        of_jobs++;
    }
    return runs == of_jobs && m->table.live == runs + m->nover && m->nover <= core->limits.meters;
}

const struct row_job_usage *view_job_usage(const struct core *core, const struct uuid *job, uint32_t epoch)
{
    uint32_t i = job_usage_find(core, job, epoch);
    return i == MAP_NONE ? NULL : &core->meters.usage[i].row;
}
