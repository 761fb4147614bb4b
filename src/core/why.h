/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why: what keeps a job waiting, or why it runs where it does. Worked out when asked, from the state as it is; nothing is
 * kept for it, and nothing changes.
 *
 * For each pool, and each size that would do, there is a set of bars: what would have to be another way for the job to
 * start there now. Bars have stages: what the request asks for, then rules, then size, then what is down, then room and
 * turn, then the plan for work that can wait. What keeps a job from all pools alike, since it is not even in the queue, is
 * named before all of these. The pool that gets furthest is the one that tells: of such pools one with a single bar, if
 * there is any, since removing it would start the job (`alone`), but for others that wait and come first.
 *
 * Cost: pools x alternatives x rules, tens of milliseconds at worst.
 */
#ifndef BUSBAR_CORE_WHY_H
#define BUSBAR_CORE_WHY_H

#include "core/core.h"
#include "core/rules.h"

/* clang-format off */
/* W(name, stage, word, text) */
#define WHYS(W) \
    W(SITE, 0, "site", "it asks for one site") \
    W(JURISDICTION, 0, "jurisdiction", "it asks for one jurisdiction") \
    W(VENDOR, 0, "vendor", "it asks for the chips of one vendor") \
    W(CHIP, 0, "chip", "it asks for other kinds of chips") \
    W(ISOLATION, 0, "isolation", "it demands to be kept apart more strictly than any site does that would do otherwise") \
    W(RULE, 1, "rule", "the rules deny it every pool that it asks for") \
    W(SIZE, 2, "size", "no pool is large enough, even empty") \
    W(ACCEPT, 3, "not-accepted", "replicas of the model gave wrong or slow answers there, and an operator has not lifted it") \
    W(SITE_DOWN, 3, "site-down", "the site is cordoned, drained or lost") \
    W(NODE_DOWN, 3, "node-down", "nodes are cordoned or lost, the others are not enough") \
    W(CORRIDOR_DOWN, 3, "corridor-down", "no chain of corridors that are up, and that rules allow, leads there from its data") \
    W(FULL, 4, "full", "other work has the chips") \
    W(POWER, 4, "power", "the site would draw more than its cap") \
    W(CORRIDOR, 4, "corridor", "the corridors on the way of its data are full") \
    W(RESERVE, 4, "reserve", "the chips are kept for the loss of a site or of a vendor") \
    W(RESERVED, 4, "reserved", "nodes are kept for a job that comes first") \
    W(TURN, 4, "turn", "a job that comes first waits for the same pool") \
    W(CHOICE, 5, "choice", "it can wait, and it would cost more there than the plan lets it now") \
    W(AFTER, 6, "after", "what it comes after is not over") \
    W(ARRAY, 6, "array", "as many tasks of its array wait for a place or run as may at a time") \
    W(NOTHING, 7, "nothing", "nothing is in its way: the next pass starts it")
/* clang-format on */

enum why_bar {
#define W(name, stage, word, text) WHY_##name,
    WHYS(W)
#undef W
        WHYS_N
};

#define WHY_TERMS_MAX 4

/* What the job would cost in a pool, in nano-units for all of it. */
struct why_terms {
    struct uuid pool;
    uint32_t alternative;
    uint32_t bars; /* 1 << enum why_bar: why it could not start there now */
    int64_t run_ms;
    int64_t chips, energy, carbon; /* while its data comes as well */
    int64_t transit_ms;
    int64_t transfer; /* over corridors */
};

struct why {
    uint32_t state; /* JOB_QUEUED or JOB_RUNNING */

    /* While it waits. */
    enum why_bar bar;
    /* Without it the job would start, if it were the only one that waits and nothing were kept for losses. */
    bool alone;
    struct uuid pool;     /* of which it is said; if all pools have the bar, one of them */
    uint32_t alternative; /* as well */
    struct uuid
        job; /* RESERVED, TURN: the one that comes first; AFTER: a job or array that it comes after; ARRAY: its array */
    /* CHOICE: the threshold of its class, what a chip-hour of the pool counts as with its rent, nano-units; by when it has to
     * start, and until when the plan holds. */
    int64_t threshold, hour, latest_ms, until_ms;
    /* RULE: the reason; the rule that denies most pools, among those without which the job would start if there are
     * such; RULES_NONE: the border is closed. Its words belong to the core. */
    enum verdict_reason reason;
    uint32_t rule;
    uint32_t denied; /* how many pools that rule denies */
    const struct rule *denies;

    /* The pools that it may use, cheapest first; but the one that it runs in, or would start in, comes first of all. */
    uint32_t nterms;
    struct why_terms terms[WHY_TERMS_MAX];
};

/* 0; ERR_NOT_FOUND: no job of that id waits or runs. */
int why_job(const struct core *core, const struct uuid *job, struct why *out);

/* The same of a job that would come now, after all that waits: nothing of it is kept. `places`: the pools, *n of at most `cap`, that
 * it could ever have as they are, each with its cheapest size, in no order. Of what is kept for losses only the count of chips is looked
 * at. Errors as of a submission; ERR_UNSUPPORTED where it brings data. */
int why_request(const struct core *core, const struct event_job_submit *e, struct why *out,
                struct why_terms *places, uint32_t cap, uint32_t *n);

const char *why_bar_word(enum why_bar bar);
const char *why_bar_text(enum why_bar bar);

#endif
