/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"

static void on_tick(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    uint64_t now = uv_now(&loop->uv);
    if (loop->armed == 0) {
        uv_timer_stop(timer);
        return;
    }
    list_for_each_safe (it, next, &loop->queues) {
        struct deadline_queue *queue = list_entry(it, struct deadline_queue, node);
        struct list *first;
        while ((first = list_first(&queue->armed)) != NULL) {
            struct deadline *deadline = list_entry(first, struct deadline, node);
            if (deadline->at_ms > now)
                break;
            deadline_disarm(deadline);
            queue->fn(deadline);
        }
    }
}

int loop_init(struct loop *loop)
{
    if (uv_loop_init(&loop->uv) != 0)
        return ERR_NO_MEMORY;
    loop->uv.data = loop;
    loop->armed = 0;
    list_init(&loop->queues);
    uv_timer_init(&loop->uv, &loop->tick);
    loop->tick.data = loop;
    /* The tick alone must not keep a loop alive that has nothing else to do. */
    uv_unref((uv_handle_t *)&loop->tick);
    return 0;
}

void loop_fini(struct loop *loop)
{
    uv_close((uv_handle_t *)&loop->tick, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0);
}

struct loop *loop_of(const uv_handle_t *handle)
{
    return handle->loop->data;
}

void deadline_queue_init(struct deadline_queue *queue, struct loop *loop, uint64_t after_ms, deadline_fn *fn)
{
    *queue = (struct deadline_queue){.loop = loop, .after_ms = after_ms, .fn = fn};
    list_init(&queue->armed);
    list_push(&loop->queues, &queue->node);
}

void deadline_arm(struct deadline *deadline, struct deadline_queue *queue)
{
    struct loop *loop = queue->loop;
    uint64_t at_ms = uv_now(&loop->uv) + queue->after_ms;
    /* Armed anew for each chunk of a stream: a change below the clock's own grain is not worth touching the list. */
    if (deadline->queue == queue && at_ms - deadline->at_ms < LOOP_TICK_MS / 2 &&
        queue->after_ms > 4 * LOOP_TICK_MS)
        return;
    deadline_disarm(deadline);
    deadline->queue = queue;
    deadline->at_ms = at_ms;
    list_push(&queue->armed, &deadline->node);
    loop->armed++;
    if (!uv_is_active((uv_handle_t *)&loop->tick))
        uv_timer_start(&loop->tick, on_tick, LOOP_TICK_MS, LOOP_TICK_MS);
}

void deadline_disarm(struct deadline *deadline)
{
    if (!deadline->queue)
        return;
    struct loop *loop = deadline->queue->loop;
    list_remove(&deadline->node);
    deadline->queue = NULL;
    loop->armed--; /* the timer stops at its next round if nothing was armed again */
}
