/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local: jobs on this machine, each under a shim of its own.
 *
 * Who has which chips is known from the folders of the jobs that have not ended; it is kept in memory while the engine
 * lives and read again when it is started. A chip is free once its job's exit record is there or nobody holds its
 * claim, which is when nothing of the job runs any more. Replicas of models that run here as processes hold theirs in the same
 * list (ENGINE_HOLD), so that no chip is a job's and a replica's at once; they end with the agent, and have no folder.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/cgroup.h"
#include "engine/folder.h"
#include "engine/jobenv.h"
#include "engine/sandbox.h"
#include "engine/spawn.h"

#define START_LIMIT_MS 30000
#define LOST_GRACE_MS 5000 /* of a job whose chip is gone: what it can still write */

struct live {
    struct job_id id;
    struct job_spec spec; /* its chips say which */
    bool held;            /* by no job of ours */
};

struct local {
    const struct engine_config *config;
    char program[FS_PATH_MAX];
    char group[FS_PATH_MAX]; /* parent of control groups; empty: none */
    char boot[64];
    enum isolation isolation;
    struct err missing;
    struct live *live;
    uint32_t live_count, live_cap;
    struct engine_fault *faults; /* chips that are out of use */
    uint32_t faults_count;
};

/* ---- who has what ---- */

static int live_room(struct local *l, struct err *err)
{
    if (l->live_count == l->live_cap) {
        uint32_t cap = l->live_cap ? l->live_cap * 2 : 64;
        struct live *more = realloc(l->live, cap * sizeof *more);
        if (!more)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        l->live = more;
        l->live_cap = cap;
    }
    return 0;
}

static int live_add(struct local *l, const struct job_id *id, struct err *err)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    int rc = live_room(l, err);
    if (rc != 0)
        return rc;
    struct live *live = &l->live[l->live_count];
    live->held = false;
    workdir_path(dir, l->config->work, id);
    workdir_file(path, dir, "spec");
    rc = job_spec_load(&live->spec, path, err);
    if (rc != 0)
        return rc;
    live->id = *id;
    l->live_count++;
    return 0;
}

static bool has_ended(struct local *l, const struct job_id *id)
{
    struct engine_status status = {.id = *id};
    enum claim claim;
    folder_status(l->config->work, &status, &claim);
    bool ended = status.state == ENGINE_ENDED || status.state == ENGINE_UNKNOWN || claim == CLAIM_ABANDONED;
    form_free(&job_exit_table, &status.exit);
    return ended;
}

static void live_refresh(struct local *l)
{
    for (uint32_t i = 0; i < l->live_count;) {
        if (l->live[i].held || !has_ended(l, &l->live[i].id)) {
            i++;
            continue;
        }
        job_spec_free(&l->live[i].spec);
        l->live[i] = l->live[--l->live_count];
    }
}

static int start_shim(const struct local *l, const char *dir, struct err *err);

static int find_live(void *ctx, const struct job_id *id, const char *dir)
{
    struct local *l = ctx;
    struct err err = {0};
    if (has_ended(l, id))
        return 0;
    /* Written by an engine that was gone before it could start it. */
    if (workdir_claimed(dir) == CLAIM_NONE && start_shim(l, dir, &err) != 0)
        log_warn("job", "cannot start %s: %s", dir, err.msg);
    if (live_add(l, id, &err) != 0) /* one that cannot be read must not keep the others from being found */
        log_warn("job", "cannot read: %s", err.msg);
    return 0;
}

static uint32_t chips_of(const struct engine_chips *c)
{
    return c->indices_count ? c->indices_count : c->cores_count ? c->cores_count : c->count;
}

static uint32_t index_of(const struct engine_chips *c, uint32_t i)
{
    return c->indices_count ? c->indices[i] : i;
}

static bool has_chip(const struct job_spec *s, const char *kind, uint32_t index)
{
    for (uint32_t k = 0; k < s->chips_count; k++) {
        for (uint32_t n = 0; strcmp(s->chips[k].kind, kind) == 0 && n < s->chips[k].index_count; n++) {
            if (s->chips[k].index[n] == index)
                return true;
        }
    }
    return false;
}

