/* SPDX-License-Identifier: Apache-2.0 */
#include "core/service.h"

#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

/* What did not fit in a table is tried again after so long. */
#define RETRY_MS 1000

/* ---- what there is ---- */

static const struct job *job_of(const struct core *core, const struct service_replica *r)
{
    return &core->work.job[r->job];
}

static uint32_t tokens_as(const struct row_service *row, uint32_t alternative)
{
    const uint32_t tokens_s[] = {row->tokens_s0, row->tokens_s1, row->tokens_s2, row->tokens_s3};
    return tokens_s[alternative];
}

/* One that waits counts as the first alternative. */
static uint32_t tokens_of(const struct core *core, const struct service *s, const struct service_replica *r)
{
    const struct row_job *job = &job_of(core, r)->row;
    return tokens_as(&s->row, job->state == JOB_RUNNING ? job->alternative : 0);
}

enum warmth { WAITING, COLD, WARM, LEAVING };

/* Its site is being drained: it stays for as long as it is needed there. */
bool service_replica_leaves(const struct core *core, const struct service_replica *r)
{
    uint32_t pool = job_of(core, r)->pool;
    return r->hosted != INDEX_NONE && pool != INDEX_NONE &&
           site_state(&core->net.site[core->net.pool[pool].site.v].row) == PLACE_DRAINING;
}

static uint32_t leaving(const struct core *core, const struct service *s)
{
    uint32_t n = 0;
    list_for_each_safe (it, next, (struct list *)&s->replicas) {
        n += service_replica_leaves(core, list_entry(it, struct service_replica, in_service));
    }
    return n;
}

/* Those that count for what is asked. */
static uint32_t staying(const struct core *core, const struct service *s)
{
    return s->nreplicas - leaving(core, s);
}

static enum warmth warmth_of(const struct core *core, const struct service *s,
                             const struct service_replica *r, int64_t now_ms)
{
    const struct row_job *job = &job_of(core, r)->row;
    if (job->state != JOB_RUNNING)
        return WAITING;
    if (service_replica_leaves(core, r))
        return LEAVING;
    if (r->hosted != INDEX_NONE)
        return view_takes_requests(&core->replica[r->hosted].row) ? WARM : COLD;
    return now_ms - job->started_ms < s->row.cold_ms ? COLD : WARM;
}

/* The one to go first. */
static struct service_replica *first_to_go(const struct core *core, const struct service *s)
{
    struct service_replica *best = NULL;
    list_for_each_safe (it, next, (struct list *)&s->replicas) {
        struct service_replica *r = list_entry(it, struct service_replica, in_service);
        enum warmth a = warmth_of(core, s, r, core->now_ms);
        enum warmth b = best ? warmth_of(core, s, best, core->now_ms) : LEAVING;
        if (!best || a < b || (a == b && r->row.ordinal > best->row.ordinal))
            best = r;
    }
    return best;
}

/* What all that stay sustain, and of it (unless NULL) what the one that sustains most does. */
static uint64_t sustained(const struct core *core, const struct service *s, uint32_t *most)
{
    uint64_t sum = 0;
    list_for_each_safe (it, next, (struct list *)&s->replicas) {
        const struct service_replica *r = list_entry(it, struct service_replica, in_service);
        uint32_t tokens_s = service_replica_leaves(core, r) ? 0 : tokens_of(core, s, r);
        sum += tokens_s;
        if (most && tokens_s > *most)
            *most = tokens_s;
    }
    return sum;
}

/* Tokens a second that replicas must sustain for such a demand. */
static uint64_t wanted(const struct service *s, uint64_t tokens_s)
{
    return (uint64_t)(((int128)tokens_s * 1000 + s->row.target - 1) / s->row.target);
}

static bool asked(const struct service *s)
{
    return s->tokens_s > 0 || s->in_flight > 0;
}

static uint32_t least(const struct core *core, const struct service *s)
{
    if (s->row.min > 0)
        return s->row.min;
    if (asked(s))
        return 1;
    bool idle = s->row.idle_since_ms > 0 && core->now_ms - s->row.idle_since_ms >= s->row.idle_ms;
    return s->nreplicas > 0 && !idle ? 1 : 0;
}

/* ---- more and fewer ---- */

