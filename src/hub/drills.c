/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drills on a running hub (docs/contingency.md): a site, all chips of a vendor or a corridor is lost on a copy (sim/trial.h), off the
 * core's thread, and what that came to is told, and recorded by an event.
 */
#include <stdlib.h>
#include <string.h>

#include "base/osrandom.h"
#include "hub/trials.h"

#define MODELS_TOLD_MAX 256
#define CORRIDOR_TEXT (2 * NAME_CAP)

/* What became of a deployment's replicas. */
struct model_after {
    char name[NAME_CAP];
    uint32_t before, lost, again;
};

struct played {
    char site[NAME_CAP], vendor[NAME_CAP], corridor[CORRIDOR_TEXT];
    struct trial_loss loss;
    struct trial *trial;
    struct event_drill outcome;
    struct contingency counted;
    struct model_after model[MODELS_TOLD_MAX];
    uint32_t nmodels;
};

static int parse(struct api_call *call)
{
    static const char *const members[] = {"site", "vendor", "corridor", NULL};
    struct played *p = calloc(1, sizeof *p);
    call->data = p;
    if (!p)
        return ERR_NO_MEMORY;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_text(call, "site", false, p->site, sizeof p->site);
    if (rc == 0)
        rc = body_text(call, "vendor", false, p->vendor, sizeof p->vendor);
    if (rc == 0)
        rc = body_text(call, "corridor", false, p->corridor, sizeof p->corridor);
    if (rc == 0 && (p->site[0] != 0) + (p->vendor[0] != 0) + (p->corridor[0] != 0) != 1)
        rc = err_set(&call->err, ERR_INVALID, "one of site, vendor and corridor must be given");
    return rc;
}

/* ---- what is lost ---- */

static const struct row_site *site_named(struct api_call *call, const struct core *core, const char *name,
                                         size_t len)
{
    const struct row_site *row = view_site_named(core, name, len);
    if (!row)
        err_set(&call->err, ERR_NOT_FOUND, "There is no site %.*s.", (int)len, name);
    return row;
}

static bool has_ends(const struct row_corridor *c, const struct uuid *a, const struct uuid *b)
{
    return (uuid_eq(&c->a, a) && uuid_eq(&c->b, b)) || (uuid_eq(&c->a, b) && uuid_eq(&c->b, a));
}

/* A/B, its ends in either order; or its id. */
static int find_corridor(struct api_call *call, const struct core *core, struct played *p)
{
    const struct row_corridor *row;
    const char *slash = strchr(p->corridor, '/');
    if (!slash) {
        struct uuid id;
        row = uuid_parse(&id, p->corridor, strlen(p->corridor)) ? view_corridor(core, &id) : NULL;
        if (row)
            p->loss.corridor = row->id;
        return row ? 0 : err_set(&call->err, ERR_NOT_FOUND, "corridor: two sites, A/B, or an id");
    }
    const struct row_site *a = site_named(call, core, p->corridor, (size_t)(slash - p->corridor));
    const struct row_site *b = a ? site_named(call, core, slash + 1, strlen(slash + 1)) : NULL;
    for (uint32_t pos = 0; b && (row = view_corridor_at(core, &pos)) != NULL;) {
        if (!has_ends(row, &a->id, &b->id))
            continue;
        p->loss.corridor = row->id;
        return 0;
    }
    return b ? err_set(&call->err, ERR_NOT_FOUND, "There is no corridor %s.", p->corridor) : ERR_NOT_FOUND;
}

static bool is_vendor(const struct core *core, const char *vendor)
{
    const struct row_pool *pool;
    for (uint32_t pos = 0; (pool = view_pool_at(core, &pos)) != NULL;) {
        const struct row_chip *chip;
        for (uint32_t k = 0; (chip = view_chip_at(core, &k)) != NULL;) {
            if (strcmp(chip->id, pool->chip) == 0 && strcmp(chip->vendor, vendor) == 0)
                return true;
        }
    }
    return false;
}

static int find_loss(struct api_call *call, const struct core *core, struct played *p)
{
    if (p->corridor[0])
        return find_corridor(call, core, p);
    if (p->vendor[0]) {
        p->loss.vendor = p->vendor;
        return is_vendor(core, p->vendor)
                   ? 0
                   : err_set(&call->err, ERR_NOT_FOUND, "No pool has chips of %s.", p->vendor);
    }
    const struct row_site *site = site_named(call, core, p->site, strlen(p->site));
    if (site)
        p->loss.site = site->id;
    return site ? 0 : ERR_NOT_FOUND;
}

static int prepare(struct api_call *call, const struct core *core)
{
    return find_loss(call, core, call->data);
}

/* ---- what became of it ---- */

static void sum_jobs(struct played *p)
{
    struct event_drill *o = &p->outcome;
    uint32_t n;
    const struct trial_job *job = trial_jobs(p->trial, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct trial_job *j = &job[i];
        if (!j->stopped)
            continue;
        if (j->code == ERR_PREEMPTED) { /* it was not lost, it gave way */
            o->yielded++;
            continue;
        }
        uint32_t chips = j->again ? j->chips : 0;
        if (j->firm) {
            o->firm_jobs++;
            o->firm_chips += j->chips;
            o->firm_again += j->again;
            o->firm_chips_again += chips;
        } else {
            o->soft_jobs++;
            o->soft_chips += j->chips;
            o->soft_again += j->again;
            o->soft_chips_again += chips;
        }
    }
}

