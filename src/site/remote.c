/* SPDX-License-Identifier: Apache-2.0 */
#include "site/remote.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "site/chips.h"
#include "site/holdings.h"
#include "site/survey.h"

#define TICK_MS 200
#define RETRY_MS_MAX 5000
#define SLACK_MS 2000      /* of an answer, at least */
#define INVENTORY_MS 30000 /* between looks */

struct remote {
    struct remote_config config;
    struct link *orders;
    struct outbox *outbox;
    struct cache *cache;
    struct holdings *holdings;
    struct site_replicas *replicas; /* NULL: no models can be served here */
    struct haul *haul;
    struct gauge gauge;
    struct survey *survey;
    struct site_jobs *jobs;
    struct site_chips *chips;
    uv_timer_t timer;
    bool ready;            /* what runs here is known */
    bool counting, ending; /* the inventory is being read */
    uint64_t session, ack;
    uint64_t sent_ms, until_ms; /* on the clock of leases: of the call under way; until when jobs may run */
    uint64_t hold_ms;           /* for so long the hub keeps an answer back; 0: it has not said */
    uint64_t retry_ms, next_ms, count_ms;
    struct buf inventory, told; /* as it is; as the hub has it */
    void (*done)(void *ctx);
    void *done_ctx;
};

static uint64_t now_ms(const struct remote *r)
{
    return uv_now(&r->config.outbox.loop->uv);
}

/* ---- orders ---- */

static bool read_id(yyjson_val *v, struct job_id *id)
{
    yyjson_val *job = yyjson_obj_get(v, "job"), *epoch = yyjson_obj_get(v, "epoch");
    id->epoch = (uint32_t)yyjson_get_uint(epoch);
    return yyjson_is_uint(epoch) && yyjson_is_str(job) &&
           uuid_parse(&id->job, yyjson_get_str(job), yyjson_get_len(job));
}

static bool read_order(yyjson_val *v, struct site_order *order)
{
    yyjson_val *chip = yyjson_obj_get(v, "chip");
    order->nodes = (uint32_t)yyjson_get_uint(yyjson_obj_get(v, "nodes"));
    order->chips = (uint32_t)yyjson_get_uint(yyjson_obj_get(v, "chips"));
    order->data_bits_s = yyjson_get_uint(yyjson_obj_get(v, "data_bits_s"));
    return read_id(v, &order->id) && yyjson_is_str(chip) &&
           text_set(order->chip, sizeof order->chip, yyjson_get_str(chip), yyjson_get_len(chip));
}

static enum job_end read_why(yyjson_val *v)
{
    const char *word = yyjson_get_str(yyjson_obj_get(v, "why"));
    for (int end = JOB_END_CANCELLED; word && end <= JOB_END_EVICTED; end++) {
        if (strcmp(word, job_end_text((enum job_end)end)) == 0)
            return (enum job_end)end;
    }
    return JOB_END_CANCELLED;
}

static bool take_wanted(struct remote *r, yyjson_val *list)
{
    struct site_order *orders = calloc(yyjson_arr_size(list) + 1, sizeof *orders);
    yyjson_val *item;
    uint32_t n = 0;
    bool good = orders != NULL;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while (good && (item = yyjson_arr_iter_next(&it)) != NULL)
        good = read_order(item, &orders[n++]);
    for (uint32_t i = 0; i < n && good; i++)
        haul_grant(r->haul, &orders[i].id, orders[i].data_bits_s);
    if (good) {
        log_info("orders", "wanted=%u", n);
        site_jobs_wanted(r->jobs, orders, n);
    }
    free(orders);
    return good;
}

static bool take_change(struct remote *r, yyjson_val *item)
{
    struct site_order order = {0};
    struct job_id id;
    yyjson_val *start = yyjson_obj_get(item, "start"), *stop = yyjson_obj_get(item, "stop");
    if (start && read_order(start, &order)) {
        haul_grant(r->haul, &order.id, order.data_bits_s);
        site_jobs_start(r->jobs, &order);
    } else if (stop && read_id(stop, &id)) {
        site_jobs_stop(r->jobs, &id, read_why(stop));
    } else {
        return false;
    }
    return true;
}

