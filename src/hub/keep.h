/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keep: how long what jobs left is kept at the hub.
 *
 * Of a job that ended longer ago than that, its file (DATA/jobs), its output, its end and what was kept of it
 * (DATA/work) are removed; its row in the store, and what it cost, stay. Then blobs that no job names any more and
 * that nobody used for as long, and what came of others and was never finished. A job that the store does not know,
 * or that is not over, keeps all it has; so does one with a process. Nothing else in those folders is touched.
 *
 * Looked through soon after the start and then each quarter of the time, at least each hour, on a thread: it reads the
 * files of all jobs that are kept.
 */
#ifndef BUSBAR_HUB_KEEP_H
#define BUSBAR_HUB_KEEP_H

#include "hub/hub.h"

struct keep;

/* The hub outlives it. */
int keep_start(struct keep **out, struct loop *loop, const struct hub *hub, uint64_t keep_s, struct err *err);
/* The memory goes with keep_free, once the loop has run. */
void keep_stop(struct keep *keep);
void keep_free(struct keep *keep);

#endif
