/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outpost: a replica on a node of a site's batch system, as the command of a job there (site/replica_jobs.h).
 *
 * `busbar shim --serve FOLDER` reads FOLDER/order, starts the model's server on a unix socket of its own (engine/serve.h), and opens
 * a port to it for whoever has FOLDER/key.pem (net/gate.h): the agent, which made the key for this job alone. What becomes of the
 * server it says on standard output, one line a change, which is the job's output and read by the agent. It runs until
 * SIGTERM; how long it may is its shim's business, as are usage and lease.
 */
#ifndef BUSBAR_ENGINE_OUTPOST_H
#define BUSBAR_ENGINE_OUTPOST_H

#include "engine/form.h"

#define OUTPOST_ORDER "order"
#define OUTPOST_KEY "key.pem"
#define OUTPOST_CERT "cert.pem"
#define OUTPOST_LINE_MAX 2048
#define OUTPOST_HOST_MAX 255

/* FOLDER/order. */
struct outpost_order {
    char *model, *engine;
    char *location; /* of the weights, as the node sees them */
    uint32_t slots, context, kind, threads;
};

/* A line of the output. */
struct outpost_word {
    char *state; /* as replica_state_text has it */
    char *detail;
    uint32_t slots, context;
    char *host; /* as the node calls itself */
    uint32_t port;
    char *version; /* of the engine that is ready */
};

extern const struct form_table outpost_order_table, outpost_word_table;

/* The exit status. */
int outpost_run(const char *folder);

#endif
