/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/acceptance_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yyjson.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/osrandom.h"
#include "core/kinds.h"
#include "hub/acceptance.h"

#define LINE_MAX_BYTES 8192
#define LOOK_MS 100
#define WANTED_MS 1000
#define ARGS_MAX 32

extern char **environ;

/* ---- what a child says ---- */

static bool read_u32(yyjson_val *root, const char *name, uint32_t *out)
{
    yyjson_val *v = yyjson_obj_get(root, name);
    *out = (uint32_t)yyjson_get_uint(v);
    return yyjson_is_uint(v) && yyjson_get_uint(v) <= UINT32_MAX;
}

static bool read_u64(yyjson_val *root, const char *name, uint64_t *out)
{
    yyjson_val *v = yyjson_obj_get(root, name);
    *out = yyjson_get_uint(v);
    return yyjson_is_uint(v) && *out <= INT64_MAX;
}

bool accept_read(struct event_accept_result *e, const char *line, size_t len)
{
    yyjson_doc *doc = yyjson_read(line, len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *reason = yyjson_obj_get(root, "reason");
    yyjson_val *golden = yyjson_obj_get(root, "golden");
    bool whole = read_u32(root, "verdict", &e->verdict) && e->verdict <= ACCEPT_UNCHECKED &&
                 read_u32(root, "prompts", &e->prompts) && read_u32(root, "tokens", &e->tokens) &&
                 read_u32(root, "close", &e->close) && read_u32(root, "parted", &e->parted) &&
                 read_u32(root, "mean", &e->mean) && read_u32(root, "max", &e->max) &&
                 read_u64(root, "one", &e->one) && read_u64(root, "many", &e->many) &&
                 read_u32(root, "batch", &e->batch) && read_u64(root, "read", &e->read) &&
                 read_u64(root, "took_ms", &e->took_ms) && yyjson_is_str(reason) && yyjson_is_str(golden) &&
                 text_set(e->reason, sizeof e->reason, yyjson_get_str(reason), yyjson_get_len(reason)) &&
                 hex_decode(e->golden, sizeof e->golden, yyjson_get_str(golden), yyjson_get_len(golden)) &&
                 (e->verdict == ACCEPT_PASSED || e->reason[0]);
    yyjson_doc_free(doc);
    return whole;
}

static void nothing(struct event_accept_result *e, uint32_t verdict, const char *why)
{
    *e = (struct event_accept_result){.verdict = verdict};
    (void)snprintf(e->reason, sizeof e->reason, "%s", why);
}

/* ---- the child ---- */

/* 0: it cannot be started. */
static pid_t start(char *const *argv, int *out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    pid_t pid = 0;
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return 0;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (posix_spawn(&pid, argv[0], &actions, &attr, argv, environ) != 0)
        pid = 0;
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    (void)close(fds[1]);
    *out = fds[0];
    if (pid == 0)
        (void)close(fds[0]);
    return pid;
}

/* Until it has closed its output, is late, or is not wanted any more; returns how many bytes it wrote. */
static size_t listen_to(int fd, char *line, size_t cap, const struct accept_run *run, bool *wanted)
{
    uint64_t from_ms = clock_boot_ms(), asked_ms = from_ms;
    size_t len = 0;
    *wanted = true;
    for (bool open = true; open && *wanted && clock_boot_ms() - from_ms < ACCEPTANCE_LIMIT_MS;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        *wanted = !__atomic_load_n(run->stopping, __ATOMIC_RELAXED);
        if (clock_boot_ms() - asked_ms >= WANTED_MS) {
            *wanted = *wanted && run->wanted(run->ctx);
            asked_ms = clock_boot_ms();
        }
        if (poll(&p, 1, LOOK_MS) <= 0)
            continue;
        ssize_t n = read(fd, line + len, cap - len);
        open = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
        len += n > 0 ? (size_t)n : 0;
        open = open && len < cap;
    }
    return len;
}

static void reap(pid_t pid)
{
    (void)kill(pid, SIGKILL); /* it has said what it had to say */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

bool accept_run(const struct accept_job *job, const struct accept_run *run, struct event_accept_result *e)
{
    char golden[FS_PATH_MAX], model[FS_PATH_MAX], name[2 * DIGEST_BYTES + 1], line[LINE_MAX_BYTES];
    char slots[24], context[24], one[24], many[24], random[24];
    uint64_t seed;
    int fd;
    if (job->kind != MODEL_CHAT) {
        nothing(e, ACCEPT_UNCHECKED, "the reference engine does not run embeddings and rerankers");
        return true;
    }
    hex_encode(name, job->variant.digest, DIGEST_BYTES);
    const char *place = job->variant.location;
    bool relative = place[0] != '/';
    if (!fs_join(golden, run->golden, name) || !fs_join(model, relative ? run->data_dir : "/", place)) {
        nothing(e, ACCEPT_OPEN, "the data folder's path is too long");
        return true;
    }
    os_random(&seed, sizeof seed);
    (void)snprintf(slots, sizeof slots, "%u", job->replica.slots ? job->replica.slots : 1);
    (void)snprintf(context, sizeof context, "%u", job->replica.context ? job->replica.context : 1);
    (void)snprintf(one, sizeof one, "%llu", (unsigned long long)job->base_one);
    (void)snprintf(many, sizeof many, "%llu", (unsigned long long)job->base_many);
    (void)snprintf(random, sizeof random, "%llu", (unsigned long long)(seed >> 1));
    const char *argv[ARGS_MAX] = {run->self,
                                  "accept-check",
                                  "--model",
                                  model,
                                  "--golden",
                                  golden,
                                  "--terms",
                                  run->terms,
                                  "--endpoint",
                                  job->replica.endpoint,
                                  "--name",
                                  job->model,
                                  "--quantisation",
                                  job->variant.quantisation[0] ? job->variant.quantisation : "?",
                                  "--slots",
                                  slots,
                                  "--context",
                                  context,
                                  "--base-one",
                                  one,
                                  "--base-many",
                                  many,
                                  "--seed",
                                  random,
                                  "--quick",
                                  run->quick ? "1" : "0",
                                  "--must",
                                  run->must ? "1" : "0",
                                  "--speed",
                                  run->speed ? "1" : "0",
                                  NULL};
    pid_t pid = start((char *const *)argv, &fd);
    if (pid == 0) {
        nothing(e, ACCEPT_OPEN, "the check cannot be started");
        return true;
    }
    bool wanted;
    size_t len = listen_to(fd, line, sizeof line, run, &wanted);
    reap(pid);
    (void)close(fd);
    if (!wanted)
        return false;
    if (!accept_read(e, line, len))
        nothing(e, ACCEPT_WAITING, "the check ended without a result, or was not done in time");
    return true;
}
