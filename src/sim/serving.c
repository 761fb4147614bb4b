/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/serving.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sim/duration.h"
#include "sim/fleet.h"
#include "sim/option.h"

#define DAYS_MAX 36500
/* The minute over which demand is measured, in reports. */
#define WINDOW 6
/* Without any answer for so long a service is given up: the network has no place for it. */
#define PATIENCE_MS DAY_MS
#define FULL_TURN 360000000 /* millionths of a degree */

/* What was asked for at a place of origin, in the units of struct origin. */
struct asked {
    uint64_t window[WINDOW]; /* arrived in each of the last reports' times */
    uint64_t arrived;        /* up to the last report */
    uint64_t told_tokens;
    uint32_t told_in_flight;
};

struct one {
    char name[NAME_CAP];
    struct uuid id;
    uint32_t file;
    struct requests_options options;
    struct requests *stream;
    struct request coming; /* if `more` */
    bool more;
    struct fleet fleet;
    struct asked *asked;
    uint32_t reports, next_origin;
    uint64_t arrives,
        arrives_max; /* tokens a second at all places, in millionths, and the most of it over a whole window */
    bool quiet;      /* nothing is asked for, and core knows */
    int64_t report_ms;
};

struct serving {
    struct serving_options options;
    struct serve serve;
    struct requests_file file[SERVING_MAX];
    uint32_t nfiles;
    struct one *one[SERVING_MAX];
    uint32_t n;
    struct uuid site[REQUESTS_ORIGINS_MAX];
    int64_t zone_ms[REQUESTS_ORIGINS_MAX];
    int64_t lon0;
    uint32_t nsites;
    int rc;
    struct err err;
};

static void fail(struct serving *s, int rc)
{
    if (s->rc == 0)
        s->rc = err_set(&s->err, rc, "out of memory");
}

/* ---- options ---- */

static bool has_name(const struct serving *s, const char *name)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (strcmp(s->one[i]->name, name) == 0)
            return true;
    }
    return false;
}

/* The name of the file without folders and endings, and the model; where that is taken, a number as well: series and figures
 * go by the name. */
static void name_of(const struct serving *s, struct one *o, const char *path, const char *model)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    size_t room = sizeof o->name - sizeof "-17";
    int n = snprintf(o->name, room, "%.*s%s%s", (int)strcspn(base, "."), base, model ? "-" : "",
                     model ? model : "");
    size_t len = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
    for (uint32_t k = 2; has_name(s, o->name); k++)
        (void)snprintf(o->name + len, sizeof o->name - len, "-%u", k);
}

