/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signer: a process of its own that holds the log's key and signs only a tree that extends the one that it signed
 * last. The hub cannot make it sign a fork, nor read the key through it.
 *
 * Its folder has `key` (the log's name, and the private key in base64, a line each; made when it is not there) and `head`
 * (the checkpoint that was signed last, durable before its signature leaves). It talks over a socket that keeps messages
 * apart, as text:
 *
 *   hello                             ok, the key as verifiers are given it, and the head's text if there is one
 *   sign / hashes of the proof that   ok and the signed note, or no and why
 *   the head is extended / empty
 *   line / the checkpoint's text
 *
 * and ends when the other side closes.
 */
#ifndef BUSBAR_RUNTIME_SIGNER_H
#define BUSBAR_RUNTIME_SIGNER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "tlog/checkpoint.h"
#include "tlog/proof.h"

#define SIGNER_MESSAGE_MAX 16384

/* The process: `signer --dir DIR`, its socket is descriptor 3. */
int signer_main(int argc, char **argv);
/* Answers on this socket until the other side closes. 0, or why it could not open its folder. */
int signer_serve(int fd, const char *dir);

/* Its side of one message; tests call it too. */
struct signer_state {
    char dir[1024];
    uint8_t seed[32];
    struct note_key key;
    struct checkpoint head; /* size 0 and no origin: there is none yet */
};
int signer_open(struct signer_state *state, const char *dir, struct err *err);
void signer_answer(struct signer_state *state, const char *message, size_t len, struct buf *reply);

/* The hub's side. */
struct signer {
    int fd;
    pid_t pid;
    struct note_key key;
    struct checkpoint head;
};

/* Starts `self signer` with this folder. */
int signer_start(struct signer *signer, const char *self, const char *dir, struct err *err);
void signer_stop(struct signer *signer);
/* Asks for a signature; the note goes to `note`, and the signer's head is the checkpoint. ERR_FORBIDDEN: it refused. ERR_IO: it does
 * not answer; start another. */
int signer_sign(struct signer *signer, const struct checkpoint *point, const struct proof *proof,
                struct buf *note, struct err *err);

#endif
