/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/procs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

/* Whole file of /proc, cut at the buffer's end. */
static size_t slurp(const char *path, char *dst, size_t cap)
{
    size_t len = 0;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    dst[0] = 0;
    if (fd < 0)
        return 0;
    while (len < cap - 1 && (n = read(fd, dst + len, cap - 1 - len)) > 0)
        len += (size_t)n;
    dst[len] = 0;
    close(fd);
    return len;
}

/* ---- the tree ---- */

struct tree {
    pid_t *pid;
    uint32_t n;
};

static void add_children(struct tree *t, const char *path)
{
    char text[32768];
    char *p = text;
    (void)slurp(path, text, sizeof text);
    for (;;) {
        char *end;
        long pid = strtol(p, &end, 10);
        if (end == p || t->n >= PROCS_MAX)
            return;
        t->pid[t->n++] = (pid_t)pid;
        p = end;
    }
}

/* Every thread has children of its own. */
static void add_below(struct tree *t, pid_t pid)
{
    char path[64];
    char file[400];
    const struct dirent *entry;
    (void)snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
    DIR *tasks = opendir(path);
    while (tasks && (entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(file, sizeof file, "%s/%s/children", path, entry->d_name);
        add_children(t, file);
    }
    if (tasks)
        closedir(tasks);
}

static bool tree_read(struct tree *t, pid_t root)
{
    t->n = 0;
    t->pid = calloc(PROCS_MAX, sizeof *t->pid);
    if (!t->pid)
        return false;
    t->pid[t->n++] = root;
    for (uint32_t i = 0; i < t->n; i++)
        add_below(t, t->pid[i]);
    return true;
}

/* ---- sums ---- */

static uint64_t ticks_ms(uint64_t ticks)
{
    return ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* Fields of /proc/PID/stat after the name, which may hold anything; field 3 is the first. */
static void add_process(struct procs_sum *sum, pid_t pid)
{
    char path[64], text[1024];
    unsigned long user, system;
    long child_user, child_system, rss;
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    (void)slurp(path, text, sizeof text);
    const char *after = strrchr(text, ')');
    if (!after ||
        sscanf(after + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld %*d %*d %*d %*d %*u %*u"
               " %ld",
               &user, &system, &child_user, &child_system, &rss) != 5)
        return;
    sum->n++;
    sum->cpu_ms += ticks_ms(user + system + (uint64_t)child_user + (uint64_t)child_system);
    sum->rss_kib += (uint64_t)rss * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

void procs_sum(pid_t root, struct procs_sum *sum)
{
    struct tree tree;
    *sum = (struct procs_sum){0};
    if (!tree_read(&tree, root))
        return;
    for (uint32_t i = 0; i < tree.n; i++)
        add_process(sum, tree.pid[i]);
    free(tree.pid);
}

uint64_t procs_machine_cpu_ms(void)
{
    char text[512];
    unsigned long long user, nice, system;
    (void)slurp("/proc/stat", text, sizeof text);
    if (sscanf(text, "cpu %llu %llu %llu", &user, &nice, &system) != 3)
        return 0;
    return ticks_ms(user + nice + system);
}

/* ---- the end ---- */

uint32_t procs_kill_below(int signal)
{
    struct tree tree;
    if (!tree_read(&tree, getpid()))
        return 0;
    for (uint32_t i = 1; i < tree.n; i++)
        (void)kill(tree.pid[i], signal);
    uint32_t n = tree.n - 1;
    free(tree.pid);
    return n;
}

void procs_end_below(pid_t main, int *status)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    for (;;) {
        int st;
        (void)procs_kill_below(SIGKILL);
        pid_t pid = waitpid(-1, &st, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            return;
        if (pid > 0 && pid == main)
            *status = st;
        if (pid <= 0)
            (void)nanosleep(&pause, NULL);
    }
}

uint32_t procs_cpus(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n <= UINT16_MAX ? (uint32_t)n : 1;
}
