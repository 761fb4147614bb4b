/* SPDX-License-Identifier: Apache-2.0 */
/* The hub's side of the signer. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "runtime/signer.h"

#define SOCKET_FD 3
#define ANSWER_S 20 /* it syncs a file before it answers */

extern char **environ;

static int spawn(struct signer *signer, int fd, const char *self, const char *dir)
{
    char name[] = "busbar", verb[] = "signer", option[] = "--dir";
    char *argv[] = {name, verb, option, (char *)dir, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    sigemptyset(&none);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    /* It says all over the socket; who waits for the end of our output does not wait for it. */
    int rc = posix_spawn_file_actions_adddup2(&actions, fd, SOCKET_FD);
    for (int i = 0; rc == 0 && i < SOCKET_FD; i++)
        rc = posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(&attr, &none);
    if (rc == 0)
        rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    if (rc == 0)
        rc = posix_spawn(&signer->pid, self, &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* Sends a message and has the answer's part after "ok" in `reply`. */
static int ask(struct signer *signer, const struct buf *message, struct buf *reply, struct err *err)
{
    char bytes[SIGNER_MESSAGE_MAX];
    ssize_t n = -1;
    if (message->failed)
        return err_set(err, ERR_TOO_LARGE, "the request to the signer is too large");
    if (send(signer->fd, message->data, message->len, MSG_NOSIGNAL) == (ssize_t)message->len)
        n = recv(signer->fd, bytes, sizeof bytes, 0);
    if (n < 3)
        return err_set(err, ERR_IO, "the signer does not answer%s%s", n < 0 ? ": " : "",
                       n < 0 ? strerror(errno) : "");
    if (memcmp(bytes, "ok\n", 3) != 0)
        return err_set(err, ERR_FORBIDDEN, "%.*s", (int)n - 3, bytes + 3);
    buf_clear(reply);
    buf_add(reply, bytes + 3, (size_t)n - 3);
    return reply->failed ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

static int hello(struct signer *signer, struct err *err)
{
    struct buf message, reply;
    buf_init(&message, 16);
    buf_init(&reply, SIGNER_MESSAGE_MAX);
    buf_add_text(&message, "hello\n");
    int rc = ask(signer, &message, &reply, err);
    const char *end = rc == 0 ? memchr(reply.data, '\n', reply.len) : NULL;
    size_t at = end ? (size_t)(end - reply.data) + 1 : 0;
    signer->head = (struct checkpoint){0};
    if (rc == 0 &&
        (!end || note_key_parse(digest_sha256, &signer->key, reply.data, at - 1) != 0 ||
         (at < reply.len && checkpoint_parse(&signer->head, reply.data + at, reply.len - at) != 0)))
        rc = err_set(err, ERR_IO, "the signer does not say who it is");
    buf_fini(&message);
    buf_fini(&reply);
    return rc;
}

int signer_start(struct signer *signer, const char *self, const char *dir, struct err *err)
{
    int fds[2];
    struct timeval limit = {.tv_sec = ANSWER_S};
    *signer = (struct signer){.fd = -1, .pid = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return err_set(err, ERR_IO, "cannot start the signer: %s", strerror(errno));
    /* dup2 onto itself would leave it to close at exec. */
    int theirs = fcntl(fds[1], F_DUPFD_CLOEXEC, SOCKET_FD + 1);
    close(fds[1]);
    signer->fd = fds[0];
    (void)setsockopt(signer->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    int number = theirs < 0 ? errno : spawn(signer, theirs, self, dir);
    if (theirs >= 0)
        close(theirs);
    int rc = number == 0 ? 0 : err_set(err, ERR_IO, "cannot start the signer: %s", strerror(number));
    if (number != 0)
        signer->pid = -1;
    if (rc == 0)
        rc = hello(signer, err);
    if (rc != 0)
        signer_stop(signer);
    return rc;
}

void signer_stop(struct signer *signer)
{
    if (signer->fd >= 0)
        close(signer->fd);
    if (signer->pid > 0)
        (void)waitpid(signer->pid, NULL, 0);
    signer->fd = -1;
    signer->pid = -1;
}

int signer_sign(struct signer *signer, const struct checkpoint *point, const struct proof *proof,
                struct buf *note, struct err *err)
{
    char text[CHECKPOINT_TEXT_CAP], hashes[PROOF_TEXT_CAP];
    struct buf message;
    buf_init(&message, SIGNER_MESSAGE_MAX);
    (void)proof_text(hashes, proof);
    (void)checkpoint_text(text, point);
    buf_addf(&message, "sign\n%s%s", hashes, text);
    int rc = ask(signer, &message, note, err);
    if (rc == 0)
        signer->head = *point;
    buf_fini(&message);
    return rc;
}
