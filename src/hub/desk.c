/* SPDX-License-Identifier: Apache-2.0 */
/* Orders: which site a start or stop is for, and what it has not acknowledged yet. */
#include "hub/desk.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/osrandom.h"
#include "core/kinds.h"
#include "core/view.h"
#include "hub/api.h"
#include "hub/hosting.h"
#include "site/jobs.h"

#define HOLD_MS_MAX 20000 /* that a site waits for an answer; and at most a quarter of its leases */
#define TICK_MS 250
#define SOON_MS 1
#define MODELS_MS 30000  /* between two events about weights that went to a site */
#define ORDERS_MAX 65536 /* not acknowledged; past that the site begins a new session */

struct order {
    uint64_t number;
    bool start;
    struct site_order job;
    enum job_end why; /* of a stop */
};

struct pool {
    struct uuid id;
    char chip[CHIP_CAP];
    uint32_t node_chips;
};

/* A site that has called. */
struct counter {
    struct list node;
    struct uuid site;
    uint64_t session; /* 0: none */
    uint64_t last;    /* number of the last order */
    struct order *order;
    uint32_t n, cap;
    struct pool *pool;
    uint32_t npools;
    struct visit *waiting; /* for an answer; NULL: nobody does */
    uint64_t serves;       /* the version that the one who waits has of what it should serve */
    uint64_t until_ms;     /* on the loop's clock */
    uint64_t models;       /* bytes of weights that went there, not metered yet */
    uint64_t models_ms;    /* when they were metered last, on the loop's clock; 0: never */
};

struct desk {
    struct desk_config config;
    struct list counters;
    uint64_t sessions;
    struct effect transit; /* the last that was granted: of the start that follows */
    uv_timer_t timer;
};

const struct desk_config *desk_config(const struct desk *desk)
{
    return &desk->config;
}

static struct counter *counter_of(struct desk *desk, const struct uuid *site)
{
    list_for_each_safe (it, next, &desk->counters) {
        struct counter *c = list_entry(it, struct counter, node);
        if (uuid_eq(&c->site, site))
            return c;
    }
    struct counter *c = calloc(1, sizeof *c);
    if (!c)
        abort(); /* a member has called: it is one of a few */
    c->site = *site;
    list_push(&desk->counters, &c->node);
    return c;
}

void desk_models_went(struct desk *desk, const struct uuid *site, uint64_t bytes)
{
    counter_of(desk, site)->models += bytes;
}

uint64_t desk_models(struct desk *desk, const struct uuid *site)
{
    const struct counter *c = counter_of(desk, site);
    const uint64_t since_ms = uv_now(&desk->config.loop->uv) - c->models_ms;
    return c->models_ms == 0 || since_ms >= MODELS_MS ? c->models : 0;
}

void desk_models_told(struct desk *desk, const struct uuid *site, uint64_t bytes)
{
    struct counter *c = counter_of(desk, site);
    c->models -= bytes < c->models ? bytes : c->models;
    c->models_ms = bytes > 0 ? uv_now(&desk->config.loop->uv) : c->models_ms;
}

/* ---- a job as it is told to a site ---- */

/* Full nodes and one with the rest, as core places it, have to be alike here: with nodes 0 it is none that can be run. */
static struct site_order order_of(const struct pool *pool, const struct uuid *job, uint32_t epoch,
                                  uint32_t chips)
{
    struct site_order order = {.id = {*job, epoch}};
    uint32_t nodes = (chips + pool->node_chips - 1) / pool->node_chips;
    memcpy(order.chip, pool->chip, sizeof order.chip);
    if (nodes > 0 && chips % nodes == 0) {
        order.nodes = nodes;
        order.chips = chips / nodes;
    }
    return order;
}

static void add_job(struct buf *out, const struct site_order *order)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &order->id.job);
    buf_addf(out, "{\"job\":\"%s\",\"epoch\":%u,\"chip\":", id, order->id.epoch);
    buf_add_json(out, order->chip, strlen(order->chip));
    buf_addf(out, ",\"nodes\":%u,\"chips\":%u", order->nodes, order->chips);
    if (order->data_bits_s > 0)
        buf_addf(out, ",\"data_bits_s\":%llu", (unsigned long long)order->data_bits_s);
    buf_add_char(out, '}');
}

