/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/shim_job.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/shim_start.h"

#define LOOK_MS 1000
#define LOOK_MEMORY_MS 200
#define UNTOLD_MS 20
#define USAGE_MS 10000
#define LEASE_GRACE_MS 10000 /* the hub places the job again 30 s after its lease */
#define GANG_GRACE_MS 5000   /* for srun to end after its last rank */
#define EXIT_TRIES 600

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- stopping ---- */

/* The first child of a process that has one thread; 0: it has none. */
static pid_t child_of(pid_t pid)
{
    char path[64];
    struct buf text;
    uint64_t child = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)pid, (long)pid);
    buf_init(&text, 256);
    if (fs_read(path, &text, NULL) == 0)
        (void)u64_parse(text.data ? text.data : "", text.data ? strcspn(text.data, " ") : 0, INT32_MAX,
                        &child);
    buf_fini(&text);
    return (pid_t)child;
}

/* To the group of the command. In a sandbox it is that of the first process inside, the only child of bwrap, whose child the
 * command is: as long as that is not there a signal to the group is lost, for what is first in a sandbox takes none. False:
 * there is nobody yet. */
static bool signal_command(const struct shim *s, int signal)
{
    pid_t group = s->sandboxed ? child_of(s->main) : s->main;
    if (group <= 1 || (s->sandboxed && child_of(group) == 0))
        return false;
    return kill(-group, signal) == 0;
}

/* A stop may come while the command is being started: it is told as soon as there is somebody to tell. */
static void tell_command(struct shim *s)
{
    if (!s->untold || s->main <= 0 || !signal_command(s, SIGTERM))
        return;
    s->untold = false;
    (void)signal_command(s, SIGCONT);
}

/* A second reason does not take the place of the first, but can shorten the wait. */
static void stop(struct shim *s, enum job_end end, uint64_t grace_ms, uint64_t now)
{
    uint64_t kill_ms = now + grace_ms + (s->gang_lead ? GANG_GRACE_MS : 0);
    if (s->end != JOB_END_NONE) {
        s->kill_ms = least(s->kill_ms, kill_ms);
        return;
    }
    s->end = end;
    s->kill_ms = kill_ms;
    if (s->gang_lead) /* the ranks see the reason themselves; srun would end them without a word */
        return;
    s->untold = grace_ms > 0;
    tell_command(s);
}

static void kill_now(struct shim *s)
{
    if (s->killed)
        return;
    s->killed = true;
    if (s->keeper > 0)
        (void)kill(s->keeper, SIGTERM);
}

/* ---- looking ---- */

static void look_at_lease(struct shim *s, uint64_t now)
{
    struct job_lease lease;
    char path[FS_PATH_MAX];
    workdir_file(path, s->dir, "lease");
    int rc = form_load(&job_lease_table, path, &lease, NULL);
    enum lease_state state = lease_watch_look(&s->lease, rc == 0 ? &lease : NULL, now);
    form_free(&job_lease_table, &lease);
    if (state == LEASE_OVER)
        stop(s, JOB_END_LEASE_OVER, least(s->spec.grace_ms, LEASE_GRACE_MS), now);
}

static void look_at_stop(struct shim *s, uint64_t now)
{
    struct job_stop order;
    char path[FS_PATH_MAX];
    workdir_file(path, s->dir, "stop");
    if (s->end == JOB_END_NONE && form_load(&job_stop_table, path, &order, NULL) == 0)
        stop(s, (enum job_end)order.end, order.grace_ms, now);
}

static void look_at_time(struct shim *s, uint64_t now)
{
    if (s->spec.time_limit_ms && now - s->meter.start_ms >= s->spec.time_limit_ms)
        stop(s, JOB_END_TIMED_OUT, s->spec.grace_ms, now);
    if (s->end != JOB_END_NONE && now >= s->kill_ms)
        kill_now(s);
}

static bool watches_memory(const struct shim *s)
{
    return s->spec.memory_mib && !s->meter.group[0] && !s->gang_lead;
}

static void look_at_memory(struct shim *s, uint64_t now)
{
    uint64_t used = meter_look(&s->meter, &s->spec, s->keeper, now);
    if (watches_memory(s) && used / 1024 >= s->spec.memory_mib) {
        s->oom = true;
        stop(s, JOB_END_OOM, 0, now);
    }
}

/* ---- writing ---- */

/* What the nodes of a gang used, from their own lines. */
static void add_ranks(const struct shim *s, struct job_usage *usage)
{
    for (uint32_t i = 0; s->gang_lead && i < s->spec.nodes; i++) {
        char dir[FS_PATH_MAX];
        struct job_usage node;
        shim_rank_dir(dir, s->dir, i);
        if (workdir_usage(dir, &node) == 0)
            meter_add(usage, &node);
        form_free(&job_usage_table, &node);
    }
}

