/* SPDX-License-Identifier: Apache-2.0 */
#include "site/replica_jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/list.h"
#include "base/log.h"
#include "engine/data.h"
#include "engine/workdir.h"
#include "site/replica_parts.h"

#define TICK_MS 100
#define READ_MS 250        /* of what a job says, while it is on its way */
#define POLL_MS 1000       /* of the batch system, the same */
#define POLL_READY_MS 2000 /* of both, when nothing is */
#define RETRY_MS 1000      /* of a submission that may yet be made */
#define RENEWALS 10        /* of a lease in its time */
#define RENEW_SOON_MS 2000 /* a node of another machine begins when it has seen a renewal */

/* ---- what is here ---- */

/* A UUID of our own making (RFC 9562, version 8), the same whoever asks. */
static struct uuid name_of(const struct uuid *deployment, uint32_t ordinal, uint32_t epoch)
{
    struct uuid id;
    uint8_t digest[DIGEST_LEN];
    char text[UUID_TEXT_LEN + 64], uuid[UUID_TEXT_LEN + 1];
    uuid_format(uuid, deployment);
    int n = snprintf(text, sizeof text, "busbar replica %s %u %u", uuid, ordinal, epoch);
    digest_sha256(digest, text, (size_t)n);
    memcpy(id.b, digest, sizeof id.b);
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x80);
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    return id;
}

static struct unit *find(const struct replica_jobs *jobs, const struct uuid *job)
{
    list_for_each_safe (it, next, &jobs->units) {
        struct unit *u = list_entry(it, struct unit, node);
        if (uuid_eq(&u->id.job, job))
            return u;
    }
    return NULL;
}

static struct unit *find_order(const struct replica_jobs *jobs, const struct serve_order *order)
{
    struct uuid job = name_of(&order->deployment, order->ordinal, order->epoch);
    return find(jobs, &job);
}

/* Of the beginning that a call was about. */
struct unit *unit_begun(const struct replica_jobs *jobs, const struct job_id *id)
{
    struct unit *u = find(jobs, &id->job);
    return u && u->id.epoch == id->epoch ? u : NULL;
}

static struct unit *unit_add(struct replica_jobs *jobs, const struct job_id *id, enum unit_phase phase)
{
    struct unit *u = calloc(1, sizeof *u);
    if (!u)
        abort(); /* two kilobytes for a replica of gigabytes */
    u->jobs = jobs;
    u->id = *id;
    u->phase = phase;
    list_push(&jobs->units, &u->node);
    return u;
}

/* Callbacks that are on their way find it gone, and the last of them frees it. */
static void unit_free(struct unit *u)
{
    list_remove(&u->node);
    u->gone = true;
    if (u->busy > 0)
        return;
    tls_context_free(u->tls);
    free(u);
}

bool unit_done(struct unit *u)
{
    u->busy--;
    if (u->gone && u->busy == 0) {
        tls_context_free(u->tls);
        free(u);
        return true;
    }
    return u->gone || u->jobs->ending;
}

bool unit_ask(struct replica_jobs *jobs, struct engine_call *call, engine_done *done)
{
    if (engine_call(jobs->engine, call, done, jobs) == 0)
        return true;
    engine_call_free(call);
    return false;
}

/* ---- what is told ---- */

static struct serve_report report_of(const struct unit *u, uint32_t state, const char *detail)
{
    struct serve_report report = {.deployment = u->order.deployment,
                                  .ordinal = u->order.ordinal,
                                  .epoch = u->order.epoch,
                                  .state = state,
                                  .slots = u->slots ? u->slots : u->order.slots,
                                  .context = u->context ? u->context : u->order.context};
    (void)snprintf(report.detail, sizeof report.detail, "%s", detail);
    memcpy(report.version, u->version, sizeof report.version);
    return report;
}

void unit_tell(struct unit *u, uint32_t state, const char *detail)
{
    struct serve_report report = report_of(u, state, detail);
    u->told = state;
    if (u->held)
        u->jobs->config.report(u->jobs->config.ctx, &report);
}