/* False: it is not understood, and nothing can be concluded from it. */
static bool take_orders(struct remote *r, yyjson_val *answer)
{
    yyjson_val *wanted = yyjson_obj_get(answer, "wanted"), *orders = yyjson_obj_get(answer, "orders"), *item;
    uint64_t session = yyjson_get_uint(yyjson_obj_get(answer, "session"));
    uint64_t lease_ms = yyjson_get_uint(yyjson_obj_get(answer, "lease_ms"));
    yyjson_val *replicas = r->replicas ? yyjson_obj_get(answer, "replicas") : NULL;
    bool good = lease_ms > 0 && (wanted ? yyjson_is_arr(wanted) : yyjson_is_arr(orders));
    if (!good || (replicas && !site_replicas_take(r->replicas, replicas)))
        return false;
    r->until_ms = r->sent_ms + lease_ms;
    r->hold_ms = yyjson_get_uint(yyjson_obj_get(answer, "hold_ms"));
    if (!wanted && session != r->session) {
        r->session = 0; /* over: another one begins with the next call */
        return true;
    }
    if (wanted) {
        good = take_wanted(r, wanted);
        holdings_forgotten(r->holdings);
    }
    yyjson_arr_iter it = yyjson_arr_iter_with(orders);
    while (good && !wanted && (item = yyjson_arr_iter_next(&it)) != NULL)
        good = take_change(r, item);
    r->session = good ? session : 0;
    r->ack = yyjson_get_uint(yyjson_obj_get(answer, "last"));
    return good;
}

static void ask(struct remote *r);

static void on_orders(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct remote *r = ctx;
    struct err strange = {0};
    bool good = err->code == 0 && take_orders(r, answer);
    if (err->code == 0 && !good)
        err_set(&strange, ERR_UPSTREAM, "the hub's orders are not understood");
    r->config.outbox.heard(r->config.outbox.ctx, strange.code ? &strange : err);
    if (r->ending)
        return;
    if (err->code == ERR_TIMEOUT && r->replicas)
        site_replicas_unheard(r->replicas);
    if (good) {
        r->retry_ms = TICK_MS;
        ask(r);
        return;
    }
    r->next_ms = now_ms(r) + r->retry_ms;
    r->retry_ms = r->retry_ms * 2 < RETRY_MS_MAX ? r->retry_ms * 2 : RETRY_MS_MAX;
}

static void ask(struct remote *r)
{
    const struct site_replicas *replicas = r->replicas;
    struct buf body;
    buf_init(&body, 256);
    buf_addf(&body, "{\"session\":%llu,\"ack\":%llu,\"can_serve\":%s", (unsigned long long)r->session,
             (unsigned long long)r->ack, replicas ? "true" : "false");
    if (replicas)
        buf_addf(&body, ",\"serves\":%llu", (unsigned long long)site_replicas_version(replicas));
    buf_add_char(&body, '}');
    r->sent_ms = clock_boot_ms();
    /* A link that was cut may be dead without a word; the hub answers within its time, or is not heard. */
    if (r->hold_ms > 0)
        link_patience(r->orders, r->hold_ms + (r->hold_ms / 2 > SLACK_MS ? r->hold_ms / 2 : SLACK_MS));
    link_post(r->orders, "/site/v1/orders", &body, on_orders, r);
    buf_fini(&body);
}

/* ---- the hub, as jobs see it ---- */

static void on_ready(void *ctx)
{
    ((struct remote *)ctx)->ready = true;
}

static int load(void *ctx, const struct job_id *id, struct job_spec *spec, struct err *err)
{
    struct remote *r = ctx;
    int rc = outbox_load(r->outbox, id, spec, err);
    return rc ? rc : haul_ready(r->haul, id, spec, err);
}

static void dropped(void *ctx, const struct job_id *id)
{
    haul_forget(((struct remote *)ctx)->haul, id);
}

static bool tell(void *ctx, const struct site_end *end)
{
    return outbox_tell(((struct remote *)ctx)->outbox, end);
}

static void used(void *ctx, const struct job_id *id, const struct job_usage *usage)
{
    outbox_used(((struct remote *)ctx)->outbox, id, usage);
}

static void gone(void *ctx, const struct job_id *id, const struct job_exit *exit, bool old)
{
    (void)old; /* it was not forgotten, so it may not all have been said */
    outbox_gone(((struct remote *)ctx)->outbox, id, exit);
}