static void read_usage(const struct shim *s, uint64_t now, struct job_usage *usage)
{
    meter_read(&s->meter, &s->spec, now, usage);
    add_ranks(s, usage);
}

/* A line that cannot be written is lost; the next one has the totals. A torn one is closed by the newline before. */
static void write_usage(struct shim *s, uint64_t now)
{
    struct job_usage usage;
    struct buf line;
    if (s->meter.start_ms == 0)
        return;
    buf_init(&line, FORM_MAX);
    read_usage(s, now, &usage);
    if (s->usage_torn)
        buf_add_char(&line, '\n');
    form_write(&job_usage_table, &usage, &line);
    buf_add_char(&line, '\n');
    ssize_t n = line.failed ? -1 : write(s->usage_fd, line.data, line.len);
    s->usage_torn = n != (ssize_t)line.len;
    (void)fdatasync(s->usage_fd);
    s->usage_ms = now + USAGE_MS;
    form_free(&job_usage_table, &usage);
    buf_fini(&line);
}

static int save_exit(const struct shim *s, const struct job_exit *exit)
{
    char path[FS_PATH_MAX], reserve[FS_PATH_MAX];
    struct err err = {0};
    workdir_file(path, s->own_dir, "exit");
    workdir_file(reserve, s->own_dir, "reserve");
    for (int i = 0; i < EXIT_TRIES; i++) {
        if (form_save(&job_exit_table, path, exit, &err) == 0)
            return 0;
        if (unlink(reserve) < 0)
            (void)sleep(1);
    }
    fprintf(stderr, "shim: %s\n", err.msg);
    return err.code;
}

/* ---- the end ---- */

static void ended_by_itself(struct shim *s, struct job_exit *exit)
{
    struct cgroup_state group = {0};
    int code = WIFEXITED(s->status) ? WEXITSTATUS(s->status) : 0;
    if (s->meter.group[0])
        cgroup_state(s->meter.group, &group);
    exit->code = (uint32_t)code;
    exit->signal = WIFSIGNALED(s->status) ? (uint32_t)WTERMSIG(s->status) : 0;
    /* bwrap and srun report a signal as shells do, and nothing else. */
    if ((s->sandboxed || s->gang_lead) && code > 128 && code <= 128 + 64)
        exit->signal = (uint32_t)code - 128;
    if (exit->signal)
        exit->code = 0;
    exit->end = exit->signal ? JOB_END_SIGNALLED : JOB_END_EXITED;
    if (group.oom_kills && (exit->signal || exit->code))
        exit->end = JOB_END_OOM;
}

/* The first rank that came to an end of its own says how the gang did; the others were ended for its sake. */
static void ended_as_ranks(const struct shim *s, struct job_exit *exit)
{
    for (uint32_t i = 0; i < s->spec.nodes; i++) {
        char dir[FS_PATH_MAX], path[FS_PATH_MAX];
        struct job_exit rank;
        shim_rank_dir(dir, s->dir, i);
        workdir_file(path, dir, "exit");
        int rc = form_load(&job_exit_table, path, &rank, NULL);
        bool own = rc == 0 && rank.end != JOB_END_STOPPED && !(rank.end == JOB_END_EXITED && rank.code == 0);
        if (own) {
            exit->end = rank.end;
            exit->code = rank.code;
            exit->signal = rank.signal;
        }
        form_free(&job_exit_table, &rank);
        if (own)
            return;
    }
}

static int finish(struct shim *s)
{
    static const char *const sentences[] = {
#define E(name, word, sentence) sentence,
        JOB_ENDS(E)
#undef E
    };
    char text[512], host[256] = "";
    struct job_exit exit = {.text = text, .host = host};
    uint64_t now = clock_boot_ms();
    ended_by_itself(s, &exit);
    if (s->gang_lead && s->end == JOB_END_NONE && s->status != 0)
        ended_as_ranks(s, &exit);
    if (s->end != JOB_END_NONE)
        exit.end = s->end;
    (void)gethostname(host, sizeof host - 1);
    if (exit.end == JOB_END_EXITED || exit.end == JOB_END_SIGNALLED)
        (void)snprintf(text, sizeof text,
                       exit.end == JOB_END_EXITED ? "it exited with status %u" : "it was ended by signal %u",
                       exit.end == JOB_END_EXITED ? exit.code : exit.signal);
    else
        (void)snprintf(text, sizeof text, "%s", s->why[0] ? s->why : sentences[exit.end]);
    if (s->meter.start_ms) {
        if (s->cpu_ms > s->meter.cpu_ms)
            s->meter.cpu_ms = s->cpu_ms;
        (void)meter_look(&s->meter, &s->spec, 0, now);
        write_usage(s, now);
        read_usage(s, now, &exit.usage);
    } else {
        exit.usage.wall_ms = (uint64_t)clock_wall_ms();
    }
    int rc = save_exit(s, &exit);
    form_free(&job_usage_table, &exit.usage);
    if (rc != 0)
        return 74;
    return exit.end == JOB_END_EXITED ? (int)exit.code : exit.signal ? 128 + (int)exit.signal : 1;
}