/* What its engine knows of it by now. */
static void tell_used(const struct unit *u, const struct job_usage *usage, bool final)
{
    const struct serve_used used = {.deployment = u->order.deployment,
                                    .ordinal = u->order.ordinal,
                                    .epoch = u->order.epoch,
                                    .run = u->id.epoch,
                                    .energy_mj = usage->energy_mj,
                                    .estimated = usage->energy == ENERGY_ESTIMATED,
                                    .final = final};
    if (u->held && usage->energy != ENERGY_NONE)
        u->jobs->config.used(u->jobs->config.ctx, &used);
}

static void unit_log(const struct unit *u, const char *event, const char *words)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &u->id.job);
    log_info(event, "model=%s ordinal=%u job=%s begun=%u %s", u->order.model, u->order.ordinal, id,
             u->id.epoch, words);
}

static bool is_wanted(const struct replica_jobs *jobs, const struct uuid *job)
{
    for (uint32_t i = 0; i < jobs->nwanted; i++) {
        if (uuid_eq(&jobs->wanted[i], job))
            return true;
    }
    return false;
}

/* It runs no more, or never did. Who wants it begins it anew, under the next number: the folder stays until then. */
static void unit_over(struct unit *u, const char *words)
{
    struct replica_jobs *jobs = u->jobs;
    struct serve_report report = report_of(u, REPLICA_STOPPED, words);
    bool held = u->held;
    unit_leave(u);
    if (u->phase != UNIT_LIVE && u->phase != UNIT_OVER)
        unit_unlay(u); /* the engine has it not, or it is not there alone */
    u->phase = UNIT_OVER;
    u->held = false;
    if (jobs->compared && !is_wanted(jobs, &u->id.job)) {
        if (u->id.epoch > 0)
            unit_forget(jobs, &u->id);
        unit_free(u);
    }
    if (held) /* who hears it may begin it anew at once */
        jobs->config.report(jobs->config.ctx, &report);
}

static void unit_ended(struct unit *u, const struct job_exit *exit)
{
    char words[TEXT_CAP], line[2 * TEXT_CAP];
    uint64_t chip_ms = 0;
    tell_used(u, &exit->usage, u->stop);
    for (uint32_t i = 0; i < exit->usage.chips_count; i++)
        chip_ms += exit->usage.chips[i].chip_ms;
    (void)snprintf(line, sizeof line, "end=%s ms=%llu chip_ms=%llu why=\"%.100s\"",
                   job_end_text((enum job_end)exit->end), (unsigned long long)exit->usage.ms,
                   (unsigned long long)chip_ms, exit->text ? exit->text : "");
    unit_log(u, "replica_job_ended", line);
    /* What our program said last, if it gave up by itself. */
    bool own = exit->end == JOB_END_EXITED && u->detail[0];
    (void)snprintf(words, sizeof words, "its job ended: %.100s",
                   own          ? u->detail
                   : exit->text ? exit->text
                                : "nothing is known of it");
    unit_over(u, words);
}

/* ---- beginning ---- */

static void on_submitted(void *ctx, struct engine_call *call)
{
    struct replica_jobs *jobs = ctx;
    struct unit *u =
        unit_begun(jobs, &(struct job_id){.job = call->specs[0].job, .epoch = call->specs[0].epoch});
    int code = call->err.code;
    if (!u || jobs->ending)
        return;
    if (code == 0) {
        u->phase = UNIT_LIVE;
        unit_log(u, u->adopted ? "replica_job_found" : "replica_job_started", "");
        if (u->id.epoch > 1)
            unit_forget(jobs, &(struct job_id){.job = u->id.job, .epoch = u->id.epoch - 1});
    } else if (code == ERR_IN_USE || err_retryable(code)) {
        u->phase = UNIT_LAID; /* there may be a job all the same: the next try looks for it by its name */
        u->next_ms = uv_now(&jobs->config.loop->uv) + RETRY_MS;
        unit_tell(u, REPLICA_STARTING, call->err.msg);
    } else {
        unit_over(u, call->err.msg);
    }
}

