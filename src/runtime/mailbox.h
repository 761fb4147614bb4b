/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailbox: effects on their way to one event loop.
 *
 * Any thread may put; only the loop's thread takes, in its async callback. One wake-up serves all that has gathered.
 * The mailbox's number is the upper 16 bits of every token that its owner makes, so a reply finds its way home.
 */
#ifndef BUSBAR_RUNTIME_MAILBOX_H
#define BUSBAR_RUNTIME_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "core/effect.h"

#define MAILBOX_TOKEN_BITS 48
#define MAILBOXES_MAX 256

typedef void mailbox_fn(void *ctx, const struct effect *effect);

struct mailbox {
    uint16_t number;    /* 1.. ; set by runtime_attach */
    struct uuid worker; /* for EFFECT_RECALL; zero if the owner leases nothing */
    bool site;          /* takes EFFECT_REPLICA_* */
    bool replicas;      /* takes EFFECT_REPLICA_START and _STOP as well, beside the one with `site` */
    bool gateways;      /* takes EFFECT_RECALL to workers that have no mailbox here */
    bool jobs;          /* takes EFFECT_JOB_START and _STOP, of whatever pool */
    pthread_mutex_t lock;
    struct effect *in;
    uint32_t nin, cap_in;
    struct effect *out;
    uint32_t cap_out;
    uint64_t next; /* local part of the next token */
    uv_async_t wake;
    mailbox_fn *fn;
    void *ctx;
    void (*closed)(struct mailbox *);
};

/* On the loop's thread. `fn` is called on it for each effect. 0 or ERR_NO_MEMORY. */
int mailbox_init(struct mailbox *box, uv_loop_t *loop, mailbox_fn *fn, void *ctx);
/* Closes the async handle; calls `closed` (may be NULL) when the memory may go. */
void mailbox_close(struct mailbox *box, void (*closed)(struct mailbox *));
/* A token nobody else has; never 0. On the owner's thread. */
uint64_t mailbox_token(struct mailbox *box);
/* From any thread: puts n effects and wakes the loop once. */
void mailbox_put(struct mailbox *box, const struct effect *effects, uint32_t n);
/* Puts one without waking; mailbox_wake follows. */
void mailbox_put_quiet(struct mailbox *box, const struct effect *effect);
void mailbox_wake(struct mailbox *box);

#endif
