/* SPDX-License-Identifier: Apache-2.0 */
#include "core/clusters.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "core/cluster.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

struct part {
    uint32_t ordinal, epoch, layers;
};

#define PARTS_SIZE (CLUSTER_MEMBERS_MAX * sizeof(struct part))
static_assert(offsetof(struct row_cluster, layers15) + sizeof(uint32_t) -
                      offsetof(struct row_cluster, ordinal0) ==
                  PARTS_SIZE,
              "a plan's parts are one after the other");

void clusters_carve(struct core *core, struct arena *arena)
{
    CARVE(core, clusters.table, clusters.cluster, core->limits.deployments);
}

static struct cluster *cluster_of(const struct core *core, uint32_t d)
{
    return core->deployment[d].cluster == INDEX_NONE ? NULL
                                                     : &core->clusters.cluster[core->deployment[d].cluster];
}

static void touch(struct core *core, const struct cluster *c)
{
    table_touch(&core->clusters.table, (uint32_t)(c - core->clusters.cluster));
}

static void get_parts(const struct row_cluster *row, struct part parts[CLUSTER_MEMBERS_MAX])
{
    memcpy(parts, (const char *)row + offsetof(struct row_cluster, ordinal0), PARTS_SIZE);
}

const struct row_cluster *view_cluster(const struct core *core, const struct uuid *deployment)
{
    uint32_t d = deployment_find(core, deployment);
    const struct cluster *c = d == MAP_NONE ? NULL : cluster_of(core, d);
    return c ? &c->row : NULL;
}

bool view_cluster_part(const struct row_cluster *row, uint32_t i, struct view_part *out)
{
    struct part parts[CLUSTER_MEMBERS_MAX];
    if (i >= row->parts || i >= CLUSTER_MEMBERS_MAX)
        return false;
    get_parts(row, parts);
    *out = (struct view_part){parts[i].ordinal, parts[i].epoch, parts[i].layers};
    return true;
}

const struct row_replica *view_cluster_worker(const struct core *core, const struct row_cluster *row,
                                              const struct view_part *part)
{
    const struct row_replica *worker = replica_running(core, &row->id, part->ordinal, part->epoch);
    return worker && worker->role == REPLICA_WORKER ? worker : NULL;
}

/* ---- what is asked for ---- */

struct kind {
    const char *chip;
    uint32_t n;
};

#define KINDS_OF(row) \
    { \
        {(row)->kind0, (row)->of0}, {(row)->kind1, (row)->of1}, {(row)->kind2, (row)->of2}, \
        { \
            (row)->kind3, (row)->of3 \
        } \
    }

int cluster_check(const struct core *core, const struct event_deploy *e)
{
    const struct kind kinds[CLUSTER_KINDS_MAX] = KINDS_OF(e);
    uint32_t n = 0, i = 0;
    if (e->members == 0)
        return 0;
    if (e->members > CLUSTER_MEMBERS_MAX || e->sites.n == 0 ||
        (e->cluster_flags & ~(uint32_t)CLUSTER_CORRIDORS) ||
        (e->sites.n > 1 && !(e->cluster_flags & CLUSTER_CORRIDORS)) || e->min != e->members ||
        e->replicas != e->members || (kinds[0].n > 0 && e->chip[0]))
        return ERR_INVALID;
    for (; i < CLUSTER_KINDS_MAX && kinds[i].n > 0; i++) {
        if (map_get(&core->net.chip_map, kinds[i].chip, text_len(kinds[i].chip, CHIP_CAP)) == MAP_NONE)
            return ERR_NOT_FOUND;
        for (uint32_t k = 0; k < i; k++) {
            if (memcmp(kinds[i].chip, kinds[k].chip, CHIP_CAP) == 0)
                return ERR_INVALID;
        }
        if (kinds[i].n > e->members)
            return ERR_INVALID;
        n += kinds[i].n;
    }
    if (i > 0 && n != e->members)
        return ERR_INVALID;
    return table_room(&core->clusters.table) == 0 || table_room(&core->replicas) == 0 ? ERR_LIMIT : 0;
}