static void submit(struct unit *u)
{
    struct replica_jobs *jobs = u->jobs;
    uint64_t lease_ms = jobs->config.lease_ms(jobs->config.lease_ctx);
    struct engine_call *call = lease_ms > 0 ? engine_call_new(ENGINE_SUBMIT, 1) : NULL;
    if (!call)
        return;
    if (unit_spec(u, &call->specs[0]) != 0)
        abort(); /* out of memory for a page of text */
    call->lease_ms = lease_ms;
    if (unit_ask(jobs, call, on_submitted))
        u->phase = UNIT_SUBMITTING;
}

/* One that is here already is submitted as well, which finds it by its name: the agent before may have been killed on the way. */
void unit_laid(struct unit *u)
{
    u->adopted = !u->fresh;
    if (u->err.code == 0) {
        u->phase = UNIT_LAID;
        u->next_ms = 0;
    } else if (u->adopted) {
        log_warn("replica_job", "why=\"%s\"", u->err.msg);
        u->lost_key = true; /* it is ended, and begun anew */
    } else {
        unit_over(u, u->err.msg);
    }
}

void replica_jobs_start(struct replica_jobs *jobs, const struct serve_order *order)
{
    struct unit *u = find_order(jobs, order);
    if (!u)
        u = unit_add(jobs, &(struct job_id){.job = name_of(&order->deployment, order->ordinal, order->epoch)},
                     UNIT_OVER);
    u->order = *order;
    u->held = true;
    u->state = u->told = 0;
    u->detail[0] = u->version[0] = 0;
    if (u->phase == UNIT_OVER) {
        u->id.epoch++;
        u->phase = UNIT_LAYING;
        u->stop = u->cancelling = u->lost_key = false;
    }
    tls_context_free(u->tls);
    u->tls = NULL;
    unit_lay(u);
}

bool replica_jobs_has(const struct replica_jobs *jobs, const struct serve_order *order)
{
    const struct unit *u = find_order(jobs, order);
    return u && u->phase == UNIT_LIVE && !u->stop;
}

void replica_jobs_stop(struct replica_jobs *jobs, const struct serve_order *order)
{
    struct unit *u = find_order(jobs, order);
    if (u && u->held)
        u->stop = true; /* the next tick sees to it */
}

/* ---- all of them, again and again ---- */

static void on_cancelled(void *ctx, struct engine_call *call)
{
    struct replica_jobs *jobs = ctx;
    struct unit *u = unit_begun(jobs, &call->ids[0]);
    if (u && call->err.code != 0 && call->err.code != ERR_NOT_FOUND)
        u->cancelling = false; /* the next tick tells it again */
}

static void stop(struct unit *u)
{
    struct engine_call *call = u->cancelling ? NULL : engine_call_new(ENGINE_CANCEL, 1);
    if (!call)
        return;
    call->ids[0] = u->id;
    call->stop = (struct job_stop){.end = JOB_END_CANCELLED, .grace_ms = UNIT_GRACE_MS};
    u->cancelling = unit_ask(u->jobs, call, on_cancelled);
}

static void look_at(struct unit *u)
{
    uint64_t now = uv_now(&u->jobs->config.loop->uv);
    if (u->phase == UNIT_LIVE && (u->stop || u->lost_key))
        stop(u);
    else if (u->phase == UNIT_LAID && u->stop && u->adopted)
        u->phase = UNIT_LIVE;
    else if (u->phase == UNIT_LAID && u->stop)
        unit_over(u, "stopped");
    else if (u->phase == UNIT_LAID && now >= u->next_ms)
        submit(u);
    else if (u->phase == UNIT_LIVE)
        unit_reach(u);
}

static void waits(struct unit *u, const struct engine_status *status)
{
    char detail[TEXT_CAP];
    (void)snprintf(detail, sizeof detail, "in the site's queue: %.100s", status->reason);
    unit_tell(u, REPLICA_STARTING, status->reason[0] ? detail : "in the site's queue");
}

