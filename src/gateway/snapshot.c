/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/snapshot.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "core/kinds.h"
#include "core/view.h"
#include "gateway/bars.h"

struct registry {
    pthread_mutex_t lock;
    const struct engine_specs *engines;
    uint32_t queue_max;
    struct limiter *limiters;
    struct slot_queue *queues;
    struct backend *backends; /* each with one reference of the registry */
};

static void *must_alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        abort();
    return p;
}

struct registry *registry_new(const struct engine_specs *engines, uint32_t queue_max)
{
    struct registry *r = must_alloc(1, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    r->engines = engines;
    r->queue_max = queue_max;
    return r;
}

void registry_free(struct registry *r)
{
    for (struct limiter *l = r->limiters, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    for (struct slot_queue *q = r->queues, *next; q; q = next) {
        next = q->next;
        slot_publish(q, NULL, 0, NULL, 0);
        pthread_mutex_destroy(&q->lock);
        free(q);
    }
    for (struct backend *b = r->backends, *next; b; b = next) {
        next = b->next;
        backend_unref(b);
    }
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static struct limiter *limiter_of(struct registry *r, const struct uuid *key)
{
    for (struct limiter *l = r->limiters; l; l = l->next) {
        if (uuid_eq(&l->key, key))
            return l;
    }
    struct limiter *l = must_alloc(1, sizeof *l);
    l->key = *key;
    l->next = r->limiters;
    r->limiters = l;
    return l;
}

static struct slot_queue *queue_of(struct registry *r, const struct uuid *model)
{
    for (struct slot_queue *q = r->queues; q; q = q->next) {
        if (uuid_eq(&q->model, model))
            return q;
    }
    struct slot_queue *q = must_alloc(1, sizeof *q);
    slot_queue_init(q, model, r->queue_max);
    q->next = r->queues;
    r->queues = q;
    return q;
}

static struct backend *backend_of(struct registry *r, const struct row_replica *row, bool far)
{
    for (struct backend *b = r->backends; b; b = b->next) {
        if (!atomic_load(&b->gone) && uuid_eq(&b->deployment, &row->deployment) &&
            b->ordinal == row->ordinal && b->epoch == row->epoch &&
            strcmp(b->endpoint.text, row->endpoint) == 0 && strcmp(b->version, row->version) == 0)
            return b; /* an engine that came back as another one answered nothing of what is in flight */
    }
    struct http_endpoint endpoint;
    struct err err;
    if (http_endpoint_parse(&endpoint, row->endpoint, &err) != 0) {
        log_error("endpoint_invalid", "endpoint=\"%s\" error=\"%s\"", row->endpoint, err.msg);
        return NULL;
    }
    struct backend *b = must_alloc(1, sizeof *b);
    b->deployment = row->deployment;
    b->ordinal = row->ordinal;
    b->epoch = row->epoch;
    b->variant = row->variant;
    b->site = row->site;
    memcpy(b->chip, row->chip, sizeof b->chip);
    memcpy(b->version, row->version, sizeof b->version);
    b->chips = row->chips;
    b->role = row->role;
    b->far = far;
    b->endpoint = endpoint;
    b->slots = row->slots;
    b->salt = map_hash(row->ordinal, &row->deployment, sizeof row->deployment);
    b->refs = 1;
    b->next = r->backends;
    r->backends = b;
    return b;
}

/* What it costs to go there, now. Nothing of it on the hub's own machine, where no chips are counted. */
static void set_terms(struct backend *b, const struct row_replica *row, const struct core *core)
{
    const struct row_corridor *way = view_corridor_to(core, &row->site);
    int64_t hour = i64_clamp((int128)view_chip_hour(core, &row->site, row->chip) * row->chips, INT64_MAX);
    const struct row_acceptance *found = view_acceptance(core, row);
    bool passed = found && found->verdict == ACCEPT_PASSED && found->batch > 0;
    yield_accept(&b->yield, passed ? found->many / found->batch : 0);
    atomic_store(&b->terms.way_us, way ? way->rtt : 0);
    atomic_store(&b->terms.hour, hour);
}

static bool key_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    const struct snap_key *k = (const struct snap_key *)table + i;
    return text_eq(k->public_id, text_len(k->public_id, sizeof k->public_id), key, len);
}

static bool model_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    const struct snap_model *m = (const struct snap_model *)table + i;
    return text_eq(m->name, text_len(m->name, NAME_CAP), key, len);
}

static void add_keys(struct registry *r, struct snapshot *s, const struct core *core)
{
    uint32_t n = view_counts(core).keys;
    const struct row_key *row;
    s->key = must_alloc(n, sizeof *s->key);
    uint32_t nslots = map_slots(n);
    s->key_slots = must_alloc(nslots, sizeof *s->key_slots);
    map_init(&s->keys, s->key_slots, nslots, 0, key_equal, s->key);
    for (uint32_t pos = 0; (row = view_key_at(core, &pos)) != NULL;) {
        if (row->revoked_ms != 0)
            continue;
        struct snap_key *k = &s->key[s->nkeys];
        memcpy(k->public_id, row->public_id, sizeof k->public_id);
        memcpy(k->hash, row->hash, sizeof k->hash);
        k->id = row->id;
        k->tenant = row->tenant;
        k->scopes = row->scopes;
        k->rpm = row->rpm;
        k->tpm = row->tpm;
        k->expires_ms = row->expires_ms;
        k->purse = view_key_purse(row);
        k->purse_owner = k->purse == BUDGET_KEY       ? row->id
                         : k->purse == BUDGET_PROJECT ? row->project
                                                      : row->tenant;
        k->models = row->models;
        k->limiter = row->rpm || row->tpm ? limiter_of(r, &row->id) : NULL;
        map_put(&s->keys, k->public_id, text_len(k->public_id, sizeof k->public_id), s->nkeys++);
    }
}

static const struct row_variant *first_variant(const struct core *core, const struct uuid *model)
{
    const struct row_variant *row;
    for (uint32_t pos = 0; (row = view_variant_at(core, &pos)) != NULL;) {
        if (uuid_eq(&row->model, model))
            break;
    }
    return row;
}

static struct snap_price snap_price_of(const struct row_price *row)
{
    return (struct snap_price){.model = row->model,
                               .tenant = row->tenant,
                               .id = row->id,
                               .price = {row->prompt, row->cached, row->completion, row->reasoning}};
}

/* The key is the beginning of the entry: model and tenant. */
static bool own_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp((const struct snap_price *)table + i, key, len) == 0;
}

