/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sites tell of the epochs that run there.
 *
 * A report counts only while its epoch is the one that runs: whatever the core has decided meanwhile, a report that comes late
 * or twice is refused and changes nothing. A site speaks for what runs in its own pools, and for nothing else.
 *
 * An epoch may be over and its job not: its lease ended while the site was cut off, its node failed, it could not be
 * started. Such a job comes back and runs again under the next epoch, so what the site lost is no failure of the job; but not
 * for ever, since some jobs take their nodes down with them.
 */
#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

/* The job, if it runs under this epoch and the site may speak for it; zero is the hub's own process, which may. */
static int reported(const struct core *core, const struct uuid *job, uint32_t epoch, const struct uuid *site,
                    struct job_id *out)
{
    struct job_id id = job_by_id(core, job);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    const struct job *j = &core->work.job[id.v];
    if (j->row.state != JOB_RUNNING || j->row.epoch != epoch)
        return ERR_WRONG_STATE; /* of an epoch that was stopped: it is not its turn any more */
    if (!uuid_zero(site) && !uuid_eq(site, &core->net.pool[j->pool].row.site))
        return ERR_FORBIDDEN;
    *out = id;
    return 0;
}

int step_job_end(struct core *core, const struct event *event)
{
    const struct event_job_end *e = &event->u.job_end;
    struct job_id id;
    int rc = reported(core, &e->job, e->epoch, &e->site, &id);
    if (rc != 0)
        return rc;
    habit_learn(core, &core->work.job[id.v]);
    work_end(core, id, e->code);
    return 0;
}

int step_job_return(struct core *core, const struct event *event)
{
    const struct event_job_return *e = &event->u.job_return;
    struct job_id id;
    if (e->code == 0)
        return ERR_INVALID; /* it would end as if it had done well */
    int rc = reported(core, &e->job, e->epoch, &e->site, &id);
    if (rc == 0)
        work_return(core, id, e->code);
    return rc;
}