uint64_t remote_lease_ms(void *remote)
{
    const struct remote *r = remote;
    uint64_t now = clock_boot_ms();
    return r->until_ms > now ? r->until_ms - now : 0;
}

/* ---- inventory ---- */

struct kind {
    const char *chip;
    uint32_t node_chips, nodes, up;
};

static void count_node(struct kind *kinds, uint32_t *n, const struct engine_node *node)
{
    uint32_t i = 0;
    while (i < *n && (strcmp(kinds[i].chip, node->chip) != 0 || kinds[i].node_chips != node->chips))
        i++;
    if (i == *n)
        kinds[(*n)++] = (struct kind){.chip = node->chip, .node_chips = node->chips};
    kinds[i].nodes++;
    kinds[i].up += node->up;
}

static void render_inventory(struct buf *out, const struct engine_config *config,
                             const struct engine_inventory *inv)
{
    char engine[NAME_CAP];
    struct kind *kinds = calloc(inv->nodes_count + 1, sizeof *kinds);
    uint32_t n = 0;
    for (uint32_t i = 0; kinds && i < inv->nodes_count; i++) {
        if (inv->nodes[i].chips > 0)
            count_node(kinds, &n, &inv->nodes[i]);
    }
    buf_clear(out);
    engine_words(engine, config, inv);
    buf_add_text(out, "{\"engine\":");
    buf_add_json(out, engine, strlen(engine));
    buf_addf(out, ",\"isolation\":\"%s\",\"kinds\":[", isolation_text(inv->isolation));
    for (uint32_t i = 0; i < n; i++) {
        buf_addf(out, "%s{\"chip\":", i ? "," : "");
        buf_add_json(out, kinds[i].chip, strlen(kinds[i].chip));
        buf_addf(out, ",\"node_chips\":%u,\"nodes\":%u,\"up\":%u}", kinds[i].node_chips, kinds[i].nodes,
                 kinds[i].up);
    }
    buf_add_text(out, "]}");
    free(kinds);
}

static bool is_told(const struct remote *r)
{
    return text_eq(r->told.data ? r->told.data : "", r->told.len, r->inventory.data, r->inventory.len);
}

static void on_inventory(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct remote *r = ctx;
    (void)answer;
    if (err->code != 0 && err->code != ERR_UNAVAILABLE)
        log_error("inventory", "error=\"%s\"", err->msg);
    if (err->code != 0 && err_retryable(err->code))
        r->count_ms = 0;
    buf_clear(&r->told);
    if (err->code == 0)
        buf_add(&r->told, r->inventory.data, r->inventory.len);
}

static void on_counted(void *ctx, struct engine_call *call)
{
    struct remote *r = ctx;
    r->counting = false;
    if (r->ending)
        return;
    r->count_ms = now_ms(r) + INVENTORY_MS;
    if (call->err.code != 0) {
        log_warn("inventory", "error=\"%s\"", call->err.msg);
        return;
    }
    render_inventory(&r->inventory, r->config.engine, &call->inventory);
    if (!is_told(r) && !outbox_call(r->outbox, "/site/v1/inventory", &r->inventory, on_inventory, r))
        r->count_ms = 0;
}

static void count(struct remote *r)
{
    struct engine_call *call = engine_call_new(ENGINE_INVENTORY, 0);
    if (!call)
        return;
    r->counting = engine_call(site_jobs_engine(r->jobs), call, on_counted, r) == 0;
    if (!r->counting)
        engine_call_free(call);
}

static void on_tick(uv_timer_t *timer)
{
    struct remote *r = timer->data;
    uint64_t now = now_ms(r);
    if (r->ready && !link_busy(r->orders) && now >= r->next_ms)
        ask(r);
    if (!r->counting && now >= r->count_ms)
        count(r);
}

/* Which of its nodes are up the engine knows now. */
static void on_chips(void *ctx)
{
    ((struct remote *)ctx)->count_ms = 0;
}

/* ---- the whole ---- */

void remote_serve(struct remote *r, struct site_replicas *replicas)
{
    r->replicas = replicas;
}

bool remote_call(struct remote *r, const char *path, const struct buf *body, link_fn *fn, void *ctx)
{
    return outbox_call(r->outbox, path, body, fn, ctx);
}

struct engine *remote_engine(struct remote *r)
{
    return site_jobs_engine(r->jobs);
}

struct cache *remote_cache(struct remote *r)
{
    return r->cache;
}