#define OWN_KEY offsetof(struct snap_price, id)

static void add_own_prices(struct snapshot *s, const struct core *core)
{
    uint32_t n = 0;
    for (uint32_t pos = 0; view_own_price_at(core, &pos);)
        n++;
    const struct row_price *row;
    uint32_t nslots = map_slots(n);
    s->own = must_alloc(n, sizeof *s->own);
    s->own_slots = must_alloc(nslots, sizeof *s->own_slots);
    map_init(&s->owns, s->own_slots, nslots, 0, own_equal, s->own);
    for (uint32_t pos = 0; (row = view_own_price_at(core, &pos)) != NULL; s->nowns++) {
        s->own[s->nowns] = snap_price_of(row);
        map_put(&s->owns, &s->own[s->nowns], OWN_KEY, s->nowns);
    }
}

static void add_models(struct registry *r, struct snapshot *s, const struct core *core)
{
    uint32_t n = view_counts(core).models;
    const struct row_model *row;
    s->model = must_alloc(n, sizeof *s->model);
    uint32_t nslots = map_slots(n);
    s->model_slots = must_alloc(nslots, sizeof *s->model_slots);
    map_init(&s->models, s->model_slots, nslots, 0, model_equal, s->model);
    for (uint32_t pos = 0; (row = view_model_at(core, &pos)) != NULL;) {
        struct snap_model *m = &s->model[s->nmodels];
        memcpy(m->name, row->name, sizeof m->name);
        memcpy(m->upstream, row->name, sizeof m->upstream);
        m->id = row->id;
        m->kind = row->kind;
        m->context = row->context;
        m->created_ms = row->created_ms;
        m->recalled = view_recalled(core, &row->id) != NULL;
        m->queue = queue_of(r, &row->id);
        const struct row_price *price = view_price(core, &row->price);
        if (price)
            m->price = snap_price_of(price);
        const struct row_variant *variant = first_variant(core, &row->id);
        if (variant) {
            m->engine = engine_spec_named(r->engines, variant->engine);
            /* A URL may name the model as the engine knows it: http://host:8000#their-name */
            const char *alias = m->engine && !m->engine->binary[0] ? strchr(variant->location, '#') : NULL;
            if (alias && alias[1])
                text_set(m->upstream, sizeof m->upstream, alias + 1, strlen(alias + 1));
        }
        map_put(&s->models, m->name, text_len(m->name, NAME_CAP), s->nmodels++);
    }
}

static struct snap_model *model_with_id(struct snapshot *s, const struct uuid *id)
{
    for (uint32_t i = 0; i < s->nmodels; i++) {
        if (uuid_eq(&s->model[i].id, id))
            return &s->model[i];
    }
    return NULL;
}