static void on_polled(void *ctx, struct engine_call *call)
{
    struct replica_jobs *jobs = ctx;
    jobs->polling = false;
    jobs->poll_ms = uv_now(&jobs->config.loop->uv);
    if (jobs->ending)
        return;
    for (uint32_t i = 0; i < call->statuses_count; i++) {
        const struct engine_status *status = &call->statuses[i];
        struct unit *u = unit_begun(jobs, &status->id);
        if (!u || u->phase != UNIT_LIVE || u->laying)
            continue;
        if (status->state == ENGINE_ENDED || status->state == ENGINE_UNKNOWN)
            unit_ended(u, &status->exit);
        else if (status->state == ENGINE_PENDING)
            waits(u, status);
        else
            u->claimed = true;
        if (status->state == ENGINE_RUNNING)
            tell_used(u, &status->exit.usage, false);
    }
}

static void on_renewed(void *ctx, struct engine_call *call)
{
    struct replica_jobs *jobs = ctx;
    jobs->renewing = false;
    if (call->err.code != 0)
        log_warn("leases_not_renewed", "why=\"%s\"", call->err.msg);
}

/* A call about all that live, but for those that are being stopped if `kept`. */
static bool ask_live(struct replica_jobs *jobs, enum engine_op op, bool kept, uint64_t lease_ms,
                     engine_done *done)
{
    uint32_t n = 0, i = 0;
    list_for_each_safe (it, next, &jobs->units) {
        const struct unit *u = list_entry(it, struct unit, node);
        n += u->phase == UNIT_LIVE && !(kept && u->stop);
    }
    struct engine_call *call = n > 0 ? engine_call_new(op, n) : NULL;
    if (!call)
        return false;
    call->lease_ms = lease_ms;
    list_for_each_safe (it, next, &jobs->units) {
        const struct unit *u = list_entry(it, struct unit, node);
        if (u->phase == UNIT_LIVE && !(kept && u->stop))
            call->ids[i++] = u->id;
    }
    return unit_ask(jobs, call, done);
}

static void renew(struct replica_jobs *jobs, bool soon)
{
    uint64_t now = clock_boot_ms(), lease_ms = jobs->config.lease_ms(jobs->config.lease_ctx);
    uint64_t after_ms = soon && lease_ms / RENEWALS > RENEW_SOON_MS ? RENEW_SOON_MS : lease_ms / RENEWALS;
    if (lease_ms == 0 || jobs->renewing || now - jobs->renewed_ms < after_ms)
        return;
    jobs->renewing = ask_live(jobs, ENGINE_RENEW, true, lease_ms, on_renewed);
    jobs->renewed_ms = now;
}

/* Nobody holds it, and the hub does not want it. */
static void clear(struct unit *u)
{
    if (u->phase == UNIT_OVER)
        unit_over(u, "");
    else
        u->stop = true;
}

static void list_all(struct replica_jobs *jobs);

static void on_tick(uv_timer_t *timer)
{
    struct replica_jobs *jobs = timer->data;
    uint64_t now = uv_now(&jobs->config.loop->uv);
    bool soon = false, moving = false;
    if (!jobs->listed)
        list_all(jobs);
    list_for_each_safe (it, next, &jobs->units) {
        struct unit *u = list_entry(it, struct unit, node);
        soon = soon || (u->claimed && u->state == 0);
        moving = moving || u->stop || (u->held && u->told != REPLICA_READY);
        if (u->phase == UNIT_LIVE && u->claimed &&
            now - u->read_ms >= (u->told == REPLICA_READY ? POLL_READY_MS : READ_MS))
            unit_read(u);
        if (jobs->compared && !u->held && !u->stop && !is_wanted(jobs, &u->id.job))
            clear(u);
        else
            look_at(u);
    }
    unit_forget_due(jobs, now);
    if (!jobs->polling && now - jobs->poll_ms >= (moving ? POLL_MS : POLL_READY_MS))
        jobs->polling = ask_live(jobs, ENGINE_POLL, false, 0, on_polled);
    renew(jobs, soon);
}

/* ---- what is here at the start ---- */

