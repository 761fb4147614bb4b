/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/fleet.h"

#include <stdlib.h>
#include <string.h>

#include "core/limits.h"

#define NONE UINT32_MAX

static bool unit_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    const struct fleet *f = table;
    return memcmp(&f->unit[i].job, key, len) == 0;
}

bool fleet_init(struct fleet *f, const struct serve *serve, int64_t now_us)
{
    uint32_t nslots = map_slots(SERVICE_REPLICAS_MAX);
    *f = (struct fleet){.serve = serve, .weight = serve_prompt_weight(serve), .counted_us = now_us};
    f->free_flight = f->free_unit = f->first = f->last = NONE;
    for (uint32_t i = 0; i < SERVE_SLOTS_MAX; i++)
        f->list[i] = NONE;
    f->slots = calloc(nslots, sizeof *f->slots);
    if (f->slots)
        map_init(&f->map, f->slots, nslots, 0, unit_equal, f);
    return f->slots != NULL;
}

bool fleet_origins(struct fleet *f, uint32_t origins)
{
    f->origin = calloc(origins, sizeof *f->origin);
    return f->origin != NULL;
}

void fleet_fini(struct fleet *f)
{
    ends_fini(&f->due);
    free(f->origin);
    free(f->unit);
    free(f->flight);
    free(f->slots);
}

/* ---- requests ---- */

static uint64_t weigh(const struct fleet *f, const struct flight *r)
{
    return (uint64_t)r->out_tokens * 1000000 + r->in_tokens * f->weight;
}

/* An element more of an array that grows: its index, or NONE without memory. */
static uint32_t grow(struct fleet *f, void **array, uint32_t *n, uint32_t *cap, size_t size)
{
    if (*n == *cap) {
        uint32_t more = *cap ? 2 * *cap : 64;
        void *room = realloc(*array, more * size);
        f->failed |= !room;
        if (!room)
            return NONE;
        *array = room;
        *cap = more;
    }
    return (*n)++;
}

static uint32_t flight_new(struct fleet *f)
{
    uint32_t i = f->free_flight;
    if (i != NONE) {
        f->free_flight = f->flight[i].next;
        return i;
    }
    void *array = f->flight;
    i = grow(f, &array, &f->nflights, &f->cap_flights, sizeof *f->flight);
    f->flight = array;
    return i;
}

static void enqueue(struct fleet *f, uint32_t i, bool front)
{
    struct flight *r = &f->flight[i];
    r->next = front ? f->first : NONE;
    if (front) {
        f->first = i;
        f->last = f->last == NONE ? i : f->last;
    } else {
        if (f->last != NONE)
            f->flight[f->last].next = i;
        else
            f->first = i;
        f->last = i;
    }
    f->origin[r->origin].queued += weigh(f, r);
    f->queue++;
    f->queue_max = f->queue > f->queue_max ? f->queue : f->queue_max;
}

static uint32_t dequeue(struct fleet *f)
{
    uint32_t i = f->first;
    f->first = f->flight[i].next;
    f->last = f->first == NONE ? NONE : f->last;
    f->origin[f->flight[i].origin].queued -= weigh(f, &f->flight[i]);
    f->queue--;
    return i;
}

/* ---- replicas that have room ---- */

static void list_unit(struct fleet *f, uint32_t i)
{
    struct unit *u = &f->unit[i];
    uint32_t k = served_count(&u->served);
    if (u->state != UNIT_WARM || k == u->served.kind->slots)
        return;
    u->prev = NONE;
    u->next = f->list[k];
    if (u->next != NONE)
        f->unit[u->next].prev = i;
    f->list[k] = i;
    f->room |= UINT64_C(1) << k;
}

static void unlist_unit(struct fleet *f, uint32_t i)
{
    struct unit *u = &f->unit[i];
    uint32_t k = served_count(&u->served);
    if (u->state != UNIT_WARM || k == u->served.kind->slots)
        return;
    if (u->prev != NONE)
        f->unit[u->prev].next = u->next;
    else
        f->list[k] = u->next;
    if (u->next != NONE)
        f->unit[u->next].prev = u->prev;
    if (f->list[k] == NONE)
        f->room &= ~(UINT64_C(1) << k);
}

static void arm(struct fleet *f, uint32_t i, int64_t at_us)
{
    struct unit *u = &f->unit[i];
    u->version++;
    if (at_us != INT64_MAX && !ends_put(&f->due, at_us, i, u->version))
        f->failed = true;
}

/* Requests that wait go to the replicas with the fewest slots in use. */
static void admit(struct fleet *f, int64_t now_us)
{
    while (f->first != NONE && f->room) {
        uint32_t i = f->list[__builtin_ctzll(f->room)];
        uint32_t r = dequeue(f);
        unlist_unit(f, i);
        served_take(&f->unit[i].served, r, &f->flight[r], now_us);
        list_unit(f, i);
        arm(f, i, served_next_us(&f->unit[i].served));
    }
}

void fleet_count(struct fleet *f, int64_t now_us)
{
    f->running_us += (uint64_t)(now_us - f->counted_us) * f->running;
    f->warm_us += (uint64_t)(now_us - f->counted_us) * f->warm;
    f->counted_us = now_us;
}

/* ---- what happens ---- */

