/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/slurm_jobs.h"

#define STOP_MARGIN_MS 30000 /* past its grace time, scancel helps */

/* ---- calls ---- */

/* Jobs that are here already are left to what the queue says of them. */
static bool is_new(struct slurm *s, const struct job_spec *spec)
{
    struct engine_status status = {.id = {spec->job, spec->epoch}};
    enum claim claim;
    folder_status(s->config->work, &status, &claim);
    form_free(&job_exit_table, &status.exit);
    return status.state == ENGINE_UNKNOWN || (status.state == ENGINE_PENDING && !slurm_find(s, &status.id));
}

static int slurm_submit(void *self, struct engine_call *c)
{
    struct slurm *s = self;
    struct err ignored = {0};
    uint32_t most = 1, fresh = 0;
    (void)slurm_tools_settle(&s->tools, &ignored);
    if (s->tools.settings.array_max > 1)
        most = s->tools.settings.array_max - 1;
    for (uint32_t i = 0; i < c->n;) {
        uint32_t n = 0;
        while (n < most && i + n < c->n && is_new(s, &c->specs[i + n]) &&
               (n == 0 || slurm_alike(&c->specs[i], &c->specs[i + n])) &&
               slurm_complete(s, &c->specs[i + n], &c->err) == 0)
            n++;
        if (c->err.code != 0)
            return c->err.code;
        int rc = n ? slurm_submit_batch(s, &c->specs[i], n, c->lease_ms, &c->err) : 0;
        if (rc != 0)
            return rc;
        fresh += n;
        i += n ? n : 1;
    }
    if (fresh < c->n) /* one that was tried before: is it there? */
        slurm_refresh(s);
    for (uint32_t i = 0; i < c->n; i++) {
        struct job_id id = {c->specs[i].job, c->specs[i].epoch};
        struct engine_status *status = folder_status_add(c, &id);
        if (!status)
            return c->err.code;
        if (fresh < c->n) {
            slurm_judge(s, status);
            continue;
        }
        enum claim claim;
        folder_status(s->config->work, status, &claim);
    }
    return 0;
}

static int slurm_cancel_call(void *self, struct engine_call *c)
{
    struct slurm *s = self;
    bool revoked, any = false;
    for (uint32_t i = 0; i < c->n; i++) {
        struct tracked *t = slurm_find(s, &c->ids[i]);
        int rc = folder_stop(s->config->work, &c->ids[i], &c->stop, &revoked, &c->err);
        if (rc != 0)
            return rc;
        if (t)
            t->stop_ms = clock_boot_ms() + c->stop.grace_ms + STOP_MARGIN_MS;
        any = any || revoked;
    }
    if (any) { /* what waits in the queue would only come to find itself cancelled */
        slurm_refresh(s);
        slurm_sweep(s);
    }
    return 0;
}

static int slurm_inventory(void *self, struct engine_call *c)
{
    struct slurm *s = self;
    if (s->n > 0) { /* nobody may be asking for jobs: what is there in vain goes all the same */
        slurm_refresh(s);
        slurm_sweep(s);
    }
    int rc = slurm_tools_settle(&s->tools, &c->err);
    c->inventory.isolation = s->config->isolation ? s->config->isolation - 1 : ISOLATION_PROCESS;
    (void)snprintf(c->inventory.version, sizeof c->inventory.version, "%s", s->tools.settings.version);
    return rc ? rc : slurm_nodes(&s->tools, &c->inventory, &c->err);
}

/* ---- the whole ---- */

static void slurm_close(void *self)
{
    struct slurm *s = self;
    slurm_rows_free(&s->rows);
    free(s->slots);
    free(s->jobs);
    free(s);
}

/* A controller that does not answer now is no reason not to start: jobs are in their folders. */
static int slurm_open(void **self, const struct engine_config *config, struct err *err)
{
    struct slurm *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->config = config;
    workdir_boot(s->boot);
    int rc = fs_mkdirs(config->work, 0750, err);
    if (rc == 0)
        rc = slurm_tools_open(&s->tools, config, err);
    if (rc == 0)
        rc = workdir_each(config->work, slurm_find_mark, s, err);
    if (rc != 0) {
        slurm_close(s);
        return rc;
    }
    log_info("engine", "kind=slurm jobs=%u", s->n);
    *self = s;
    return 0;
}

static void refresh(void *self)
{
    slurm_refresh(self);
}

static void judge(void *self, struct engine_status *status)
{
    slurm_judge(self, status);
}

static void sweep(void *self)
{
    slurm_sweep(self);
}

const struct engine_ops engine_slurm = {.name = "slurm",
                                        .open = slurm_open,
                                        .close = slurm_close,
                                        .submit = slurm_submit,
                                        .cancel = slurm_cancel_call,
                                        .inventory = slurm_inventory,
                                        .refresh = refresh,
                                        .judge = judge,
                                        .sweep = sweep};
