/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spawn: runs a program to its end, without a shell, and takes what it prints.
 *
 * For the worker threads of engines: it blocks. A program that does not end in time is killed with its process group
 * and the answer is ERR_TIMEOUT: what it was asked to do may have been done all the same.
 */
#ifndef BUSBAR_ENGINE_SPAWN_H
#define BUSBAR_ENGINE_SPAWN_H

#include "base/buf.h"
#include "base/err.h"

#define SPAWN_OUTPUT_MAX ((size_t)64 << 20)
#define SPAWN_ERRORS_MAX ((size_t)64 << 10)

struct spawn_order {
    const char *const *argv; /* argv[0] is a path; ends with NULL */
    const char *const *env;  /* NULL: ours */
    const char *input;       /* what it reads on standard input; NULL: nothing */
    size_t input_len;
    uint32_t limit_ms;
};

struct spawn_result {
    int status;     /* exit status; 128 + n for signal n */
    struct buf out; /* with a NUL after it */
    struct buf err; /* cut at SPAWN_ERRORS_MAX */
};

/* 0 when the program ran to its end, whatever its status. `result` is to be finished in any case. */
int spawn_run(const struct spawn_order *order, struct spawn_result *result, struct err *err);
void spawn_result_fini(struct spawn_result *result);

#endif
