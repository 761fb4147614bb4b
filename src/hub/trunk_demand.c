/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits at gateways elsewhere for a replica to be ready or free. Each tells its own number, of each deployment that follows
 * demand, when it changes; their sum goes to the hub's own gateway, which adds it to what it tells core. What they have passed on
 * waits, and is served, in the hub's own gateway.
 */
#include <stdlib.h>

#include "hub/trunk.h"

/* Of one gateway: as many as there are deployments (core/core.c), and some that have gone. */
#define ASKING_MAX 4096
/* What a gateway says is bounded, as what it can hold is. */
#define WAITING_MAX (UINT32_C(1) << 20)

static struct asking *find(const struct trunk *t, const struct uuid *service)
{
    for (uint32_t i = 0; i < t->nasking; i++) {
        if (uuid_eq(&t->asking[i].service, service))
            return &t->asking[i];
    }
    return NULL;
}

static void tell(const struct trunks *s, const struct uuid *service)
{
    struct event wake = {.kind = EVENT_KIND_service_demand,
                         .u.service_demand = {.service = *service, .in_flight = 1}};
    uint64_t sum = 0;
    list_for_each_safe (it, next, (struct list *)&s->list) {
        const struct asking *a = find(list_entry(it, struct trunk, node), service);
        sum += a ? a->waiting : 0;
    }
    if (gateway_elsewhere(s->config.gateway, service, sum < WAITING_MAX ? (uint32_t)sum : WAITING_MAX))
        (void)runtime_post(s->config.runtime, &wake); /* else the next sample tells it */
}

static struct asking *add(struct trunk *t, const struct uuid *service)
{
    if (t->nasking == t->asking_cap) {
        uint32_t cap = t->asking_cap ? t->asking_cap * 2 : 16;
        struct asking *more = cap <= ASKING_MAX ? realloc(t->asking, cap * sizeof *more) : NULL;
        if (!more)
            return NULL;
        t->asking = more;
        t->asking_cap = cap;
    }
    t->asking[t->nasking] = (struct asking){.service = *service};
    return &t->asking[t->nasking++];
}

bool trunk_demand(struct trunk *t, const struct uuid *service, uint32_t waiting)
{
    struct asking *a = find(t, service);
    if (!a && waiting == 0)
        return true;
    if (!a && !(a = add(t, service)))
        return false;
    a->waiting = waiting;
    if (waiting == 0)
        *a = t->asking[--t->nasking];
    tell(t->trunks, service);
    return true;
}

/* After it has left the list. */
void trunk_demand_over(struct trunk *t)
{
    for (uint32_t i = 0; i < t->nasking; i++)
        tell(t->trunks, &t->asking[i].service);
    t->nasking = 0;
}
