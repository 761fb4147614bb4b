/* SPDX-License-Identifier: Apache-2.0 */
/* One check of a replica as a child process; of hub/acceptance.c only. Blocks, and looks at `stopping` meanwhile. */
#ifndef BUSBAR_HUB_ACCEPTANCE_RUN_H
#define BUSBAR_HUB_ACCEPTANCE_RUN_H

#include <stdbool.h>

#include "core/schema.h"

struct accept_job {
    struct row_replica replica;
    struct row_variant variant;
    char model[NAME_CAP];
    uint32_t kind;
    uint64_t base_one, base_many; /* medians, 0: none */
};

struct accept_run {
    const char *self, *terms, *golden; /* golden: the folder */
    const char *data_dir;              /* of weights */
    bool quick, must, speed;           /* speed: is measured too */
    const bool *stopping;
    bool (*wanted)(void *ctx); /* asked each second: whether the replica is still there, and ready */
    void *ctx;
};

/* Fills verdict, reason and figures; ACCEPT_WAITING: the replica did not answer, or not in time; ACCEPT_OPEN: nothing could be found out,
 * for a fault of this machine and not of the replica. False: it was stopped, and nothing is known. */
bool accept_run(const struct accept_job *job, const struct accept_run *run, struct event_accept_result *out);
/* Of a child's line; false: it is none. */
bool accept_read(struct event_accept_result *out, const char *line, size_t len);

#endif
