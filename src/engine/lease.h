/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lease watch: until when a job may run, from what its lease file says, on the clock of the machine that it runs on.
 *
 * A lease that this machine wrote since its last boot names a moment on the very clock that is looked at. One of another
 * machine only says for how long it holds, and not how long ago it was written: of a first look nothing follows, so work
 * does not start before a renewal was seen (LEASE_UNPROVEN), and a renewal counts from the look before it. Wall clocks
 * are never asked. A job without a lease file has no end of this kind; a file that goes away changes nothing.
 */
#ifndef BUSBAR_ENGINE_LEASE_H
#define BUSBAR_ENGINE_LEASE_H

#include "engine/job.h"

#define LEASE_PROOF_MS 120000u /* how long to wait for the renewal that proves a lease */

enum lease_state { LEASE_NONE, LEASE_UNPROVEN, LEASE_LIVE, LEASE_OVER };

struct lease_watch {
    char boot[64]; /* this machine */
    enum lease_state state;
    uint64_t sequence;
    uint64_t deadline_ms;
    uint64_t looked_ms; /* the last look */
};

void lease_watch_init(struct lease_watch *watch, const char *boot);
/* One look at `now_ms` since boot; `lease` is NULL when there is no file, or none that can be read. */
enum lease_state lease_watch_look(struct lease_watch *watch, const struct job_lease *lease, uint64_t now_ms);

#endif