static void request_of(const struct service *s, struct event_job_submit *out)
{
    const struct row_service *row = &s->row;
    *out = (struct event_job_submit){.job = replica_job_id(&row->id, row->made),
                                     .tenant = row->tenant,
                                     .count0 = row->count0,
                                     .count1 = row->count1,
                                     .count2 = row->count2,
                                     .count3 = row->count3,
                                     .rate0 = 1000,
                                     .duration_ms = JOB_MS_MAX,
                                     .flags = row->flags | JOB_REPLICA,
                                     .site = row->site,
                                     .kind = JOB_KIND_INFERENCE};
    memcpy(out->chip0, row->chip0, sizeof out->chip0);
    memcpy(out->chip1, row->chip1, sizeof out->chip1);
    memcpy(out->chip2, row->chip2, sizeof out->chip2);
    memcpy(out->chip3, row->chip3, sizeof out->chip3);
    out->rate1 = (uint32_t)((uint64_t)row->tokens_s1 * 1000 / row->tokens_s0);
    out->rate2 = (uint32_t)((uint64_t)row->tokens_s2 * 1000 / row->tokens_s0);
    out->rate3 = (uint32_t)((uint64_t)row->tokens_s3 * 1000 / row->tokens_s0);
    memcpy(out->jurisdiction, row->jurisdiction, sizeof out->jurisdiction);
    memcpy(out->vendor, row->vendor, sizeof out->vendor);
    memcpy(out->data_class, row->data_class, sizeof out->data_class);
}

static void told(struct core *core, enum effect_kind kind, const struct service *s, uint64_t ordinal)
{
    struct effect *effect = effect_add(core, kind);
    effect->service = s->row.id;
    effect->ordinal = (uint32_t)ordinal;
    effect->job = replica_job_id(&s->row.id, ordinal);
}

static bool add(struct core *core, uint32_t i)
{
    struct service *s = &core->service.service[i];
    struct event_job_submit request;
    request_of(s, &request);
    cluster_kind(core, s, request.chip0);
    if (table_room(&core->service.replicas) == 0 ||
        (s->deployment != INDEX_NONE && table_room(&core->replicas) == 0) ||
        work_submit(core, &request, s->deployment) != 0)
        return false;
    struct row_service_replica row = {.job = request.job, .service = s->row.id, .ordinal = s->row.made};
    uint32_t r = service_put_replica(core, i, &row); /* there is room */
    if (s->deployment != INDEX_NONE)
        core->service.replica[r].hosted = replica_wait(core, s->deployment, r);
    told(core, EFFECT_REPLICA_ADD, s, s->row.made++);
    table_touch(&core->service.services, i);
    return true;
}

/* Its site ends it first. */
static void drain(struct core *core, struct service *s, struct service_replica *r)
{
    list_remove(&r->in_service);
    list_push(&s->draining, &r->in_service);
    s->nreplicas--;
    r->row.draining = 1;
    table_touch(&core->service.replicas, (uint32_t)(r - core->service.replica));
    replica_drain(core, r->hosted, core->now_ms);
}

static void drop(struct core *core, struct service *s, struct service_replica *r)
{
    if (r->hosted != INDEX_NONE && job_of(core, r)->row.state == JOB_RUNNING) {
        drain(core, s, r);
        return;
    }
    uint64_t ordinal = r->row.ordinal;
    work_cancel(core, (struct job_id){r->job});
    told(core, EFFECT_REPLICA_DROP, s, ordinal);
}

static bool has_effects(const struct core *core)
{
    return core->effects->n <= core->effects->cap / 2;
}

/* Whichever goes: who is the first to go changes with time alone, and nothing would say when. */
static bool one_too_many(const struct core *core, const struct service *s, uint64_t tokens_s)
{
    uint32_t most = 0;
    if (staying(core, s) <= least(core, s))
        return false;
    uint64_t sum = sustained(core, s, &most);
    return sum - most >= wanted(s, tokens_s);
}

/* Since when nothing is asked for, and since when one is too many. */
static void note_time(struct core *core, struct service *s)
{
    struct row_service *row = &s->row;
    if (asked(s) || row->min > 0 || s->nreplicas == 0)
        row->idle_since_ms = 0;
    else if (row->idle_since_ms == 0)
        row->idle_since_ms = core->now_ms;
    if (!one_too_many(core, s, s->tokens_s)) {
        row->over_since_ms = 0;
        row->over_tokens_s = 0;
        return;
    }
    if (row->over_since_ms == 0)
        row->over_since_ms = core->now_ms;
    if (s->tokens_s > row->over_tokens_s)
        row->over_tokens_s = s->tokens_s;
}

