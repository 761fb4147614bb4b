/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Curtailment: a site has to draw less, at once.
 *
 * A site that draws more than it may stops work until it does not: its cap was lowered, it sheds load for a time (site_shed),
 * its PUE rose, or nodes came back. Interruptible work stops first, then firm work; in both, what is lost with the
 * least for each watt. Gangs stop whole, with all their nodes, and those that turn out not to be needed go on. What stops waits
 * again and may start elsewhere in the same pass.
 */
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

void site_judge(struct core *core, struct site_id id)
{
    if (site_takes(&core->net.site[id.v], 0))
        return;
    core->work.over = true;
    core->work.due = true;
}

/* ---- for a time ---- */

void sheds_look(struct core *core)
{
    core->net.shed_ms = INT64_MAX;
    for (uint32_t i = 0; i < core->net.sites.used; i++) {
        const struct row_site *row = &core->net.site[i].row;
        if (row->shed_cap > 0 && row->shed_until_ms < core->net.shed_ms)
            core->net.shed_ms = row->shed_until_ms;
    }
}

static void shed(struct core *core, uint32_t site, uint64_t limit, int64_t until_ms)
{
    struct row_site *row = &core->net.site[site].row;
    row->shed_cap = limit;
    row->shed_until_ms = until_ms;
    table_touch(&core->net.sites, site);
    network_changed(core);
    sheds_look(core);
    site_judge(core, (struct site_id){site});
}

void sheds_turn(struct core *core)
{
    for (uint32_t i = 0; core->now_ms >= core->net.shed_ms && i < core->net.sites.used; i++) {
        const struct row_site *row = &core->net.site[i].row;
        if (row->shed_cap > 0 && core->now_ms >= row->shed_until_ms)
            shed(core, i, 0, 0);
    }
}

int step_site_shed(struct core *core, const struct event *event)
{
    const struct event_site_shed *e = &event->u.site_shed;
    struct site_id id = site_by_id(core, &e->site);
    bool over = e->watts == 0 && e->until_ms == 0;
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (!over &&
        (e->watts > SITE_WATTS_MAX || e->until_ms <= event->at_ms || e->until_ms > event->at_ms + JOB_MS_MAX))
        return ERR_INVALID;
    uint64_t draw = site_watts(&core->net.site[id.v], 0);
    shed(core, id.v, over ? 0 : draw > e->watts ? draw - e->watts : 1, e->until_ms);
    return 0;
}

/* ---- what stops ---- */

static const struct pool *pool_of(const struct core *core, uint32_t job)
{
    return &core->net.pool[core->work.job[job].pool];
}

static bool is_firm(const struct core *core, uint32_t job)
{
    return job_is_firm(&core->work.job[job]);
}

static uint64_t watts_of(const struct core *core, uint32_t job)
{
    return core->work.job[job].chips * pool_chip_watts(core, pool_of(core, job));
}

/* What is lost for a watt if a stops, times the watts of a chip of b. */
static int128 lost_against(const struct core *core, uint32_t a, uint32_t b)
{
    const struct pool *pool = pool_of(core, a);
    int64_t rate = pool->rate > 0 ? pool->rate : 1;
    return (int128)job_lost_ms(core, &core->work.job[a]) * rate *
           (int64_t)pool_chip_watts(core, pool_of(core, b));
}

static bool stops_before(const struct core *core, uint32_t a, uint32_t b)
{
    if (is_firm(core, a) != is_firm(core, b))
        return is_firm(core, b);
    int128 x = lost_against(core, a, b), y = lost_against(core, b, a);
    return x != y ? x < y : core->work.job[a].row.sequence > core->work.job[b].row.sequence;
}

/* work.victim[0..n) is a heap, but for entry i. */
static void sift(struct core *core, uint32_t n, uint32_t i)
{
    uint32_t *list = core->work.victim;
    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && stops_before(core, list[child + 1], list[child]))
            child++;
        if (!stops_before(core, list[child], list[i]))
            return;
        uint32_t swap = list[i];
        list[i] = list[child];
        list[child] = swap;
    }
}

/* What runs at the site and draws more than idle chips do, as a heap. */
static uint32_t list_running(struct core *core, uint32_t site)
{
    struct work *w = &core->work;
    uint32_t n = 0;
    for (uint32_t p = 0; p < core->net.pools.used; p++) {
        const struct pool *pool = &core->net.pool[p];
        for (uint32_t i = 0; pool->site.v == site && pool->busy > 0 && i < pool->row.nodes; i++) {
            for (uint32_t s = pool->node[i].shares; s != INDEX_NONE; s = w->share[s].next_on_node) {
                uint32_t job = w->share[s].job.v;
                if (w->job[job].shares == s && pool_chip_watts(core, pool) > 0 &&
                    !job_is_held(core, &w->job[job]))
                    w->victim[n++] = job;
            }
        }
    }
    for (uint32_t i = n / 2; i-- > 0;)
        sift(core, n, i);
    return n;
}

static bool is_enough(const struct site *site, uint64_t freed)
{
    struct site then = {.load = site->load - freed};
    then.row.pue = site->row.pue;
    then.row.cap = site_limit(site);
    return site_takes(&then, 0);
}

/* Of those that were chosen, victim[from..n) with the first at the end, lets go on who is not needed: of the kind of the last. */
static void spare(struct core *core, const struct site *site, uint64_t freed, uint32_t from, uint32_t n)
{
    struct work *w = &core->work;
    bool firm = is_firm(core, w->victim[from]);
    for (uint32_t i = from; i < n && is_firm(core, w->victim[i]) == firm; i++) {
        uint64_t watts = watts_of(core, w->victim[i]);
        if (!is_enough(site, freed - watts))
            continue;
        freed -= watts;
        w->job[w->victim[i]].chosen = 0;
    }
}

static bool curtail_site(struct core *core, uint32_t index)
{
    struct work *w = &core->work;
    const struct site *site = &core->net.site[index];
    uint32_t n = list_running(core, index), left = n;
    uint64_t freed = 0, stamp = ++w->choice;
    while (left > 0 && !is_enough(site, freed)) {
        uint32_t job = w->victim[0];
        w->victim[0] = w->victim[--left];
        w->victim[left] = job;
        sift(core, left, 0);
        freed += watts_of(core, job);
        w->job[job].chosen = stamp;
    }
    if (left < n)
        spare(core, site, freed, left, n);
    for (uint32_t i = n; i-- > left;) {
        if (w->job[w->victim[i]].chosen != stamp)
            continue;
        if (core->effects->n > core->effects->cap / 2)
            return false;
        job_evict(core, (struct job_id){w->victim[i]}, ERR_CURTAILED);
    }
    return true;
}

bool curtail(struct core *core)
{
    for (uint32_t k = 0; k < core->net.sites.used; k++) {
        uint32_t i = core->net.sites_by_id[k];
        if (!site_takes(&core->net.site[i], 0) && !curtail_site(core, i))
            return false;
    }
    return true;
}
