/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/mailbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* Takes everything that has gathered, then hands it out without the lock. */
static void on_wake(uv_async_t *handle)
{
    struct mailbox *box = handle->data;
    pthread_mutex_lock(&box->lock);
    struct effect *list = box->in;
    uint32_t n = box->nin;
    uint32_t cap = box->cap_in;
    box->in = box->out;
    box->cap_in = box->cap_out;
    box->nin = 0;
    box->out = list;
    box->cap_out = cap;
    pthread_mutex_unlock(&box->lock);
    for (uint32_t i = 0; i < n; i++)
        box->fn(box->ctx, &list[i]);
}

int mailbox_init(struct mailbox *box, uv_loop_t *loop, mailbox_fn *fn, void *ctx)
{
    *box = (struct mailbox){.fn = fn, .ctx = ctx};
    pthread_mutex_init(&box->lock, NULL);
    if (uv_async_init(loop, &box->wake, on_wake) != 0)
        return ERR_NO_MEMORY;
    box->wake.data = box;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct mailbox *box = handle->data;
    free(box->in);
    free(box->out);
    box->in = box->out = NULL;
    pthread_mutex_destroy(&box->lock);
    if (box->closed)
        box->closed(box);
}

void mailbox_close(struct mailbox *box, void (*closed)(struct mailbox *))
{
    box->closed = closed;
    uv_close((uv_handle_t *)&box->wake, on_closed);
}

uint64_t mailbox_token(struct mailbox *box)
{
    assert(box->number != 0);
    box->next = (box->next + 1) & ((UINT64_C(1) << MAILBOX_TOKEN_BITS) - 1);
    return (uint64_t)box->number << MAILBOX_TOKEN_BITS | box->next;
}

void mailbox_put_quiet(struct mailbox *box, const struct effect *effect)
{
    pthread_mutex_lock(&box->lock);
    if (box->nin == box->cap_in) {
        uint32_t cap = box->cap_in ? box->cap_in * 2 : 64;
        struct effect *in = realloc(box->in, cap * sizeof *in);
        if (!in)
            abort(); /* a lost reply would hang its request for ever */
        box->in = in;
        box->cap_in = cap;
    }
    box->in[box->nin++] = *effect;
    pthread_mutex_unlock(&box->lock);
}

void mailbox_wake(struct mailbox *box)
{
    uv_async_send(&box->wake);
}

void mailbox_put(struct mailbox *box, const struct effect *effects, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        mailbox_put_quiet(box, &effects[i]);
    if (n)
        mailbox_wake(box);
}