void fleet_arrive(struct fleet *f, const struct request *request, int64_t now_us)
{
    uint32_t i = flight_new(f);
    if (i == NONE)
        return;
    struct flight *r = &f->flight[i];
    *r = (struct flight){.arrival_us = now_us,
                         .in_tokens = request->in_tokens,
                         .out_tokens = request->out_tokens,
                         .origin = request->origin};
    f->first_us = f->requests == 0 ? now_us : f->first_us;
    f->arrival_us = now_us;
    f->requests++;
    f->waited_cold += f->warm == 0;
    f->origin[r->origin].arrived += weigh(f, r);
    f->origin[r->origin].in_flight++;
    enqueue(f, i, false);
    admit(f, now_us);
}

static void answered(struct fleet *f, uint32_t i, int64_t now_us)
{
    struct flight *r = &f->flight[i];
    spread_add(&f->end, (uint64_t)(now_us - r->arrival_us));
    f->answered++;
    f->in_tokens += r->in_tokens;
    f->out_tokens += r->out_tokens;
    f->done_tokens += weigh(f, r);
    f->origin[r->origin].in_flight--;
    f->last_us = now_us;
    r->next = f->free_flight;
    f->free_flight = i;
}

static void becomes_warm(struct fleet *f, uint32_t i, int64_t now_us)
{
    struct unit *u = &f->unit[i];
    fleet_count(f, now_us);
    u->state = UNIT_WARM;
    f->warm++;
    served_init(&u->served, &f->serve->kind[u->alternative], now_us);
    list_unit(f, i);
    admit(f, now_us);
}

static void unit_happens(struct fleet *f, uint32_t i, int64_t now_us)
{
    struct unit *u = &f->unit[i];
    uint32_t r;
    bool first, over;
    unlist_unit(f, i);
    while (served_happen(&u->served, f->flight, now_us, &r, &first, &over)) {
        if (first && !f->flight[r].has_first) {
            f->flight[r].has_first = true;
            spread_add(&f->ttft, (uint64_t)(now_us - f->flight[r].arrival_us));
        }
        if (over)
            answered(f, r, now_us);
    }
    list_unit(f, i);
    arm(f, i, served_next_us(&u->served));
    admit(f, now_us);
}

int64_t fleet_next_us(const struct fleet *f)
{
    return ends_next_ms(&f->due);
}

void fleet_happen(struct fleet *f)
{
    struct end due = ends_take(&f->due);
    const struct unit *u = &f->unit[due.job];
    if (u->version != due.epoch)
        return; /* something else became due instead */
    if (u->state == UNIT_COLD)
        becomes_warm(f, due.job, due.at_ms);
    else
        unit_happens(f, due.job, due.at_ms);
}

/* ---- replicas ---- */

void fleet_add(struct fleet *f, const struct uuid *job)
{
    uint32_t i = f->free_unit, version = 0;
    if (i != NONE) {
        f->free_unit = f->unit[i].next;
        version = f->unit[i].version + 1; /* what was due of the one before is not this one's */
    } else {
        void *array = f->unit;
        i = grow(f, &array, &f->nunits, &f->cap_units, sizeof *f->unit);
        f->unit = array;
        if (i == NONE)
            return;
    }
    f->unit[i] = (struct unit){.job = *job, .version = version};
    map_put(&f->map, job, sizeof *job, i);
    f->wanted++;
}

uint32_t fleet_find(const struct fleet *f, const struct uuid *job)
{
    return map_get(&f->map, job, sizeof *job);
}

void fleet_start(struct fleet *f, uint32_t i, uint32_t alternative, int64_t now_us)
{
    struct unit *u = &f->unit[i];
    fleet_count(f, now_us);
    u->state = UNIT_COLD;
    u->alternative = alternative;
    f->moved += u->ran;
    u->ran = true;
    f->running++;
    f->cold_starts++;
    f->running_max = f->running > f->running_max ? f->running : f->running_max;
    arm(f, i, now_us + f->serve->cold_ms * 1000);
}

static bool came_later(const struct fleet *f, uint32_t a, uint32_t b)
{
    const struct flight *x = &f->flight[a], *y = &f->flight[b];
    return x->arrival_us != y->arrival_us ? x->arrival_us > y->arrival_us : a > b;
}

void fleet_stop(struct fleet *f, uint32_t i, int64_t now_us)
{
    struct unit *u = &f->unit[i];
    uint32_t left[SERVE_SLOTS_MAX], n = 0, r;
    fleet_count(f, now_us);
    unlist_unit(f, i);
    f->running--;
    f->warm -= u->state == UNIT_WARM;
    while (u->state == UNIT_WARM && served_leave(&u->served, &r)) {
        uint32_t at = n++;
        for (; at > 0 && came_later(f, r, left[at - 1]); at--)
            left[at] = left[at - 1];
        left[at] = r;
    }
    u->state = UNIT_WAITS;
    u->version++;
    for (uint32_t k = 0; k < n; k++)
        enqueue(f, left[k], true); /* the one that came first is put in front of all */
    f->restarted += n;
    admit(f, now_us);
}

void fleet_drop(struct fleet *f, uint32_t i)
{
    struct unit *u = &f->unit[i];
    map_remove(&f->map, &u->job, sizeof u->job);
    u->next = f->free_unit;
    f->free_unit = i;
    f->wanted--;
}
