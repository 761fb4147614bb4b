/* SPDX-License-Identifier: Apache-2.0 */
#include "site/job_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool job_file_path(char dst[FS_PATH_MAX], const char *dir, const struct uuid *id)
{
    char name[UUID_TEXT_LEN + 8], text[UUID_TEXT_LEN + 1];
    uuid_format(text, id);
    (void)snprintf(name, sizeof name, "%s.json", text);
    return fs_join(dst, dir, name);
}

struct uuid job_file_array(const struct uuid *job, uint32_t *k)
{
    struct uuid array = *job;
    *k = (uint32_t)job->b[14] << 8 | job->b[15];
    array.b[14] = array.b[15] = 0;
    return array;
}

uint32_t job_file_index(const struct job_spec *spec)
{
    uint32_t k;
    (void)job_file_array(&spec->job, &k);
    return spec->array.first + k - 1;
}

/* Ours, and by the names that scripts written for Slurm know. */
static int add_env(struct job_spec *spec, const struct uuid *array)
{
    const uint32_t first = spec->array.first, last = first + spec->array.total - 1;
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, array);
    const struct {
        const char *name;
        uint32_t number;
    } numbers[] = {{"BUSBAR_ARRAY_INDEX", job_file_index(spec)},
                   {"BUSBAR_ARRAY_FIRST", first},
                   {"BUSBAR_ARRAY_LAST", last},
                   {"SLURM_ARRAY_TASK_ID", job_file_index(spec)},
                   {"SLURM_ARRAY_TASK_MIN", first},
                   {"SLURM_ARRAY_TASK_MAX", last},
                   {"SLURM_ARRAY_TASK_COUNT", spec->array.total}};
    static const char *const ids[] = {"BUSBAR_ARRAY_ID", "SLURM_ARRAY_JOB_ID"};
    const uint32_t nnumbers = sizeof numbers / sizeof numbers[0], nids = sizeof ids / sizeof ids[0];
    char **env = realloc(spec->env, (spec->env_count + nnumbers + nids) * sizeof *env);
    bool whole = env != NULL;
    if (!env)
        return ERR_NO_MEMORY;
    spec->env = env;
    for (uint32_t i = 0; whole && i < nnumbers; i++) {
        whole = asprintf(&env[spec->env_count], "%s=%u", numbers[i].name, numbers[i].number) >= 0;
        spec->env_count += whole;
    }
    for (uint32_t i = 0; whole && i < nids; i++) {
        whole = asprintf(&env[spec->env_count], "%s=%s", ids[i], id) >= 0;
        spec->env_count += whole;
    }
    return whole ? 0 : ERR_NO_MEMORY;
}

static int load(struct job_spec *spec, const char *dir, const struct uuid *id, struct err *err)
{
    char path[FS_PATH_MAX];
    return job_file_path(path, dir, id) ? job_spec_load(spec, path, err)
                                        : err_set(err, ERR_INVALID, "path is too long");
}

int job_file_load(struct job_spec *spec, const char *dir, const struct uuid *job, struct err *err)
{
    uint32_t k;
    const struct uuid array = job_file_array(job, &k);
    *spec = (struct job_spec){0};
    int rc = load(spec, dir, job, err);
    if (rc != ERR_NOT_FOUND || k == 0)
        return rc;
    rc = load(spec, dir, &array, err);
    if (rc != 0)
        return rc;
    spec->job = *job;
    rc = k <= spec->array.total ? add_env(spec, &array)
                                : err_set(err, ERR_NOT_FOUND, "the array has no task %u", k);
    if (rc != 0)
        job_spec_free(spec);
    return rc;
}

int job_file_check(const char *text, size_t len, struct err *err)
{
    struct job_spec spec;
    int rc = job_spec_parse(&spec, text, len, err);
    if (rc == 0 && spec.env_count > JOB_FILE_ENV_MAX)
        rc = err_set(err, ERR_INVALID, "env: more than %d variables", JOB_FILE_ENV_MAX);
    job_spec_free(&spec);
    return rc;
}