/* False: the step's effects have no room for more. */
static bool fewer(struct core *core, struct service *s)
{
    struct row_service *row = &s->row;
    note_time(core, s);
    bool held = row->over_since_ms > 0 && core->now_ms - row->over_since_ms >= row->hold_ms;
    while (staying(core, s) > row->max || (s->nreplicas > 0 && least(core, s) == 0) ||
           (held && one_too_many(core, s, row->over_tokens_s))) {
        if (!has_effects(core))
            return false;
        drop(core, s, first_to_go(core, s));
    }
    if (held)
        row->over_since_ms = 0; /* its time begins anew, with the demand of now */
    row->over_tokens_s = held ? 0 : row->over_tokens_s;
    note_time(core, s);
    return true;
}

/* False: there was no room for all. */
static bool more(struct core *core, uint32_t i)
{
    const struct service *s = &core->service.service[i];
    uint64_t sum = sustained(core, s, NULL), want = wanted(s, s->tokens_s);
    while (staying(core, s) < s->row.max && (staying(core, s) < least(core, s) || sum < want)) {
        if (!has_effects(core) || !add(core, i))
            return false;
        sum += s->row.tokens_s0;
    }
    return true;
}

/* Of deployments: what drained and lost its place is over. */
static void settle(struct core *core, struct service *s)
{
    list_for_each_safe (it, next, &s->draining) {
        const struct service_replica *r = list_entry(it, struct service_replica, in_service);
        /* Where it drained it is no more: it waits for another place, or has begun there already. */
        if (job_of(core, r)->row.state != JOB_RUNNING || uuid_zero(&core->replica[r->hosted].row.site))
            work_cancel(core, (struct job_id){r->job});
    }
}

/* Those in place of whom leaves were asked for, else one that is ready would go before anybody comes for it. */
static void leave(struct core *core, struct service *s)
{
    bool ready = staying(core, s) > 0;
    list_for_each_safe (it, next, &s->replicas) {
        enum warmth warmth =
            warmth_of(core, s, list_entry(it, struct service_replica, in_service), core->now_ms);
        ready = ready && warmth >= WARM;
    }
    list_for_each_safe (it, next, &s->replicas) {
        struct service_replica *r = list_entry(it, struct service_replica, in_service);
        if (ready && service_replica_leaves(core, r))
            drop(core, s, r);
    }
}

static void first(int64_t *next_ms, int64_t ms)
{
    *next_ms = ms < *next_ms ? ms : *next_ms;
}

static void decide(struct core *core, uint32_t i)
{
    struct service *s = &core->service.service[i];
    int64_t over_ms = s->row.over_since_ms, idle_ms = s->row.idle_since_ms;
    uint64_t over_tokens_s = s->row.over_tokens_s;
    if (s->deployment != INDEX_NONE)
        settle(core, s);
    bool up = more(core, i);
    if (s->deployment != INDEX_NONE && up)
        leave(core, s);
    bool down = fewer(core, s);
    if (over_ms != s->row.over_since_ms || idle_ms != s->row.idle_since_ms ||
        over_tokens_s != s->row.over_tokens_s)
        table_touch(&core->service.services, i);
    s->next_ms = up ? INT64_MAX : core->now_ms + RETRY_MS;
    if (!down || (!up && !has_effects(core)))
        s->next_ms = core->now_ms;
    if (s->row.over_since_ms > 0)
        first(&s->next_ms, s->row.over_since_ms + s->row.hold_ms);
    if (s->row.idle_since_ms > 0)
        first(&s->next_ms, s->row.idle_since_ms + s->row.idle_ms);
}

void services_turn(struct core *core)
{
    struct services *all = &core->service;
    if (all->next_ms > core->now_ms)
        return;
    for (uint32_t k = 0; k < all->services.live; k++) {
        if (all->service[all->by_id[k]].next_ms <= core->now_ms)
            decide(core, all->by_id[k]);
    }
    deployments_reap(core);
    all->next_ms = INT64_MAX;
    for (uint32_t k = 0; k < all->services.live; k++)
        first(&all->next_ms, all->service[all->by_id[k]].next_ms);
}

static void due(struct core *core, struct service *s)
{
    s->next_ms = core->now_ms;
    first(&core->service.next_ms, core->now_ms);
}

void service_due(struct core *core, uint32_t service)
{
    due(core, &core->service.service[service]);
}

void services_look(struct core *core)
{
    for (uint32_t k = 0; k < core->service.services.live; k++) {
        struct service *s = &core->service.service[core->service.by_id[k]];
        if (s->deployment != INDEX_NONE)
            due(core, s);
    }
}

struct uuid replica_moved(struct core *core, uint32_t replica, bool starts)
{
    const struct service_replica *r = &core->service.replica[replica];
    struct service *s = &core->service.service[r->service];
    due(core, s);
    if (r->hosted != INDEX_NONE && starts)
        replica_place(core, r->hosted, job_of(core, r)->pool);
    else if (r->hosted != INDEX_NONE)
        replica_displace(core, r->hosted);
    return s->row.id;
}

