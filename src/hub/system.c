/* SPDX-License-Identifier: Apache-2.0 */
/* Health, status, metrics, backup. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/blob.h"
#include "base/clock.h"
#include "base/fs.h"
#include "hub/budgets.h"
#include "hub/chips.h"
#include "hub/webhook.h"
#include "hub/witnesses.h"
#include "runtime/publisher.h"

static int healthz_parse(struct api_call *call)
{
    buf_add_text(&call->out, "{\"status\":\"ok\"}");
    return 0;
}

static int readyz_parse(struct api_call *call)
{
    if (!runtime_ready(call->hub->runtime))
        return err_set(&call->err, ERR_UNAVAILABLE, "The hub cannot make decisions durable.");
    buf_add_text(&call->out, "{\"status\":\"ready\"}");
    return 0;
}

static void add_witness(struct buf *out, const struct witness_state *w)
{
    buf_add_text(out, "{\"name\":");
    buf_add_json(out, w->name, text_len(w->name, sizeof w->name));
    add_text(out, "url", w->url, sizeof w->url);
    buf_addf(out, ",\"leaves\":%llu", (unsigned long long)w->leaves);
    add_time(out, "cosigned", w->time_ms);
    add_time(out, "behind_since", w->behind_since_ms);
    add_text(out, "error", w->error, sizeof w->error);
    buf_add_char(out, '}');
}

static void add_log(struct api_call *call)
{
    struct publisher_state log = publisher_state(call->hub->publisher);
    struct witness_state witnesses[WITNESSES_MAX];
    unsigned n = witnesses_state(call->hub->witnesses, witnesses);
    struct buf *out = &call->out;
    buf_addf(out, ",\"log\":{\"committed\":%llu,\"published\":%llu,\"refused\":%s,\"witnesses\":[",
             (unsigned long long)log.committed, (unsigned long long)log.published,
             log.refused ? "true" : "false");
    for (unsigned i = 0; i < n; i++) {
        buf_add_text(out, i ? "," : "");
        add_witness(out, &witnesses[i]);
    }
    buf_add_text(out, "]}");
}

/* Tenants whose jobs could have computed more than an alarm is at. */
static void add_compute_alarms(struct buf *out, const struct core *core)
{
    const struct row_tenant *row;
    const char *sep = "";
    buf_add_text(out, ",\"compute_alarms\":[");
    for (uint32_t pos = 0; (row = view_tenant_at(core, &pos)) != NULL;) {
        const struct row_compute *compute = view_compute(core, &row->id);
        if (!compute || compute->alarm0_ms == 0)
            continue;
        buf_add_text(out, sep);
        buf_add_json(out, row->name, text_len(row->name, NAME_CAP));
        sep = ",";
    }
    buf_add_char(out, ']');
}

static int status_finish(struct api_call *call, const struct core *core)
{
    struct view_counts n = view_counts(core);
    struct runtime_stats s = runtime_stats(call->hub->runtime);
    struct buf *out = &call->out;
    int core_tid, store_tid, tids[8];
    runtime_thread_ids(call->hub->runtime, &core_tid, &store_tid);
    gateway_thread_ids(call->hub->gateway, tids, 8);
    buf_addf(out, "{\"version\":\"%s\",\"ready\":%s", BUSBAR_VERSION,
             runtime_ready(call->hub->runtime) ? "true" : "false");
    add_text(out, "listen", call->hub->listen, sizeof call->hub->listen);
    add_text(out, "data", call->hub->data_dir, FS_PATH_MAX);
    add_time(out, "started", call->hub->started_ms);
    buf_addf(out, ",\"engine\":{\"name\":\"%s\",\"reason\":\"%s\"}", call->hub->engine,
             call->hub->engine_reason);
    buf_addf(out,
             ",\"pid\":%ld,\"tenants\":%u,\"keys\":%u,\"models\":%u,\"deployments\":%u,"
             "\"replicas\":%u,\"replicas_ready\":%u,\"leases\":%u,\"waiting\":%u",
             (long)getpid(), n.tenants, n.keys, n.models, n.deployments, n.replicas, n.replicas_ready,
             n.leases, n.waiters);
    buf_addf(out,
             ",\"journal_events\":%llu,\"commits\":%llu,\"commit_failures\":%llu,"
             "\"commit_mean_ms\":%.3f",
             (unsigned long long)view_core(core)->events, (unsigned long long)s.batches,
             (unsigned long long)s.commit_failures,
             s.batches ? (double)s.commit_ns_total / 1e6 / (double)s.batches : 0.0);
    add_compute_alarms(out, core);
    add_chip_status(out, core);
    add_log(call);
    buf_addf(out, ",\"threads\":{\"core\":%d,\"store\":%d,\"gateway\":[", core_tid, store_tid);
    for (int i = 0; i < 8 && tids[i]; i++)
        buf_addf(out, "%s%d", i ? "," : "", tids[i]);
    buf_add_text(out, "]}}");
    return 0;
}

