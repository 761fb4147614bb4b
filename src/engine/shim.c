/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/shim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/str.h"
#include "engine/outpost.h"
#include "engine/shim_job.h"

#define MAP_MAX ((size_t)16 << 20)

static int usage(void)
{
    fprintf(stderr, "usage: busbar shim PARENT_PID PROGRAM [ARG...]\n"
                    "       busbar shim [--detach|--rank] DIR\n"
                    "       busbar shim --task MAP\n"
                    "       busbar shim --serve FOLDER\n");
    return 64;
}

static int become_engine(pid_t parent, char **argv)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        fprintf(stderr, "shim: prctl: %s\n", strerror(errno));
        return 71;
    }
    /* The parent may have died before the line above took effect. */
    if (getppid() != parent)
        return 75;
    (void)setsid();
    (void)dup2(STDOUT_FILENO, STDERR_FILENO);
    execv(argv[0], argv);
    fprintf(stderr, "shim: cannot run %s: %s\n", argv[0], strerror(errno));
    return errno == ENOENT ? 127 : 126;
}

/* Line `number` of the map, from 0. */
static int task_dir(const char *map, uint64_t number, char dst[FS_PATH_MAX], struct err *err)
{
    struct buf text;
    buf_init(&text, MAP_MAX);
    int rc = fs_read(map, &text, err);
    buf_add_char(&text, 0);
    char *line = rc == 0 && !text.failed ? text.data : NULL;
    for (uint64_t i = 0; line && i < number; i++) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    if (rc == 0 && (!line || !strchr(line, '\n') || strcspn(line, "\n") >= FS_PATH_MAX))
        rc = err_set(err, ERR_NOT_FOUND, "%s has no line %llu", map, (unsigned long long)number);
    if (rc == 0)
        (void)snprintf(dst, FS_PATH_MAX, "%.*s", (int)strcspn(line, "\n"), line);
    buf_fini(&text);
    return rc;
}

static int run_task(const char *map)
{
    char dir[FS_PATH_MAX];
    struct err err = {0};
    uint64_t number;
    const char *task = getenv("SLURM_ARRAY_TASK_ID");
    if (!task || !u64_parse(task, strlen(task), UINT32_MAX, &number))
        return usage();
    if (task_dir(map, number, dir, &err) != 0) {
        fprintf(stderr, "shim: %s\n", err.msg);
        return 66;
    }
    return shim_job_run(dir, -1, false);
}

int shim_main(int argc, char **argv)
{
    uint64_t parent;
    if (argc >= 3 && u64_parse(argv[1], strlen(argv[1]), INT32_MAX, &parent))
        return become_engine((pid_t)parent, argv + 2);
    if (argc == 2 && argv[1][0] == '/')
        return shim_job_run(argv[1], -1, false);
    if (argc == 3 && strcmp(argv[1], "--rank") == 0)
        return shim_job_run(argv[2], -1, true);
    if (argc == 3 && strcmp(argv[1], "--detach") == 0)
        return shim_job_detach(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--task") == 0)
        return run_task(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--serve") == 0)
        return outpost_run(argv[2]);
    return usage();
}
