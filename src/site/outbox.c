/* SPDX-License-Identifier: Apache-2.0 */
#include "site/outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "net/json.h"
#include "site/job_file.h"
#include "site/past.h"

#define TICK_MS 50
#define LOOK_MS 500    /* between looks at what a job prints */
#define METERS_MAX 256 /* of one call */
#define RETRY_MS 1000  /* after a call that failed */
#define PIECE_MAX ((size_t)512 << 10)
#define CALL_PATH_MAX 256

enum job_stream { STREAM_OUT, STREAM_ERR, STREAMS };
static const char *const stream_name[STREAMS] = {"out", "err"};

/* What is to be said of an epoch. */
struct item {
    struct list node;
    struct job_id id;
    bool live; /* the engine has it: its output is looked at */
    bool wants_program;
    bool ended, told; /* over; and the hub has that */
    bool forgetting;
    bool metering; /* the hub is being told */
    bool metered;  /* there is something in `last` that the hub has not heard */
    struct past_total
        last; /* its wall_ms: 0, of no moment; of an end, when what the exit tells was metered */
    struct past past;
    uint32_t telling; /* of `past`, the hub is being told */
    uint32_t code;
    struct buf exit;        /* JSON; empty: there is none */
    uint64_t until_ms;      /* the end waits for the output until then */
    uint64_t look_ms;       /* when its output is looked at next */
    enum job_stream stream; /* which is next */
    uint64_t offset[STREAMS];
    bool dry[STREAMS]; /* the hub has what there was */
};

struct own_call {
    char path[CALL_PATH_MAX];
    struct buf body;
    link_fn *fn;
    void *ctx;
    bool waits;
};

struct outbox {
    struct outbox_config config;
    struct link *link;
    struct site_jobs *jobs;
    struct haul *haul;
    struct list items;
    struct own_call own;
    struct item *busy; /* that the call under way is about */
    bool reading;      /* the engine reads for it */
    bool closed;
    uint64_t not_before_ms;
    struct buf body;
    uv_timer_t timer;
};

static uint64_t now_ms(const struct outbox *o)
{
    return uv_now(&o->config.loop->uv);
}

/* ---- items ---- */

static struct item *find(struct outbox *o, const struct job_id *id)
{
    list_for_each_safe (it, next, &o->items) {
        struct item *item = list_entry(it, struct item, node);
        if (item->id.epoch == id->epoch && uuid_eq(&item->id.job, &id->job))
            return item;
    }
    return NULL;
}

static struct item *item_of(struct outbox *o, const struct job_id *id)
{
    struct item *item = find(o, id);
    if (item)
        return item;
    item = calloc(1, sizeof *item);
    if (!item)
        abort(); /* a few bytes for a job of megabytes */
    item->id = *id;
    buf_init(&item->exit, FORM_MAX);
    list_push(&o->items, &item->node);
    return item;
}

static void item_free(struct item *item)
{
    list_remove(&item->node);
    buf_fini(&item->exit);
    past_free(&item->past);
    free(item);
}

/* Done with for now: others come first next time. */
static void to_the_end(struct outbox *o, struct item *item)
{
    list_remove(&item->node);
    list_push(&o->items, &item->node);
}

static bool flushed(const struct item *item)
{
    return item->dry[STREAM_OUT] && item->dry[STREAM_ERR];
}

/* ---- calls ---- */

static void pump(struct outbox *o);

static bool reached(struct outbox *o, const struct err *err)
{
    o->config.heard(o->config.ctx, err);
    if (o->closed)
        return false;
    if (err->code != 0)
        o->not_before_ms = now_ms(o) + RETRY_MS;
    return err->code == 0;
}

static void on_own(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct outbox *o = ctx;
    link_fn *fn = o->own.fn;
    void *own_ctx = o->own.ctx;
    o->own.waits = false;
    (void)reached(o, err);
    if (!o->closed)
        fn(own_ctx, err, answer);
}

