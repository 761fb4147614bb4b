/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int logfile_open(struct logfile *log, const char *path, struct err *err)
{
    struct stat st;
    *log = (struct logfile){.fd = -1};
    if (snprintf(log->path, sizeof log->path, "%s", path) >= (int)sizeof log->path)
        return err_set(err, ERR_INVALID, "path is too long");
    log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (log->fd < 0)
        return err_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    log->size = fstat(log->fd, &st) == 0 ? (size_t)st.st_size : 0;
    return 0;
}

static void rotate(struct logfile *log)
{
    char old[FS_PATH_MAX + 2];
    (void)snprintf(old, sizeof old, "%s.1", log->path);
    (void)rename(log->path, old);
    int fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return;
    close(log->fd);
    log->fd = fd;
    log->size = 0;
}

void logfile_write(struct logfile *log, const char *data, size_t len)
{
    if (log->fd < 0)
        return;
    if (log->size + len > LOGFILE_MAX)
        rotate(log);
    ssize_t n = write(log->fd, data, len);
    if (n > 0)
        log->size += (size_t)n;
}

void logfile_close(struct logfile *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
}