static void add_stop(struct buf *out, const struct order *order)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &order->job.id.job);
    buf_addf(out, "{\"job\":\"%s\",\"epoch\":%u,\"why\":\"%s\"}", id, order->job.id.epoch,
             job_end_text(order->why));
}

/* ---- answers ---- */

uint64_t desk_hold_ms(const struct desk *desk)
{
    uint64_t quarter = desk->config.lease_ms / 4;
    return quarter < HOLD_MS_MAX ? quarter : HOLD_MS_MAX;
}

static void begin(const struct desk *desk, const struct counter *c, const struct visit *visit,
                  struct buf *out)
{
    visit_begin(visit, out);
    buf_addf(out, ",\"session\":%llu,\"lease_ms\":%llu,\"hold_ms\":%llu", (unsigned long long)c->session,
             (unsigned long long)desk->config.lease_ms, (unsigned long long)desk_hold_ms(desk));
}

/* All that runs at the site, and its pools. */
struct wanted {
    uint64_t session, ack; /* as the site knows them */
    bool begins;
    struct pool *pool;
    uint32_t npools;
    struct site_order *order;
    uint32_t n;
    uint64_t serves, version; /* of what it should serve: the site's, and that of the list */
    bool asks_hosting;        /* it has another one */
    bool can_serve;
    struct hosting_list *hosting;
};

/* Once: the next call says whether the site has understood it. */
static void add_hosting(const struct desk *desk, const struct visit *visit, struct buf *out)
{
    const struct wanted *w = visit->data;
    if (w->hosting)
        hosting_answer(desk->config.hosting, &visit->site, w->hosting, w->version, out);
}

static void answer_orders(struct desk *desk, struct counter *c, struct visit *visit)
{
    struct buf out;
    if (!visit->request)
        return;
    begin(desk, c, visit, &out);
    add_hosting(desk, visit, &out);
    buf_addf(&out, ",\"last\":%llu,\"orders\":[", (unsigned long long)c->last);
    for (uint32_t i = 0; i < c->n; i++) {
        const struct order *order = &c->order[i];
        buf_addf(&out, "%s{\"%s\":", i ? "," : "", order->start ? "start" : "stop");
        if (order->start)
            add_job(&out, &order->job);
        else
            add_stop(&out, order);
        buf_add_char(&out, '}');
    }
    buf_add_char(&out, ']');
    visit_end(visit, &out);
}

/* Whoever waits is answered, with what there is. */
static void release(struct desk *desk, struct counter *c)
{
    struct visit *visit = c->waiting;
    if (!visit)
        return;
    c->waiting = NULL;
    answer_orders(desk, c, visit);
    visit_free(visit);
}

static void on_tick(uv_timer_t *timer)
{
    struct desk *desk = timer->data;
    uint64_t now = uv_now(&desk->config.loop->uv);
    list_for_each_safe (it, next, &desk->counters) {
        struct counter *c = list_entry(it, struct counter, node);
        bool other = c->serves != 0 && c->serves != hosting_version(desk->config.hosting);
        if (c->waiting && (c->n > 0 || other || !c->waiting->request || now >= c->until_ms))
            release(desk, c);
    }
}

/* ---- what core decides ---- */

/* The site begins another one, with all that holds then. */
static void drop_session(struct desk *desk, struct counter *c)
{
    c->session = 0;
    c->n = 0;
    release(desk, c);
}

void desk_renew(struct desk *desk, const struct uuid *site)
{
    drop_session(desk, counter_of(desk, site));
}

static void put(struct desk *desk, struct counter *c, const struct order *order)
{
    if (c->session == 0)
        return; /* the next session begins with what holds then */
    if (c->n == ORDERS_MAX) {
        drop_session(desk, c);
        return;
    }
    if (c->n == c->cap) {
        uint32_t cap = c->cap ? 2 * c->cap : 16;
        struct order *more = realloc(c->order, cap * sizeof *more);
        if (!more)
            abort(); /* a job that core believes in would never start */
        c->order = more;
        c->cap = cap;
    }
    c->order[c->n] = *order;
    c->order[c->n++].number = ++c->last;
    if (c->waiting)
        uv_timer_start(&desk->timer, on_tick, SOON_MS, TICK_MS); /* with what else has been decided */
}

