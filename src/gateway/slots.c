/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/slots.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"

void grant_box_init(struct grant_box *box, void (*wake)(struct grant_box *box))
{
    pthread_mutex_init(&box->lock, NULL);
    list_init(&box->granted);
    box->wake = wake;
}

void slot_queue_init(struct slot_queue *queue, const struct uuid *model, uint32_t queue_max)
{
    *queue = (struct slot_queue){.model = *model, .queue_max = queue_max};
    pthread_mutex_init(&queue->lock, NULL);
    list_init(&queue->turns);
}

struct backend *backend_ref(struct backend *backend)
{
    atomic_fetch_add(&backend->refs, 1);
    return backend;
}

void backend_unref(struct backend *backend)
{
    if (atomic_fetch_sub(&backend->refs, 1) == 1)
        free(backend);
}

void backend_suspect(struct backend *backend)
{
    atomic_store(&backend->suspect_ns, clock_mono_ns() + SUSPECT_NS);
}

static bool usable(const struct backend *backend)
{
    uint64_t until = atomic_load(&backend->suspect_ns);
    return !atomic_load(&backend->gone) && (until == 0 || until <= clock_mono_ns());
}

static bool take_one(struct backend *backend, uint64_t tokens)
{
    uint32_t busy = atomic_load(&backend->busy);
    while (busy < backend->slots && usable(backend)) {
        if (atomic_compare_exchange_weak(&backend->busy, &busy, busy + 1)) {
            atomic_fetch_add(&backend->outstanding, tokens);
            backend_ref(backend);
            return true;
        }
    }
    return false;
}

bool slot_take_of(struct backend *backend)
{
    return take_one(backend, 0);
}

static bool has_room(const struct backend *b)
{
    return usable(b) && atomic_load(&b->busy) < b->slots;
}

static struct backend *cheapest(struct backend *const *backends, uint32_t n)
{
    struct backend *found = NULL;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < n; i++) {
        struct backend *b = backends[i];
        if (!has_room(b))
            continue;
        uint64_t cost = cost_standing_us(&b->terms, &b->yield, b->slots) +
                        cost_wait_us(&b->yield, b->slots, atomic_load(&b->outstanding));
        if (cost < least) {
            least = cost;
            found = b;
        }
    }
    return found;
}

/* Who holds the prefix, of those whose way and price are near the least: which these are does not turn on who is busy how much, so
 * that a prefix stays where it is. */
static struct backend *kin_of(struct backend *const *backends, uint32_t n, uint64_t prefix_hash)
{
    struct backend *kin = NULL;
    uint64_t least = UINT64_MAX, best = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct backend *b = backends[i];
        uint64_t standing = has_room(b) ? cost_standing_us(&b->terms, &b->yield, b->slots) : UINT64_MAX;
        least = standing < least ? standing : least;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct backend *b = backends[i];
        uint64_t score = map_hash(prefix_hash, &b->salt, sizeof b->salt);
        if (!has_room(b) || cost_standing_us(&b->terms, &b->yield, b->slots) > least + AFFINITY_US)
            continue;
        if (!kin || score > best) {
            best = score;
            kin = b;
        }
    }
    return kin;
}

static struct backend *choose(struct backend *const *backends, uint32_t n, uint64_t prefix_hash,
                              uint64_t tokens)
{
    struct backend *first = cheapest(backends, n);
    struct backend *kin = first && prefix_hash ? kin_of(backends, n, prefix_hash) : NULL;
    if (kin && atomic_load(&kin->outstanding) <= atomic_load(&first->outstanding) + AFFINITY_TOKENS &&
        take_one(kin, tokens))
        return kin;
    return first && take_one(first, tokens) ? first : NULL;
}

/* As choose, and tries the others too when a race was lost. */
static struct backend *take_any(struct backend *const *backends, uint32_t n, uint64_t prefix_hash,
                                uint64_t tokens)
{
    struct backend *b = choose(backends, n, prefix_hash, tokens);
    for (uint32_t i = 0; !b && i < n; i++) {
        if (take_one(backends[i], tokens))
            b = backends[i];
    }
    return b;
}