/* The first fault of the kind, or of that chip of it; NULL. */
static const struct engine_fault *fault_of(const struct local *l, const char *kind, int64_t index)
{
    for (uint32_t i = 0; i < l->faults_count; i++) {
        if (strcmp(l->faults[i].kind, kind) == 0 && (index < 0 || l->faults[i].index == index))
            return &l->faults[i];
    }
    return NULL;
}

static bool taken(const struct local *l, const char *kind, uint32_t index)
{
    if (fault_of(l, kind, index))
        return true;
    for (uint32_t i = 0; i < l->live_count; i++) {
        if (has_chip(&l->live[i].spec, kind, index))
            return true;
    }
    return false;
}

/* ---- giving chips ---- */

static int give_cores(const struct engine_chips *pool, struct job_chips *c, struct err *err)
{
    uint32_t n = 0;
    free(c->cores);
    c->cores_count = 0;
    c->cores = calloc(JOB_CORES_MAX + 1, sizeof *c->cores);
    if (!c->cores)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < c->index_count; i++)
        n += engine_cores_parse(pool->cores[c->index[i]], c->cores + n, JOB_CORES_MAX - n);
    c->cores_count = n;
    return 0;
}

static int give(struct local *l, struct job_chips *c, struct err *err)
{
    const struct engine_chips *pool = engine_config_chips(l->config, c->kind);
    uint32_t all = pool ? chips_of(pool) : 0, n = 0, index[JOB_INDICES_MAX];
    if (!pool)
        return err_set(err, ERR_NOT_FOUND, "this site has no %s", c->kind);
    for (uint32_t i = 0; i < all && n < c->count; i++) {
        if (!taken(l, c->kind, index_of(pool, i)))
            index[n++] = index_of(pool, i);
    }
    if (n < c->count)
        return err_set(err, ERR_IN_USE, "%u %s are free, of %u; %u are asked for", n, c->kind, all, c->count);
    free(c->index);
    c->index_count = 0;
    c->index = calloc((size_t)n + 1, sizeof *c->index);
    if (!c->index)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    memcpy(c->index, index, n * sizeof *index);
    c->index_count = n;
    int rc = chipset_fill(l->config->chipset, c, err);
    return rc == 0 && pool->cores_count ? give_cores(pool, c, err) : rc;
}