/* The first kind of which there are fewer than there should be, without those that drain and those that leave. */
void cluster_kind(const struct core *core, const struct service *s, char chip[CHIP_CAP])
{
    const struct cluster *c = s->deployment == INDEX_NONE ? NULL : cluster_of(core, s->deployment);
    if (!c || c->row.of0 == 0)
        return;
    const struct kind kinds[CLUSTER_KINDS_MAX] = KINDS_OF(&c->row);
    for (uint32_t i = 0; i < CLUSTER_KINDS_MAX && kinds[i].n > 0; i++) {
        uint32_t n = 0;
        list_for_each_safe (it, next, (struct list *)&s->replicas) {
            const struct service_replica *r = list_entry(it, struct service_replica, in_service);
            n += !service_replica_leaves(core, r) &&
                 memcmp(core->work.job[r->job].row.chip0, kinds[i].chip, CHIP_CAP) == 0;
        }
        memcpy(chip, kinds[i].chip, CHIP_CAP);
        if (n < kinds[i].n)
            return;
    }
}

/* ---- coming and going ---- */

#define ASKED_COPY(S, type, name, size) memcpy(&row->name, &e->name, sizeof row->name);

void cluster_make(struct core *core, uint32_t d, const struct event_deploy *e, const struct uuid *variant)
{
    static const char words[] = "waits for its workers";
    uint32_t i = table_take(&core->clusters.table);
    struct cluster *c = &core->clusters.cluster[i];
    *c = (struct cluster){.row = {.id = e->deployment}, .deployment = d};
    struct row_cluster *row = &c->row;
    CLUSTER_ASKED(ASKED_COPY, _)
    memcpy(row->detail, words, sizeof words);
    core->deployment[d].cluster = i;
    c->head = replica_head(core, d, variant);
}

void cluster_drop(struct core *core, uint32_t d)
{
    if (core->deployment[d].cluster != INDEX_NONE)
        table_drop(&core->clusters.table, core->deployment[d].cluster);
}

static void head_forget(struct core *core, struct cluster *c)
{
    uint32_t head = c->head;
    c->head = INDEX_NONE;
    replica_forget(core, head);
}

void cluster_stop(struct core *core, uint32_t d)
{
    struct cluster *c = cluster_of(core, d);
    if (!c || c->head == INDEX_NONE)
        return;
    if (uuid_zero(&core->replica[c->head].row.site))
        head_forget(core, c);
    else
        replica_drain(core, c->head, core->now_ms);
}

void cluster_head_over(struct core *core, uint32_t d)
{
    struct cluster *c = cluster_of(core, d);
    c->head = INDEX_NONE;
    c->row.parts = 0;
    touch(core, c);
}

/* ---- whether a plan stands ---- */

/* The member that a part names; INDEX_NONE: it is not there, under that epoch. */
static uint32_t member_of(const struct core *core, uint32_t d, const struct part *part)
{
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        const struct row_replica *row = &core->replica[i].row;
        if (table_live(&core->replicas, i) && core->replica[i].deployment == d &&
            row->role == REPLICA_WORKER && row->ordinal == part->ordinal)
            return row->epoch == part->epoch && !uuid_zero(&row->site) ? i : INDEX_NONE;
    }
    return INDEX_NONE;
}

/* One that drains computes until its site stops it. */
static bool computes(const struct core *core, uint32_t d, const struct part *part)
{
    uint32_t i = member_of(core, d, part);
    return i != INDEX_NONE &&
           (core->replica[i].row.state == REPLICA_READY || core->replica[i].row.state == REPLICA_DRAINING);
}

static bool stands(const struct core *core, const struct cluster *c)
{
    struct part parts[CLUSTER_MEMBERS_MAX];
    get_parts(&c->row, parts);
    for (uint32_t i = 0; i < c->row.parts; i++) {
        if (!computes(core, c->deployment, &parts[i]))
            return false;
    }
    return true;
}

static void say(struct row_cluster *row, const char *words)
{
    memset(row->detail, 0, sizeof row->detail);
    memcpy(row->detail, words, text_len(words, sizeof row->detail - 1));
}