/* ---- the loop ---- */

static void on_signal(struct shim *s, uint64_t now)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo != SIGCHLD)
            stop(s, JOB_END_STOPPED, s->spec.grace_ms, now);
    }
}

/* True when nothing of the job is left. */
static bool on_report(struct shim *s)
{
    struct keeper_report r;
    ssize_t n = read(s->report, &r, sizeof r);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n == (ssize_t)sizeof r && r.word == KEEPER_STARTED) {
        s->main = r.main;
        return false;
    }
    if (n == (ssize_t)sizeof r && r.word == KEEPER_FAILED) {
        s->end = JOB_END_NOT_STARTED;
        (void)snprintf(s->why, sizeof s->why, "cannot run %s: %s", s->spec.argv[0], strerror(r.status));
    } else if (n == (ssize_t)sizeof r) {
        s->status = r.status;
        s->cpu_ms = r.cpu_ms;
    } else { /* the keeper was killed; what it kept is ours now */
        s->status = SIGKILL;
        if (s->end == JOB_END_NONE) {
            s->end = JOB_END_STOPPED;
            (void)snprintf(s->why, sizeof s->why, "its keeper was killed");
        }
    }
    procs_end_below(0, &(int){0});
    return true;
}

static int wait_ms(const struct shim *s, uint64_t now)
{
    uint64_t until = now + (watches_memory(s) ? LOOK_MEMORY_MS : LOOK_MS);
    if (s->untold)
        until = least(until, now + UNTOLD_MS);
    until = least(until, s->usage_ms);
    if (s->spec.time_limit_ms && s->end == JOB_END_NONE)
        until = least(until, s->meter.start_ms + s->spec.time_limit_ms);
    if (s->end != JOB_END_NONE && !s->killed)
        until = least(until, s->kill_ms);
    if (s->lease.state == LEASE_LIVE)
        until = least(until, s->lease.deadline_ms);
    return until > now ? (int)(until - now) : 0;
}

static void watch(struct shim *s)
{
    uint64_t looked_ms = 0;
    for (;;) {
        struct pollfd p[] = {{s->signals, POLLIN, 0}, {s->report, POLLIN, 0}, {s->notify, POLLIN, 0}};
        char events[4096];
        uint64_t now = clock_boot_ms();
        (void)poll(p, 3, wait_ms(s, now));
        now = clock_boot_ms();
        if (p[0].revents)
            on_signal(s, now);
        if (p[1].revents && on_report(s))
            return;
        bool changed = p[2].revents && read(s->notify, events, sizeof events) > 0;
        if (changed || now - looked_ms >= LOOK_MS || now >= s->lease.deadline_ms) {
            looked_ms = now;
            look_at_stop(s, now);
            look_at_lease(s, now);
        }
        tell_command(s);
        look_at_time(s, now);
        if (watches_memory(s) || now >= s->usage_ms)
            look_at_memory(s, now);
        if (now >= s->usage_ms)
            write_usage(s, now);
    }
}

static void tell(int told, const char *text)
{
    if (told < 0)
        return;
    (void)!write(told, text, strlen(text));
    close(told);
}

int shim_job_run(const char *dir, int told, bool rank)
{
    static struct shim s;
    struct err err = {0};
    int rc = shim_open(&s, dir, rank, &err);
    if (rc == ERR_EXISTS) {
        tell(told, "ok\n");
        return 0;
    }
    if (rc != 0) {
        fprintf(stderr, "shim: %s\n", err.msg);
        tell(told, err.msg);
        return 66;
    }
    tell(told, "ok\n");
    if (shim_start(&s) == 0) {
        write_usage(&s, clock_boot_ms());
        watch(&s);
    }
    if (s.meter.group[0])
        cgroup_end(s.meter.group);
    int status = finish(&s);
    shim_close(&s);
    return status;
}

int shim_job_detach(const char *dir)
{
    int pair[2];
    char text[512];
    size_t len = 0;
    ssize_t n;
    if (dir[0] != '/' || pipe2(pair, O_CLOEXEC) < 0)
        return 64;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        (void)setsid();
        for (int i = 0; i < 3; i++)
            (void)dup2(null, i);
        (void)dup2(pair[1], 3); /* all else of our starter's is none of the job's */
        closefrom(4);
        (void)fcntl(3, F_SETFD, FD_CLOEXEC);
        _exit(shim_job_run(dir, 3, false));
    }
    close(pair[1]);
    while (pid > 0 && len < sizeof text - 1 && (n = read(pair[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = 0;
    if (strcmp(text, "ok\n") == 0)
        return 0;
    fprintf(stderr, "%s\n", len ? text : "the shim could not be started");
    return 75;
}
