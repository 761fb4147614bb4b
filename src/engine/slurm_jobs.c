/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/slurm_jobs.h"

#define BATCHES ".batches" /* in the work folder: which folders an array's tasks have */

/* What is written to the folder before Slurm is asked. */
struct mark {
    char *name;
    uint32_t task; /* in an array, from 1; 0: none */
};

static const struct form_field mark_fields[] = {
    {.key = "name",
     .type = FORM_TEXT,
     .at = offsetof(struct mark, name),
     .max = SLURM_NAME_CAP - 1,
     .required = true},
    {.key = "task", .type = FORM_U32, .at = offsetof(struct mark, task)},
};
static const struct form_table mark_table = {mark_fields, 2, sizeof(struct mark)};

/* ---- what is tracked ---- */

static bool same_id(const void *table, uint32_t index, const void *key, size_t len)
{
    const struct slurm *s = table;
    return memcmp(&s->jobs[index].id, key, len) == 0;
}

struct tracked *slurm_find(struct slurm *s, const struct job_id *id)
{
    uint32_t i = s->slots ? map_get(&s->index, id, sizeof *id) : MAP_NONE;
    return i == MAP_NONE ? NULL : &s->jobs[i];
}

/* Room for one more; the map is made anew, as it cannot grow. */
static bool grow(struct slurm *s)
{
    uint32_t cap = s->cap ? s->cap * 2 : 64;
    if (s->n < s->cap)
        return true;
    struct tracked *more = realloc(s->jobs, cap * sizeof *more);
    s->jobs = more ? more : s->jobs;
    struct map_slot *slots = more ? calloc(map_slots(cap), sizeof *slots) : NULL;
    if (!slots)
        return false;
    free(s->slots);
    s->slots = slots;
    s->cap = cap;
    map_init(&s->index, slots, map_slots(cap), 0, same_id, s);
    for (uint32_t i = 0; i < s->n; i++)
        map_put(&s->index, &s->jobs[i].id, sizeof s->jobs[i].id, i);
    return true;
}

static struct tracked *track(struct slurm *s, const struct job_id *id, const char *name, uint32_t task)
{
    struct tracked *t = slurm_find(s, id);
    if (!t && !grow(s))
        return NULL;
    if (!t) {
        t = &s->jobs[s->n];
        *t = (struct tracked){.id = *id};
        map_put(&s->index, id, sizeof *id, s->n++);
    }
    *t = (struct tracked){.id = *id, .task = task, .changed_ms = clock_boot_ms()};
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    return t;
}

void slurm_drop(struct slurm *s, struct tracked *t)
{
    uint32_t i = (uint32_t)(t - s->jobs), last = s->n - 1;
    (void)map_remove(&s->index, &t->id, sizeof t->id);
    if (i != last) {
        (void)map_remove(&s->index, &s->jobs[last].id, sizeof t->id);
        s->jobs[i] = s->jobs[last];
        map_put(&s->index, &s->jobs[i].id, sizeof t->id, i);
    }
    s->n--;
}

int slurm_find_mark(void *ctx, const struct job_id *id, const char *dir)
{
    struct slurm *s = ctx;
    struct mark mark;
    char path[FS_PATH_MAX];
    workdir_file(path, dir, "slurm");
    if (form_load(&mark_table, path, &mark, NULL) == 0)
        (void)track(s, id, mark.name, mark.task ? mark.task - 1 : SLURM_NO_TASK);
    form_free(&mark_table, &mark);
    return 0;
}

void slurm_refresh(struct slurm *s)
{
    struct err err = {0};
    slurm_rows_free(&s->rows);
    s->silence[0] = 0;
    s->rows_good = slurm_tools_settle(&s->tools, &err) == 0 && slurm_queue(&s->tools, &s->rows, &err) == 0;
    if (!s->rows_good)
        (void)snprintf(s->silence, sizeof s->silence, "Slurm does not answer: %.90s", err.msg);
}

/* ---- submitting ---- */

static void batch_path(const struct slurm *s, char dst[FS_PATH_MAX], const char *name)
{
    char folder[FS_PATH_MAX];
    workdir_file(folder, s->config->work, BATCHES);
    workdir_file(dst, folder, name);
}

