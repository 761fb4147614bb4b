/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop: a libuv loop with what every connection on it shares: one read buffer and cheap deadlines.
 *
 * Deadlines of one kind all last equally long, so a queue in order of arming is in order of expiry: arming and
 * disarming cost a list move, and one coarse timer looks at the heads. A deadline fires up to LOOP_TICK_MS late, and one
 * that is armed again and again up to half of that early.
 */
#ifndef BUSBAR_NET_LOOP_H
#define BUSBAR_NET_LOOP_H

#include <stdint.h>
#include <uv.h>

#include "base/list.h"

#define LOOP_TICK_MS 50
#define LOOP_READ_BUF 65536

struct loop {
    uv_loop_t uv; /* first: uv_loop_t.data points back here */
    uv_timer_t tick;
    struct list queues; /* of struct deadline_queue with armed deadlines */
    uint32_t armed;
    char read_buf[LOOP_READ_BUF];
};

struct deadline;
typedef void deadline_fn(struct deadline *deadline);

struct deadline_queue {
    struct loop *loop;
    struct list node;
    struct list armed;
    uint64_t after_ms;
    deadline_fn *fn;
};

struct deadline {
    struct list node;
    struct deadline_queue *queue; /* NULL: not armed */
    uint64_t at_ms;
};

int loop_init(struct loop *loop);
/* All handles must be closed; runs the loop until their callbacks have run. */
void loop_fini(struct loop *loop);
struct loop *loop_of(const uv_handle_t *handle);

/* `fn` runs on the loop when a deadline of this queue passes; the deadline is disarmed by then. */
void deadline_queue_init(struct deadline_queue *queue, struct loop *loop, uint64_t after_ms, deadline_fn *fn);
/* Arms, or arms anew from now, on this queue; off whichever it was on. */
void deadline_arm(struct deadline *deadline, struct deadline_queue *queue);
void deadline_disarm(struct deadline *deadline);

#endif
