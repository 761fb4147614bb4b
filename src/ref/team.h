/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A team of threads that share one piece of work after another.
 *
 * team_run calls `fn` once for each part, in as many threads as the team has, the caller among them, and returns when all are done.
 * Nobody spins: whoever waits sleeps, so a machine with less free cores than threads is slow, not stuck. Work that is too small to be
 * worth waking somebody is the caller's alone (team_parts). Which thread does what never changes a result: parts do not share sums.
 */
#ifndef BUSBAR_REF_TEAM_H
#define BUSBAR_REF_TEAM_H

#include <stdint.h>

#define TEAM_MAX 256u

struct team;
typedef void team_fn(void *ctx, uint32_t part, uint32_t parts);

/* `least`: multiplications below which the caller works alone. NULL: out of memory or of threads. */
struct team *team_new(uint32_t threads, uint64_t least);
void team_free(struct team *team);
uint32_t team_threads(const struct team *team);
/* Does the work, which is `size` multiplications, in one part or as many as there are threads. */
void team_run(struct team *team, uint64_t size, team_fn *fn, void *ctx);
/* The part's share of n things: from *begin to before *end. */
void team_share(uint32_t n, uint32_t part, uint32_t parts, uint32_t *begin, uint32_t *end);

#endif