static int add_one(struct serving *s, const char *path, const char *model,
                   const struct requests_options *options, struct err *err)
{
    struct one *o = s->n < SERVING_MAX ? calloc(1, sizeof *o) : NULL;
    if (s->n == SERVING_MAX)
        return err_set(err, ERR_LIMIT, "--requests: more than %d services", SERVING_MAX);
    if (!o || !fleet_init(&o->fleet, &s->serve, s->options.start_ms * 1000)) {
        free(o);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    name_of(s, o, path, model);
    o->id.b[0] = 'V';
    o->id.b[15] = (uint8_t)(s->n + 1);
    o->file = s->nfiles - 1;
    o->options = *options;
    o->options.seed = s->options.seed + s->n;
    o->quiet = true;
    s->one[s->n++] = o;
    return 0;
}

static int add_file(struct serving *s, const char *path, const char *model, struct requests_options *options,
                    struct err *err)
{
    if (s->nfiles == SERVING_MAX)
        return err_set(err, ERR_LIMIT, "--requests: more than %d files", SERVING_MAX);
    struct requests_file *file = &s->file[s->nfiles];
    int rc = requests_read(file, path, err);
    if (rc != 0)
        return rc;
    s->nfiles++;
    if (!file->rates && model)
        return err_set(err, ERR_INVALID, "--requests: %s has single requests, and no models", path);
    if (!file->rates)
        return add_one(s, path, NULL, options, err);
    uint32_t before = s->n;
    for (uint32_t i = 0; rc == 0 && i < file->rate.nmodels; i++) {
        options->model = i;
        if (!model || strcmp(model, file->rate.model[i]) == 0)
            rc = add_one(s, path, file->rate.model[i], options, err);
    }
    if (rc == 0 && s->n == before)
        rc = err_set(err, ERR_NOT_FOUND, "--requests: %s has no model %s", path, model ? model : "");
    return rc;
}

/* A number > 0 with up to three decimals, in thousandths. */
static bool read_scale(const char *text, uint64_t *out)
{
    uint64_t whole = 0, part = 0;
    size_t len = strcspn(text, "."), digits = text[len] ? strlen(text + len + 1) : 0;
    if (!u64_parse(text, len, REQUESTS_COPIES_MAX, &whole) || digits > 3 || (text[len] && digits == 0) ||
        (digits > 0 && !u64_parse(text + len + 1, digits, 999, &part)))
        return false;
    for (; digits > 0 && digits < 3; digits++)
        part *= 10;
    *out = whole * 1000 + part;
    return *out > 0;
}

/* FILE[#MODEL][*SCALE][@DAY] */
static int add_named(struct serving *s, char *name, struct err *err)
{
    struct requests_options options = {.scale = 1000,
                                       .length_ms = s->options.length_ms,
                                       .in_mean = s->serve.in_mean,
                                       .out_mean = s->serve.out_mean};
    char *day = strrchr(name, '@'), *scale = strrchr(name, '*'), *model = strrchr(name, '#');
    uint64_t days = 0;
    bool good =
        (!day || u64_parse(day + 1, strlen(day + 1), DAYS_MAX, &days)) && (!day || !scale || scale < day);
    if (good && day)
        *day = 0;
    if (good && scale)
        good = read_scale(scale + 1, &options.scale) && (!model || model < scale);
    if (!good)
        return err_set(err, ERR_INVALID, "--requests %s: expected FILE[#MODEL][*SCALE][@DAY]", name);
    if (scale)
        *scale = 0;
    if (model)
        *model++ = 0;
    options.from_ms = (int64_t)days * DAY_MS;
    return add_file(s, name, model, &options, err);
}

int serving_open(struct serving **out, const struct serving_options *options, struct err *err)
{
    struct serving *s = calloc(1, sizeof *s);
    *out = s;
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->options = *options;
    int rc = serve_read(&s->serve, options->serve, err);
    struct option_list files = option_list("--requests", options->requests);
    while (rc == 0 && option_next(&files, err))
        rc = add_named(s, files.item, err);
    return rc == 0 ? files.rc : rc;
}

static void one_free(struct one *o)
{
    requests_free(o->stream);
    fleet_fini(&o->fleet);
    free(o->asked);
    free(o);
}

void serving_free(struct serving *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->n; i++)
        one_free(s->one[i]);
    for (uint32_t i = 0; i < s->nfiles; i++)
        requests_file_free(&s->file[i]);
    free(s);
}

uint32_t serving_count(const struct serving *s)
{
    return s->n;
}

const char *serving_name(const struct serving *s, uint32_t i)
{
    return s->one[i]->name;
}

void serving_limits(const struct serving *s, struct limits *limits)
{
    uint32_t replicas = s->n * s->serve.max;
    limits->services = s->n + 1;
    limits->demands = s->n * REQUESTS_ORIGINS_MAX + 1;
    limits->service_replicas = 2 * replicas + 1; /* those that went are there until the next collection */
    limits->jobs += 2 * replicas;
}

/* ---- the beginning ---- */

void serving_site(struct serving *s, const struct event_site_add *site)
{
    if (!s->options.zones || s->nsites == REQUESTS_ORIGINS_MAX)
        return;
    if (s->nsites == 0)
        s->lon0 = site->lon;
    s->zone_ms[s->nsites] = (site->lon - s->lon0) * DAY_MS / FULL_TURN;
    s->site[s->nsites++] = site->site;
}

static void pull(struct serving *s, struct one *o)
{
    o->more = requests_next(o->stream, &o->coming);
    if (requests_failed(o->stream))
        fail(s, ERR_NO_MEMORY);
}

static void begin(struct serving *s, struct one *o)
{
    o->options.origins = s->nsites > 0 ? s->nsites : 1;
    o->options.zone_ms = s->nsites > 0 ? s->zone_ms : NULL;
    o->asked = calloc(o->options.origins, sizeof *o->asked);
    if (!o->asked || !fleet_origins(&o->fleet, o->options.origins)) {
        fail(s, ERR_NO_MEMORY);
        return;
    }
    struct err err = {0};
    int rc = requests_open(&o->stream, &s->file[o->file], &o->options, &err);
    if (rc == 0)
        pull(s, o);
    else if (s->rc == 0)
        s->rc = err_set(&s->err, rc, "--requests, %s: %s", o->name, err.msg);
}