static void post_own(struct outbox *o)
{
    link_post(o->link, o->own.path, &o->own.body, on_own, o);
}

static void add_id(struct buf *out, const struct job_id *id)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(text, &id->job);
    buf_clear(out);
    buf_addf(out, "{\"job\":\"%s\",\"epoch\":%u", text, id->epoch);
}

static struct item *finished(struct outbox *o)
{
    struct item *item = o->busy;
    o->busy = NULL;
    return item;
}

/* ---- programs ---- */

static void on_program(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct outbox *o = ctx;
    struct item *item = finished(o);
    char path[FS_PATH_MAX];
    struct err why = {0};
    struct buf text;
    bool here = reached(o, err);
    if (o->closed)
        return;
    to_the_end(o, item);
    if (err->code == ERR_NOT_FOUND)
        item->wants_program = false; /* the hub has taken it back, and says so */
    if (!here)
        return;
    buf_init(&text, FORM_MAX);
    json_add(&text, yyjson_obj_get(answer, "program"));
    int rc = job_file_path(path, o->config.programs, &item->id.job)
                 ? fs_write_atomic(path, text.data, text.len, 0600, &why)
                 : ERR_INVALID;
    if (rc != 0)
        log_error("program", "error=\"%s\"", why.msg);
    item->wants_program = rc != 0;
    buf_fini(&text);
    if (rc == 0)
        site_jobs_loaded(o->jobs, &item->id);
}

static void ask_program(struct outbox *o, struct item *item)
{
    add_id(&o->body, &item->id);
    buf_add_char(&o->body, '}');
    o->busy = item;
    link_post(o->link, "/site/v1/program", &o->body, on_program, o);
}

int outbox_load(struct outbox *o, const struct job_id *id, struct job_spec *spec, struct err *err)
{
    char path[FS_PATH_MAX];
    if (!job_file_path(path, o->config.programs, &id->job))
        return err_set(err, ERR_INVALID, "path is too long");
    if (fs_exists(path))
        return job_spec_load(spec, path, err);
    item_of(o, id)->wants_program = true;
    pump(o);
    return err_set(err, ERR_UNAVAILABLE, "what it runs is not here yet");
}

/* ---- ends ---- */

/* Another total comes, of that moment. */
static void keep_past(struct item *item, uint64_t wall_ms)
{
    if (item->metered || item->metering)
        past_keep(&item->past, &item->last, wall_ms);
}

bool outbox_tell(struct outbox *o, const struct site_end *end)
{
    struct item *item = item_of(o, &end->id);
    item->wants_program = false;
    item->ended = true;
    if (end->exit)
        keep_past(item, end->exit->usage.wall_ms);
    item->metered = false; /* the end tells it */
    item->code = end->code;
    item->last.wall_ms = end->exit ? end->exit->usage.wall_ms : 0;
    item->until_ms = now_ms(o) + OUTBOX_FLUSH_MS;
    item->look_ms = 0;
    item->dry[STREAM_OUT] = item->dry[STREAM_ERR] = !end->exit;
    buf_clear(&item->exit);
    if (end->exit) {
        form_write(&job_exit_table, end->exit, &item->exit);
        haul_over(o->haul, &end->id);
    }
    pump(o);
    return true;
}

/* Its last words and figures are sent, and how it ended, which changes nothing about the job any more. */
void outbox_gone(struct outbox *o, const struct job_id *id, const struct job_exit *exit)
{
    if (exit) {
        (void)outbox_tell(o, &(struct site_end){.id = *id, .code = site_end_code(exit), .exit = exit});
        return;
    }
    struct item *item = item_of(o, id);
    item->wants_program = false;
    item->ended = item->told = true;
    item->look_ms = 0;
    item->dry[STREAM_OUT] = item->dry[STREAM_ERR] = false;
    haul_over(o->haul, id);
    item->metered = true;
    item->last.wall_ms = 0;
    item->last.meter = site_last_meter(id, &(struct uuid){{0}}, NULL);
}

