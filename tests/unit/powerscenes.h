/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Five scenarios of a hub, for tests of what goes wrong below it: jobs, requests that are metered, money, prices and rules, and
 * many small commits of all of these. All begin at one origin, which testvfs.h keeps; each is BATCHES batches, and a step fills one.
 */
#ifndef BUSBAR_TESTS_POWERSCENES_H
#define BUSBAR_TESTS_POWERSCENES_H

#include "powerhub.h"

#define BATCHES 16u
#define SCENARIOS 5u

struct scenario {
    const char *name;
    void (*step)(struct world *w, uint64_t i);
};
extern const struct scenario scenarios[SCENARIOS];
extern struct origin origin;

/* For cmocka: the origin is made, and freed. */
int scenes_begin(void **state);
int scenes_end(void **state);
/* One payment into tenant 1's wallet. */
int scenes_pay(struct world *w, uint64_t id, int64_t amount);

#endif
