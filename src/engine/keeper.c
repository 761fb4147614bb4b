/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/cgroup.h"
#include "engine/procs.h"

/* ---- the command ---- */

static int limit(const struct keeper_order *o)
{
    const struct rlimit no_core = {0, 0};
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (uint32_t i = 0; i < o->cores_count; i++)
        CPU_SET(o->cores[i], &cores);
    if (o->cores_count && sched_setaffinity(0, sizeof cores, &cores) < 0)
        return -1;
    if (o->plain)
        return 0;
    return setrlimit(RLIMIT_CORE, &no_core) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1 : 0;
}

/* In the child; tells why it could not go on through `failed`. */
static void become(const struct keeper_order *o, pid_t keeper, int failed)
{
    sigset_t none;
    sigemptyset(&none);
    for (int s = 1; s < NSIG; s++)
        (void)signal(s, SIG_DFL);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool ready = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == keeper && setsid() >= 0 && null >= 0 &&
                 dup2(null, STDIN_FILENO) >= 0 && dup2(o->out, STDOUT_FILENO) >= 0 &&
                 dup2(o->err, STDERR_FILENO) >= 0 && chdir(o->folder) == 0 && limit(o) == 0 &&
                 sigprocmask(SIG_SETMASK, &none, NULL) == 0;
    if (ready)
        execve(o->argv[0], (char *const *)(uintptr_t)o->argv, (char *const *)(uintptr_t)o->env);
    int why = errno;
    (void)!write(failed, &why, sizeof why);
    _exit(127);
}

/* 0, or errno of what did not work in the child. */
static int start_main(const struct keeper_order *o, pid_t *main)
{
    int pair[2], why = 0;
    if (pipe2(pair, O_CLOEXEC) < 0)
        return errno;
    pid_t keeper = getpid();
    *main = fork();
    if (*main == 0)
        become(o, keeper, pair[1]);
    close(pair[1]);
    if (*main < 0)
        why = errno;
    else if (read(pair[0], &why, sizeof why) != sizeof why)
        why = 0;
    close(pair[0]);
    return why;
}

/* ---- the keeper ---- */

static uint64_t children_cpu_ms(void)
{
    struct rusage used;
    if (getrusage(RUSAGE_CHILDREN, &used) < 0)
        return 0;
    return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
           (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
}

/* Until the command has ended or all has to; its status. */
static int watch(pid_t main, const sigset_t *signals)
{
    int status = SIGKILL;
    for (;;) {
        int got, st;
        pid_t pid;
        if (sigwait(signals, &got) != 0)
            continue;
        while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
            if (pid == main)
                return st;
        }
        if (got == SIGTERM) {
            procs_end_below(main, &status);
            return status;
        }
    }
}

static void keep(const struct keeper_order *o, pid_t shim, int report)
{
    struct keeper_report r = {.word = KEEPER_FAILED};
    sigset_t signals;
    int unused = 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    /* Blocked before the kernel is asked to send it: the shim may die at any moment. */
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 ||
        prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || getppid() != shim || setsid() < 0)
        _exit(1);
    if (o->group && cgroup_enter(o->group, 0, NULL) != 0)
        r.status = EPERM;
    else
        r.status = start_main(o, &r.main);
    if (r.status == 0)
        r.word = KEEPER_STARTED;
    (void)!write(report, &r, sizeof r);
    if (r.word == KEEPER_FAILED)
        _exit(1);
    r.word = KEEPER_ENDED;
    r.status = watch(r.main, &signals);
    procs_end_below(0, &unused);
    r.cpu_ms = children_cpu_ms();
    (void)!write(report, &r, sizeof r);
    _exit(0);
}

pid_t keeper_start(const struct keeper_order *order, int *report)
{
    int pair[2];
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    pid_t shim = getpid();
    pid_t keeper = fork();
    if (keeper == 0) {
        close(pair[0]);
        keep(order, shim, pair[1]);
    }
    close(pair[1]);
    *report = pair[0];
    if (keeper < 0)
        close(pair[0]);
    return keeper;
}
