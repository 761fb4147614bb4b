/* SPDX-License-Identifier: Apache-2.0 */
/* A log file with rotation: at LOGFILE_MAX bytes it becomes NAME.1, and what was NAME.1 is gone. */
#ifndef BUSBAR_ENGINE_LOGFILE_H
#define BUSBAR_ENGINE_LOGFILE_H

#include <stddef.h>

#include "base/err.h"
#include "base/fs.h"

#define LOGFILE_MAX ((size_t)8 << 20)

struct logfile {
    int fd; /* -1: closed */
    size_t size;
    char path[FS_PATH_MAX];
};

int logfile_open(struct logfile *log, const char *path, struct err *err);
/* Never fails: what cannot be written is lost. */
void logfile_write(struct logfile *log, const char *data, size_t len);
void logfile_close(struct logfile *log);

#endif
