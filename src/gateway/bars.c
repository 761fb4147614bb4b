/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/bars.h"

#include <stdlib.h>
#include <string.h>

#include "core/rules.h"
#include "core/view.h"

static void *must_alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        abort();
    return p;
}

/* What of the model's replicas the tenant may not use. Replicas of a chip at a site are alike. */
static struct slot_bar bar_of(const struct core *core, const struct row_model *model,
                              const struct snap_model *m, const struct uuid *tenant)
{
    struct slot_bar bar = {.tenant = *tenant, .rule = RULES_NONE};
    for (uint32_t i = 0; i < m->nbackends; i++) {
        const struct backend *b = m->backends[i];
        uint32_t k = 0, rule;
        while (k < i && (!uuid_eq(&m->backends[k]->site, &b->site) ||
                         memcmp(m->backends[k]->chip, b->chip, sizeof b->chip) != 0))
            k++;
        struct row_replica like = {
            .deployment = b->deployment, .site = b->site, .chips = b->chips, .role = b->role};
        memcpy(like.chip, b->chip, sizeof like.chip);
        if (k < i && m->backends[k]->chips == b->chips) {
            bar.barred |= (bar.barred >> k & 1) << i;
        } else if (!view_may_ask(core, tenant, model, &like, &rule)) {
            bar.rule = bar.barred ? bar.rule : rule;
            bar.barred |= UINT64_C(1) << i;
        }
    }
    return bar;
}

/* A tenant, and which group it is in: rules say the same to all of a group, and are asked of its peer. */
struct grouped {
    struct uuid peer, tenant;
    uint32_t group;
};

struct groups {
    struct grouped *of; /* by tenant, as bars are */
    uint32_t ntenants;
    struct uuid *peer; /* of each group */
    struct slot_bar *bar;
    uint32_t n;
};

static int by_peer(const void *a, const void *b)
{
    return memcmp(&((const struct grouped *)a)->peer, &((const struct grouped *)b)->peer,
                  sizeof(struct uuid));
}

static int by_tenant(const void *a, const void *b)
{
    return memcmp(&((const struct grouped *)a)->tenant, &((const struct grouped *)b)->tenant,
                  sizeof(struct uuid));
}

static void find_groups(struct groups *g, const struct core *core)
{
    const struct row_tenant *row;
    uint32_t n = view_counts(core).tenants;
    *g = (struct groups){.of = must_alloc(n, sizeof *g->of),
                         .peer = must_alloc(n, sizeof *g->peer),
                         .bar = must_alloc(n, sizeof *g->bar)};
    for (uint32_t pos = 0; (row = view_tenant_at(core, &pos)) != NULL; g->ntenants++)
        g->of[g->ntenants] = (struct grouped){.peer = *view_rules_peer(core, &row->id), .tenant = row->id};
    qsort(g->of, g->ntenants, sizeof *g->of, by_peer);
    for (uint32_t i = 0; i < g->ntenants; i++) {
        if (g->n == 0 || !uuid_eq(&g->peer[g->n - 1], &g->of[i].peer))
            g->peer[g->n++] = g->of[i].peer;
        g->of[i].group = g->n - 1;
    }
    qsort(g->of, g->ntenants, sizeof *g->of, by_tenant);
}

static void free_groups(struct groups *g)
{
    free(g->of);
    free(g->peer);
    free(g->bar);
}

static void add_model_bars(struct snap_model *m, const struct core *core, const struct row_model *model,
                           struct groups *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n; i++)
        g->bar[i] = bar_of(core, model, m, &g->peer[i]);
    for (uint32_t i = 0; i < g->ntenants; i++)
        n += g->bar[g->of[i].group].barred != 0;
    m->bars = must_alloc(n, sizeof *m->bars);
    for (uint32_t i = 0; i < g->ntenants; i++) {
        struct slot_bar bar = g->bar[g->of[i].group];
        bar.tenant = g->of[i].tenant;
        if (bar.barred)
            m->bars[m->nbars++] = bar;
    }
}

void bars_add(struct snapshot *s, const struct core *core)
{
    const struct rules *rules;
    const char *text;
    size_t len;
    int64_t next_ms;
    struct groups groups;
    (void)view_rules(core, &rules, &text, &len, &next_ms);
    if (rules->nrules == 0)
        return;
    s->rule = must_alloc(rules->nrules, sizeof *s->rule);
    for (uint32_t i = 0; i < rules->nrules; i++)
        memcpy(s->rule[i], rules->rule[i].id, sizeof s->rule[i]);
    find_groups(&groups, core);
    for (uint32_t i = 0; i < s->nmodels; i++) {
        const struct row_model *row = view_model(core, &s->model[i].id);
        if (row && s->model[i].nbackends > 0)
            add_model_bars(&s->model[i], core, row, &groups);
    }
    free_groups(&groups);
}