struct backend *slot_take(struct slot_queue *queue, struct backend *const *backends, uint32_t n,
                          uint64_t prefix_hash, uint64_t tokens)
{
    if (atomic_load(&queue->waiting) > 0)
        return NULL;
    return take_any(backends, n, prefix_hash, tokens);
}

bool slot_ready(struct slot_queue *queue)
{
    bool ready = false;
    pthread_mutex_lock(&queue->lock);
    for (uint32_t i = 0; i < queue->nbackends; i++)
        ready = ready || usable(queue->backends[i]);
    pthread_mutex_unlock(&queue->lock);
    return ready;
}

static struct turn *turn_of(struct slot_queue *queue, const struct uuid *tenant)
{
    list_for_each_safe (it, next, &queue->turns) {
        struct turn *turn = list_entry(it, struct turn, node);
        if (uuid_eq(&turn->tenant, tenant))
            return turn;
    }
    struct turn *turn = malloc(sizeof *turn);
    if (!turn)
        return NULL;
    *turn = (struct turn){.tenant = *tenant};
    list_init(&turn->waiters);
    list_push(&queue->turns, &turn->node);
    return turn;
}

/* ---- what rules deny ---- */

const struct slot_bar *slot_bar_of(const struct slot_bar *bars, uint32_t nbars, const struct uuid *tenant)
{
    uint32_t low = 0, high = nbars;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (memcmp(&bars[mid].tenant, tenant, sizeof *tenant) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < nbars && uuid_eq(&bars[low].tenant, tenant) ? &bars[low] : NULL;
}

uint32_t slot_allowed(struct backend *const *backends, uint32_t n, uint64_t barred,
                      struct backend *allowed[REPLICAS_PER_DEPLOYMENT_MAX])
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!(barred >> i & 1))
            allowed[left++] = backends[i];
    }
    return left;
}

/* Under the lock. */
static struct backend *take_for(struct slot_queue *queue, const struct uuid *tenant)
{
    struct backend *allowed[REPLICAS_PER_DEPLOYMENT_MAX];
    const struct slot_bar *bar = slot_bar_of(queue->bars, queue->nbars, tenant);
    if (!bar)
        return take_any(queue->backends, queue->nbackends, 0, 0);
    return take_any(allowed, slot_allowed(queue->backends, queue->nbackends, bar->barred, allowed), 0, 0);
}

/* ---- turns ---- */

/* Under the lock: the tenant whose turn it is gives its first waiter and goes to the end. */
static struct slot_waiter *pop(struct slot_queue *queue, struct turn *turn)
{
    struct slot_waiter *waiter = list_entry(list_first(&turn->waiters), struct slot_waiter, in_turn);
    list_remove(&waiter->in_turn);
    list_remove(&turn->node);
    if (list_empty(&turn->waiters))
        free(turn);
    else
        list_push(&queue->turns, &turn->node);
    atomic_fetch_sub(&queue->waiting, 1);
    return waiter;
}

static void grant(struct slot_waiter *waiter, struct backend *backend)
{
    struct grant_box *box = waiter->box;
    waiter->backend = backend;
    pthread_mutex_lock(&box->lock);
    waiter->state = WAITING_GRANTED;
    list_push(&box->granted, &waiter->in_box);
    pthread_mutex_unlock(&box->lock);
    box->wake(box);
}

/* Under the lock: the first turn for which there is a slot; NULL: for none. Where rules deny nothing all turns are alike. */
static struct turn *next_turn(struct slot_queue *queue, struct backend **out)
{
    bool room = false;
    for (uint32_t i = 0; i < queue->nbackends; i++)
        room = room || has_room(queue->backends[i]);
    if (!room) /* nobody is asked in vain: with bars that would be all who wait */
        return NULL;
    list_for_each_safe (it, next, &queue->turns) {
        struct turn *turn = list_entry(it, struct turn, node);
        *out = take_for(queue, &turn->tenant);
        if (*out)
            return turn;
        if (queue->nbars == 0)
            break;
    }
    return NULL;
}

