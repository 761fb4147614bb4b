/* SPDX-License-Identifier: Apache-2.0 */
#include "atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

int atomic_file_open(struct atomic_file *file, const char *path)
{
    int n = 0;

    *file = (struct atomic_file){.hash = ATOMIC_FILE_HASH_SEED};
    n = snprintf(file->path_tmp, sizeof(file->path_tmp), "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof(file->path_tmp))
        return -ENAMETOOLONG;
    (void)snprintf(file->path, sizeof(file->path), "%s", path);
    file->stream = fopen(file->path_tmp, "wb");
    return file->stream != NULL ? 0 : -errno;
}

uint64_t atomic_file_hash(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

void atomic_file_write(struct atomic_file *file, const void *bytes, size_t len)
{
    if (file->error != 0)
        return;
    if (fwrite(bytes, 1, len, file->stream) != len) {
        file->error = -EIO;
        return;
    }
    file->written += len;
    file->hash = atomic_file_hash(file->hash, bytes, len);
}

/* Without this the rename itself may be lost with the power. */
static int folder_sync(const char *path)
{
    char copy[PATH_MAX];
    int rc = 0;
    int fd = -1;

    (void)snprintf(copy, sizeof(copy), "%s", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fsync(fd) != 0)
        rc = -errno;
    (void)close(fd);
    return rc;
}

int atomic_file_commit(struct atomic_file *file)
{
    int rc = file->error;

    if (rc == 0 && (fflush(file->stream) != 0 || fsync(fileno(file->stream)) != 0))
        rc = -errno;
    if (fclose(file->stream) != 0 && rc == 0)
        rc = -errno;
    file->stream = NULL;
    if (rc == 0 && rename(file->path_tmp, file->path) != 0)
        rc = -errno;
    if (rc != 0) {
        (void)unlink(file->path_tmp);
        return rc;
    }
    return folder_sync(file->path);
}

void atomic_file_abort(struct atomic_file *file)
{
    (void)fclose(file->stream);
    file->stream = NULL;
    (void)unlink(file->path_tmp);
}
