/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contingency: whether firm work would survive the loss of any one site, or of all chips of one vendor.
 *
 * For each such loss: how much of the firm work that runs there could be placed again at once, on chips elsewhere that are free
 * or that interruptible work has, where rules, vendors, jurisdictions and the sizes that would do allow it. It is counted, not
 * tried: firm jobs by shape (core/work.h) and pool, chips by pool and by how many each node could give, power by site. Gangs
 * are put into these counts as the dispatcher puts them on nodes, reaches (core/reach.c) with few pools and large gangs first, so
 * what is counted as placed has a placement: the count can fall short of the best, never go beyond it.
 *
 * One loss is assessed at a time, every CONTINGENCY_EVERY_MS while firm work runs, so all of them come round; the counts are kept
 * as jobs start and end. When a loss is covered no more, or is again, there is an EFFECT_ALARM, and a row while it stands.
 *
 * With RESERVE_KEEP firm work starts only where that leaves the chips that the losses need: `kept` counts for each pool what
 * the greediest loss would put there, and a start adds what would then have to be placed again. Work that ran already is what
 * they are kept for: it starts again whatever is kept; and for work that is tied to what would be lost nothing can be kept. Chips
 * are counted there, not nodes; what that misses, the alarm tells. As
 * with reservations, what is kept is worked out anew after a load.
 *
 * Everything lies in the core's block; the cost of one assessment is reaches x pools (core/reach.c).
 */
#ifndef BUSBAR_CORE_CONTINGENCY_H
#define BUSBAR_CORE_CONTINGENCY_H

#include <stdbool.h>

#include "core/core.h"
#include "core/table.h"

#define CONTINGENCY_EVERY_MS 30000

enum contingency_kind {
    CONTINGENCY_SITE,
    CONTINGENCY_VENDOR,
};

struct contingency {
    enum contingency_kind kind;
    struct uuid site;
    const char *vendor;             /* "" where it is a site; belongs to the core */
    int64_t assessed_ms;            /* 0: not yet */
    uint32_t firm_jobs, firm_chips; /* that would stop */
    uint32_t placed_jobs,
        placed_chips;   /* of them, that could be placed again; their chips as they have them now */
    uint32_t tied_jobs; /* that may run nowhere else, however much is free */
    bool alarm;         /* it was not covered, and is not again since */
};

/* Loss i as it was last assessed: sites in the order of their ids, then vendors in that of their names. False: there is none. */
bool core_contingency(const struct core *core, uint32_t i, struct contingency *out);
/* The same, as of now. Nothing is decided by it; scratch of the core is used. */
bool contingency_now(struct core *core, uint32_t i, struct contingency *out);
/* The least share of firm chips that could be placed again after any one loss, as last assessed; in thousandths, 1000: all. */
uint32_t contingency_worst(const struct core *core);

/* ---- for the files of core ---- */

struct job_count {
    uint32_t jobs, chips;
};

struct loss {
    uint32_t site;  /* INDEX_NONE: of a vendor */
    uint32_t chip;  /* one kind of that vendor; all of its kinds are lost */
    uint32_t alarm; /* index, INDEX_NONE: it is covered */
    bool beyond;    /* more has started since than there are chips for */
    struct contingency last;
};

struct alarm {
    struct row_alarm row;
};

struct reserve {
    struct table alarms;
    struct alarm *alarm;
    struct loss *loss;
    uint32_t nlosses, sites, chips; /* that the losses were made from */
    uint64_t version;               /* of the network that `planned` was made for */
    struct job_count *firm;         /* shapes x pools: firm jobs that run */
    uint64_t *busy;                 /* shapes x pool words: where there are such */
    uint32_t firm_jobs;
    uint32_t *planned, *kept; /* losses x pools; pools: chips */
    uint64_t *hit;            /* scratch: pool words, what the loss takes */
    struct job_count *lost;   /* scratch: reaches */
    uint32_t *order;          /* as well */
    uint16_t *could;          /* scratch: pools x (NODE_CHIPS_MAX + 1) */
    uint32_t *placed;         /* scratch: pools, chips */
    uint32_t *asked, *by_use; /* scratch: pools */
    uint64_t *watts;          /* scratch: sites, load that may be added */
};

#endif