void replica_over(struct core *core, uint32_t replica)
{
    struct service_replica *r = &core->service.replica[replica];
    struct service *s = &core->service.service[r->service];
    list_remove(&r->in_service);
    s->nreplicas -= !r->row.draining;
    if (r->hosted != INDEX_NONE)
        replica_forget(core, r->hosted);
    core->work.job[r->job].replica = INDEX_NONE;
    table_drop(&core->service.replicas, replica);
    due(core, s);
}

/* ---- steps ---- */

static bool alternatives_hold(const struct event_service_set *e)
{
    const struct {
        uint32_t count, tokens_s;
    } a[ALTERNATIVES] = {{e->count0, e->tokens_s0},
                         {e->count1, e->tokens_s1},
                         {e->count2, e->tokens_s2},
                         {e->count3, e->tokens_s3}};
    for (uint32_t i = 0; i < ALTERNATIVES && (i == 0 || a[i].count > 0); i++) {
        uint64_t thousandths = (uint64_t)a[i].tokens_s * 1000;
        if (a[i].count == 0 || a[i].tokens_s == 0 || thousandths < a[0].tokens_s ||
            thousandths / a[0].tokens_s > 1000000)
            return false;
    }
    return true;
}

static bool is_span(int64_t ms)
{
    return ms >= 0 && ms <= SERVICE_MS_MAX;
}

static bool scale_holds(const struct event_service_set *e)
{
    return e->max > 0 && e->max <= SERVICE_REPLICAS_MAX && e->min <= e->max && e->target > 0 &&
           e->target <= 1000 && is_span(e->cold_ms) && is_span(e->hold_ms) && is_span(e->idle_ms);
}

#define SERVICE_COPY(S, type, name, size) memcpy(&to->name, &from->name, sizeof to->name);
#define SERVICE_SAME(S, type, name, size) same &= memcmp(&to->name, &from->name, sizeof to->name) == 0;

static bool same_place(const struct row_service *to, const struct event_service_set *from)
{
    bool same = true;
    SERVICE_PLACE(SERVICE_SAME, _)
    return same;
}

static void set_place(struct row_service *to, const struct event_service_set *from)
{
    SERVICE_PLACE(SERVICE_COPY, _)
}

static void set_scale(struct row_service *to, const struct event_service_set *from)
{
    SERVICE_SCALE(SERVICE_COPY, _)
}

int step_service_set(struct core *core, const struct event *event)
{
    const struct event_service_set *e = &event->u.service_set;
    struct service asked_for = {.row = {.id = e->service, .created_ms = event->at_ms}};
    struct event_job_submit request;
    struct shape_key key;
    if (uuid_zero(&e->service) || (e->flags & ~(uint32_t)JOB_ONE_DOMAIN) || !alternatives_hold(e) ||
        !scale_holds(e))
        return ERR_INVALID;
    struct tenant_id tenant = tenant_by_id(core, &e->tenant);
    if (tenant.v == INDEX_NONE ||
        (!uuid_zero(&e->variant) && map_get(&core->variant_map, &e->variant, sizeof e->variant) == MAP_NONE))
        return ERR_NOT_FOUND;
    if (!uuid_zero(&e->variant) &&
        recall_of(core,
                  core->variant[map_get(&core->variant_map, &e->variant, sizeof e->variant)].row.digest))
        return ERR_RECALLED;
    set_place(&asked_for.row, e);
    set_scale(&asked_for.row, e);
    request_of(&asked_for, &request);
    if (deployment_find(core, &e->service) != MAP_NONE)
        return ERR_IN_USE; /* that one's own */
    int rc = shape_read(core, &request, tenant, INDEX_NONE, &key);
    if (rc != 0)
        return rc;
    uint32_t i = service_find(core, &e->service);
    if (i != MAP_NONE && !same_place(&core->service.service[i].row, e))
        return ERR_WRONG_STATE;
    if (i == MAP_NONE) {
        i = service_put(core, &asked_for.row);
        if (i == INDEX_NONE)
            return ERR_LIMIT;
    }
    set_scale(&core->service.service[i].row, e);
    table_touch(&core->service.services, i);
    due(core, &core->service.service[i]);
    return 0;
}

void service_empty(struct core *core, uint32_t i)
{
    struct service *s = &core->service.service[i];
    s->row.min = s->row.max = 0;
    table_touch(&core->service.services, i);
    while (s->nreplicas > 0)
        drop(core, s, first_to_go(core, s));
    due(core, s);
}