static int open_data(struct remote *r, struct err *err)
{
    const struct outbox_config *o = &r->config.outbox;
    const struct cache_config cache = {.loop = o->loop,
                                       .hub = o->hub,
                                       .tls = o->tls,
                                       .dir = r->config.blobs,
                                       .gauge = &r->gauge,
                                       .max = CACHE_BYTES,
                                       .heard = o->heard,
                                       .ctx = o->ctx};
    int rc = cache_new(&r->cache, &cache, err);
    if (rc == 0)
        rc = holdings_new(&r->holdings, o->loop, r->cache, r->outbox, err);
    const struct haul_config haul = {.loop = o->loop,
                                     .hub = o->hub,
                                     .tls = o->tls,
                                     .gauge = &r->gauge,
                                     .cache = r->cache,
                                     .work = r->config.engine->work,
                                     .heard = o->heard,
                                     .ctx = o->ctx};
    if (rc == 0)
        rc = haul_new(&r->haul, &haul, err);
    return rc ? rc : survey_new(&r->survey, o->loop, o->hub, o->tls, &r->gauge, err);
}

static void close_data(struct remote *r)
{
    if (r->survey)
        survey_close(r->survey);
    if (r->haul)
        haul_close(r->haul);
    if (r->holdings)
        holdings_close(r->holdings);
    if (r->cache)
        cache_close(r->cache);
}

static void on_nothing(void *ctx)
{
    (void)ctx;
}

static int open_parts(struct remote *r, struct err *err)
{
    const struct site_hub hub = {.ready = on_ready,
                                 .load = load,
                                 .tell = tell,
                                 .used = used,
                                 .gone = gone,
                                 .dropped = dropped,
                                 .lease_ms = remote_lease_ms,
                                 .ctx = r};
    const struct outbox_config *o = &r->config.outbox;
    int rc = outbox_new(&r->outbox, o, err);
    if (rc == 0)
        rc = link_open(&r->orders, o->loop, o->hub, o->tls, err);
    if (rc == 0)
        rc = open_data(r, err);
    if (rc == 0)
        rc = site_jobs_new(&r->jobs, o->loop, r->config.engine, &hub, err);
    if (rc != 0)
        return rc;
    const struct site_chips_config chips = {.loop = o->loop,
                                            .outbox = r->outbox,
                                            .engine = site_jobs_engine(r->jobs),
                                            .config = r->config.engine,
                                            .file = r->config.chips,
                                            .changed = on_chips,
                                            .ctx = r};
    rc = site_chips_new(&r->chips, &chips, err);
    if (rc != 0)
        site_jobs_shutdown(r->jobs, on_nothing, NULL);
    return rc;
}

int remote_new(struct remote **out, const struct remote_config *config, struct err *err)
{
    struct remote *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    r->config = *config;
    r->retry_ms = TICK_MS;
    buf_init(&r->inventory, LINK_BODY_MAX);
    buf_init(&r->told, LINK_BODY_MAX);
    int rc = open_parts(r, err);
    if (rc != 0) {
        if (r->outbox)
            outbox_close(r->outbox);
        link_close(r->orders);
        close_data(r);
        uv_run(&config->outbox.loop->uv, UV_RUN_DEFAULT);
        remote_free(r);
        return rc;
    }
    outbox_jobs(r->outbox, r->jobs, r->haul);
    uv_timer_init(&config->outbox.loop->uv, &r->timer);
    r->timer.data = r;
    uv_timer_start(&r->timer, on_tick, 0, TICK_MS);
    *out = r;
    return 0;
}

void remote_shutdown(struct remote *r, void (*done)(void *ctx), void *ctx)
{
    r->ending = true;
    uv_close((uv_handle_t *)&r->timer, NULL);
    link_close(r->orders);
    outbox_close(r->outbox);
    close_data(r);
    site_chips_close(r->chips);
    site_jobs_shutdown(r->jobs, done, ctx);
}

void remote_free(struct remote *r)
{
    if (!r)
        return;
    if (r->jobs)
        site_jobs_free(r->jobs);
    outbox_free(r->outbox);
    survey_free(r->survey);
    haul_free(r->haul);
    holdings_free(r->holdings);
    site_chips_free(r->chips);
    cache_free(r->cache);
    buf_fini(&r->inventory);
    buf_fini(&r->told);
    free(r);
}
