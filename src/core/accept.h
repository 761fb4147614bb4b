/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acceptance: a replica takes requests once it was checked.
 *
 * The hub asks a replica that is ready what the reference engine was asked before, compares, measures, and tells what it found by
 * an event (hub/acceptance.h). Here it is decided what follows. With ACCEPT_REQUIRE a replica whose weights are a file begins as
 * WAITING, and no request goes there until it has PASSED, or was found to be one that cannot be checked. One that FAILED takes none
 * either: at a site it is stopped and placed again, as if its place were lost, and after ACCEPT_FAILS_MAX in a row its variant is
 * barred from that site until an operator lifts it; on the hub's own machine it stays as it is, and is asked again. A
 * cluster's head that FAILED loses its plan, and the head of the next plan is checked anew; with the bar its members at that site go,
 * too, and wait. With ACCEPT_WARN all of this is known, and nothing follows.
 *
 * Too slow is decided here, from figures of the events alone, one request at a time and several: if their geometric mean is below
 * ACCEPT_SHARE of that of the medians which this variant's checks that passed gave at that site on as many chips of that kind, the
 * last ACCEPT_KEPT. The first is the baseline, and so is the first of another version of the engine, with another number of requests
 * at a time, or after a lift. A site is held against itself only: else one that claims too much would have others' replicas failed. A
 * cluster's head has none: its plan decides how fast it is.
 *
 * All of it lies in rows. Bounds: ACCEPTANCES_MAX of them; past these the oldest that bars nothing is dropped, of those that failed last.
 */
#ifndef BUSBAR_CORE_ACCEPT_H
#define BUSBAR_CORE_ACCEPT_H

#include "core/core.h"
#include "core/recall.h"
#include "core/table.h"

#define ACCEPT_FAILS_MAX 2
#define ACCEPT_SHARE 700 /* thousandths of the median */
#define ACCEPT_KEPT 7    /* figures of a row */
#define ACCEPT_BATCH_MAX 8
#define ACCEPTANCES_MAX 1024

struct acceptance {
    struct row_acceptance row;
};

struct acceptances {
    struct table table;
    struct acceptance *acceptance;
    struct row_accept_mode mode;
    bool mode_touched;
    uint32_t nbarred; /* of them, derived: mostly there is none to look for */
};

void acceptances_carve(struct core *core, struct arena *arena);
/* What a replica of the variant begins as: enum accept_verdict. A cluster's worker (enum replica_role) is asked nothing: its head is. */
uint32_t accept_begins(const struct core *core, const struct uuid *variant, uint32_t role);
/* Whether replicas of the variant may be placed at the site. */
bool accept_bars(const struct core *core, const struct uuid *variant, const struct uuid *site);
/* core/deployment.c: the same, of its variant. */
bool deployment_is_barred(const struct core *core, uint32_t deployment, uint32_t site);
/* Thousandths of a token a second; `usual`: medians, 0: there are none. */
bool accept_is_slow(uint64_t one, uint64_t many, uint64_t usual_one, uint64_t usual_many);
/* The variant or the site is no more. */
void accept_forget(struct core *core, const struct uuid *gone);
/* How many requests at a time are measured of a replica with so many slots. */
uint32_t accept_batch(uint32_t slots);
/* Medians of the row's figures, 0: it has none. */
void accept_usual(const struct row_acceptance *row, uint64_t *one, uint64_t *many);
void acceptances_collect(struct core *core, row_fn *fn, void *ctx);
void acceptances_dump(const struct core *core, row_fn *fn, void *ctx);
int load_accept_mode(struct core *core, const struct row_accept_mode *row);
int load_acceptance(struct core *core, const struct row_acceptance *row);

#endif
