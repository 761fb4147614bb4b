/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery: which mailbox an effect goes to.
 *
 * A reply goes to the mailbox whose number is in its token, a recall to the worker that holds the lease, or to who speaks for the
 * gateways' workers; a replica's
 * start or stop to the site; these two wait here while no site is attached. A job's start or stop goes to every mailbox that
 * takes such; whose the pool is they know. Each mailbox is woken once a call.
 */
#ifndef BUSBAR_RUNTIME_DELIVERY_H
#define BUSBAR_RUNTIME_DELIVERY_H

#include "runtime/mailbox.h"

struct delivery {
    pthread_mutex_t lock;
    struct mailbox *boxes[MAILBOXES_MAX]; /* by number; 0 is unused */
    uint32_t used;                        /* numbers at or above were never given out */
    struct effect *early;                 /* for the site that is not there yet */
    uint32_t nearly;
};

void delivery_init(struct delivery *delivery);
void delivery_fini(struct delivery *delivery);
/* Numbers the mailbox. ERR_LIMIT. */
int delivery_attach(struct delivery *delivery, struct mailbox *box);
void delivery_detach(struct delivery *delivery, struct mailbox *box);
/* From any thread. */
void delivery_send(struct delivery *delivery, const struct effect *list, uint32_t n);

#endif
