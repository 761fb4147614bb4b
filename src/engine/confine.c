/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/confine.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"

/* The kernel's own numbers (Documentation/userspace-api/landlock.rst); its headers are older than it may be. */
#define VERSION 1u /* a flag that asks for it */
#define PATH_BENEATH 1
#define SCOPES UINT64_C(3) /* abstract unix sockets, signals: from version 6 on */
enum {
    RUN = 1 << 0,
    WRITE = 1 << 1,
    READ = 1 << 2,
    LIST = 1 << 3,
    ALL_1 = (1 << 13) - 1, /* of version 1 */
    REFER = 1 << 13,       /* 2 */
    TRUNCATE = 1 << 14,    /* 3 */
    CONTROL = 1 << 15      /* 5: ioctl on devices */
};

struct ruleset {
    uint64_t fs, net, scoped;
};

struct rule {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

static uint64_t handled(long version)
{
    return ALL_1 | (version >= 2 ? REFER : 0) | (version >= 3 ? TRUNCATE : 0) | (version >= 5 ? CONTROL : 0);
}

/* What is not there needs no rule. */
static bool allow(int set, const char *path, uint64_t what)
{
    struct rule rule = {.allowed = what, .fd = open(path, O_PATH | O_CLOEXEC)};
    if (rule.fd < 0)
        return true;
    bool added = syscall(SYS_landlock_add_rule, set, PATH_BENEATH, &rule, 0) == 0;
    (void)close(rule.fd);
    return added;
}

/* The program's folder and those beside it that have its libraries. */
static bool allow_beside(int set, const char *program)
{
    static const char *const places[] = {".", "../lib", "../libexec", "../lib64"};
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    char *real = realpath(program, NULL);
    bool fits = real && snprintf(dir, sizeof dir, "%s", real) < (int)sizeof dir;
    free(real);
    if (!fits)
        return false;
    *strrchr(dir, '/') = 0;
    for (size_t i = 0; fits && i < sizeof places / sizeof places[0]; i++)
        fits = fs_join(path, dir, places[i]) && allow(set, path, RUN | READ | LIST);
    return fits;
}

bool confine(const char *program)
{
    static const char *const seen[] = {"/usr", "/lib", "/lib64", "/bin", "/sbin",
                                       "/etc", "/opt", "/sys",   "/proc"};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION);
    if (version < 1)
        return false;
    const struct ruleset rules = {.fs = handled(version), .scoped = version >= 6 ? SCOPES : 0};
    int set =
        (int)syscall(SYS_landlock_create_ruleset, &rules, version >= 6 ? sizeof rules : sizeof rules.fs, 0);
    bool whole = set >= 0 && allow_beside(set, program) &&
                 allow(set, "/dev", (RUN | WRITE | READ | LIST | TRUNCATE | CONTROL) & rules.fs);
    for (size_t i = 0; whole && i < sizeof seen / sizeof seen[0]; i++)
        whole = allow(set, seen[i], RUN | READ | LIST);
    whole = whole && syscall(SYS_landlock_restrict_self, set, 0) == 0;
    if (set >= 0)
        (void)close(set);
    return whole;
}
