/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces: what real fleets were asked to do, as input of the simulator.
 *
 * Four readers of one style: jobs, the pools that they queued for, requests to language models, and request rates.
 * Each reads a CSV file, plain or .zst (sim/csv.h tells how strictly), into one struct of dense arrays with rows in
 * file order and integers only: times in milliseconds since the trace's own origin, rounded half up.
 *
 * A reader returns 0, or a code with the first complaint in `err`; then the struct holds nothing but `complaints`: a
 * line for each bad line of the file, NULL if it was not for bad lines. The struct is the caller's, what it points to
 * belongs to it, and its _free is right after success, failure and zero initialisation. The constants below bound it.
 */
#ifndef BUSBAR_SIM_TRACE_H
#define BUSBAR_SIM_TRACE_H

#include <stdint.h>

#include "base/err.h"

#define TRACE_ROWS_MAX (1u << 24)
#define TRACE_QUEUES_MAX 4096u
#define TRACE_TENANTS_MAX (1u << 14)
#define TRACE_MODELS_MAX 1024u
#define TRACE_NAME_CAP 64u
#define TRACE_TIME_MS_MAX INT64_C(3155760000000) /* a century */
#define TRACE_CHIPS_MAX (1u << 20)               /* of one job */
#define TRACE_NODES_MAX (1u << 20)               /* of one pool */
#define TRACE_TOKENS_MAX (1u << 30)              /* of one request, one way */
#define TRACE_RATE_MAX UINT64_C(1000000000000)   /* millionths of a request per second */

/* duration_ms may be 0: traces have jobs that ended within the second. */
struct trace_job {
    int64_t submit_ms;
    int64_t duration_ms;
    uint32_t chips; /* at least 1 */
    uint32_t queue;
    uint32_t tenant;
    int32_t priority; /* among its tenant's jobs */
};

/* A file without a column of queues, or of tenants, has one that is called "all". */
struct trace {
    struct trace_job *job;
    uint32_t n;
    uint32_t dropped; /* jobs that asked for no chips, or for fewer */
    char (*queue)[TRACE_NAME_CAP];
    uint32_t nqueues;
    char (*tenant)[TRACE_NAME_CAP];
    uint32_t ntenants;
    char *complaints;
};

/* Columns, times in seconds: submit_s, submit, submit_time or ts; duration_s or duration; gpus, gpu_num or chips; if
 * there, vc, cluster or queue; tenant or user; priority. Without a header: queue, submit, duration, chips. */
int trace_read(struct trace *out, const char *path, struct err *err);
void trace_free(struct trace *trace);

struct trace_pools {
    char (*name)[TRACE_NAME_CAP];
    uint32_t *nodes; /* at least 1 */
    uint32_t n;
    char *complaints;
};

/* Columns: vc, cluster, queue or pool; nodes or "node num"; in this order without a header. A name is there once. */
int trace_read_pools(struct trace_pools *out, const char *path, struct err *err);
void trace_pools_free(struct trace_pools *pools);

struct trace_request {
    int64_t arrival_ms;
    uint32_t in_tokens;
    uint32_t out_tokens;
    uint32_t block_first; /* its prompt's prefix blocks in trace_requests.block */
    uint32_t blocks;
};

struct trace_requests {
    struct trace_request *request;
    uint32_t n;
    uint64_t *block; /* equal numbers: equal content up to and with that block */
    uint32_t nblocks;
    char *complaints;
};

/* Columns: arrival_ms, in_tokens, out_tokens; if there, hash_ids: numbers between single blanks. */
int trace_read_requests(struct trace_requests *out, const char *path, struct err *err);
void trace_requests_free(struct trace_requests *requests);

struct trace_rate {
    int64_t from_ms;
    uint64_t rate_micro; /* requests in a million seconds */
    uint32_t model;
};

struct trace_rates {
    struct trace_rate *rate;
    uint32_t n;
    char (*model)[TRACE_NAME_CAP];
    uint32_t nmodels;
    char *complaints;
};

/* Columns: model, t (seconds), rate (requests per second). Each model's times ascend. */
int trace_read_rates(struct trace_rates *out, const char *path, struct err *err);
void trace_rates_free(struct trace_rates *rates);

#endif