void desk_wake(struct desk *desk)
{
    uv_timer_start(&desk->timer, on_tick, SOON_MS, TICK_MS);
}

static struct counter *find_pool(struct desk *desk, const struct uuid *id, const struct pool **out)
{
    list_for_each_safe (it, next, &desk->counters) {
        struct counter *c = list_entry(it, struct counter, node);
        for (uint32_t i = 0; i < c->npools; i++) {
            *out = &c->pool[i];
            if (uuid_eq(&c->pool[i].id, id))
                return c;
        }
    }
    return NULL;
}

void desk_effect(struct desk *desk, const struct effect *effect)
{
    const struct pool *pool;
    bool start = effect->kind == EFFECT_JOB_START;
    if (effect->kind == EFFECT_TRANSIT)
        desk->transit = *effect;
    if ((!start && effect->kind != EFFECT_JOB_STOP) || !uuid_zero(&effect->service))
        return; /* a replica is told in the list of replicas, hub/hosting.h */
    struct counter *c = find_pool(desk, &effect->pool, &pool);
    if (!c)
        return;
    struct order order = {.start = start,
                          .job = order_of(pool, &effect->job, effect->epoch, effect->chips),
                          .why = start ? JOB_END_NONE : site_stop_reason(effect->code)};
    if (start && uuid_eq(&desk->transit.job, &effect->job))
        order.job.data_bits_s = desk->transit.bits_s;
    if (start)
        desk->transit = (struct effect){0};
    put(desk, c, &order);
}

/* ---- sessions ---- */

static void drop_wanted(void *data)
{
    struct wanted *w = data;
    free(w->pool);
    free(w->order);
    hosting_list_free(w->hosting);
    free(w);
}

static const struct pool *pool_of(const struct wanted *w, const struct uuid *id)
{
    for (uint32_t i = 0; i < w->npools; i++) {
        if (uuid_eq(&w->pool[i].id, id))
            return &w->pool[i];
    }
    return NULL;
}

static void look_pools(struct wanted *w, const struct core *core, const struct uuid *site)
{
    const struct row_pool *row;
    for (uint32_t pos = 0; (row = view_pool_at(core, &pos)) != NULL;) {
        if (!uuid_eq(&row->site, site))
            continue;
        struct pool *more = realloc(w->pool, (w->npools + 1) * sizeof *more);
        if (!more)
            abort();
        w->pool = more;
        more[w->npools] = (struct pool){.id = row->id, .node_chips = row->node_chips};
        memcpy(more[w->npools++].chip, row->chip, sizeof row->chip);
    }
}

static void look(struct visit *visit, const struct core *core)
{
    struct wanted *w = visit->data;
    const struct row_job *row;
    if (w->asks_hosting)
        w->hosting = hosting_look(core, &visit->site);
    if (!w->begins)
        return;
    look_pools(w, core, &visit->site);
    for (uint32_t pos = 0; (row = view_job_at(core, &pos)) != NULL;) {
        const uint32_t counts[] = {row->count0, row->count1, row->count2, row->count3};
        const struct pool *pool = row->state == JOB_RUNNING ? pool_of(w, &row->pool) : NULL;
        if (!pool || row->flags & JOB_REPLICA)
            continue;
        struct site_order *more = realloc(w->order, (w->n + 1) * sizeof *more);
        if (!more)
            abort();
        w->order = more;
        const struct row_transit *transit = view_transit(core, &row->id);
        more[w->n] = order_of(pool, &row->id, row->epoch, counts[row->alternative]);
        more[w->n++].data_bits_s = transit ? transit->bits_s : 0;
    }
}

