/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/shim_start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/command.h"
#include "engine/jobenv.h"
#include "engine/sandbox.h"

#define PROOF_LOOK_MS 200
#define SCRIPT_NAME ".busbar-script"

void shim_rank_dir(char dst[FS_PATH_MAX], const char *dir, uint32_t rank)
{
    char name[24];
    (void)snprintf(name, sizeof name, "rank-%u", rank);
    workdir_file(dst, dir, name);
}

__attribute__((format(printf, 3, 4))) static int give_up(struct shim *s, enum job_end end, const char *fmt,
                                                         ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(s->why, sizeof s->why, fmt, args);
    va_end(args);
    s->end = end;
    return -1;
}

/* ---- files ---- */

static int open_file(const struct shim *s, const char *name, struct err *err)
{
    char path[FS_PATH_MAX];
    workdir_file(path, s->own_dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        err_set(err, ERR_IO, "cannot create %s: %s", path, strerror(errno));
    return fd;
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int open_all(struct shim *s, struct err *err)
{
    s->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (s->notify >= 0) /* file systems that cannot tell are looked at each second */
        (void)inotify_add_watch(s->notify, s->dir, IN_MOVED_TO);
    /* What a rank prints goes through srun to the job's own files. */
    s->out = s->rank ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : open_file(s, "out", err);
    s->err = s->rank ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : open_file(s, "err", err);
    s->usage_fd = open_file(s, "usage", err);
    if (s->out < 0 || s->err < 0)
        return err_set(err, ERR_IO, "cannot open its outputs: %s", strerror(errno));
    if (s->usage_fd < 0)
        return err->code;
    return 0;
}

static uint32_t own_rank(void)
{
    uint64_t rank = 0;
    const char *text = getenv("SLURM_PROCID");
    return text && u64_parse(text, strlen(text), JOB_NODES_MAX, &rank) ? (uint32_t)rank : 0;
}

int shim_open(struct shim *s, const char *dir, bool rank, struct err *err)
{
    char path[FS_PATH_MAX], boot[64];
    *s = (struct shim){
        .claim = -1, .signals = -1, .notify = -1, .report = -1, .usage_fd = -1, .out = -1, .err = -1};
    if (strlen(dir) > WORKDIR_FILE_MAX + UUID_TEXT_LEN + 16 || dir[0] != '/')
        return err_set(err, ERR_INVALID, "not an absolute path that fits");
    (void)snprintf(s->dir, sizeof s->dir, "%s", dir);
    (void)snprintf(s->own_dir, sizeof s->own_dir, "%s", dir);
    workdir_file(path, dir, "spec");
    int rc = job_spec_load(&s->spec, path, err);
    if (rc != 0)
        return rc;
    /* Before the claim: whoever wants to stop us must not kill us between claim and exit record. */
    s->signals = open_signals();
    s->gang_lead = !rank && s->spec.nodes > 1;
    s->rank = rank;
    if (rank)
        shim_rank_dir(s->own_dir, dir, own_rank());
    if (rank && (rc = fs_mkdirs(s->own_dir, 0750, err)) != 0)
        return rc;
    if (!rank && (rc = workdir_claim(dir, &s->claim, err)) != 0)
        return rc;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    workdir_boot(boot);
    lease_watch_init(&s->lease, boot);
    struct err later = {0};
    if (open_all(s, &later) != 0) /* claimed: from here on it is the exit record that tells */
        (void)give_up(s, JOB_END_NOT_STARTED, "%s", later.msg);
    return 0;
}

void shim_close(struct shim *s)
{
    const int fds[] = {s->signals, s->notify, s->report, s->usage_fd, s->out, s->err, s->claim};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    job_spec_free(&s->spec);
}

/* ---- starting ---- */

/* Whether the lease holds now; waits for a renewal where that is the only proof. */
static int prove_lease(struct shim *s)
{
    const struct timespec pause = {.tv_nsec = PROOF_LOOK_MS * 1000000L};
    char path[FS_PATH_MAX], stop_path[FS_PATH_MAX];
    workdir_file(path, s->dir, "lease");
    workdir_file(stop_path, s->dir, "stop");
    for (;;) {
        struct job_lease lease;
        struct job_stop order;
        int rc = form_load(&job_lease_table, path, &lease, NULL);
        enum lease_state state = lease_watch_look(&s->lease, rc == 0 ? &lease : NULL, clock_boot_ms());
        form_free(&job_lease_table, &lease);
        if (form_load(&job_stop_table, stop_path, &order, NULL) == 0)
            return give_up(s, (enum job_end)order.end, "it was stopped before it had started");
        if (state == LEASE_OVER)
            return give_up(s, JOB_END_LEASE_OVER, "its lease was over before it had started");
        if (state != LEASE_UNPROVEN)
            return 0;
        (void)nanosleep(&pause, NULL);
    }
}

static const uint32_t *pinned(const struct job_spec *spec, uint32_t *n)
{
    *n = 0;
    for (uint32_t i = 0; i < spec->chips_count; i++) {
        if (spec->chips[i].cores_count) {
            *n = spec->chips[i].cores_count;
            return spec->chips[i].cores;
        }
    }
    return NULL;
}

/* The engine that was asked has chosen the level; on a node that it has not seen, the demanded one is tried. */
static int choose_level(struct shim *s)
{
    struct err why = {0};
    if (s->spec.confined || s->gang_lead || s->spec.isolation <= ISOLATION_PROCESS)
        return 0;
    char parent[FS_PATH_MAX];
    bool group = s->spec.isolation == ISOLATION_CGROUP && cgroup_own(parent);
    enum isolation have = sandbox_probe(group ? parent : NULL, &why);
    if (have < (enum isolation)s->spec.isolation)
        return give_up(s, JOB_END_NOT_STARTED, "this node isolates by %s only: %s", isolation_text(have),
                       why.msg);
    return 0;
}

static int make_group(struct shim *s, char group[FS_PATH_MAX])
{
    struct err err = {0};
    char parent[FS_PATH_MAX], job[UUID_TEXT_LEN + 1], name[64];
    const struct cgroup_limits limits = {s->spec.memory_mib << 20, s->spec.processes, s->spec.cpus};
    group[0] = 0;
    if (s->gang_lead || s->spec.isolation != ISOLATION_CGROUP)
        return 0;
    uuid_format(job, &s->spec.job);
    (void)snprintf(name, sizeof name, "busbar-%s-%u", job, s->spec.epoch);
    const char *given = getenv("BUSBAR_CGROUP");
    if (given)
        (void)snprintf(parent, sizeof parent, "%s", given);
    else if (!cgroup_own(parent))
        return give_up(s, JOB_END_NOT_STARTED, "no control groups of version 2");
    if (cgroup_make(group, parent, name, &limits, &err) != 0)
        return give_up(s, JOB_END_NOT_STARTED, "%s", err.msg);
    return 0;
}

struct launch {
    const char **argv; /* on the heap; the texts are the specification's, or below */
    char bwrap[FS_PATH_MAX], program[FS_PATH_MAX], number[16], nodes[32];
};

/* bwrap with its arguments in a memory file, then the command. */
static int launch_sandboxed(struct shim *s, struct launch *l, const char *folder, char *const *env)
{
    struct buf args;
    buf_init(&args, SANDBOX_ARGS_MAX);
    sandbox_args(&args, &s->spec, folder, env);
    int fd = args.failed || !sandbox_find(l->bwrap) ? -1 : sandbox_args_fd(&args);
    buf_fini(&args);
    if (fd < 0)
        return give_up(s, JOB_END_NOT_STARTED, "bubblewrap is not installed, or its arguments are too long");
    (void)snprintf(l->number, sizeof l->number, "%d", fd);
    l->argv = calloc(s->spec.argv_count + 5, sizeof(char *));
    if (!l->argv)
        return give_up(s, JOB_END_NOT_STARTED, "out of memory");
    l->argv[0] = l->bwrap;
    l->argv[1] = "--args";
    l->argv[2] = l->number;
    l->argv[3] = "--";
    memcpy(l->argv + 4, s->spec.argv, s->spec.argv_count * sizeof(char *));
    s->sandboxed = true;
    return 0;
}

static int launch_plain(struct shim *s, struct launch *l, char *const *env)
{
    const char *path = "";
    for (; *env; env++) {
        if (strncmp(*env, "PATH=", 5) == 0)
            path = *env + 5;
    }
    l->argv = calloc(s->spec.argv_count + 1, sizeof(char *));
    if (!l->argv)
        return give_up(s, JOB_END_NOT_STARTED, "out of memory");
    memcpy(l->argv, s->spec.argv, s->spec.argv_count * sizeof(char *));
    if (strchr(s->spec.argv[0], '/'))
        return 0;
    if (!command_find(path, s->spec.argv[0], l->program))
        return give_up(s, JOB_END_NOT_STARTED, "there is no program %s", s->spec.argv[0]);
    l->argv[0] = l->program;
    return 0;
}

/* One rank on each node. srun takes our environment, which sbatch was told not to fill. */
static int launch_gang(struct shim *s, struct launch *l)
{
    if (!fs_self(l->program) || !command_find("/usr/bin:/usr/local/bin:/opt/slurm/bin", "srun", l->bwrap))
        return give_up(s, JOB_END_NOT_STARTED, "a job of %u nodes needs srun", s->spec.nodes);
    (void)snprintf(l->nodes, sizeof l->nodes, "--ntasks=%u", s->spec.nodes);
    const char *const argv[] = {l->bwrap,
                                l->nodes,
                                "--ntasks-per-node=1",
                                "--export=ALL",
                                "--kill-on-bad-exit=1",
                                l->program,
                                "shim",
                                "--rank",
                                s->dir,
                                NULL};
    l->argv = calloc(sizeof argv / sizeof argv[0], sizeof(char *));
    if (!l->argv)
        return give_up(s, JOB_END_NOT_STARTED, "out of memory");
    memcpy(l->argv, argv, sizeof argv);
    return 0;
}

static int launch(struct shim *s, const char *folder, const char *group)
{
    struct job_gang gang = {0};
    struct launch l = {.argv = NULL};
    uint32_t cores;
    const uint32_t *core = pinned(&s->spec, &cores);
    if (!s->gang_lead)
        jobenv_gang(&gang, &s->spec);
    char **env = jobenv_make(&s->spec, &gang, folder);
    int rc = !env                                       ? give_up(s, JOB_END_NOT_STARTED, "out of memory")
             : s->gang_lead                             ? launch_gang(s, &l)
             : s->spec.isolation >= ISOLATION_NAMESPACE ? launch_sandboxed(s, &l, folder, env)
                                                        : launch_plain(s, &l, env);
    if (rc == 0) {
        /* bwrap gets no environment but its own: a job's LD_PRELOAD must not reach what is outside its sandbox. */
        static const char *const bare[] = {"PATH=/usr/bin:/bin", NULL};
        const char *cwd = s->spec.cwd && !s->sandboxed && !s->gang_lead ? s->spec.cwd : folder;
        const struct keeper_order order = {
            .argv = l.argv,
            .env = s->sandboxed ? bare : (const char *const *)(s->gang_lead ? environ : env),
            .folder = cwd,
            .out = s->out,
            .err = s->err,
            .group = group[0] ? group : NULL,
            .cores = core,
            .cores_count = s->gang_lead ? 0 : cores,
            .plain = s->spec.isolation == ISOLATION_NONE || s->gang_lead};
        s->keeper = keeper_start(&order, &s->report);
        if (s->keeper < 0)
            rc = give_up(s, JOB_END_NOT_STARTED, "no more processes: %s", strerror(errno));
    }
    if (s->sandboxed)
        close((int)strtol(l.number, NULL, 10));
    free(l.argv);
    jobenv_free(env);
    jobenv_gang_fini(&gang);
    return rc;
}

/* Its text becomes a file in the job's folder, which is what is run. A gang's is written once, before its ranks. */
static int put_script(struct shim *s, const char *folder)
{
    struct err err = {0};
    char path[FS_PATH_MAX];
    workdir_file(path, folder, SCRIPT_NAME);
    char *program = strdup(path);
    if (!program)
        return give_up(s, JOB_END_NOT_STARTED, "out of memory");
    free(s->spec.argv[0]);
    s->spec.argv[0] = program;
    if (s->rank || fs_write_atomic(path, s->spec.script, strlen(s->spec.script), 0700, &err) == 0)
        return 0;
    return give_up(s, JOB_END_NOT_STARTED, "%s", err.msg);
}

int shim_start(struct shim *s)
{
    char folder[FS_PATH_MAX], group[FS_PATH_MAX];
    struct err err = {0};
    if (s->end != JOB_END_NONE || prove_lease(s) != 0 || choose_level(s) != 0 || make_group(s, group) != 0)
        return -1;
    workdir_file(folder, s->dir, "work");
    if (fs_mkdirs(folder, 0750, &err) != 0)
        return give_up(s, JOB_END_NOT_STARTED, "%s", err.msg);
    if (s->spec.checkpoint_dir && fs_mkdirs(s->spec.checkpoint_dir, 0750, &err) != 0)
        return give_up(s, JOB_END_NOT_STARTED, "%s", err.msg);
    int rc = s->spec.script ? put_script(s, folder) : 0;
    if (rc == 0)
        rc = launch(s, folder, group);
    if (rc == 0)
        meter_init(&s->meter, METER_POWERCAP, group, clock_boot_ms());
    else if (group[0])
        cgroup_end(group);
    s->meter.no_chips = s->rank;
    return rc;
}
