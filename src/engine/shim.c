/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/shim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/str.h"

int shim_main(int argc, char **argv)
{
    uint64_t parent;
    if (argc < 3 || !u64_parse(argv[1], strlen(argv[1]), INT32_MAX, &parent)) {
        fprintf(stderr, "usage: busbar shim PARENT_PID PROGRAM [ARG...]\n");
        return 64;
    }
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        fprintf(stderr, "shim: prctl: %s\n", strerror(errno));
        return 71;
    }
    /* The parent may have died before the line above took effect. */
    if (getppid() != (pid_t)parent)
        return 75;
    (void)setsid();
    (void)dup2(STDOUT_FILENO, STDERR_FILENO);
    execv(argv[2], argv + 2);
    fprintf(stderr, "shim: cannot run %s: %s\n", argv[2], strerror(errno));
    return errno == ENOENT ? 127 : 126;
}
