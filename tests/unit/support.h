/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Support for tests below the roles: one core on virtual time, its rows as a store would keep them, and short names
 * for events.
 *
 * Objects are numbered by the tests; uid(space, n) is the id of object n of a kind, so a test never handles an id.
 * world_step does what the runtime does: it steps, then collects, and applies the rows to the mirror. Effects of the
 * last step stay in world.effects. The mirror is this test's own: it shares nothing with store/ but the structs.
 */
#ifndef BUSBAR_TESTS_SUPPORT_H
#define BUSBAR_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/checked.h"
#include "base/err.h"
#include "core/core.h"
#include "core/kinds.h"
#include "core/layout.h"
#include "core/ledger.h"
#include "core/view.h"

#define UNIT INT64_C(1000000000) /* one unit of a currency, nano-units */
#define EUR 978u

/* ---- rows as a store keeps them ---- */

struct mirror_row {
    struct mirror_row *next;
    uint64_t hash;    /* of the key */
    uint64_t content; /* what the row adds to the digest */
    _Alignas(8) char data[];
};

#define MIRROR_LEDGERS 16 /* that a test has: two for each currency, and a unit of use each */

struct mirror {
    struct mirror_row **bucket[ROW_KIND_END];
    uint32_t count[ROW_KIND_END];
    uint64_t digest[ROW_KIND_END]; /* sums over the rows */
    bool forget_transfers;         /* finished transfers are dropped, so that a long run stays small */
    /* Of each ledger, and of each unit of use by its negative: debits less credits, posted and pending. */
    struct {
        int64_t ledger;
        int128 posted, pending;
    } sum[MIRROR_LEDGERS];
    bool many_ledgers; /* more than there is room for: nothing is known of sums any more */
};

void mirror_init(struct mirror *m);
void mirror_fini(struct mirror *m);
void mirror_apply(struct mirror *m, enum row_kind kind, enum row_op op, const void *row);
/* The row with the same key as `row`, or NULL. */
const void *mirror_find(const struct mirror *m, enum row_kind kind, const void *row);
/* Whether in every ledger debits equal credits. */
bool mirror_balanced(const struct mirror *m);
/* Every row of a kind in the order of its encoded key; the caller frees the array. */
const void **mirror_sorted(const struct mirror *m, enum row_kind kind);
/* Order does not matter; the core's row (it counts events) does not enter. */
uint64_t mirror_digest(const struct mirror *m);
/* Feeds every row to the core, kinds ascending, and ends with core_load_done. */
int mirror_load(const struct mirror *m, struct core *core);

/* ---- a core on virtual time ---- */

struct world {
    struct core *core;
    void *block;
    struct limits limits;
    struct mirror mirror;
    struct effects effects;
    struct effect list[EFFECTS_MAX];
    int64_t now;
    uint64_t token;                                          /* of the last event */
    bool batching;                                           /* rows are collected by world_collect only */
    int (*step)(struct world *w, const struct event *event); /* in place of core_step; NULL: that */
    void *step_ctx;
    uint32_t ops[ROW_KIND_END][3]; /* rows handed out by the last collect, by kind and operation */
};

struct limits small_limits(void);
struct world *world_new(const struct limits *limits); /* NULL: small_limits */
void world_free(struct world *w);
/* Of a program with one world for each test, which its setup puts into *state as a `struct world **`: it is sound to the end, and freed. */
int world_teardown(void **state);
/* Steps at w->now with a fresh token, unless the event has one. */
int world_step(struct world *w, struct event *event);
/* The same with an event that is told by value; refused it changes nothing, and the core is sound after it. */
int world_try(struct world *w, struct event event);
void world_collect(struct world *w);
/* The core is lost; a new one is loaded from the rows that were collected. */
int world_reload(struct world *w);
/* Digest of all that views and accounts show. */
uint64_t world_views(const struct world *w);
/* The reply to the token among the last step's effects, or NULL; fails if there are two. */
const struct effect *world_reply(const struct world *w, uint64_t token);
uint32_t world_count(const struct world *w, enum effect_kind kind);
/* No rows but the core's own were handed out by the last collect. */
void world_assert_untouched(const struct world *w);

struct uuid uid(char space, uint64_t n);

int do_boot(struct world *w, uint64_t n);
int do_tick(struct world *w);
int do_site(struct world *w, uint64_t site);
int do_site_in(struct world *w, uint64_t site, const char *jurisdiction);
int do_tenant(struct world *w, uint64_t tenant, int64_t budget);
int do_tenant_in(struct world *w, uint64_t tenant, const char *jurisdiction);
int do_budget(struct world *w, uint64_t tenant, int64_t budget);
/* budget < 0: none. */
int do_key(struct world *w, uint64_t key, uint64_t tenant, int64_t budget);
int do_revoke(struct world *w, uint64_t key);
int do_model(struct world *w, uint64_t model);
int do_variant(struct world *w, uint64_t variant, uint64_t model);
int do_model_remove(struct world *w, uint64_t model);
int do_price(struct world *w, uint64_t price, uint64_t model, int64_t prompt, int64_t completion);
int do_deploy(struct world *w, uint64_t deployment, uint64_t model, uint32_t replicas);
int do_undeploy(struct world *w, uint64_t deployment);
int do_replica(struct world *w, uint64_t deployment, uint32_t ordinal, uint32_t epoch, uint32_t state);
int do_worker(struct world *w, uint64_t worker);
int do_ask(struct world *w, uint64_t worker, uint64_t lease, uint64_t tenant, uint64_t key, int64_t want);
int do_return(struct world *w, uint64_t worker, uint64_t lease, int64_t amount, bool close);

/* A meter record with model 1, price 1 and prompt tokens that cost one nano-unit each at 1e6 a million. */
struct event meter_event(uint64_t worker, uint64_t sequence, uint64_t lease, uint64_t tenant, uint64_t key,
                         uint32_t prompt);
int do_meter(struct world *w, uint64_t worker, uint64_t sequence, uint64_t lease, uint64_t tenant,
             uint64_t key, uint32_t prompt);

/* Boot 1, site 1, tenant 1 with `budget`, key 1 of its own without a limit, model 1 with variant 1 and price 1
 * (1 nano-unit a prompt token, 2 a completion token), workers 1 and 2. */
struct world *world_usual(const struct limits *limits, int64_t budget);
struct view_balance balance_of(const struct world *w, uint64_t tenant);

/* ---- running ---- */

uint64_t test_random(uint64_t *state);
uint64_t test_below(uint64_t *state, uint64_t n);
/* BUSBAR_SEED; else with BUSBAR_FULL=1 one drawn from the clock, and in the sample always the same, a further one with each
 * call: what it finds it finds for everybody. Printed. */
uint64_t test_seed(void);
/* `few` by default, `many` when BUSBAR_FULL=1. */
uint64_t test_count(uint64_t few, uint64_t many);
/* A fresh folder under TMPDIR; test_folder_remove deletes it with its files. */
char *test_folder(void);
void test_folder_remove(char *folder);

#endif
