/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/demand.h"

#include <string.h>

#include "base/str.h"

/* With less than this what slots yield is taken for not measured. */
#define MEASURED_SLOT_MS 5000
#define MEASURED_TOKENS 100
/* What is older weighs half, then a quarter, and so on. */
#define HALVE_SLOT_MS UINT64_C(600000)

void demand_set(struct demand *d, const struct demand_terms *terms)
{
    if (!uuid_eq(&d->terms.service, &terms->service)) {
        memset(d->part_ms, 0, sizeof d->part_ms);
        memset(d->slot_ms, 0, sizeof d->slot_ms);
        d->measured_tokens = d->measured_slot_ms = 0;
        d->told = false;
        atomic_store(&d->woken, DEMAND_ASLEEP);
        atomic_store(&d->elsewhere, 0);
    }
    d->terms = *terms;
}

void demand_count(struct demand *d, uint64_t prompt, uint64_t completion)
{
    atomic_fetch_add(&d->tokens, completion + prompt / PROMPT_WEIGHT);
}

bool demand_wakes(struct demand *d)
{
    unsigned asleep = DEMAND_ASLEEP;
    return atomic_compare_exchange_strong(&d->woken, &asleep, DEMAND_WOKEN);
}

static void measure(struct demand *d, uint64_t ms, uint32_t busy)
{
    uint64_t tokens = atomic_load(&d->tokens);
    d->measured_tokens += tokens - d->tokens_before;
    d->measured_slot_ms += ms * busy;
    d->tokens_before = tokens;
    if (d->measured_slot_ms > HALVE_SLOT_MS) {
        d->measured_slot_ms /= 2;
        d->measured_tokens /= 2;
    }
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
    bool measured = d->measured_slot_ms >= MEASURED_SLOT_MS && d->measured_tokens >= MEASURED_TOKENS;
    /* Thousandths of a token a second, of one slot. */
    uint64_t yield = measured ? d->measured_tokens * 1000000 / d->measured_slot_ms : SLOT_TOKENS_S * 1000;
    yield = yield > 0 ? yield : 1;
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