static void witness_metrics(struct api_call *call)
{
    struct witness_state witnesses[WITNESSES_MAX];
    unsigned n = witnesses_state(call->hub->witnesses, witnesses);
    if (n > 0)
        buf_add_text(&call->out,
                     "# HELP busbar_witness_leaves Leaves of the checkpoint that a witness cosigned last.\n"
                     "# TYPE busbar_witness_leaves gauge\n");
    for (unsigned i = 0; i < n; i++) /* a key's name has no quotation mark that would have to be escaped */
        buf_addf(&call->out, "busbar_witness_leaves{witness=\"%s\",behind=\"%d\"} %llu\n", witnesses[i].name,
                 witnesses[i].behind_since_ms != 0, (unsigned long long)witnesses[i].leaves);
}

static int metrics_finish(struct api_call *call, const struct core *core)
{
    struct view_counts n = view_counts(core);
    struct runtime_stats s = runtime_stats(call->hub->runtime);
    struct buf *out = &call->out;
    gateway_metrics(call->hub->gateway, out);
    buf_addf(out,
             "# TYPE busbar_replicas gauge\nbusbar_replicas{state=\"ready\"} %u\n"
             "busbar_replicas{state=\"other\"} %u\n"
             "# TYPE busbar_leases gauge\nbusbar_leases %u\n"
             "# HELP busbar_held Money held by leases, in units of currency.\n"
             "# TYPE busbar_held gauge\nbusbar_held %.9f\n"
             "# TYPE busbar_budget_waiting gauge\nbusbar_budget_waiting %u\n"
             "# TYPE busbar_events_total counter\nbusbar_events_total %llu\n"
             "# TYPE busbar_commit_failures_total counter\nbusbar_commit_failures_total %llu\n"
             "# TYPE busbar_commit_seconds histogram\n",
             n.replicas_ready, n.replicas - n.replicas_ready, n.leases, (double)n.held / 1e9, n.waiters,
             (unsigned long long)s.events, (unsigned long long)s.commit_failures);
    uint64_t sum = 0;
    for (int i = 0; i < 16; i++) {
        sum += s.commit_bucket[i];
        if (i < 15)
            buf_addf(out, "busbar_commit_seconds_bucket{le=\"%g\"} %llu\n", 0.0001 * (double)(1u << i),
                     (unsigned long long)sum);
    }
    buf_addf(out,
             "busbar_commit_seconds_bucket{le=\"+Inf\"} %llu\nbusbar_commit_seconds_sum %.6f\n"
             "busbar_commit_seconds_count %llu\n",
             (unsigned long long)sum, (double)s.commit_ns_total / 1e9, (unsigned long long)sum);
    struct publisher_state log = publisher_state(call->hub->publisher);
    buf_addf(out,
             "# HELP busbar_log_leaves Leaves of the transparency log.\n# TYPE busbar_log_leaves gauge\n"
             "busbar_log_leaves{state=\"committed\"} %llu\nbusbar_log_leaves{state=\"published\"} %llu\n"
             "# TYPE busbar_log_refused gauge\nbusbar_log_refused %d\n",
             (unsigned long long)log.committed, (unsigned long long)log.published, log.refused);
    witness_metrics(call);
    add_chip_metrics(out, core);
    return 0;
}

/* ---- backup ---- */

struct backup {
    char path[FS_PATH_MAX];
    bool blobs; /* what jobs brought and left is wanted too */
    /* Of one tenant's. */
    char from[FS_PATH_MAX], to[FS_PATH_MAX];
    uint64_t files, bytes;
    int rc;
    struct err err;
};

static int backup_parse(struct api_call *call)
{
    static const char *const members[] = {"path", "blobs", NULL};
    struct backup *b = calloc(1, sizeof *b);
    if (!b)
        return ERR_NO_MEMORY;
    call->data = b;
    yyjson_val *blobs = body_member(call, "blobs");
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_text(call, "path", true, b->path, sizeof b->path);
    if (rc == 0 && b->path[0] != '/')
        rc = err_set(&call->err, ERR_INVALID, "path: must be absolute");
    if (rc == 0 && blobs && !yyjson_is_bool(blobs))
        rc = err_set(&call->err, ERR_INVALID, "blobs: must be true or false");
    b->blobs = yyjson_is_true(blobs);
    return rc;
}

