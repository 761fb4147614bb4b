/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker: one thread, one loop, one share of the gateway. For the files of this folder.
 *
 * Nothing here is touched by another thread except the two boxes (runtime/mailbox.h, gateway/slots.h) and the atomic
 * counters. The runtime knows a worker by its id; its meter records carry a sequence that only grows.
 */
#ifndef BUSBAR_GATEWAY_WORKER_H
#define BUSBAR_GATEWAY_WORKER_H

#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/purse.h"
#include "gateway/slots.h"
#include "gateway/snapshot.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "runtime/asks.h"

struct gateway;

enum worker_order { ORDER_RUN, ORDER_DRAIN, ORDER_STOP };

struct worker {
    struct gateway *gateway;
    struct uplink uplink;
    struct loop loop;
    uv_thread_t thread;
    struct http_server server;
    struct http_client *client;
    struct mailbox box;
    struct asks asks;
    struct grant_box grants;
    uv_async_t granted;
    uv_async_t control; /* the gateway asks this worker to drain or to stop */
    uv_timer_t housekeeping;
    /* Waits for budget, for a slot, for a replica that starts, for one that is yet to be placed; progress records; waits for the
     * final one. */
    struct deadline_queue hold_q, queue_q, start_q, cold_q, record_q, settle_q;
    struct uuid id;
    uint64_t sequence;
    struct snapshot *snapshot; /* the worker's reference */
    uint64_t snapshot_version;
    struct purses purses;
    struct list relays;
    _Atomic uint32_t nrelays;
    struct list sure; /* events that must not be lost, until they are acknowledged */
    _Atomic enum worker_order order;
    bool draining;
    bool stopping;
    uint32_t stop_ms;    /* since it was told to stop */
    uint32_t rounds;     /* of housekeeping */
    uint64_t sampled_ns; /* when demand was, last */
    struct metrics metrics;
    struct list flushes; /* of relay_stream.in_flush */
    uv_timer_t flush_timer;
    uint64_t chunks_in_tick; /* writes since the last flush interval began: the load, for coalescing */
    int tid;
};

/* Posts until it is acknowledged; each try of a lease's return gets the next sequence number. */
void worker_post_sure(struct worker *worker, const struct event *event);
/* The relay's events go out with the next flush, FLUSH_MS from now at the latest. */
struct relay;
void worker_flush_later(struct worker *worker, struct relay *relay);
/* The newest snapshot. Borrowed: reference it to keep it. */
struct snapshot *worker_snapshot(struct worker *worker);

#endif
