/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time of events: the wall clock's, but never back, never standing, and at the pace of the machine's own clock.
 *
 * Core measures by it how long something ran, waits or is idle, and it wakes the core. So a wall clock that is set back must
 * not stop it: what ends would seem to have taken no time and could not be billed, and whatever is due would wait until the wall
 * clock has come up. It then goes on ahead of the wall clock and gains on it slowly, by one part in EVENT_CLOCK_SLEW: an hour
 * takes less than three days. A wall clock that is set forward is followed at once. Over a restart it goes on from the last
 * event. One thread steps it; any may peek.
 */
#ifndef BUSBAR_RUNTIME_EVENT_CLOCK_H
#define BUSBAR_RUNTIME_EVENT_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define EVENT_CLOCK_SLEW 64

struct event_clock {
    atomic_llong ahead_ms; /* of the boot clock */
    int64_t last_ms;       /* what it said last */
    uint64_t drawn_ms;     /* boot time up to which it was slowed */
    bool told;             /* that the wall clock is behind */
};

/* last_ms: time of the last event, 0: there was none. All by clocks that the caller has read, ms: wall since 1970, boot as
 * clock_boot_ms(). */
void event_clock_init(struct event_clock *clock, int64_t last_ms, int64_t wall_ms, uint64_t boot_ms);
int64_t event_clock_at(struct event_clock *clock, int64_t wall_ms, uint64_t boot_ms);
/* By how much it is ahead of the wall clock, ms; 0: it is not. */
int64_t event_clock_lead_ms(const struct event_clock *clock, int64_t wall_ms, uint64_t boot_ms);

/* The same, by the clocks as they are; says in the log that the wall clock is behind. */
int64_t event_clock_now(struct event_clock *clock);
/* What it would say now. */
int64_t event_clock_peek(const struct event_clock *clock);
/* When by it something was that is so old; 0: it is of now. Never 0 or less otherwise. */
int64_t event_clock_used(const struct event_clock *clock, uint64_t age_ms);

#endif