/* What came before the look is in what it saw, what comes after it is put as orders. */
static void begin_session(struct desk *desk, struct counter *c, struct visit *visit)
{
    struct wanted *w = visit->data;
    struct buf out;
    c->session = ++desk->sessions;
    c->n = 0;
    c->last = 0;
    free(c->pool);
    c->pool = w->pool;
    c->npools = w->npools;
    w->pool = NULL;
    begin(desk, c, visit, &out);
    add_hosting(desk, visit, &out);
    buf_add_text(&out, ",\"last\":0,\"wanted\":[");
    for (uint32_t i = 0; i < w->n; i++) {
        buf_add_text(&out, i ? "," : "");
        add_job(&out, &w->order[i]);
    }
    buf_add_char(&out, ']');
    log_info("site_session", "site=%s session=%llu pools=%u jobs=%u", visit->name,
             (unsigned long long)c->session, c->npools, w->n);
    visit_end(visit, &out);
}

static void acknowledge(struct counter *c, uint64_t number)
{
    uint32_t done = 0;
    while (done < c->n && c->order[done].number <= number)
        done++;
    c->n -= done;
    if (done > 0)
        memmove(c->order, c->order + done, c->n * sizeof *c->order);
}

static void hold(struct desk *desk, struct counter *c, struct visit *visit)
{
    release(desk, c); /* one who waited before has gone, or will */
    visit->kept = true;
    c->waiting = visit;
    c->serves = ((const struct wanted *)visit->data)->serves;
    c->until_ms = uv_now(&desk->config.loop->uv) + desk_hold_ms(desk);
}

static void answer(struct visit *visit)
{
    struct desk *desk = visit_desk(visit);
    struct counter *c = counter_of(desk, &visit->site);
    const struct wanted *w = visit->data;
    hosting_says(desk->config.hosting, &visit->site, w->can_serve);
    if (w->begins) {
        release(desk, c);
        begin_session(desk, c, visit);
        return;
    }
    if (w->session == c->session)
        acknowledge(c, w->ack);
    /* A session that ended between the call and now is told to be over, by its number. */
    if (c->n > 0 || w->hosting || w->session != c->session)
        answer_orders(desk, c, visit);
    else
        hold(desk, c, visit);
}

static bool take_count(yyjson_val *root, const char *name, uint64_t *out)
{
    yyjson_val *v = yyjson_obj_get(root, name);
    *out = yyjson_get_uint(v);
    return !v || yyjson_is_uint(v);
}

int desk_take_orders(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct desk *desk = visit_desk(visit);
    struct wanted *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    visit->data = w;
    visit->drop = drop_wanted;
    visit->look = look;
    visit->answer = answer;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!take_count(root, "session", &w->session) || !take_count(root, "ack", &w->ack))
        return err_set(err, ERR_INVALID, "session and ack must be whole numbers");
    yyjson_val *can = yyjson_obj_get(root, "can_serve");
    if (!take_count(root, "serves", &w->serves) || (can && !yyjson_is_bool(can)))
        return err_set(err, ERR_INVALID, "serves must be a whole number, can_serve true or false");
    w->version = hosting_version(desk->config.hosting);
    w->asks_hosting = yyjson_obj_get(root, "serves") && w->serves != w->version;
    w->can_serve = yyjson_is_true(can);
    const struct counter *c = counter_of(desk, &visit->site);
    w->begins = w->session == 0 || w->session != c->session;
    visit_ask(visit);
    return 0;
}

/* ---- the whole ---- */

int desk_open(struct desk **out, const struct desk_config *config, struct err *err)
{
    struct desk *desk = calloc(1, sizeof *desk);
    uint32_t start;
    if (!desk)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    desk->config = *config;
    list_init(&desk->counters);
    os_random(&start,
              sizeof start); /* a session of an earlier run of the hub is not taken for one of this run */
    desk->sessions = (uint64_t)start << 20;
    uv_timer_init(&config->loop->uv, &desk->timer);
    desk->timer.data = desk;
    uv_timer_start(&desk->timer, on_tick, TICK_MS, TICK_MS);
    *out = desk;
    return 0;
}

void desk_close(struct desk *desk)
{
    list_for_each_safe (it, next, &desk->counters)
        release(desk, list_entry(it, struct counter, node));
    uv_close((uv_handle_t *)&desk->timer, NULL);
}

void desk_free(struct desk *desk)
{
    if (!desk)
        return;
    list_for_each_safe (it, next, &desk->counters) {
        struct counter *c = list_entry(it, struct counter, node);
        list_remove(&c->node);
        free(c->order);
        free(c->pool);
        free(c);
    }
    free(desk);
}