/* Under the lock: hands out free slots while somebody waits. */
static void serve(struct slot_queue *queue)
{
    struct backend *b;
    struct turn *turn;
    while (atomic_load(&queue->waiting) > 0 && (turn = next_turn(queue, &b)) != NULL) {
        struct slot_waiter *waiter = pop(queue, turn);
        atomic_fetch_add(&b->outstanding, waiter->tokens);
        grant(waiter, b);
    }
}

int slot_wait(struct slot_queue *queue, struct slot_waiter *waiter)
{
    int rc = 0;
    pthread_mutex_lock(&queue->lock);
    struct turn *turn =
        atomic_load(&queue->waiting) < queue->queue_max ? turn_of(queue, &waiter->tenant) : NULL;
    if (turn) {
        waiter->state = WAITING_QUEUED;
        list_push(&turn->waiters, &waiter->in_turn);
        atomic_fetch_add(&queue->waiting, 1);
        /* A slot may have been released after the caller looked and before `waiting` told of us. */
        serve(queue);
    } else {
        rc = ERR_QUEUE_FULL;
    }
    pthread_mutex_unlock(&queue->lock);
    return rc;
}

void slot_cancel(struct slot_queue *queue, struct slot_waiter *waiter)
{
    pthread_mutex_lock(&queue->lock);
    if (waiter->state == WAITING_QUEUED) {
        struct list *rest = waiter->in_turn.next;
        bool last = rest == waiter->in_turn.prev;
        list_remove(&waiter->in_turn);
        if (last) { /* the list head of its turn: nobody else of this tenant waits */
            struct turn *turn = list_entry(rest, struct turn, waiters);
            list_remove(&turn->node);
            free(turn);
        }
        atomic_fetch_sub(&queue->waiting, 1);
        waiter->state = WAITING_NONE;
    }
    pthread_mutex_unlock(&queue->lock);
    if (waiter->state != WAITING_GRANTED)
        return;
    pthread_mutex_lock(&waiter->box->lock);
    list_remove(&waiter->in_box);
    pthread_mutex_unlock(&waiter->box->lock);
    waiter->state = WAITING_NONE;
    slot_release(queue, waiter->backend, waiter->tokens);
}

struct slot_waiter *grant_next(struct grant_box *box)
{
    pthread_mutex_lock(&box->lock);
    struct list *first = list_first(&box->granted);
    struct slot_waiter *waiter = first ? list_entry(first, struct slot_waiter, in_box) : NULL;
    if (waiter) {
        list_remove(&waiter->in_box);
        waiter->state = WAITING_NONE;
    }
    pthread_mutex_unlock(&box->lock);
    return waiter;
}

void slot_release(struct slot_queue *queue, struct backend *backend, uint64_t tokens)
{
    atomic_fetch_sub(&backend->outstanding, tokens);
    atomic_fetch_sub(&backend->busy, 1);
    backend_unref(backend);
    if (atomic_load(&queue->waiting) == 0)
        return;
    pthread_mutex_lock(&queue->lock);
    serve(queue);
    pthread_mutex_unlock(&queue->lock);
}

void slot_publish(struct slot_queue *queue, struct backend *const *backends, uint32_t n,
                  const struct slot_bar *bars, uint32_t nbars)
{
    struct slot_bar *own = nbars > 0 ? malloc(nbars * sizeof *own) : NULL;
    if (nbars > 0 && !own)
        abort(); /* a snapshot of that size was just made */
    if (own)
        memcpy(own, bars, nbars * sizeof *own);
    pthread_mutex_lock(&queue->lock);
    free(queue->bars);
    queue->bars = own;
    queue->nbars = nbars;
    struct backend *old[REPLICAS_PER_DEPLOYMENT_MAX];
    uint32_t nold = queue->nbackends;
    memcpy(old, queue->backends, nold * sizeof *old);
    for (uint32_t i = 0; i < n; i++)
        queue->backends[i] = backend_ref(backends[i]);
    queue->nbackends = n;
    serve(queue);
    pthread_mutex_unlock(&queue->lock);
    for (uint32_t i = 0; i < nold; i++)
        backend_unref(old[i]);
}

void slot_kick(struct slot_queue *queue)
{
    if (atomic_load(&queue->waiting) == 0)
        return;
    pthread_mutex_lock(&queue->lock);
    serve(queue);
    pthread_mutex_unlock(&queue->lock);
}