/* One that went meanwhile was named by nobody any more. */
static void take_blob(void *ctx, const struct blob_info *info)
{
    struct backup *b = ctx;
    char from[FS_PATH_MAX], to[FS_PATH_MAX];
    if (b->rc != 0)
        return;
    if (b->blobs) {
        int rc = blob_path(from, b->from, info->name) && blob_path(to, b->to, info->name)
                     ? fs_copy(from, to, &b->err)
                     : err_set(&b->err, ERR_INVALID, "path is too long");
        b->rc = rc == ERR_NOT_FOUND ? 0 : rc;
    }
    b->files++;
    b->bytes += info->size;
}

static int backup_tenant(struct backup *b, const char *blobs, const char *target, const char *tenant)
{
    struct uuid id;
    if (!uuid_parse(&id, tenant, strlen(tenant)))
        return 0;
    if (!fs_join(b->from, blobs, tenant) || !fs_join(b->to, target, tenant))
        return err_set(&b->err, ERR_INVALID, "path is too long");
    int rc = b->blobs ? fs_mkdirs(b->to, 0700, &b->err) : 0;
    if (rc == 0)
        rc = blob_each(b->from, take_blob, b, &b->err);
    return rc ? rc : b->rc;
}

/* Counted in any case, so that whoever left them out is told. */
static int backup_blobs(struct backup *b, const char *blobs)
{
    char target[FS_PATH_MAX];
    const struct dirent *entry;
    int rc = 0;
    if (!fs_join(target, b->path, "blobs"))
        return err_set(&b->err, ERR_INVALID, "path is too long");
    DIR *tenants = blobs ? opendir(blobs) : NULL;
    while (tenants && rc == 0 && (entry = readdir(tenants)) != NULL)
        rc = backup_tenant(b, blobs, target, entry->d_name);
    if (tenants)
        (void)closedir(tenants);
    return rc;
}

static int backup_work(struct api_call *call)
{
    struct backup *b = call->data;
    const char *target = b->path;
    char database[FS_PATH_MAX], from[FS_PATH_MAX], to[FS_PATH_MAX];
    struct store *store = runtime_store(call->hub->runtime);
    char jobs[FS_PATH_MAX];
    if (!fs_join(database, target, "busbar.db") || !fs_join(from, call->hub->data_dir, "models") ||
        !fs_join(to, target, "models") || !fs_join(jobs, target, "jobs"))
        return err_set(&call->err, ERR_INVALID, "path is too long");
    if (mkdir(target, 0700) < 0)
        return err_set(&call->err, errno == EEXIST ? ERR_EXISTS : ERR_IO, "cannot create %s: %s", target,
                       strerror(errno));
    int rc = store->ops->backup(store, database, &call->err);
    if (rc == 0)
        rc = fs_copy_folder(from, to, ".gguf", &call->err);
    /* After the database: a job that is in it has its file, and what it brings along. */
    if (rc == 0 && call->hub->specs_dir)
        rc = fs_copy_folder(call->hub->specs_dir, jobs, ".json", &call->err);
    if (rc == 0 && fs_join(from, call->hub->data_dir, WEBHOOK_KEY) && fs_join(to, target, WEBHOOK_KEY) &&
        fs_exists(from))
        rc = fs_copy(from, to, &call->err);
    if (rc == 0 && (rc = backup_blobs(b, call->hub->blobs_dir)) != 0)
        call->err = b->err;
    /* The marker comes last: a folder without it is not a whole backup, and restore refuses it. */
    char marker[FS_PATH_MAX];
    static const char text[] = "busbar backup 1\n";
    if (rc == 0 && fs_join(marker, target, "BACKUP"))
        rc = fs_write_atomic(marker, text, sizeof text - 1, 0600, &call->err);
    buf_add_text(&call->out, "{\"path\":");
    buf_add_json(&call->out, target, strlen(target));
    buf_addf(&call->out, ",\"blobs\":{\"included\":%s,\"files\":%llu,\"bytes\":%llu}}",
             b->blobs ? "true" : "false", (unsigned long long)b->files, (unsigned long long)b->bytes);
    return rc;
}

const struct api_handler api_healthz = {.parse = healthz_parse};
const struct api_handler api_readyz = {.parse = readyz_parse};
const struct api_handler api_status = {.finish = status_finish};
const struct api_handler api_metrics = {.type = "text/plain; version=0.0.4", .finish = metrics_finish};
const struct api_handler api_backup = {.parse = backup_parse, .work = backup_work};
