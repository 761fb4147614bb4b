/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/jobenv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/command.h"
#include "engine/spawn.h"

#define JOBENV_MAX (JOB_ENV_MAX + 1024)
#define HOSTNAMES_LIMIT_MS 30000
#define PORT_FIRST 29500u /* torchrun's own default */
#define PORTS 2000u

struct list_of {
    char **item;
    uint32_t n;
};

/* A later one of the same name takes the place of an earlier. */
static void put(struct list_of *env, const char *text)
{
    size_t name = strcspn(text, "=") + 1;
    char *copy = strdup(text);
    for (uint32_t i = 0; copy && i < env->n; i++) {
        if (strncmp(env->item[i], text, name) == 0) {
            free(env->item[i]);
            env->item[i] = copy;
            return;
        }
    }
    if (copy && env->n < JOBENV_MAX)
        env->item[env->n++] = copy;
    else
        free(copy);
}

__attribute__((format(printf, 2, 3))) static void putf(struct list_of *env, const char *fmt, ...)
{
    char *copy = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&copy, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    put(env, copy);
    free(copy);
}

void jobenv_visible(struct buf *out, const struct job_chips *c, bool renumbered)
{
    if (!c->visible || c->index_count == 0)
        return;
    buf_addf(out, "%s=", c->visible);
    for (uint32_t k = 0; k < c->index_count; k++)
        buf_addf(out, "%s%u", k ? "," : "", renumbered ? k : c->index[k]);
}

static void put_chips(struct list_of *env, const struct job_spec *spec)
{
    for (uint32_t i = 0; i < spec->chips_count; i++) {
        const struct job_chips *c = &spec->chips[i];
        const char *given = c->visible ? getenv(c->visible) : NULL;
        struct buf text;
        buf_init(&text, 8192);
        /* Drivers number what they find, and in a sandbox they find only the job's own. */
        bool renumbered = spec->isolation >= ISOLATION_NAMESPACE && c->devices_count > 0;
        jobenv_visible(&text, c, renumbered);
        if (text.len > 0 && !text.failed)
            putf(env, "%.*s", (int)text.len, text.data);
        else if (c->visible && given && getenv("SLURM_JOB_ID"))
            putf(env, "%s=%s", c->visible, given);
        if (i == 0)
            putf(env, "BUSBAR_CHIP=%s", c->kind);
        if (i == 0)
            putf(env, "BUSBAR_CHIPS=%u", c->count);
        buf_fini(&text);
    }
}

static void put_hosts(struct list_of *env, const struct job_gang *g)
{
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    for (uint32_t i = 0; i < g->hosts_count; i++)
        buf_addf(&text, "%s%s", i ? "," : "", g->hosts[i]);
    buf_add_char(&text, 0);
    if (!text.failed && g->hosts_count)
        putf(env, "BUSBAR_HOSTS=%s", text.data);
    buf_fini(&text);
}

static void put_gang(struct list_of *env, const struct job_gang *g)
{
    static const char *const ranks[] = {"BUSBAR_RANK", "RANK", "PET_NODE_RANK", "OMPI_COMM_WORLD_RANK",
                                        "PMI_RANK"};
    static const char *const worlds[] = {"BUSBAR_WORLD", "WORLD_SIZE", "PET_NNODES", "OMPI_COMM_WORLD_SIZE",
                                         "PMI_SIZE"};
    static const char *const addresses[] = {"BUSBAR_MASTER_ADDR", "MASTER_ADDR", "PET_MASTER_ADDR"};
    static const char *const ports[] = {"BUSBAR_MASTER_PORT", "MASTER_PORT", "PET_MASTER_PORT"};
    if (g->world == 0)
        return;
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++)
        putf(env, "%s=%u", ranks[i], g->rank);
    for (size_t i = 0; i < sizeof worlds / sizeof worlds[0]; i++)
        putf(env, "%s=%u", worlds[i], g->world);
    put(env, "LOCAL_RANK=0");
    put(env, "OMPI_COMM_WORLD_LOCAL_RANK=0");
    for (size_t i = 0; g->address && i < sizeof addresses / sizeof addresses[0]; i++)
        putf(env, "%s=%s", addresses[i], g->address);
    for (size_t i = 0; g->port && i < sizeof ports / sizeof ports[0]; i++)
        putf(env, "%s=%u", ports[i], g->port);
    put_hosts(env, g);
}