void cluster_break(struct core *core, uint32_t d, const char *why)
{
    struct cluster *c = cluster_of(core, d);
    if (!c || c->row.parts == 0)
        return;
    c->row.parts = 0;
    if (c->row.broken_ms == 0)
        c->row.broken_ms = core->now_ms;
    c->row.breaks++;
    say(&c->row, why);
    touch(core, c);
    if (c->head == INDEX_NONE)
        return;
    if (core->replica[c->head].row.state == REPLICA_DRAINING)
        head_forget(core, c); /* its last answers went with the worker */
    else
        replica_displace(core, c->head);
}

void cluster_reject(struct core *core, uint32_t d, bool barred)
{
    const struct cluster *c = cluster_of(core, d);
    struct uuid site = core->replica[c->head].row.site;
    cluster_break(core, d, "its head was not accepted");
    for (uint32_t i = 0; barred && i < core->replicas.used; i++) {
        const struct replica *r = &core->replica[i];
        if (table_live(&core->replicas, i) && r->deployment == d && r->row.role == REPLICA_WORKER &&
            r->row.state != REPLICA_DRAINING && r->served != INDEX_NONE && uuid_eq(&r->row.site, &site))
            job_evict(core, (struct job_id){core->service.replica[r->served].job}, ERR_NOT_ACCEPTED);
    }
}

void cluster_look(struct core *core, uint32_t d)
{
    const struct cluster *c = cluster_of(core, d);
    if (c && c->row.parts > 0 && !stands(core, c))
        cluster_break(core, d, "a worker of the plan is not there any more");
}

void cluster_ready(struct core *core, uint32_t d)
{
    struct cluster *c = cluster_of(core, d);
    if (!c || c->row.broken_ms == 0)
        return;
    c->row.outage_ms = core->now_ms - c->row.broken_ms;
    c->row.broken_ms = 0;
    touch(core, c);
}

/* ---- steps ---- */

static bool at_one_site(const struct core *core, uint32_t d, const struct part *parts, uint32_t n)
{
    const struct uuid *first = &core->replica[member_of(core, d, &parts[0])].row.site;
    for (uint32_t i = 1; i < n; i++) {
        if (!uuid_eq(&core->replica[member_of(core, d, &parts[i])].row.site, first))
            return false;
    }
    return true;
}

/* 0, ERR_INVALID, or ERR_WRONG_STATE: it was made for a state that is gone. */
static int check_plan(const struct core *core, const struct cluster *c, const struct event_cluster_plan *e,
                      const struct part *parts)
{
    uint64_t layers = 0;
    if (e->parts == 0 || e->parts > CLUSTER_MEMBERS_MAX || e->token_s_e3 > SERVICE_TOKENS_MAX)
        return ERR_INVALID;
    for (uint32_t i = 0; i < e->parts; i++) {
        uint32_t member = member_of(core, c->deployment, &parts[i]);
        for (uint32_t k = 0; k < i; k++) {
            if (parts[k].ordinal == parts[i].ordinal)
                return ERR_INVALID;
        }
        if (parts[i].layers == 0 || (layers += parts[i].layers) > CLUSTER_LAYERS_MAX)
            return ERR_INVALID;
        if (member == INDEX_NONE || core->replica[member].row.state != REPLICA_READY)
            return ERR_WRONG_STATE;
    }
    if (!(c->row.cluster_flags & CLUSTER_CORRIDORS) && !at_one_site(core, c->deployment, parts, e->parts))
        return ERR_INVALID;
    return 0;
}

static uint32_t ready_members(const struct core *core, uint32_t d)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < core->replicas.used; i++)
        n += table_live(&core->replicas, i) && core->replica[i].deployment == d &&
             core->replica[i].row.role == REPLICA_WORKER && core->replica[i].row.state == REPLICA_READY;
    return n;
}