/* Chips as the nodes have them: which ones a job gets, Slurm says on the node. */
int slurm_complete(const struct slurm *s, struct job_spec *spec, struct err *err)
{
    static const uint32_t any[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                     16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
    enum isolation site = s->config->isolation ? s->config->isolation - 1 : ISOLATION_PROCESS;
    if (spec->isolation > site)
        return err_set(err, ERR_UNSUPPORTED, "this site isolates by `%s`, the job demands `%s`",
                       isolation_text(site), isolation_text((enum isolation)spec->isolation));
    spec->isolation = site;
    for (uint32_t i = 0; i < spec->chips_count; i++) {
        struct job_chips *c = &spec->chips[i];
        if (!engine_config_chips(s->config, c->kind))
            return err_set(err, ERR_NOT_FOUND, "this site has no %s", c->kind);
        free(c->index);
        c->index_count = site >= ISOLATION_NAMESPACE ? 32 : 0;
        c->index = (uint32_t *)(uintptr_t)any; /* for the names of devices only */
        int rc = chipset_fill(s->config->chipset, c, err);
        c->index = NULL;
        c->index_count = 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int mark(struct slurm *s, const struct job_id *id, const char *name, uint32_t task, struct err *err)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    struct tracked *t = track(s, id, name, task);
    if (!t)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    const struct mark mark = {.name = t->name, .task = task == SLURM_NO_TASK ? 0 : task + 1};
    t->submitted_ms = clock_boot_ms();
    workdir_path(dir, s->config->work, id);
    workdir_file(path, dir, "slurm");
    return form_save(&mark_table, path, &mark, err);
}

static bool text_same(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

bool slurm_alike(const struct job_spec *a, const struct job_spec *b)
{
    if (a->chips_count != b->chips_count || a->cpus != b->cpus || a->memory_mib != b->memory_mib ||
        a->nodes != b->nodes || a->time_limit_ms != b->time_limit_ms || a->grace_ms != b->grace_ms ||
        a->array_limit != b->array_limit || !text_same(a->account, b->account) ||
        !text_same(a->partition, b->partition))
        return false;
    for (uint32_t i = 0; i < a->chips_count; i++) {
        if (strcmp(a->chips[i].kind, b->chips[i].kind) != 0 || a->chips[i].count != b->chips[i].count)
            return false;
    }
    return true;
}

/* Jobs that Slurm will not have: they end here, with its words. */
static void refuse(struct slurm *s, const struct job_spec *specs, uint32_t n, const char *words)
{
    for (uint32_t i = 0; i < n; i++) {
        struct job_id id = {specs[i].job, specs[i].epoch};
        char dir[FS_PATH_MAX];
        struct err err = {0};
        workdir_path(dir, s->config->work, &id);
        if (workdir_revoke(dir, JOB_END_NOT_STARTED, words, &err) != 0 && err.code != 0)
            log_warn("job", "cannot record a refusal: %s", err.msg);
    }
}

static int write_map(struct slurm *s, const char *path, const struct job_spec *specs, uint32_t n,
                     struct err *err)
{
    struct buf map;
    char folder[FS_PATH_MAX], dir[FS_PATH_MAX];
    workdir_file(folder, s->config->work, BATCHES);
    buf_init(&map, (size_t)16 << 20);
    for (uint32_t i = 0; i < n; i++) {
        struct job_id id = {specs[i].job, specs[i].epoch};
        workdir_path(dir, s->config->work, &id);
        buf_addf(&map, "%s\n", dir);
    }
    int rc = fs_mkdirs(folder, 0750, err);
    if (rc == 0 && map.failed)
        rc = err_set(err, ERR_LIMIT, "too many jobs in one array");
    if (rc == 0)
        rc = fs_write_atomic(path, map.data, map.len, 0640, err);
    buf_fini(&map);
    return rc;
}

int slurm_submit_batch(struct slurm *s, const struct job_spec *specs, uint32_t n, uint64_t lease_ms,
                       struct err *err)
{
    char name[SLURM_NAME_CAP], uuid[UUID_TEXT_LEN + 1], argument[FS_PATH_MAX], tasks[32];
    struct job_lease lease;
    bool fresh, array = n > 1;
    uuid_format(uuid, &specs[0].job);
    (void)snprintf(name, sizeof name, SLURM_PREFIX "%s-%u", uuid, specs[0].epoch);
    for (uint32_t i = 0; i < n; i++) {
        struct job_id id = {specs[i].job, specs[i].epoch};
        bool leased = folder_lease(&lease, s->boot, 1, specs[i].finish ? 0 : lease_ms);
        int rc = workdir_prepare(s->config->work, &specs[i], leased ? &lease : NULL, &fresh, err);
        if (rc != 0)
            return rc;
        workdir_path(argument, s->config->work, &id);
    }
    if (array)
        batch_path(s, argument, name);
    int rc = array ? write_map(s, argument, specs, n, err) : 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = mark(s, &(struct job_id){specs[i].job, specs[i].epoch}, name, array ? i : SLURM_NO_TASK, err);
    (void)snprintf(tasks, sizeof tasks, "0-%u", n - 1);
    if (rc == 0)
        rc = slurm_sbatch(&s->tools, &specs[0], name, argument, array ? tasks : NULL, err);
    if (rc == ERR_INVALID) {
        refuse(s, specs, n, err->msg);
        rc = 0;
    }
    return rc;
}

int slurm_submit_again(struct slurm *s, struct tracked *t, struct err *err)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX], argument[FS_PATH_MAX], task[16];
    struct job_spec spec;
    workdir_path(dir, s->config->work, &t->id);
    workdir_file(path, dir, "spec");
    int rc = job_spec_load(&spec, path, err);
    if (rc != 0)
        return rc;
    bool array = t->task != SLURM_NO_TASK;
    (void)snprintf(task, sizeof task, "%u", t->task);
    if (array)
        batch_path(s, argument, t->name);
    else
        (void)snprintf(argument, sizeof argument, "%s", dir);
    t->submitted_ms = clock_boot_ms();
    t->missing_ms = 0;
    log_info("job", "name=%s submitted again", t->name);
    rc = slurm_sbatch(&s->tools, &spec, t->name, argument, array ? task : NULL, err);
    if (rc == ERR_INVALID) {
        refuse(s, &spec, 1, err->msg);
        rc = 0;
    }
    job_spec_free(&spec);
    return rc;
}