/* What srun and the MPI libraries started below it look for. */
static void put_slurm(struct list_of *env)
{
    static const char *const prefixes[] = {"SLURM_", "SLURMD_NODENAME=", "PMI_", "PMIX_", "PMI2_"};
    for (char **e = environ; getenv("SLURM_JOB_ID") && *e; e++) {
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
            if (strncmp(*e, prefixes[i], strlen(prefixes[i])) == 0)
                put(env, *e);
        }
    }
}

char **jobenv_make(const struct job_spec *spec, const struct job_gang *gang, const char *folder)
{
    char id[UUID_TEXT_LEN + 1], host[256] = "";
    struct list_of env = {.item = calloc(JOBENV_MAX + 1, sizeof(char *))};
    if (!env.item)
        return NULL;
    uuid_format(id, &spec->job);
    put(&env, "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
    put(&env, "LANG=C.UTF-8");
    put(&env, "TMPDIR=/tmp");
    putf(&env, "HOME=%s", folder);
    put_slurm(&env);
    putf(&env, "BUSBAR_JOB=%s", id);
    putf(&env, "BUSBAR_EPOCH=%u", spec->epoch);
    putf(&env, "BUSBAR_JOB_DIR=%s", folder);
    if (gethostname(host, sizeof host - 1) == 0) /* a sandbox has another name */
        putf(&env, "BUSBAR_HOST=%s", host);
    if (spec->checkpoint_dir)
        putf(&env, "BUSBAR_CHECKPOINT_DIR=%s", spec->checkpoint_dir);
    put_chips(&env, spec);
    put_gang(&env, gang);
    for (uint32_t i = 0; i < spec->env_count; i++)
        put(&env, spec->env[i]);
    return env.item;
}

void jobenv_free(char **env)
{
    for (char **e = env; e && *e; e++)
        free(*e);
    free(env);
}

/* ---- gangs ---- */

static uint32_t number_of(const char *name)
{
    uint64_t n;
    const char *text = getenv(name);
    return text && u64_parse(text, strlen(text), JOB_NODES_MAX, &n) ? (uint32_t)n : 0;
}

/* Slurm folds lists of hosts ("n[1-4,7]"); its own tool unfolds them. */
static void slurm_hosts(struct job_gang *gang, const char *folded)
{
    char scontrol[FS_PATH_MAX];
    struct spawn_result result;
    const char *const argv[] = {scontrol, "show", "hostnames", folded, NULL};
    if (!command_find("/usr/bin:/usr/local/bin:/opt/slurm/bin", "scontrol", scontrol))
        return;
    gang->hosts = calloc(JOB_NODES_MAX + 1, sizeof(char *));
    const struct spawn_order order = {.argv = argv, .limit_ms = HOSTNAMES_LIMIT_MS};
    if (gang->hosts && spawn_run(&order, &result, NULL) == 0 && result.status == 0) {
        for (const char *p = result.out.data; *p && gang->hosts_count < JOB_NODES_MAX;) {
            size_t len = strcspn(p, "\n");
            gang->hosts[gang->hosts_count++] = strndup(p, len);
            p += len + (p[len] == '\n');
        }
    }
    if (gang->hosts)
        spawn_result_fini(&result);
}

/* Two gangs that share their first node get different ports, as the job's number is in it. */
static uint32_t slurm_port(void)
{
    uint64_t id;
    const char *text = getenv("SLURM_JOB_ID");
    return PORT_FIRST + (text && u64_parse(text, strlen(text), UINT32_MAX, &id) ? (uint32_t)(id % PORTS) : 0);
}

void jobenv_gang(struct job_gang *gang, const struct job_spec *spec)
{
    const struct job_gang *g = &spec->gang;
    const char *nodes = getenv("SLURM_JOB_NODELIST");
    *gang = (struct job_gang){.rank = g->rank, .world = g->world, .port = g->port};
    if (g->world || spec->nodes <= 1 || !nodes) {
        gang->address = g->address ? strdup(g->address) : NULL;
        gang->hosts = calloc((size_t)g->hosts_count + 1, sizeof(char *));
        for (; gang->hosts && gang->hosts_count < g->hosts_count; gang->hosts_count++)
            gang->hosts[gang->hosts_count] = strdup(g->hosts[gang->hosts_count]);
        return;
    }
    gang->rank = number_of("SLURM_PROCID");
    gang->world = spec->nodes;
    gang->port = slurm_port();
    slurm_hosts(gang, nodes);
    gang->address = gang->hosts_count ? strdup(gang->hosts[0]) : NULL;
}

void jobenv_gang_fini(struct job_gang *gang)
{
    for (uint32_t i = 0; i < gang->hosts_count; i++)
        free(gang->hosts[i]);
    free(gang->hosts);
    free(gang->address);
    *gang = (struct job_gang){0};
}