static void add_backends(struct registry *r, struct snapshot *s, const struct core *core)
{
    const struct row_replica *row;
    const struct row_site *own = view_site_own(core);
    for (uint32_t pos = 0; (row = view_replica_at(core, &pos)) != NULL;) {
        const struct row_deployment *d = view_deployment(core, &row->deployment);
        struct snap_model *m = d ? model_with_id(s, &d->model) : NULL;
        if (!m || row->state == REPLICA_DRAINING || row->state == REPLICA_STOPPED ||
            row->role == REPLICA_WORKER)
            continue;
        m->nwanted++;
        bool here = uuid_eq(&row->site, &own->id);
        m->nhere += here;
        if (!view_takes_requests(row) || m->nbackends == REPLICAS_PER_DEPLOYMENT_MAX)
            continue;
        struct backend *b = backend_of(r, row, !here);
        if (!b)
            continue;
        set_terms(b, row, core);
        if (row->context && row->context < m->context)
            m->context = row->context;
        m->backends[m->nbackends++] = backend_ref(b);
    }
}

/* Deployments that have as many replicas as are asked for. */
static void add_demand(struct snapshot *s, const struct core *core)
{
    const struct row_deployment *row;
    for (uint32_t pos = 0; (row = view_deployment_at(core, &pos)) != NULL;) {
        struct view_deployed now;
        struct snap_model *m = model_with_id(s, &row->model);
        /* Of a fixed number nobody needs to know what is asked for. */
        if (!m || row->min >= row->replicas || !view_deployed(core, &row->id, &now))
            continue;
        m->scales = true;
        m->demand.service = row->id;
        m->demand.slots = row->slots;
        m->demand.window_ms =
            now.hold_ms < DEMAND_WINDOW_MS ? (uint64_t)now.hold_ms : (uint64_t)DEMAND_WINDOW_MS;
    }
}

struct snapshot *snapshot_make(struct registry *r, const struct core *core)
{
    struct snapshot *s = must_alloc(1, sizeof *s);
    s->refs = 1;
    pthread_mutex_lock(&r->lock);
    add_keys(r, s, core);
    add_models(r, s, core);
    add_own_prices(s, core);
    add_backends(r, s, core);
    bars_add(s, core);
    add_demand(s, core);
    pthread_mutex_unlock(&r->lock);
    return s;
}

static bool routed(const struct snapshot *s, const struct backend *b)
{
    for (uint32_t i = 0; i < s->nmodels; i++) {
        for (uint32_t k = 0; k < s->model[i].nbackends; k++) {
            if (s->model[i].backends[k] == b)
                return true;
        }
    }
    return false;
}

void snapshot_publish(struct registry *r, const struct snapshot *s)
{
    pthread_mutex_lock(&r->lock);
    for (struct backend **at = &r->backends; *at;) {
        struct backend *b = *at;
        if (routed(s, b)) {
            at = &b->next;
            continue;
        }
        atomic_store(&b->gone, true);
        if (atomic_load(&b->busy) > 0) { /* kept until its last request has ended */
            at = &b->next;
            continue;
        }
        *at = b->next;
        backend_unref(b);
    }
    for (struct slot_queue *q = r->queues; q; q = q->next) {
        const struct snap_model *m = NULL;
        for (uint32_t i = 0; i < s->nmodels && !m; i++)
            m = s->model[i].queue == q ? &s->model[i] : NULL;
        demand_set(&q->demand, m ? &m->demand : &(struct demand_terms){.slots = 0});
        slot_publish(q, m ? m->backends : NULL, m ? m->nbackends : 0, m ? m->bars : NULL, m ? m->nbars : 0);
    }
    pthread_mutex_unlock(&r->lock);
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    for (uint32_t i = 0; i < s->nmodels; i++) {
        for (uint32_t k = 0; k < s->model[i].nbackends; k++)
            backend_unref(s->model[i].backends[k]);
        free(s->model[i].bars);
    }
    free(s->rule);
    free(s->key);
    free(s->key_slots);
    free(s->model);
    free(s->model_slots);
    free(s->own);
    free(s->own_slots);
    free(s);
}

const struct snap_key *snapshot_key(const struct snapshot *s, const char *public_id, size_t len)
{
    uint32_t i = map_get(&s->keys, public_id, len);
    return i == MAP_NONE ? NULL : &s->key[i];
}

const struct snap_model *snapshot_model(const struct snapshot *s, const char *name, size_t len)
{
    uint32_t i = map_get(&s->models, name, len);
    return i == MAP_NONE ? NULL : &s->model[i];
}

const struct snap_price *snapshot_price(const struct snapshot *s, const struct snap_model *model,
                                        const struct uuid *tenant)
{
    const struct snap_price key = {.model = model->id, .tenant = *tenant};
    uint32_t i = s->nowns > 0 ? map_get(&s->owns, &key, OWN_KEY) : MAP_NONE;
    return i == MAP_NONE ? &model->price : &s->own[i];
}

