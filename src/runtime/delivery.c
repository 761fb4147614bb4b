/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/delivery.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"

void delivery_init(struct delivery *d)
{
    *d = (struct delivery){.used = 1};
    pthread_mutex_init(&d->lock, NULL);
}

void delivery_fini(struct delivery *d)
{
    free(d->early);
    pthread_mutex_destroy(&d->lock);
}

int delivery_attach(struct delivery *d, struct mailbox *box)
{
    int rc = ERR_LIMIT;
    pthread_mutex_lock(&d->lock);
    for (uint32_t i = 1; i < MAILBOXES_MAX && rc != 0; i++) {
        if (d->boxes[i])
            continue;
        d->boxes[i] = box;
        d->used = i >= d->used ? i + 1 : d->used;
        box->number = (uint16_t)i;
        rc = 0;
    }
    if (rc == 0 && box->site) {
        mailbox_put(box, d->early, d->nearly);
        d->nearly = 0;
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

void delivery_detach(struct delivery *d, struct mailbox *box)
{
    pthread_mutex_lock(&d->lock);
    assert(d->boxes[box->number] == box);
    d->boxes[box->number] = NULL;
    pthread_mutex_unlock(&d->lock);
}

static void keep_early(struct delivery *d, const struct effect *effect)
{
    struct effect *early = realloc(d->early, (d->nearly + 1) * sizeof *early);
    if (!early)
        abort(); /* a replica that core believes in would never start */
    early[d->nearly++] = *effect;
    d->early = early;
}

/* Number of the mailbox; 0 when there is none. */
static uint32_t find(const struct delivery *d, const struct effect *effect)
{
    if (effect->kind == EFFECT_REPLY) {
        uint32_t number = (uint32_t)(effect->token >> MAILBOX_TOKEN_BITS);
        return number < d->used && d->boxes[number] ? number : 0;
    }
    for (uint32_t i = 1; i < d->used; i++) {
        const struct mailbox *box = d->boxes[i];
        if (box && (effect->kind == EFFECT_RECALL ? uuid_eq(&box->worker, &effect->worker) : box->site))
            return i;
    }
    for (uint32_t i = 1; i < d->used && effect->kind == EFFECT_RECALL; i++) {
        if (d->boxes[i] && d->boxes[i]->gateways)
            return i;
    }
    return 0;
}

static void put(struct delivery *d, const struct effect *effect, uint32_t number, bool *woken)
{
    mailbox_put_quiet(d->boxes[number], effect);
    woken[number] = true;
}

static void put_job(struct delivery *d, const struct effect *effect, bool *woken)
{
    for (uint32_t i = 1; i < d->used; i++) {
        if (d->boxes[i] && d->boxes[i]->jobs)
            put(d, effect, i, woken);
    }
}

void delivery_send(struct delivery *d, const struct effect *list, uint32_t n)
{
    bool woken[MAILBOXES_MAX];
    pthread_mutex_lock(&d->lock);
    for (uint32_t i = 0; i < d->used; i++)
        woken[i] = false;
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].kind == EFFECT_JOB_START || list[i].kind == EFFECT_JOB_STOP) {
            put_job(d, &list[i], woken);
            continue;
        }
        uint32_t number = find(d, &list[i]);
        bool replica = list[i].kind == EFFECT_REPLICA_START || list[i].kind == EFFECT_REPLICA_STOP ||
                       list[i].kind == EFFECT_RECALLED;
        if (number != 0)
            put(d, &list[i], number, woken);
        else if (replica)
            keep_early(d, &list[i]);
        for (uint32_t k = 1; k < d->used && replica; k++) {
            if (d->boxes[k] && d->boxes[k]->replicas)
                put(d, &list[i], k, woken);
        }
    }
    for (uint32_t i = 1; i < d->used; i++) {
        if (woken[i])
            mailbox_wake(d->boxes[i]);
    }
    pthread_mutex_unlock(&d->lock);
}
