/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CGROUP_TEXT_MAX 65536
#define CPU_PERIOD_US 100000u
#define END_TRIES 100

static int put(const char *group, const char *name, const char *text, struct err *err)
{
    char path[FS_PATH_MAX];
    if (!fs_join(path, group, name))
        return err_set(err, ERR_INVALID, "path is too long");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
    int rc = n < 0 ? err_set(err, errno == ENOENT ? ERR_UNSUPPORTED : ERR_IO, "cannot write %s: %s", path,
                             strerror(errno))
                   : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

static bool get(const char *group, const char *name, struct buf *text)
{
    char path[FS_PATH_MAX];
    buf_clear(text);
    return fs_join(path, group, name) && fs_read(path, text, NULL) == 0 &&
           (buf_add_char(text, 0), !text->failed);
}

/* The number after a word at the start of a line; 0 if it is not there. */
static uint64_t number_of(const struct buf *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *line = text->data; line && *line;) {
        if (strncmp(line, word, len) == 0 && line[len] == ' ')
            return strtoull(line + len + 1, NULL, 10);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return 0;
}

bool cgroup_own(char dst[FS_PATH_MAX])
{
    struct buf text;
    bool found = false;
    buf_init(&text, CGROUP_TEXT_MAX);
    if (get("/proc/self", "cgroup", &text)) {
        char *line = strncmp(text.data, "0::", 3) == 0 ? text.data : strstr(text.data, "\n0::");
        const char *path = line ? strchr(line + 1, ':') + 2 : NULL;
        if (path) {
            int len = (int)strcspn(path, "\n");
            const char *root =
                fs_exists("/sys/fs/cgroup/cgroup.procs") ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
            found = snprintf(dst, FS_PATH_MAX, "%s%.*s", root, len, path) < FS_PATH_MAX && fs_exists(dst);
        }
    }
    buf_fini(&text);
    return found;
}

static bool controllers_on(const char *parent)
{
    struct buf text;
    buf_init(&text, CGROUP_TEXT_MAX);
    bool on = get(parent, "cgroup.subtree_control", &text) && strstr(text.data, "memory") &&
              strstr(text.data, "pids") && strstr(text.data, "cpu");
    buf_fini(&text);
    return on;
}

static int turn_on(const char *parent, struct err *err)
{
    char leaf[FS_PATH_MAX], pid[24];
    if (controllers_on(parent) || put(parent, "cgroup.subtree_control", "+memory +pids +cpu", err) == 0)
        return 0;
    /* A group with processes may not hand controllers down. Ours can leave; if others are there too, it stays so. */
    if (!fs_join(leaf, parent, "busbar") || (mkdir(leaf, 0755) < 0 && errno != EEXIST))
        return err_set(err, ERR_UNSUPPORTED, "cannot make groups in %s: %s", parent, strerror(errno));
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    int rc = put(leaf, "cgroup.procs", pid, err);
    return rc ? rc : put(parent, "cgroup.subtree_control", "+memory +pids +cpu", err);
}

int cgroup_probe(const char *parent, struct err *err)
{
    char name[48], group[FS_PATH_MAX];
    const struct cgroup_limits limits = {.memory_bytes = 16 << 20, .processes = 16, .cpus = 1};
    int rc = turn_on(parent, err);
    if (rc != 0)
        return rc;
    (void)snprintf(name, sizeof name, "busbar-probe-%ld", (long)getpid());
    rc = cgroup_make(group, parent, name, &limits, err);
    if (rc == 0)
        cgroup_end(group);
    return rc;
}

int cgroup_make(char dst[FS_PATH_MAX], const char *parent, const char *name,
                const struct cgroup_limits *limits, struct err *err)
{
    char memory[24], pids[24], cpu[48];
    if (!fs_join(dst, parent, name) || (mkdir(dst, 0755) < 0 && errno != EEXIST))
        return err_set(err, ERR_UNSUPPORTED, "cannot make a group in %s: %s", parent, strerror(errno));
    (void)snprintf(memory, sizeof memory, "%" PRIu64, limits->memory_bytes);
    (void)snprintf(pids, sizeof pids, "%u", limits->processes);
    (void)snprintf(cpu, sizeof cpu, "%u %u", limits->cpus * CPU_PERIOD_US, CPU_PERIOD_US);
    int rc = limits->memory_bytes ? put(dst, "memory.max", memory, err) : 0;
    if (rc == 0 && limits->memory_bytes)
        (void)put(dst, "memory.swap.max", "0",
                  NULL); /* there without swap too, unless the kernel was told not to */
    if (rc == 0 && limits->processes)
        rc = put(dst, "pids.max", pids, err);
    if (rc == 0 && limits->cpus)
        rc = put(dst, "cpu.max", cpu, err);
    if (rc != 0)
        (void)rmdir(dst);
    return rc;
}

int cgroup_enter(const char *group, pid_t pid, struct err *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%ld", (long)pid);
    return put(group, "cgroup.procs", text, err);
}

void cgroup_state(const char *group, struct cgroup_state *state)
{
    struct buf text;
    *state = (struct cgroup_state){0};
    buf_init(&text, CGROUP_TEXT_MAX);
    if (get(group, "memory.events", &text))
        state->oom_kills = number_of(&text, "oom_kill");
    if (get(group, "memory.peak", &text)) /* from Linux 5.19 on */
        state->memory_peak_kib = strtoull(text.data, NULL, 10) / 1024;
    if (get(group, "cpu.stat", &text))
        state->cpu_ms = number_of(&text, "usage_usec") / 1000;
    buf_fini(&text);
}

void cgroup_end(const char *group)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    for (int i = 0; i < END_TRIES && rmdir(group) < 0 && errno == EBUSY; i++) {
        (void)put(group, "cgroup.kill", "1", NULL);
        (void)nanosleep(&pause, NULL);
    }
}