static int add_binds(const struct engine_config *config, struct job_spec *s, struct err *err)
{
    uint32_t n = s->binds_count;
    struct job_bind *binds = realloc(s->binds, (n + config->binds_count + 1) * sizeof *binds);
    if (!binds)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->binds = binds;
    for (unsigned i = 0; i < config->binds_count && s->binds_count < JOB_BINDS_MAX; i++) {
        binds[s->binds_count] = (struct job_bind){.source = strdup(config->binds[i]), .may_lack = true};
        if (!binds[s->binds_count++].source)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    return 0;
}

/* What the engine says in a specification: isolation, chips, binds. */
static int complete(struct local *l, struct job_spec *s, struct err *err)
{
    if (s->nodes > 1)
        return err_set(err, ERR_UNSUPPORTED, "this site is one machine; the job asks for %u nodes", s->nodes);
    if (s->isolation > l->isolation)
        return err_set(err, ERR_UNSUPPORTED, "this site isolates by `%s`, the job demands `%s`: %.120s",
                       isolation_text(l->isolation), isolation_text((enum isolation)s->isolation),
                       l->missing.msg);
    s->isolation = l->isolation;
    s->confined = true;
    for (uint32_t i = 0; i < s->chips_count; i++) {
        const struct engine_fault *fault = fault_of(l, s->chips[i].kind, -1);
        if (fault) /* the hub did not know yet */
            return err_set(err, ERR_UNSUPPORTED, "%s is out of use here: %s", fault->kind, fault->why);
        int rc = give(l, &s->chips[i], err);
        if (rc != 0)
            return rc;
    }
    return add_binds(l->config, s, err);
}

/* ---- calls ---- */

static int start_shim(const struct local *l, const char *dir, struct err *err)
{
    char group[FS_PATH_MAX + 16];
    struct spawn_result result;
    const char *const argv[] = {l->program, "shim", "--detach", dir, NULL};
    const char *env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", l->group[0] ? group : NULL, NULL};
    (void)snprintf(group, sizeof group, "BUSBAR_CGROUP=%s", l->group);
    const struct spawn_order order = {.argv = argv, .env = env, .limit_ms = START_LIMIT_MS};
    int rc = spawn_run(&order, &result, err);
    if (rc == 0 && result.status != 0)
        rc = err_set(err, ERR_IO, "%.200s",
                     result.err.len ? result.err.data : "the shim could not be started");
    spawn_result_fini(&result);
    return rc;
}

static int submit_one(struct local *l, struct job_spec *spec, uint64_t lease_ms, struct err *err)
{
    struct job_id id = {spec->job, spec->epoch};
    struct engine_status status = {.id = id};
    struct job_lease lease;
    char dir[FS_PATH_MAX];
    enum claim claim;
    bool fresh = false;
    folder_status(l->config->work, &status, &claim);
    form_free(&job_exit_table, &status.exit);
    if (status.state == ENGINE_RUNNING || status.state == ENGINE_ENDED)
        return 0;
    if (status.state == ENGINE_UNKNOWN) {
        live_refresh(l);
        bool leased = folder_lease(&lease, l->boot, 1, spec->finish ? 0 : lease_ms);
        int rc = complete(l, spec, err);
        if (rc != 0 ||
            (rc = workdir_prepare(l->config->work, spec, leased ? &lease : NULL, &fresh, err)) != 0 ||
            (rc = live_add(l, &id, err)) != 0)
            return rc;
    }
    workdir_path(dir, l->config->work, &id);
    return start_shim(l, dir, err);
}

static void local_judge(void *self, struct engine_status *status)
{
    const struct local *l = self;
    struct err err = {0};
    enum claim claim;
    folder_status(l->config->work, status, &claim);
    if (status->state == ENGINE_RUNNING && claim == CLAIM_ABANDONED &&
        folder_lost(l->config->work, status, JOB_END_LOST,
                    "its shim was killed; usage is known up to its last line", &err) != 0)
        log_warn("job", "cannot record a lost job: %s", err.msg);
    if (status->state == ENGINE_PENDING)
        (void)snprintf(status->reason, sizeof status->reason, "its shim is being started");
}

static int local_submit(void *self, struct engine_call *c)
{
    struct local *l = self;
    for (uint32_t i = 0; i < c->n; i++) {
        struct job_id id = {c->specs[i].job, c->specs[i].epoch};
        int rc = submit_one(l, &c->specs[i], c->lease_ms, &c->err);
        struct engine_status *status = rc == 0 ? folder_status_add(c, &id) : NULL;
        if (!status)
            return c->err.code;
        local_judge(l, status);
    }
    return 0;
}

static int local_cancel(void *self, struct engine_call *c)
{
    struct local *l = self;
    bool revoked;
    for (uint32_t i = 0; i < c->n; i++) {
        int rc = folder_stop(l->config->work, &c->ids[i], &c->stop, &revoked, &c->err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int local_hold(void *self, struct engine_call *c)
{
    struct local *l = self;
    struct job_spec *spec = &c->specs[0];
    live_refresh(l);
    int rc = live_room(l, &c->err);
    for (uint32_t i = 0; i < spec->chips_count && rc == 0; i++)
        rc = give(l, &spec->chips[i], &c->err);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < spec->chips_count; i++)
        jobenv_visible(&c->bytes, &spec->chips[i], false);
    l->live[l->live_count++] = (struct live){.id = {spec->job, spec->epoch}, .spec = *spec, .held = true};
    *spec = (struct job_spec){0};
    return 0;
}

static void local_let_go(void *self, struct engine_call *c)
{
    struct local *l = self;
    for (uint32_t i = 0; i < l->live_count;) {
        bool gone = false;
        for (uint32_t k = 0; k < c->n; k++)
            gone = gone || (l->live[i].held && l->live[i].id.epoch == c->ids[k].epoch &&
                            uuid_eq(&l->live[i].id.job, &c->ids[k].job));
        if (!gone) {
            i++;
            continue;
        }
        job_spec_free(&l->live[i].spec);
        l->live[i] = l->live[--l->live_count];
    }
}

/* A replica's process finds out by itself, and is given other chips when it is started again. */
static void stop_lost(struct local *l)
{
    const struct job_stop stop = {.end = JOB_END_LOST, .grace_ms = LOST_GRACE_MS};
    bool revoked;
    live_refresh(l);
    for (uint32_t i = 0; i < l->live_count; i++) {
        bool lost = false;
        for (uint32_t k = 0; k < l->faults_count && !l->live[i].held; k++)
            lost = lost || (l->faults[k].index >= 0 &&
                            has_chip(&l->live[i].spec, l->faults[k].kind, (uint32_t)l->faults[k].index));
        struct err err = {0};
        if (lost && folder_stop(l->config->work, &l->live[i].id, &stop, &revoked, &err) != 0)
            log_warn("job", "its chip is gone, and it cannot be stopped: %s", err.msg);
    }
}

static int local_mark(void *self, struct engine_call *c)
{
    struct local *l = self;
    free(l->faults);
    l->faults = c->faults;
    l->faults_count = c->faults_count;
    c->faults = NULL;
    if (c->stop_work)
        stop_lost(l);
    return 0;
}

static int local_inventory(void *self, struct engine_call *c)
{
    struct local *l = self;
    struct engine_inventory *inv = &c->inventory;
    char host[NAME_CAP] = "";
    inv->isolation = l->isolation;
    (void)snprintf(inv->version, sizeof inv->version, "%s", BUSBAR_VERSION); /* it is in this program */
    (void)snprintf(inv->missing, sizeof inv->missing, "%.*s", TEXT_CAP - 1, l->missing.msg);
    (void)gethostname(host, sizeof host - 1);
    live_refresh(l);
    inv->nodes = calloc(l->config->chips_count + 1, sizeof *inv->nodes);
    if (!inv->nodes)
        return err_set(&c->err, ERR_NO_MEMORY, "out of memory");
    for (unsigned i = 0; i < l->config->chips_count; i++) {
        const struct engine_chips *pool = &l->config->chips[i];
        struct engine_node *node = &inv->nodes[inv->nodes_count++];
        *node = (struct engine_node){
            .chips = chips_of(pool),
            .cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN),
            .memory_mib = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20};
        (void)snprintf(node->name, sizeof node->name, "%s", host);
        (void)snprintf(node->chip, sizeof node->chip, "%.*s", CHIP_CAP - 1, pool->chip);
        const struct engine_fault *fault = fault_of(l, pool->chip, -1);
        node->up = !fault;
        if (fault)
            memcpy(node->reason, fault->why, sizeof node->reason);
        for (uint32_t k = 0; k < node->chips; k++)
            node->used += taken(l, pool->chip, index_of(pool, k));
    }
    return 0;
}

/* ---- the whole ---- */

static void local_close(void *self)
{
    struct local *l = self;
    for (uint32_t i = 0; i < l->live_count; i++)
        job_spec_free(&l->live[i].spec);
    free(l->live);
    free(l->faults);
    free(l);
}

static int local_open(void **self, const struct engine_config *config, struct err *err)
{
    struct local *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    l->config = config;
    workdir_boot(l->boot);
    int rc = fs_mkdirs(config->work, 0750, err);
    if (rc == 0 && config->program)
        (void)snprintf(l->program, sizeof l->program, "%s", config->program);
    else if (rc == 0 && !fs_self(l->program))
        rc = err_set(err, ERR_NOT_FOUND, "the program's own path is not known");
    if (config->cgroup)
        (void)snprintf(l->group, sizeof l->group, "%s", config->cgroup);
    else if (!cgroup_own(l->group))
        l->group[0] = 0;
    if (rc == 0)
        rc = workdir_each(config->work, find_live, l, err);
    if (rc != 0) {
        local_close(l);
        return rc;
    }
    l->isolation = sandbox_probe(l->group[0] ? l->group : NULL, &l->missing);
    if (config->isolation && config->isolation - 1 < l->isolation) {
        l->isolation = (enum isolation)(config->isolation - 1);
        err_set(&l->missing, ERR_UNSUPPORTED, "the site's configuration allows no more");
    }
    log_info("engine", "kind=local isolation=%s live=%u missing=\"%s\"", isolation_text(l->isolation),
             l->live_count, l->missing.msg);
    *self = l;
    return 0;
}

const struct engine_ops engine_local = {.name = "local",
                                        .open = local_open,
                                        .close = local_close,
                                        .submit = local_submit,
                                        .cancel = local_cancel,
                                        .inventory = local_inventory,
                                        .hold = local_hold,
                                        .let_go = local_let_go,
                                        .mark = local_mark,
                                        .judge = local_judge};