int step_cluster_plan(struct core *core, const struct event *event)
{
    const struct event_cluster_plan *e = &event->u.cluster_plan;
    struct part parts[CLUSTER_MEMBERS_MAX];
    uint32_t d = deployment_find(core, &e->deployment);
    struct cluster *c = d == MAP_NONE ? NULL : cluster_of(core, d);
    if (!c)
        return ERR_NOT_FOUND;
    if (core->deployment[d].row.replicas == 0 || e->generation != c->row.generation + 1)
        return ERR_WRONG_STATE;
    memcpy(parts, (const char *)e + offsetof(struct event_cluster_plan, ordinal0), PARTS_SIZE);
    int rc = check_plan(core, c, e, parts);
    if (rc != 0)
        return rc;
    if (c->row.parts > 0) {
        replica_displace(core, c->head);
        if (c->row.broken_ms == 0) /* nobody is served until the head is ready again; or since before */
            c->row.broken_ms = core->now_ms;
    }
    c->row.generation = e->generation;
    c->row.parts = e->parts;
    memset(parts + e->parts, 0, (CLUSTER_MEMBERS_MAX - e->parts) * sizeof *parts);
    memcpy((char *)&c->row + offsetof(struct row_cluster, ordinal0), parts, PARTS_SIZE);
    c->row.token_s_e3 = e->token_s_e3;
    c->row.equal_e3 = e->equal_e3;
    memcpy(c->row.equal_chip, e->equal_chip, sizeof c->row.equal_chip);
    c->row.offered = ready_members(core, d);
    c->row.planned_ms = event->at_ms;
    say(&c->row, "");
    touch(core, c);
    replica_head_place(core, c->head, &core->replica[member_of(core, d, &parts[0])].row.site);
    return 0;
}

int step_cluster_wait(struct core *core, const struct event *event)
{
    const struct event_cluster_wait *e = &event->u.cluster_wait;
    uint32_t d = deployment_find(core, &e->deployment);
    struct cluster *c = d == MAP_NONE ? NULL : cluster_of(core, d);
    if (!c)
        return ERR_NOT_FOUND;
    if (e->generation != c->row.generation)
        return ERR_WRONG_STATE;
    memcpy(c->row.detail, e->detail, sizeof c->row.detail);
    touch(core, c);
    return 0;
}

/* ---- loading ---- */

int load_cluster(struct core *core, const struct row_cluster *row)
{
    uint32_t d = deployment_find(core, &row->id);
    if (d == MAP_NONE || core->deployment[d].cluster != INDEX_NONE || row->members == 0 ||
        row->members > CLUSTER_MEMBERS_MAX || row->parts > CLUSTER_MEMBERS_MAX)
        return ERR_CORRUPT;
    uint32_t i = table_take(&core->clusters.table);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->clusters.cluster[i] = (struct cluster){.row = *row, .deployment = d, .head = INDEX_NONE};
    core->deployment[d].cluster = i;
    return 0;
}

int load_clusters_done(struct core *core)
{
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        if (!table_live(&core->replicas, i) || core->replica[i].row.role == REPLICA_ALL)
            continue;
        struct cluster *c = cluster_of(core, core->replica[i].deployment);
        bool head = core->replica[i].row.role == REPLICA_HEAD;
        if (!c || (head && c->head != INDEX_NONE))
            return ERR_CORRUPT;
        if (head)
            c->head = i;
    }
    return 0;
}

/* The head is at the first member's site while a plan is in force, or drains; and else nowhere. */
static bool head_holds(const struct core *core, const struct cluster *c)
{
    struct part parts[CLUSTER_MEMBERS_MAX];
    const struct row_replica *head = c->head == INDEX_NONE ? NULL : &core->replica[c->head].row;
    if (c->row.parts == 0)
        return !head || uuid_zero(&head->site);
    get_parts(&c->row, parts);
    uint32_t first = member_of(core, c->deployment, &parts[0]);
    return head && first != INDEX_NONE && uuid_eq(&head->site, &core->replica[first].row.site);
}

bool clusters_hold(const struct core *core)
{
    for (uint32_t i = 0; i < core->clusters.table.used; i++) {
        const struct cluster *c = &core->clusters.cluster[i];
        if (table_live(&core->clusters.table, i) &&
            (core->deployment[c->deployment].cluster != i || !stands(core, c) || !head_holds(core, c) ||
             (c->head == INDEX_NONE && core->deployment[c->deployment].row.replicas > 0)))
            return false;
    }
    return true;
}