static void on_told(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct outbox *o = ctx;
    struct item *item = finished(o);
    (void)answer;
    if (!reached(o, err) && err->code != ERR_INVALID) {
        to_the_end(o, item);
        return;
    }
    if (err->code == ERR_INVALID && item->exit.len > 0) {
        log_error("job_end", "error=\"%s\"", err->msg);
        buf_clear(&item->exit); /* the hub does not understand it: then without it */
        return;
    }
    item->told = true;
    site_jobs_recorded(o->jobs, &item->id, 0);
}

static void tell(struct outbox *o, struct item *item)
{
    add_id(&o->body, &item->id);
    buf_addf(&o->body, ",\"code\":%u,\"age_ms\":%llu", item->code,
             (unsigned long long)site_age_ms(item->last.wall_ms));
    if (item->exit.len > 0) {
        buf_add_text(&o->body, ",\"exit\":");
        buf_add(&o->body, item->exit.data, item->exit.len);
    }
    buf_add_char(&o->body, '}');
    o->busy = item;
    link_post(o->link, "/site/v1/end", &o->body, on_told, o);
}

/* ---- what jobs have used ---- */

void outbox_used(struct outbox *o, const struct job_id *id, const struct job_usage *usage)
{
    struct item *item = item_of(o, id);
    if (item->ended)
        return; /* the end tells it */
    keep_past(item, usage->wall_ms);
    item->metered = true;
    item->last.wall_ms = usage->wall_ms;
    item->last.meter = site_meter(id, &(struct uuid){{0}}, usage);
}

static void on_metered(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct outbox *o = ctx;
    (void)answer;
    bool heard = reached(o, err);
    list_for_each_safe (it, next, &o->items) {
        struct item *item = list_entry(it, struct item, node);
        /* What was told and may not have been heard is told again: totals. */
        item->metered = item->metered || (item->metering && !heard);
        item->metering = false;
        past_heard(&item->past, heard ? item->telling : 0);
        item->telling = 0;
    }
}

static void add_total(struct buf *out, const struct item *item, const struct past_total *total, bool first)
{
    const struct event_job_meter *m = &total->meter;
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &item->id.job);
    buf_addf(out,
             "%s{\"job\":\"%s\",\"epoch\":%u,\"ms\":%llu,\"chip_ms\":%llu,\"cpu_ms\":%llu,\"energy_mj\":%llu,"
             "\"flags\":%u,\"age_ms\":%llu}",
             first ? "" : ",", id, item->id.epoch, (unsigned long long)m->ms, (unsigned long long)m->chip_ms,
             (unsigned long long)m->cpu_ms, (unsigned long long)m->energy_mj, m->flags,
             (unsigned long long)site_age_ms(total->wall_ms));
}

/* Of all jobs in one call, as many as fit; of each in the order of time. */
static void meter(struct outbox *o)
{
    buf_clear(&o->body);
    buf_add_text(&o->body, "{\"usage\":[");
    uint32_t n = 0;
    list_for_each_safe (it, next, &o->items) {
        struct item *item = list_entry(it, struct item, node);
        while (item->telling < item->past.n && n < METERS_MAX)
            add_total(&o->body, item, &item->past.total[item->telling++], n++ == 0);
        if (!item->metered || n == METERS_MAX)
            continue;
        add_total(&o->body, item, &item->last, n++ == 0);
        item->metered = false;
        item->metering = true;
    }
    buf_add_text(&o->body, "]}");
    link_post(o->link, "/site/v1/usage", &o->body, on_metered, o);
}

/* ---- what the hub has all of is needed here no more ---- */