bool serving_setup(struct serving *s, uint32_t i, const struct uuid *tenant, struct event *out)
{
    if (i >= s->n)
        return false;
    struct one *o = s->one[i];
    begin(s, o);
    *out = (struct event){.kind = EVENT_KIND_service_set,
                          .u.service_set = {.service = o->id, .tenant = *tenant}};
    memcpy(out->u.service_set.name, o->name, sizeof o->name);
    serve_event(&s->serve, &out->u.service_set);
    return true;
}

int serving_failed(const struct serving *s, struct err *err)
{
    return s->rc == 0 ? 0 : err_set(err, s->rc, "%s", s->err.msg);
}

/* ---- time ---- */

static int64_t coming_ms(const struct serving *s, const struct one *o)
{
    return o->more ? s->options.start_ms + o->coming.arrival_ms : INT64_MAX;
}

/* Everything up to now, in order of time. */
static void advance(struct serving *s, struct one *o, int64_t now_ms)
{
    while (s->rc == 0) {
        int64_t arrival_us = coming_ms(s, o) <= now_ms ? coming_ms(s, o) * 1000 : INT64_MAX;
        int64_t due_us = fleet_next_us(&o->fleet);
        if (due_us > now_ms * 1000 && arrival_us == INT64_MAX)
            return;
        if (arrival_us < due_us) {
            fleet_arrive(&o->fleet, &o->coming, arrival_us);
            pull(s, o);
        } else {
            fleet_happen(&o->fleet);
        }
        if (o->fleet.failed)
            fail(s, ERR_NO_MEMORY);
    }
}

/* ---- to core ---- */

int64_t serving_next_ms(const struct serving *s)
{
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < s->n; i++) {
        int64_t at = s->one[i]->quiet ? coming_ms(s, s->one[i]) : s->one[i]->report_ms;
        next = at < next ? at : next;
    }
    return next;
}

/* What a place asks for now; moves its window on. */
static void demand_of(const struct serve *serve, struct one *o, uint32_t k, uint64_t *tokens_s,
                      uint32_t *in_flight)
{
    const struct origin *place = &o->fleet.origin[k];
    struct asked *asked = &o->asked[k];
    uint32_t reports = o->reports + 1 < WINDOW ? o->reports + 1 : WINDOW;
    uint64_t window_s = (uint64_t)reports * (SERVING_REPORT_MS / 1000), sum = 0;
    asked->window[o->reports % WINDOW] = place->arrived - asked->arrived;
    asked->arrived = place->arrived;
    for (uint32_t i = 0; i < WINDOW; i++)
        sum += asked->window[i];
    o->arrives += sum / window_s;
    uint64_t drain_s = (uint64_t)serve->drain_ms / 1000;
    *tokens_s = (sum / window_s + (drain_s > 0 ? place->queued / drain_s : 0) + 999999) / 1000000;
    *in_flight = place->in_flight;
}

/* The next place of a service that has another demand than core knows. */
static bool report(struct serving *s, struct one *o, int64_t now_ms, struct event *out)
{
    while (o->next_origin < o->options.origins) {
        uint32_t k = o->next_origin++;
        struct asked *asked = &o->asked[k];
        uint64_t tokens_s;
        uint32_t in_flight;
        demand_of(&s->serve, o, k, &tokens_s, &in_flight);
        o->quiet = o->quiet && tokens_s == 0 && in_flight == 0;
        if (tokens_s == asked->told_tokens && in_flight == asked->told_in_flight)
            continue;
        asked->told_tokens = tokens_s;
        asked->told_in_flight = in_flight;
        *out = (struct event){
            .kind = EVENT_KIND_service_demand,
            .u.service_demand = {.service = o->id, .tokens_s = tokens_s, .in_flight = in_flight}};
        if (s->nsites > 0)
            out->u.service_demand.site = s->site[k];
        return true;
    }
    if (o->reports + 1 >= WINDOW && o->arrives > o->arrives_max)
        o->arrives_max = o->arrives;
    o->next_origin = 0;
    o->arrives = 0;
    o->reports = o->quiet ? 0 : o->reports + 1;
    o->report_ms = now_ms + SERVING_REPORT_MS;
    return false;
}