int step_service_remove(struct core *core, const struct event *event)
{
    uint32_t i = service_find(core, &event->u.service_remove.service);
    if (i == MAP_NONE)
        return ERR_NOT_FOUND;
    struct service *s = &core->service.service[i];
    if (s->deployment != INDEX_NONE)
        return ERR_IN_USE; /* it goes with that */
    while (s->nreplicas > 0)
        drop(core, s, first_to_go(core, s));
    service_drop(core, i);
    return 0;
}

/* What a replica sustains, as measured, is another than thought by more than a quarter: what was counted with the figure before
 * says nothing any more. */
static void retune(struct core *core, struct service *s, uint32_t tokens_s)
{
    uint64_t now = s->row.tokens_s0, then = tokens_s;
    if (s->deployment == INDEX_NONE || then == 0 || then > SERVICE_TOKENS_MAX ||
        (4 * then <= 5 * now && 4 * now <= 5 * then))
        return;
    /* It is one figure of all its replicas: of each kind the same, so that what they ask for stays as it is. */
    uint32_t *const tokens[] = {&s->row.tokens_s0, &s->row.tokens_s1, &s->row.tokens_s2, &s->row.tokens_s3};
    for (uint32_t i = 0; i < ALTERNATIVES; i++)
        *tokens[i] = i == 0 || *tokens[i] > 0 ? tokens_s : 0;
    s->row.over_since_ms = 0;
    s->row.over_tokens_s = 0;
    table_touch(&core->service.services, (uint32_t)(s - core->service.service));
}

int step_service_demand(struct core *core, const struct event *event)
{
    const struct event_service_demand *e = &event->u.service_demand;
    struct services *all = &core->service;
    struct row_service_demand row = {.service = e->service,
                                     .site = e->site,
                                     .tokens_s = e->tokens_s,
                                     .in_flight = e->in_flight,
                                     .at_ms = event->at_ms};
    uint32_t i = service_find(core, &e->service);
    if (i == MAP_NONE || (!uuid_zero(&e->site) && site_by_id(core, &e->site).v == INDEX_NONE))
        return ERR_NOT_FOUND;
    if (e->tokens_s > SERVICE_TOKENS_MAX)
        return ERR_OVERFLOW;
    struct service *s = &all->service[i];
    uint32_t d = map_get(&all->demand_map, &row, sizeof row.service + sizeof row.site);
    if (d == MAP_NONE) {
        if (service_put_demand(core, i, &row) == INDEX_NONE)
            return ERR_LIMIT;
    } else {
        s->tokens_s += row.tokens_s - all->demand[d].row.tokens_s;
        s->in_flight += (uint64_t)row.in_flight - all->demand[d].row.in_flight;
        all->demand[d].row = row;
        table_touch(&all->demands, d);
    }
    retune(core, s, e->replica_tokens_s);
    due(core, s);
    return 0;
}

/* ---- what others see ---- */

bool view_service(const struct core *core, const struct uuid *id, int64_t now_ms, struct view_service *out)
{
    uint32_t i = service_find(core, id);
    if (i == MAP_NONE)
        return false;
    const struct service *s = &core->service.service[i];
    *out = (struct view_service){.row = &s->row, .tokens_s = s->tokens_s, .in_flight = s->in_flight};
    list_for_each_safe (it, next, (struct list *)&s->replicas) {
        const struct service_replica *r = list_entry(it, struct service_replica, in_service);
        enum warmth warmth = warmth_of(core, s, r, now_ms);
        out->waiting += warmth == WAITING;
        out->cold += warmth == COLD;
        out->warm += warmth >= WARM;
        out->sustained_tokens_s += warmth == WARM ? tokens_of(core, s, r) : 0;
    }
    return true;
}

bool view_deployed(const struct core *core, const struct uuid *id, struct view_deployed *out)
{
    uint32_t i = service_find(core, id);
    if (i == MAP_NONE || core->service.service[i].deployment == INDEX_NONE)
        return false;
    const struct service *s = &core->service.service[i];
    *out = (struct view_deployed){.wanted = s->nreplicas,
                                  .tokens_s = s->tokens_s,
                                  .in_flight = s->in_flight,
                                  .hold_ms = s->row.hold_ms};
    list_for_each_safe (it, next, (struct list *)&s->replicas) {
        const struct service_replica *r = list_entry(it, struct service_replica, in_service);
        const struct row_replica *row = &core->replica[r->hosted].row;
        out->ready += view_takes_requests(row);
        if (uuid_zero(&row->site))
            out->waits = job_of(core, r)->row.id;
    }
    return true;
}
