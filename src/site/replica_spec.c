/* SPDX-License-Identifier: Apache-2.0 */
/* What a replica asks of the site's engine, as a job. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/workdir.h"
#include "site/replica_parts.h"

/* What a sandbox has to see of the node: the program and what came with it, the model server, the weights. */
static int add_binds(const struct unit *u, struct job_spec *spec)
{
    const struct engine_config *engine = u->jobs->config.engine;
    char share[FS_PATH_MAX];
    const char *const sources[] = {u->order.location, u->jobs->program, fs_share(share) ? share : "",
                                   getenv("BUSBAR_ENGINE_PATH")};
    uint32_t own = sizeof sources / sizeof sources[0];
    spec->binds = calloc((size_t)own + engine->binds_count, sizeof *spec->binds);
    for (uint32_t i = 0; spec->binds && i < own + engine->binds_count && i < JOB_BINDS_MAX; i++) {
        const char *source = i < own ? sources[i] : engine->binds[i - own];
        if (!source || source[0] != '/' || strchr(source, ':')) /* several folders: in `binds` */
            continue;
        struct job_bind *bind = &spec->binds[spec->binds_count++];
        *bind = (struct job_bind){.source = strdup(source), .may_lack = true};
        if (!bind->source)
            return ERR_NO_MEMORY;
    }
    return spec->binds ? 0 : ERR_NO_MEMORY;
}

static int add_chips(const struct unit *u, struct job_spec *spec)
{
    const struct engine_config *engine = u->jobs->config.engine;
    const char *kind = u->order.chip[0] ? u->order.chip : engine->chips_count ? engine->chips[0].chip : NULL;
    if (!kind)
        return 0;
    spec->chips = calloc(1, sizeof *spec->chips);
    if (!spec->chips || !(spec->chips->kind = strdup(kind)))
        return ERR_NO_MEMORY;
    spec->chips->count = u->order.chips ? u->order.chips : 1;
    spec->chips_count = 1;
    return 0;
}

int unit_spec(const struct unit *u, struct job_spec *spec)
{
    const struct replica_jobs *jobs = u->jobs;
    char dir[FS_PATH_MAX], folder[FS_PATH_MAX], env[FS_PATH_MAX + 32];
    const char *engines = getenv("BUSBAR_ENGINE_PATH");
    workdir_path(dir, jobs->engine_config.work, &u->id);
    workdir_file(folder, dir, "work");
    const char *const argv[] = {jobs->program, "shim", "--serve", folder};
    *spec = (struct job_spec){.version = 1,
                              .job = u->id.job,
                              .epoch = u->id.epoch,
                              .name = strdup(u->order.model),
                              .argv = calloc(sizeof argv / sizeof argv[0], sizeof(char *)),
                              .env = calloc(1, sizeof(char *)),
                              .cpus = jobs->config.threads,
                              .grace_ms = UNIT_GRACE_MS,
                              .network = true,
                              .longest = true};
    if (!spec->name || !spec->argv || !spec->env)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < sizeof argv / sizeof argv[0]; i++) {
        spec->argv[spec->argv_count] = strdup(argv[i]);
        if (!spec->argv[spec->argv_count++])
            return ERR_NO_MEMORY;
    }
    (void)snprintf(env, sizeof env, "BUSBAR_ENGINE_PATH=%s", engines ? engines : "");
    if (engines && !(spec->env[spec->env_count++] = strdup(env)))
        return ERR_NO_MEMORY;
    int rc = add_chips(u, spec);
    return rc ? rc : add_binds(u, spec);
}