bool snap_model_deployed(const struct snap_model *m)
{
    return m->nwanted > 0 || !uuid_zero(&m->demand.service);
}

struct registry_stats registry_stats(struct registry *r)
{
    struct registry_stats n = {0};
    pthread_mutex_lock(&r->lock);
    for (struct backend *b = r->backends; b; b = b->next) {
        n.slots += b->slots;
        n.busy += atomic_load(&b->busy);
    }
    for (struct slot_queue *q = r->queues; q; q = q->next)
        n.waiting += atomic_load(&q->waiting);
    pthread_mutex_unlock(&r->lock);
    return n;
}

uint32_t registry_busy(struct registry *r, const struct uuid *deployment, uint32_t ordinal)
{
    uint32_t n = 0;
    pthread_mutex_lock(&r->lock);
    for (struct backend *b = r->backends; b; b = b->next) {
        if (b->ordinal == ordinal && uuid_eq(&b->deployment, deployment))
            n += atomic_load(&b->busy);
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

bool registry_wakes(struct registry *r, const struct uuid *service)
{
    bool wakes = false;
    pthread_mutex_lock(&r->lock);
    for (struct slot_queue *q = r->queues; q; q = q->next)
        wakes = wakes || (uuid_eq(&q->demand.terms.service, service) && demand_wakes(&q->demand));
    pthread_mutex_unlock(&r->lock);
    return wakes;
}

void registry_elsewhere(struct registry *r, const struct uuid *service, uint32_t waiting)
{
    pthread_mutex_lock(&r->lock);
    for (struct slot_queue *q = r->queues; q; q = q->next) {
        if (uuid_eq(&q->demand.terms.service, service))
            atomic_store(&q->demand.elsewhere, waiting);
    }
    pthread_mutex_unlock(&r->lock);
}

void registry_untell(struct registry *r)
{
    pthread_mutex_lock(&r->lock);
    for (struct slot_queue *q = r->queues; q; q = q->next)
        demand_untell(&q->demand);
    pthread_mutex_unlock(&r->lock);
}

static struct slot_queue *queue_with(struct registry *r, const struct backend *backend)
{
    for (struct slot_queue *q = r->queues; q; q = q->next) {
        bool here = false;
        pthread_mutex_lock(&q->lock);
        for (uint32_t i = 0; i < q->nbackends; i++)
            here = here || q->backends[i] == backend;
        pthread_mutex_unlock(&q->lock);
        if (here)
            return q;
    }
    return NULL;
}

struct backend *registry_replica(struct registry *r, const struct uuid *deployment, uint32_t ordinal,
                                 uint32_t epoch, struct slot_queue **queue)
{
    struct backend *found = NULL;
    *queue = NULL;
    pthread_mutex_lock(&r->lock);
    for (struct backend *b = r->backends; b && !*queue; b = b->next) {
        if (b->ordinal == ordinal && b->epoch == epoch && uuid_eq(&b->deployment, deployment) &&
            !atomic_load(&b->gone) && (*queue = queue_with(r, b)) != NULL)
            found = backend_ref(b);
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}

void registry_kick(struct registry *r)
{
    pthread_mutex_lock(&r->lock);
    for (struct slot_queue *q = r->queues; q; q = q->next)
        slot_kick(q);
    pthread_mutex_unlock(&r->lock);
}

/* Under the queue's lock. Slots in use, of requests here and elsewhere. */
static uint32_t sample_backends(struct slot_queue *q, uint64_t ms)
{
    uint64_t sum = 0;
    uint32_t busy = 0, n = 0;
    for (uint32_t i = 0; i < q->nbackends; i++) {
        struct backend *b = q->backends[i];
        yield_sample(&b->yield, ms, atomic_load(&b->own));
        busy += atomic_load(&b->busy);
        sum += yield_measured(&b->yield);
        n += yield_measured(&b->yield) > 0;
    }
    for (uint32_t i = 0; i < q->nbackends && n > 0; i++)
        yield_assume(&q->backends[i]->yield, sum / n);
    return busy;
}

void registry_demand(struct registry *r, uint64_t ms, bool served, demand_fn *tell, void *ctx)
{
    pthread_mutex_lock(&r->lock);
    for (struct slot_queue *q = r->queues; q; q = q->next) {
        struct event_service_demand said;
        pthread_mutex_lock(&q->lock);
        uint32_t busy = sample_backends(q, ms);
        pthread_mutex_unlock(&q->lock);
        busy = served ? busy : 0;
        if (!demand_sample(&q->demand, ms, busy, atomic_load(&q->waiting), &said))
            continue;
        if (tell(ctx, &said))
            demand_told(&q->demand, &said);
        else /* whatever was said before: it is to be said again */
            demand_untell(&q->demand);
    }
    pthread_mutex_unlock(&r->lock);
}