/* What a node still writes to its folder is there again a moment later: then it is done again. */
static void on_forgotten(void *ctx, struct engine_call *call)
{
    struct outbox *o = ctx;
    struct item *item = find(o, &call->ids[0]);
    if (!item)
        return;
    item->forgetting = false;
    if (call->err.code == 0) {
        item_free(item);
        return;
    }
    item->look_ms = now_ms(o) + RETRY_MS;
    log_debug("job_kept", "why=\"%s\"", call->err.msg);
}

static void forget(struct outbox *o, struct item *item)
{
    char path[FS_PATH_MAX];
    struct engine_call *call = engine_call_new(ENGINE_FORGET, 1);
    if (job_file_path(path, o->config.programs, &item->id.job))
        (void)unlink(path);
    if (!call)
        return;
    call->ids[0] = item->id;
    item->forgetting = engine_call(site_jobs_engine(o->jobs), call, on_forgotten, o) == 0;
    if (!item->forgetting)
        engine_call_free(call);
}

/* ---- what jobs print ---- */

static void on_sent(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct outbox *o = ctx;
    struct item *item = finished(o);
    yyjson_val *size = yyjson_obj_get(answer, "size");
    if (reached(o, err) && yyjson_is_uint(size)) {
        uint64_t had = item->offset[item->stream];
        item->offset[item->stream] = yyjson_get_uint(size);
        item->look_ms = yyjson_get_uint(size) != had ? 0 : item->look_ms;
    } else if (err->code == ERR_NOT_FOUND || err->code == ERR_INVALID) {
        item->dry[STREAM_OUT] = item->dry[STREAM_ERR] = true; /* the hub does not want it */
        item->live = false;
    }
}

static void on_read(void *ctx, struct engine_call *call)
{
    struct outbox *o = ctx;
    struct item *item = finished(o);
    char path[CALL_PATH_MAX], id[UUID_TEXT_LEN + 1];
    o->reading = false;
    if (o->closed)
        return;
    if (call->bytes.len > PIECE_MAX)
        call->bytes.len = PIECE_MAX;
    if (call->err.code != 0 || call->bytes.len == 0) {
        item->dry[item->stream] = true;
        if (item->stream == STREAM_ERR) {
            item->look_ms = now_ms(o) + LOOK_MS;
            to_the_end(o, item);
        }
        item->stream = item->stream == STREAM_OUT ? STREAM_ERR : STREAM_OUT;
        pump(o);
        return;
    }
    item->dry[item->stream] = false;
    uuid_format(id, &item->id.job);
    (void)snprintf(path, sizeof path, "/site/v1/log?job=%s&epoch=%u&stream=%s&offset=%llu", id,
                   item->id.epoch, stream_name[item->stream], (unsigned long long)item->offset[item->stream]);
    o->busy = item;
    link_post(o->link, path, &call->bytes, on_sent, o);
}

static void read_on(struct outbox *o, struct item *item)
{
    struct engine_call *call = engine_call_new(ENGINE_LOGS, 1);
    if (!call)
        return;
    call->ids[0] = item->id;
    call->errors = item->stream == STREAM_ERR;
    call->offset = item->offset[item->stream];
    o->busy = item;
    o->reading = engine_call(site_jobs_engine(o->jobs), call, on_read, o) == 0;
    if (!o->reading) {
        o->busy = NULL;
        engine_call_free(call);
    }
}

/* ---- what is next ---- */

static bool wants_program(const struct outbox *o, const struct item *item)
{
    (void)o;
    return item->wants_program;
}

static bool is_to_be_told(const struct outbox *o, const struct item *item)
{
    bool all = flushed(item) && haul_settled(o->haul, &item->id);
    return item->ended && !item->told && item->past.n == 0 && (all || now_ms(o) >= item->until_ms);
}

static bool is_to_be_looked_at(const struct outbox *o, const struct item *item)
{
    bool open = item->ended ? !flushed(item) : item->live;
    return open && now_ms(o) >= item->look_ms;
}

