/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules only tried: what a set would stop, what of that would run elsewhere, and what that waits it would leave no place, by rule. It is
 * found out on a copy (sim/trial.h), and changes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "hub/rules.h"
#include "hub/trials.h"

#define TOLD_MAX 100 /* jobs that are named */

static int parse(struct api_call *call)
{
    struct rule_file *file = calloc(1, sizeof *file);
    call->data = file;
    return file ? rule_file_read(call, true, file) : ERR_NO_MEMORY;
}

/* ---- what is told ---- */

/* A rule, and whom it stopped or leaves without a place. */
struct part {
    const char *rule, *cite;
    uint32_t stopped_jobs, stopped_replicas, waiting;
};

static bool is_stopped(const struct trial_job *job)
{
    return job->stopped && job->code == ERR_FORBIDDEN;
}

static struct part *part_of(struct part list[RULES_MAX + 1], uint32_t *n, const struct trial_job *job)
{
    uint32_t i = 0;
    while (i < *n && strcmp(list[i].rule, job->rule) != 0)
        i++;
    if (i == *n)
        list[(*n)++] = (struct part){.rule = job->rule, .cite = job->cite};
    return &list[i];
}

static void add_parts(struct buf *out, const struct trial_job *job, uint32_t n)
{
    struct part list[RULES_MAX + 1];
    uint32_t nparts = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!job[i].denied)
            continue;
        struct part *part = part_of(list, &nparts, &job[i]);
        part->stopped_jobs += is_stopped(&job[i]) && !job[i].replica;
        part->stopped_replicas += is_stopped(&job[i]) && job[i].replica;
        part->waiting += uuid_zero(&job[i].pool);
    }
    buf_add_text(out, ",\"by_rule\":[");
    for (uint32_t i = 0; i < nparts; i++) {
        buf_add_text(out, i ? ",{\"rule\":" : "{\"rule\":");
        buf_add_json(out, list[i].rule, strlen(list[i].rule));
        add_text(out, "cite", list[i].cite, RULE_TEXT_CAP);
        buf_addf(out, ",\"stopped_jobs\":%u,\"stopped_replicas\":%u,\"waiting\":%u}", list[i].stopped_jobs,
                 list[i].stopped_replicas, list[i].waiting);
    }
    buf_add_char(out, ']');
}

static void add_job(struct buf *out, const struct core *core, const struct trial_job *job)
{
    const struct row_pool *pool = view_pool(core, &job->pool);
    const struct row_site *site = pool ? view_site(core, &pool->site) : NULL;
    const struct row_tenant *tenant = view_tenant(core, &job->tenant);
    const struct row_deployment *d = view_deployment(core, &job->deployment);
    const struct row_model *model = d ? view_model(core, &d->model) : NULL;
    buf_add_char(out, '{');
    add_id(out, "job", &job->id);
    add_text(out, "tenant", tenant ? tenant->name : "", NAME_CAP);
    add_text(out, "model", model ? model->name : "", NAME_CAP);
    add_text(out, "site", site ? site->name : "", NAME_CAP);
    buf_addf(out, ",\"chips\":%u", job->chips);
    add_text(out, "now", uuid_zero(&job->pool) ? "waits" : "runs", NAME_CAP);
    add_text(out, "then",
             !job->stopped ? "waits"
             : job->again  ? "runs elsewhere"
                           : "stops and waits",
             NAME_CAP);
    add_text(out, "rule", job->rule, NAME_CAP);
    buf_add_char(out, '}');
}

static void render(struct buf *out, const struct trial *trial)
{
    uint32_t n, stopped = 0, chips = 0, again = 0, replicas = 0, waiting = 0, told = 0;
    const struct trial_job *job = trial_jobs(trial, &n);
    for (uint32_t i = 0; i < n; i++) {
        waiting += job[i].denied && uuid_zero(&job[i].pool);
        if (!is_stopped(&job[i]))
            continue;
        stopped += !job[i].replica;
        replicas += job[i].replica;
        chips += job[i].chips;
        again += job[i].again;
    }
    buf_addf(out,
             "{\"stopped_jobs\":%u,\"stopped_replicas\":%u,\"stopped_chips\":%u,\"run_elsewhere\":%u,"
             "\"waiting_without_place\":%u",
             stopped, replicas, chips, again, waiting);
    add_parts(out, job, n);
    buf_add_text(out, ",\"data\":[");
    for (uint32_t i = 0; i < n && told < TOLD_MAX; i++) {
        if (!job[i].denied || (!is_stopped(&job[i]) && !uuid_zero(&job[i].pool)))
            continue;
        buf_add_text(out, told++ ? "," : "");
        add_job(out, trial_core(trial), &job[i]);
    }
    buf_addf(out, "],\"told\":%u,\"next\":null}", told);
}

static int work(struct api_call *call)
{
    const struct rule_file *file = call->data;
    struct trial *trial;
    int rc = trials_begin(call, &trial);
    if (rc != 0)
        return rc;
    rc = trial_rules(trial, file->text, file->len);
    if (rc == 0)
        render(&call->out, trial);
    trials_end(trial);
    return rc == 0 && call->out.failed ? ERR_TOO_LARGE : rc;
}

const struct api_handler api_rules_try = {.parse = parse, .work = work};
