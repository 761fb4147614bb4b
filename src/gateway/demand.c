/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/demand.h"

#include <string.h>

#include "base/str.h"

void demand_set(struct demand *d, const struct demand_terms *terms)
{
    if (!uuid_eq(&d->terms.service, &terms->service)) {
        memset(d->part_ms, 0, sizeof d->part_ms);
        memset(d->slot_ms, 0, sizeof d->slot_ms);
        yield_reset(&d->yield);
        d->told = false;
        atomic_store(&d->woken, DEMAND_ASLEEP);
        atomic_store(&d->elsewhere, 0);
    }
    d->terms = *terms;
}

void demand_count(struct demand *d, uint64_t prompt, uint64_t completion)
{
    yield_count(&d->yield, prompt, completion);
}

bool demand_wakes(struct demand *d)
{
    unsigned asleep = DEMAND_ASLEEP;
    return atomic_compare_exchange_strong(&d->woken, &asleep, DEMAND_WOKEN);
}

static void measure(struct demand *d, uint64_t ms, uint32_t busy)
{
    yield_sample(&d->yield, ms, busy);
    d->part_ms[d->part] += ms;
    d->slot_ms[d->part] += ms * busy;
}

/* Slots in use, thousandths, in the mean of the window. */
static uint64_t mean(const struct demand *d)
{
    uint64_t ms = 0, slot_ms = 0;
    for (uint32_t i = 0; i < DEMAND_PARTS; i++) {
        ms += d->part_ms[i];
        slot_ms += d->slot_ms[i];
    }
    return ms ? slot_ms * 1000 / ms : 0;
}

static struct event_service_demand now(const struct demand *d, uint32_t busy, uint32_t waiting)
{
    uint64_t yield = yield_slot(&d->yield);
    uint64_t tokens_s = ((mean(d) + waiting * UINT64_C(1000)) * yield + 999999) / 1000000;
    uint64_t replica = (d->terms.slots * yield + 999) / 1000;
    return (struct event_service_demand){
        .service = d->terms.service,
        .tokens_s = tokens_s < SERVICE_TOKENS_MAX ? tokens_s : SERVICE_TOKENS_MAX,
        .in_flight = busy + waiting,
        .replica_tokens_s = (uint32_t)(replica < UINT32_MAX ? replica : UINT32_MAX)};
}

bool demand_sample(struct demand *d, uint64_t ms, uint32_t busy, uint32_t waiting,
                   struct event_service_demand *out)
{
    if (uuid_zero(&d->terms.service))
        return false;
    measure(d, ms, busy);
    waiting += atomic_load(&d->elsewhere);
    if (d->told && d->part_ms[d->part] < d->terms.window_ms / DEMAND_PARTS)
        return false;
    *out = now(d, busy, waiting);
    d->part = (d->part + 1) % DEMAND_PARTS;
    d->part_ms[d->part] = d->slot_ms[d->part] = 0;
    unsigned was = atomic_exchange(&d->woken, out->in_flight > 0 ? DEMAND_SAMPLED : DEMAND_ASLEEP);
    /* What a request said by itself holds until this is told, though it may be as it was before. */
    return !d->told || was == DEMAND_WOKEN || memcmp(out, &d->last, sizeof *out) != 0;
}

void demand_told(struct demand *d, const struct event_service_demand *said)
{
    d->last = *said;
    d->told = true;
}

void demand_untell(struct demand *d)
{
    d->told = false;
}