static void on_listed(void *ctx, struct engine_call *call)
{
    struct replica_jobs *jobs = ctx;
    jobs->listing = false;
    if (jobs->ending)
        return;
    if (call->err.code != 0) {
        log_error("replicas", "cannot read the work folder: %s", call->err.msg);
        return;
    }
    for (uint32_t i = 0; i < call->statuses_count; i++) {
        const struct engine_status *status = &call->statuses[i];
        enum unit_phase phase = status->state == ENGINE_ENDED ? UNIT_OVER : UNIT_LIVE;
        struct unit *u = find(jobs, &status->id.job);
        if (!u) {
            unit_add(jobs, &status->id, phase);
            continue;
        }
        /* Two beginnings: the earlier one is over, or the later would not be there. */
        bool later = status->id.epoch > u->id.epoch;
        unit_forget(jobs, later ? &u->id : &status->id);
        if (later) {
            u->id = status->id;
            u->phase = phase;
        }
    }
    jobs->listed = true;
}

static void list_all(struct replica_jobs *jobs)
{
    struct engine_call *call = jobs->listing ? NULL : engine_call_new(ENGINE_LIST, 0);
    if (call)
        jobs->listing = unit_ask(jobs, call, on_listed);
}

bool replica_jobs_listed(const struct replica_jobs *jobs)
{
    return jobs->listed;
}

void replica_jobs_wanted(struct replica_jobs *jobs, const struct tunnel_target *wanted, uint32_t n)
{
    struct uuid *names = calloc(n + 1, sizeof *names);
    if (!names)
        abort();
    for (uint32_t i = 0; i < n; i++)
        names[i] = name_of(&wanted[i].deployment, wanted[i].ordinal, wanted[i].epoch);
    free(jobs->wanted);
    jobs->wanted = names;
    jobs->nwanted = n;
    jobs->compared = true;
}

bool replica_jobs_way(const struct replica_jobs *jobs, const struct tunnel_target *target,
                      struct replica_way *out)
{
    struct uuid job = name_of(&target->deployment, target->ordinal, target->epoch);
    const struct unit *u = find(jobs, &job);
    if (!u || u->told != REPLICA_READY || u->phase != UNIT_LIVE)
        return false;
    *out = (struct replica_way){.addr = u->addr, .tls = u->tls};
    return true;
}

/* ---- the whole ---- */

int replica_jobs_new(struct replica_jobs **out, const struct replica_jobs_config *config, struct err *err)
{
    struct replica_jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    jobs->config = *config;
    jobs->engine_config = *config->engine;
    jobs->engine_config.work = jobs->work;
    list_init(&jobs->units);
    list_init(&jobs->leftovers);
    int rc = 0;
    if (!fs_join(jobs->work, config->engine->work, ".replicas") || strlen(jobs->work) > WORKDIR_FILE_MAX)
        rc = err_set(err, ERR_INVALID, "the work folder's path is too long");
    else if (!config->engine->program && !fs_self(jobs->program))
        rc = err_set(err, ERR_IO, "cannot find our own program");
    else if (config->engine->program)
        (void)snprintf(jobs->program, sizeof jobs->program, "%s", config->engine->program);
    if (rc == 0)
        data_sweep(jobs->work);
    if (rc == 0)
        rc = engine_new(&jobs->engine, config->loop, &jobs->engine_config, err);
    if (rc != 0) {
        free(jobs);
        return rc;
    }
    uv_timer_init(&config->loop->uv, &jobs->timer);
    jobs->timer.data = jobs;
    uv_timer_start(&jobs->timer, on_tick, 0, TICK_MS);
    *out = jobs;
    return 0;
}

void replica_jobs_shutdown(struct replica_jobs *jobs, void (*done)(void *ctx), void *ctx)
{
    jobs->ending = true;
    uv_close((uv_handle_t *)&jobs->timer, NULL);
    list_for_each_safe (it, next, &jobs->units)
        unit_leave(list_entry(it, struct unit, node));
    engine_shutdown(jobs->engine, done, ctx);
}

void replica_jobs_free(struct replica_jobs *jobs)
{
    if (!jobs)
        return;
    list_for_each_safe (it, next, &jobs->units)
        unit_free(list_entry(it, struct unit, node));
    unit_forget_none(jobs);
    free(jobs->wanted);
    free(jobs);
}