static bool is_metered(const struct outbox *o, const struct item *item)
{
    (void)o;
    return item->metered || item->past.n > 0;
}

static bool is_over(const struct outbox *o, const struct item *item)
{
    return item->told && flushed(item) && !item->metered && !item->metering && !item->forgetting &&
           now_ms(o) >= item->look_ms && haul_settled(o->haul, &item->id);
}

static struct item *first(struct outbox *o, bool (*which)(const struct outbox *, const struct item *))
{
    list_for_each_safe (it, next, &o->items) {
        struct item *item = list_entry(it, struct item, node);
        if (which(o, item))
            return item;
    }
    return NULL;
}

static void pump(struct outbox *o)
{
    struct item *item;
    if (o->closed || o->reading || link_busy(o->link) || now_ms(o) < o->not_before_ms)
        return;
    if (o->jobs && (item = first(o, is_over)) != NULL)
        forget(o, item);
    if (o->own.waits)
        post_own(o);
    else if ((item = first(o, wants_program)) != NULL)
        ask_program(o, item);
    else if ((item = first(o, is_to_be_told)) != NULL)
        tell(o, item);
    else if (first(o, is_metered))
        meter(o);
    else if (o->jobs && (item = first(o, is_to_be_looked_at)) != NULL)
        read_on(o, item);
}

static void mark_live(void *ctx, const struct job_id *id)
{
    item_of(ctx, id)->live = true;
}

/* What the engine has no more, and nothing is to be said of. */
static bool is_idle(const struct outbox *o, const struct item *item)
{
    return item != o->busy && !item->live && !item->ended && !item->wants_program && !item->metering &&
           item->telling == 0 && !item->metered && item->past.n == 0;
}

static void on_tick(uv_timer_t *timer)
{
    struct outbox *o = timer->data;
    struct item *item;
    if (o->jobs) {
        list_for_each_safe (it, next, &o->items)
            list_entry(it, struct item, node)->live = false;
        site_jobs_each(o->jobs, mark_live, o);
        while ((item = first(o, is_idle)) != NULL)
            item_free(item);
    }
    pump(o);
}

bool outbox_call(struct outbox *o, const char *path, const struct buf *body, link_fn *fn, void *ctx)
{
    if (o->own.waits)
        return false;
    (void)snprintf(o->own.path, sizeof o->own.path, "%s", path);
    buf_clear(&o->own.body);
    buf_add(&o->own.body, body->data, body->len);
    o->own.fn = fn;
    o->own.ctx = ctx;
    o->own.waits = true;
    pump(o);
    return true;
}

/* ---- the whole ---- */

int outbox_new(struct outbox **out, const struct outbox_config *config, struct err *err)
{
    struct outbox *o = calloc(1, sizeof *o);
    if (!o)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    o->config = *config;
    list_init(&o->items);
    buf_init(&o->body, LINK_BODY_MAX);
    buf_init(&o->own.body, LINK_BODY_MAX);
    int rc = link_open(&o->link, config->loop, config->hub, config->tls, err);
    if (rc != 0) {
        free(o);
        return rc;
    }
    uv_timer_init(&config->loop->uv, &o->timer);
    o->timer.data = o;
    uv_timer_start(&o->timer, on_tick, TICK_MS, TICK_MS);
    *out = o;
    return 0;
}

void outbox_jobs(struct outbox *o, struct site_jobs *jobs, struct haul *haul)
{
    o->jobs = jobs;
    o->haul = haul;
}

void outbox_close(struct outbox *o)
{
    o->closed = true;
    uv_close((uv_handle_t *)&o->timer, NULL);
    link_close(o->link);
    o->link = NULL;
}

void outbox_free(struct outbox *o)
{
    if (!o)
        return;
    list_for_each_safe (it, next, &o->items)
        item_free(list_entry(it, struct item, node));
    buf_fini(&o->body);
    buf_fini(&o->own.body);
    free(o);
}