bool serving_event(struct serving *s, int64_t now_ms, struct event *out)
{
    for (uint32_t i = 0; i < s->n && s->rc == 0; i++) {
        struct one *o = s->one[i];
        if ((o->quiet ? coming_ms(s, o) : o->report_ms) > now_ms && o->next_origin == 0)
            continue;
        if (o->next_origin == 0) {
            advance(s, o, now_ms);
            o->quiet = true; /* until a place asks for something */
        }
        if (report(s, o, now_ms, out))
            return true;
    }
    return false;
}

static struct one *one_of(struct serving *s, const struct uuid *service)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (uuid_eq(&s->one[i]->id, service))
            return s->one[i];
    }
    return NULL;
}

uint32_t serving_effect(struct serving *s, const struct effect *e, int64_t now_ms, struct uuid *pool)
{
    struct one *o = one_of(s, &e->service);
    if (!o)
        return 0;
    advance(s, o, now_ms);
    struct fleet *f = &o->fleet;
    if (e->kind == EFFECT_REPLICA_ADD)
        fleet_add(f, &e->job);
    uint32_t i = e->kind == EFFECT_REPLICA_ADD ? UINT32_MAX : fleet_find(f, &e->job), chips = 0;
    if (i == UINT32_MAX)
        return 0;
    struct unit *u = &f->unit[i];
    if (e->kind == EFFECT_JOB_START) {
        u->pool = e->pool;
        u->chips = e->chips;
        fleet_start(f, i, e->alternative, now_ms * 1000);
    } else if (e->kind == EFFECT_JOB_STOP) {
        fleet_stop(f, i, now_ms * 1000);
    } else {
        fleet_drop(f, i);
        return 0;
    }
    *pool = u->pool;
    chips = u->chips;
    if (f->failed)
        fail(s, ERR_NO_MEMORY);
    return chips;
}

/* ---- the end ---- */

bool serving_over(const struct serving *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct one *o = s->one[i];
        const struct fleet *f = &o->fleet;
        int64_t since_ms = (f->last_us > f->arrival_us ? f->last_us : f->arrival_us) / 1000;
        bool hopeless = !o->more && !o->quiet && o->report_ms - since_ms > PATIENCE_MS;
        if (!hopeless && (o->more || !o->quiet || f->wanted > s->serve.min))
            return false;
    }
    return true;
}

void serving_end(struct serving *s, int64_t now_ms)
{
    for (uint32_t i = 0; i < s->n; i++) {
        advance(s, s->one[i], now_ms);
        fleet_count(&s->one[i]->fleet, now_ms * 1000);
    }
}

void serving_result(const struct serving *s, uint32_t i, struct serving_sum *out)
{
    const struct one *o = s->one[i];
    const struct fleet *f = &o->fleet;
    uint64_t full =
        (uint64_t)s->serve.kind[0].decode * s->serve.target * 10000; /* millionths a second at target */
    *out = (struct serving_sum){.requests = f->requests,
                                .answered = f->answered,
                                .restarted = f->restarted,
                                .waited_cold = f->waited_cold,
                                .in_tokens = f->in_tokens,
                                .out_tokens = f->out_tokens,
                                .ttft_p50_us = spread_at(&f->ttft, 500),
                                .ttft_p90_us = spread_at(&f->ttft, 900),
                                .ttft_p99_us = spread_at(&f->ttft, 990),
                                .ttft_max_us = f->ttft.max,
                                .end_p50_us = spread_at(&f->end, 500),
                                .end_p90_us = spread_at(&f->end, 900),
                                .end_p99_us = spread_at(&f->end, 990),
                                .end_max_us = f->end.max,
                                .queue_max = f->queue_max,
                                .cold_starts = f->cold_starts,
                                .moved = f->moved,
                                .replicas_max = f->running_max,
                                .replicas_peak = (uint32_t)((o->arrives_max + full - 1) / full),
                                .replica_ms = f->running_us / 1000,
                                .warm_ms = f->warm_us / 1000,
                                .ideal_ms = f->done_tokens / 1000 / s->serve.kind[0].decode,
                                .span_ms = f->answered > 0 ? (f->last_us - f->first_us) / 1000 : 0};
    memcpy(out->name, s->one[i]->name, sizeof out->name);
}

void serving_now(const struct serving *s, uint32_t i, struct serving_state *out)
{
    const struct fleet *f = &s->one[i]->fleet;
    *out = (struct serving_state){.wanted = f->wanted,
                                  .running = f->running,
                                  .warm = f->warm,
                                  .queue = f->queue,
                                  .out_tokens = f->out_tokens};
}
