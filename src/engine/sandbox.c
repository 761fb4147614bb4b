/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/cgroup.h"
#include "engine/command.h"
#include "engine/spawn.h"

#define PROBE_LIMIT_MS 5000
#define TMP_BYTES "1073741824"

static void add(struct buf *out, const char *arg)
{
    buf_add(out, arg, strlen(arg) + 1);
}

static void add3(struct buf *out, const char *option, const char *a, const char *b)
{
    add(out, option);
    add(out, a);
    add(out, b);
}

/* The system, as it is here: a folder is bound, a link to one (a merged /usr) is made again. */
static void add_system(struct buf *out)
{
    static const char *const folders[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
    static const char *const files[] = {"/etc/alternatives", "/etc/ld.so.cache",  "/etc/ld.so.conf",
                                        "/etc/ld.so.conf.d", "/etc/localtime",    "/etc/passwd",
                                        "/etc/group",        "/etc/nsswitch.conf"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char target[FS_PATH_MAX];
        ssize_t n = readlink(folders[i], target, sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        if (n > 0)
            add3(out, "--symlink", target, folders[i]);
        else
            add3(out, "--ro-bind-try", folders[i], folders[i]);
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        add3(out, "--ro-bind-try", files[i], files[i]);
}

static void add_network(struct buf *out)
{
    static const char *const files[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/ssl", "/etc/ca-certificates"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        add3(out, "--ro-bind-try", files[i], files[i]);
}

static void add_devices(struct buf *out, const struct job_spec *spec)
{
    bool any = false;
    for (uint32_t i = 0; i < spec->chips_count; i++) {
        const struct job_chips *c = &spec->chips[i];
        for (uint32_t k = 0; k < c->devices_count; k++) {
            add3(out, "--dev-bind-try", c->devices[k], c->devices[k]);
            any = true;
        }
    }
    if (any) /* drivers' libraries find their chips there */
        add3(out, "--ro-bind", "/sys", "/sys");
}

static void add_binds(struct buf *out, const struct job_spec *spec)
{
    for (uint32_t i = 0; i < spec->binds_count; i++) {
        const struct job_bind *b = &spec->binds[i];
        const char *option = b->write      ? b->may_lack ? "--bind-try" : "--bind"
                             : b->may_lack ? "--ro-bind-try"
                                           : "--ro-bind";
        add3(out, option, b->source, b->target ? b->target : b->source);
    }
}

void sandbox_args(struct buf *out, const struct job_spec *spec, const char *folder, char *const *env)
{
    static const char *const fixed[] = {"--unshare-user",
                                        "--unshare-pid",
                                        "--unshare-ipc",
                                        "--unshare-uts",
                                        "--unshare-cgroup-try",
                                        "--die-with-parent",
                                        "--new-session",
                                        "--cap-drop",
                                        "ALL",
                                        "--hostname",
                                        "job",
                                        "--clearenv"};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        add(out, fixed[i]);
    if (!spec->network)
        add(out, "--unshare-net");
    add_system(out);
    if (spec->network)
        add_network(out);
    add(out, "--proc");
    add(out, "/proc");
    add(out, "--dev");
    add(out, "/dev");
    add(out, "--size");
    add(out, TMP_BYTES);
    add(out, "--tmpfs");
    add(out, "/tmp");
    add_devices(out, spec);
    add_binds(out, spec);
    add3(out, "--bind", folder, folder);
    if (spec->checkpoint_dir)
        add3(out, "--bind", spec->checkpoint_dir, spec->checkpoint_dir);
    add(out, "--chdir");
    add(out, spec->cwd ? spec->cwd : folder);
    for (; *env; env++) {
        const char *value = strchr(*env, '=');
        add(out, "--setenv");
        buf_add(out, *env, (size_t)(value - *env));
        buf_add_char(out, 0);
        add(out, value + 1);
    }
}

int sandbox_args_fd(const struct buf *args)
{
    size_t done = 0;
    int fd = memfd_create("bwrap", 0);
    while (fd >= 0 && done < args->len) {
        ssize_t n = write(fd, args->data + done, args->len - done);
        if (n < 0) {
            close(fd);
            return -1;
        }
        done += (size_t)n;
    }
    if (fd >= 0)
        (void)lseek(fd, 0, SEEK_SET);
    return fd;
}

bool sandbox_find(char dst[FS_PATH_MAX])
{
    return command_find("/usr/bin:/usr/local/bin", "bwrap", dst);
}

static int probe_namespace(struct err *err)
{
    char bwrap[FS_PATH_MAX], number[16], folder[] = "/tmp/busbar-probe-XXXXXX";
    char *const none[] = {NULL};
    const struct job_spec spec = {.version = 1};
    struct spawn_result result;
    struct buf args;
    if (!sandbox_find(bwrap))
        return err_set(err, ERR_UNSUPPORTED, "bubblewrap is not installed");
    if (!mkdtemp(folder))
        return err_set(err, ERR_IO, "cannot create a folder in /tmp: %s", strerror(errno));
    buf_init(&args, SANDBOX_ARGS_MAX);
    sandbox_args(&args, &spec, folder, none);
    int fd = args.failed ? -1 : sandbox_args_fd(&args);
    (void)snprintf(number, sizeof number, "%d", fd);
    const char *const argv[] = {bwrap, "--args", number, "--", "/bin/sh", "-c", ":", NULL};
    int rc = fd < 0
                 ? err_set(err, ERR_IO, "out of descriptors")
                 : spawn_run(&(struct spawn_order){.argv = argv, .limit_ms = PROBE_LIMIT_MS}, &result, err);
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && rc == 0 && result.status != 0)
        rc =
            err_set(err, ERR_UNSUPPORTED, "bubblewrap: %.150s", result.err.data ? result.err.data : "failed");
    if (fd >= 0)
        spawn_result_fini(&result);
    buf_fini(&args);
    rmdir(folder);
    return rc;
}

enum isolation sandbox_probe(const char *group, struct err *why)
{
    *why = (struct err){0};
    if (probe_namespace(why) != 0)
        return ISOLATION_PROCESS;
    if (!group) {
        (void)err_set(why, ERR_UNSUPPORTED, "no control groups of version 2");
        return ISOLATION_NAMESPACE;
    }
    return cgroup_probe(group, why) == 0 ? ISOLATION_CGROUP : ISOLATION_NAMESPACE;
}