/* Replicas that are jobs; and those on the hub's own machine, which go with its site. */
static void sum_model(struct played *p, const struct core *core, const struct row_deployment *d)
{
    struct model_after after = {.before = 0};
    const struct row_model *model = view_model(core, &d->model);
    const struct row_site *own = view_site_own(core);
    const struct row_replica *row;
    uint32_t n;
    const struct trial_job *job = trial_jobs(p->trial, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (!uuid_eq(&job[i].deployment, &d->id) || uuid_zero(&job[i].pool))
            continue;
        after.before++;
        after.lost += job[i].stopped;
        after.again += job[i].again;
    }
    for (uint32_t pos = 0; d->sites.n == 0 && (row = view_replica_at(core, &pos)) != NULL;) {
        after.before += uuid_eq(&row->deployment, &d->id);
        after.lost += uuid_eq(&row->deployment, &d->id) && own && uuid_eq(&own->id, &p->loss.site);
    }
    if (after.lost == 0)
        return;
    p->outcome.models++;
    p->outcome.models_gone += after.before == after.lost && after.again == 0;
    if (p->nmodels == MODELS_TOLD_MAX)
        return;
    memcpy(after.name, model ? model->name : "", model ? sizeof after.name : 1);
    p->model[p->nmodels++] = after;
}

static void make_event(struct api_call *call, struct played *p)
{
    struct event_drill *o = &p->outcome;
    const struct core *core = trial_core(p->trial);
    const struct row_deployment *d;
    o->drill = call->id = uuid_new();
    o->site = p->loss.site;
    o->corridor = p->loss.corridor;
    memcpy(o->vendor, p->vendor, sizeof o->vendor);
    o->as_of_ms = trial_ms(p->trial);
    o->reserve = view_dispatch(core)->reserve;
    sum_jobs(p);
    for (uint32_t pos = 0; (d = view_deployment_at(core, &pos)) != NULL;)
        sum_model(p, core, d);
    call->events[0] = (struct event){.kind = EVENT_KIND_drill, .u.drill = *o};
    call->nevents = 1;
}

static int work(struct api_call *call)
{
    struct played *p = call->data;
    int rc = trials_begin(call, &p->trial);
    if (rc != 0)
        return rc;
    rc = trial_lose(p->trial, &p->loss, &p->counted);
    if (rc == 0)
        make_event(call, p);
    p->counted.vendor = "";
    trials_end(p->trial);
    p->trial = NULL;
    return rc;
}

static void add_kind(struct buf *out, const char *name, uint32_t jobs, uint32_t chips, uint32_t again,
                     uint32_t chips_again)
{
    buf_addf(out, ",\"%s\":{\"jobs\":%u,\"chips\":%u,\"again\":%u,\"chips_again\":%u}", name, jobs, chips,
             again, chips_again);
}

static int finish(struct api_call *call, const struct core *core)
{
    const struct played *p = call->data;
    const struct event_drill *o = &p->outcome;
    struct buf *out = &call->out;
    (void)core;
    buf_add_char(out, '{');
    add_id(out, "id", &call->id);
    add_text(out, "what", p->site[0] ? "site" : p->vendor[0] ? "vendor" : "corridor", NAME_CAP);
    add_text(out, "name", p->site[0] ? p->site : p->vendor[0] ? p->vendor : p->corridor, CORRIDOR_TEXT);
    add_time(out, "as_of", o->as_of_ms);
    add_kind(out, "firm", o->firm_jobs, o->firm_chips, o->firm_again, o->firm_chips_again);
    add_kind(out, "interruptible", o->soft_jobs, o->soft_chips, o->soft_again, o->soft_chips_again);
    buf_addf(out, ",\"gave_way\":%u,\"covered\":%s", o->yielded,
             o->firm_again == o->firm_jobs ? "true" : "false");
    add_text(out, "reserve", dispatch_reserve_text(o->reserve), KIND_TEXT_CAP);
    buf_addf(out, ",\"counted\":{\"firm_jobs\":%u,\"placed_jobs\":%u,\"tied_jobs\":%u}", p->counted.firm_jobs,
             p->counted.placed_jobs, p->counted.tied_jobs);
    buf_addf(out, ",\"models\":%u,\"models_gone\":%u,\"data\":[", o->models, o->models_gone);
    for (uint32_t i = 0; i < p->nmodels; i++) {
        const struct model_after *m = &p->model[i];
        buf_add_text(out, i ? ",{\"model\":" : "{\"model\":");
        buf_add_json(out, m->name, strlen(m->name));
        buf_addf(out, ",\"replicas\":%u,\"lost\":%u,\"again\":%u,\"left\":%u}", m->before, m->lost, m->again,
                 m->before - m->lost + m->again);
    }
    buf_add_text(out, "],\"next\":null}");
    return 0;
}

const struct api_handler api_drill_play = {
    .parse = parse, .prepare = prepare, .work = work, .finish = finish, .status = 201};
