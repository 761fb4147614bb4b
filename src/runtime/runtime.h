/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runtime: where core meets the world. It owns the core, the thread that steps it and the thread that commits.
 *
 * Anyone posts events; the core thread steps them in order and runs ahead of the disk. What a batch decided (replies,
 * recalls, starts and stops, a new routing snapshot) leaves only after the store has committed the batch. A batch is
 * committed at once when the store is idle, else every COMMIT_INTERVAL or COMMIT_EVENTS events (group commit).
 *
 * When a commit fails, the core is thrown away, everybody who waits gets ERR_UNAVAILABLE, the state is loaded from
 * the store again, and the runtime is not ready until a commit succeeds. Senders of state reports must try again.
 */
#ifndef BUSBAR_RUNTIME_RUNTIME_H
#define BUSBAR_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/core.h"
#include "runtime/mailbox.h"
#include "store/store.h"
#include "tlog/merkle.h"

#define COMMIT_INTERVAL_NS UINT64_C(2000000)
#define COMMIT_EVENTS 256

/* The routing snapshot: made on the core thread, from the state at the end of a batch; published after its commit. */
struct runtime_routes {
    void *(*make)(void *ctx, const struct core *core); /* never NULL */
    void (*publish)(void *ctx, void *snapshot);        /* takes ownership */
    void (*discard)(void *ctx, void *snapshot);        /* the commit failed */
    void *ctx;
};

/* The transparency log, told of each commit that appended to it; on the store's thread, or runtime_start's. */
struct runtime_log {
    void (*grown)(void *ctx, const struct merkle_edge *edge); /* NULL: nobody is told */
    void *ctx;
};

struct runtime_config {
    struct store *store; /* the runtime closes it at its end */
    struct limits limits;
    struct runtime_routes routes; /* make NULL: none */
    struct runtime_log log;
    uint64_t
        snapshot_events; /* between two digests of the state (runtime/snapshot.h); 0: as many as is usual */
};

struct runtime;

/* Loads the state, steps the boot event and commits it; then both threads run. */
int runtime_start(struct runtime **out, const struct runtime_config *config, struct err *err);
/* Commits what was posted, ends both threads, closes the store, frees. Owners of mailboxes must have stopped. */
void runtime_stop(struct runtime *rt);

/* Numbers the mailbox and delivers to it from now on. Before events with its tokens. ERR_LIMIT. */
int runtime_attach(struct runtime *rt, struct mailbox *box);
void runtime_detach(struct runtime *rt, struct mailbox *box);

/* Queues a copy of the event; its time is set when it is stepped. ERR_UNAVAILABLE when the queue is full or the
 * runtime is not ready; then there will be no reply. */
int runtime_post(struct runtime *rt, const struct event *event);

/* The same for several that are durable together or not at all. Each is stepped for itself and has its own reply. */
int runtime_post_all(struct runtime *rt, const struct event *events, uint32_t n);

/* Runs fn on the core thread after everything posted before it, then sends a reply with `token` once all that fn
 * could see is durable. `ctx` belongs to fn until that reply. ERR_UNAVAILABLE as above. */
typedef void query_fn(void *ctx, const struct core *core);
int runtime_query(struct runtime *rt, query_fn *fn, void *ctx, uint64_t token);

bool runtime_ready(const struct runtime *rt);
/* What an event would have as its time now (runtime/event_clock.h): for moments that core will compare with. From any thread. */
int64_t runtime_now_ms(const struct runtime *rt);
/* When something was used that is so old by the clock of whoever metered it, as records tell it (core/event_time.c): by our clock, so
 * theirs may be wrong by any constant. 0: it is of now, or nobody says how old. */
int64_t runtime_used_ms(const struct runtime *rt, uint64_t age_ms);
struct store *runtime_store(struct runtime *rt);

/* Counters for /metrics; read from any thread. */
struct runtime_stats {
    uint64_t events, batches, commit_failures, commit_ns_total;
    uint64_t commit_bucket[16]; /* bucket i: commits of at most 2^i * 0.1 ms, not cumulative */
    uint64_t queue_bytes;
};
struct runtime_stats runtime_stats(struct runtime *rt);
/* CPU time of the core and the store thread so far, ns; for the benchmark's split by thread. */
void runtime_thread_ids(const struct runtime *rt, int *core_tid, int *store_tid);

#endif
