/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lease.h"

#include <stdio.h>
#include <string.h>

void lease_watch_init(struct lease_watch *w, const char *boot)
{
    *w = (struct lease_watch){.state = LEASE_NONE};
    (void)snprintf(w->boot, sizeof w->boot, "%s", boot);
}

static void take(struct lease_watch *w, const struct job_lease *lease, uint64_t now_ms)
{
    bool same_clock = w->boot[0] && strcmp(lease->boot, w->boot) == 0;
    bool first = w->state == LEASE_NONE;
    if (!first && lease->sequence <= w->sequence)
        return;
    if (same_clock)
        w->deadline_ms = lease->until_ms;
    else if (first)
        w->deadline_ms = now_ms + LEASE_PROOF_MS;
    else
        w->deadline_ms = w->looked_ms + lease->for_ms;
    w->state = !same_clock && first ? LEASE_UNPROVEN : LEASE_LIVE;
    w->sequence = lease->sequence;
}

enum lease_state lease_watch_look(struct lease_watch *w, const struct job_lease *lease, uint64_t now_ms)
{
    if (w->state == LEASE_OVER)
        return LEASE_OVER;
    if (lease)
        take(w, lease, now_ms);
    w->looked_ms = now_ms;
    if (w->state != LEASE_NONE && now_ms >= w->deadline_ms)
        w->state = LEASE_OVER;
    return w->state;
}
