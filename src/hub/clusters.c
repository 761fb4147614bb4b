/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/clusters.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "core/kinds.h"
#include "core/view.h"
#include "hub/cluster_memory.h"
#include "hub/cluster_speed.h"
#include "network/models.h"

#define SEEN_MAX 64                           /* clusters of a look; the next one begins with the others */
#define WORKERS_MAX (2 * CLUSTER_MEMBERS_MAX) /* of one: those that leave, too */
#define REFERENCE "h100"
#define TAKEN_LIMIT_S 5
#define UNREAD_AGAIN_MS 30000

struct seen_worker {
    struct cluster_worker worker;
    char chip[CHIP_CAP];
    uint32_t state;
    bool leaves, begins; /* its site drains, or it does; it is at a place and not ready */
};

/* What there is of one cluster. */
struct seen {
    struct row_cluster row;
    uint8_t digest[DIGEST_BYTES];
    char location[PATH_CAP];
    uint64_t tokens; /* of context, all slots */
    struct seen_worker worker[WORKERS_MAX];
    uint32_t n;
    bool head_ready, sampled;
    struct cluster_sample sample;
};

/* What others may ask for, under the lock. */
struct told {
    struct uuid id;
    uint32_t generation;
    struct clusters_told what;
};

struct clusters_maker {
    const struct hub *hub;
    const char *share;
    struct netfile *chips;
    struct models *models;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping, wanted; /* of the core's thread: a look at what there is */
    struct seen seen[SEEN_MAX];
    uint32_t nseen;
    uint32_t from; /* of the core's thread: where the next look begins */
    struct cluster_memories memories;
    struct cluster_samples samples;
    struct told told[SEEN_MAX], next[SEEN_MAX]; /* of this look, before it ends */
    uint32_t ntold, nnext;
};

/* ---- what there is, on the core's thread ---- */

static uint64_t chip_memory(const struct core *core, const char *chip)
{
    const struct row_chip *row;
    for (uint32_t pos = 0; (row = view_chip_at(core, &pos)) != NULL;) {
        if (strcmp(row->id, chip) == 0)
            return (uint64_t)row->memory_mib << 20;
    }
    return 0;
}

static void take_worker(struct seen *seen, const struct core *core, const struct row_replica *row)
{
    const struct row_site *site = view_site(core, &row->site);
    struct seen_worker *w = &seen->worker[seen->n++];
    *w = (struct seen_worker){.worker = {.ordinal = row->ordinal, .epoch = row->epoch, .site = row->site},
                              .state = row->state};
    cluster_way(core, &row->site, &w->worker);
    memcpy(w->chip, row->chip, sizeof w->chip);
    w->worker.memory_bytes = cluster_room(seen->row.member_bytes, chip_memory(core, row->chip));
    w->leaves = row->state == REPLICA_DRAINING || (site && view_site_state(site) == PLACE_DRAINING);
    w->begins = site && (row->state == REPLICA_WANTED || row->state == REPLICA_STARTING ||
                         row->state == REPLICA_BACKOFF);
}

static bool take_cluster(struct seen *seen, const struct core *core, const struct row_deployment *d)
{
    const struct row_cluster *cluster = view_cluster(core, &d->id);
    const struct row_model *model = view_model(core, &d->model);
    const struct row_replica *row;
    if (!cluster || !model || d->replicas == 0)
        return false;
    *seen = (struct seen){.row = *cluster};
    for (uint32_t pos = 0; (row = view_replica_at(core, &pos)) != NULL;) {
        if (!uuid_eq(&row->deployment, &d->id))
            continue;
        const struct row_variant *variant = view_variant(core, &row->variant);
        if (row->role == REPLICA_HEAD && variant) {
            memcpy(seen->location, variant->location, sizeof seen->location);
            memcpy(seen->digest, variant->digest, sizeof seen->digest);
            seen->tokens = (uint64_t)model->context * d->slots;
            seen->head_ready = row->state == REPLICA_READY;
        } else if (row->role == REPLICA_WORKER && !uuid_zero(&row->site) && seen->n < WORKERS_MAX) {
            take_worker(seen, core, row);
        }
    }
    seen->sampled = cluster_sample_take(&seen->sample, core, cluster);
    return seen->location[0] != 0;
}

static void take(void *ctx, const struct core *core)
{
    struct clusters_maker *m = ctx;
    const struct row_deployment *row;
    pthread_mutex_lock(&m->lock);
    m->nseen = m->wanted ? 0 : m->nseen; /* else nobody waits for it any more */
    uint32_t pos = m->from;
    bool around = pos == 0;
    while (m->wanted && m->nseen < SEEN_MAX) {
        row = view_deployment_at(core, &pos);
        if (!row && around)
            break;
        if (around && row && m->from > 0 && pos > m->from)
            break; /* all were taken */
        if (row)
            m->nseen += take_cluster(&m->seen[m->nseen], core, row);
        around = around || !row;
        pos = row ? pos : 0;
    }
    m->from = m->nseen == SEEN_MAX ? pos : 0;
    m->wanted = false;
    pthread_cond_broadcast(&m->wake);
    pthread_mutex_unlock(&m->lock);
}

/* ---- figures ---- */

static const struct net_chip *chip_named(const struct clusters_maker *m, const char *name)
{
    for (uint32_t i = 0; i < netfile_chips(m->chips); i++) {
        if (strcmp(netfile_chip(m->chips, i)->name, name) == 0)
            return netfile_chip(m->chips, i);
    }
    return NULL;
}

static bool speed_of(const void *ctx, const char *name, uint64_t *byte_s, uint64_t *flop_s)
{
    const struct clusters_maker *m = ctx;
    const struct net_chip *chip = chip_named(m, name);
    struct cluster_pool pool;
    if (!chip || !model_pool(models_delivered(m->models), chip, 1, 1, &pool))
        return false;
    *byte_s = pool.byte_s;
    *flop_s = pool.flop_s;
    return true;
}

/* Thousandths of a chip of the reference, if one could hold the model. */
static void add_equal(const struct clusters_maker *m, const struct shape *s, struct event_cluster_plan *plan)
{
    uint64_t byte_s, flop_s;
    if (plan->token_s_e3 == 0 || !speed_of(m, REFERENCE, &byte_s, &flop_s))
        return;
    int128 bytes = (int128)s->model.layer_bytes * s->model.layers + s->model.head_bytes;
    int128 alone_e3 = (int128)byte_s * 1000 / bytes;
    int128 equal = alone_e3 > 0 ? (int128)plan->token_s_e3 * 1000 / alone_e3 : 0;
    plan->equal_e3 = equal < UINT32_MAX ? (uint32_t)equal : UINT32_MAX;
    memcpy(plan->equal_chip, REFERENCE, sizeof REFERENCE);
}

/* ---- what is to be done ---- */

/* Once for each digest; a file that cannot be read is tried again after a while. False: memory->unread says why. */
static bool read_shape(const struct clusters_maker *m, const struct seen *seen, struct cluster_memory *memory)
{
    char path[FS_PATH_MAX];
    struct err err = {0};
    bool relative = seen->location[0] != '/';
    if (memcmp(memory->digest, seen->digest, DIGEST_BYTES) == 0 &&
        (memory->shaped || (memory->unread[0] && clock_boot_ms() - memory->unread_ms < UNREAD_AGAIN_MS)))
        return memory->shaped;
    int n = snprintf(path, sizeof path, "%s%s%s", relative ? m->hub->data_dir : "", relative ? "/" : "",
                     seen->location);
    memory->shaped = n < (int)sizeof path && shape_of_file(&memory->shape, path, &err) == 0;
    memcpy(memory->digest, seen->digest, DIGEST_BYTES);
    memory->learnt = 0;
    memory->factors = (struct cluster_factors){.samples = 0};
    memory->unread_ms = clock_boot_ms();
    cluster_words(memory->unread, err.msg[0] ? err.msg : "the path of its weights is too long");
    return memory->shaped;
}

/* What is believed of the worker, as it was measured where it was. */
static struct cluster_worker worker_known(const struct clusters_maker *m, const struct cluster_memory *memory,
                                          const struct seen_worker *w)
{
    struct cluster_worker out = w->worker;
    (void)speed_of(m, w->chip, &out.byte_s, &out.flop_s);
    cluster_correct(&memory->factors, w->chip, &out);
    return out;
}

/* Those that are ready; `staying`: without those that leave. */
static uint32_t ready_ones(const struct clusters_maker *m, const struct seen *seen,
                           const struct cluster_memory *memory, bool staying,
                           struct cluster_worker out[WORKERS_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < seen->n; i++) {
        const struct seen_worker *w = &seen->worker[i];
        if (w->state != REPLICA_READY || (staying && w->leaves))
            continue;
        out[n++] = worker_known(m, memory, w);
    }
    return n;
}

static bool any_begins(const struct seen *seen)
{
    for (uint32_t i = 0; i < seen->n; i++) {
        if (seen->worker[i].begins)
            return true;
    }
    return false;
}

static bool plan_loses(const struct seen *seen)
{
    struct view_part part;
    for (uint32_t i = 0; view_cluster_part(&seen->row, i, &part); i++) {
        for (uint32_t k = 0; k < seen->n; k++) {
            if (seen->worker[k].worker.ordinal == part.ordinal && seen->worker[k].leaves)
                return true;
        }
    }
    return false;
}

static uint64_t since(uint64_t *from_ms, bool holds)
{
    uint64_t now = clock_boot_ms();
    if (!holds)
        *from_ms = 0;
    else if (*from_ms == 0)
        *from_ms = now;
    return holds ? now - *from_ms : 0;
}

static void say(const struct clusters_maker *m, const struct seen *seen, const char *words)
{
    struct event event = {.kind = EVENT_KIND_cluster_wait,
                          .u.cluster_wait = {.deployment = seen->row.id, .generation = seen->row.generation}};
    cluster_words(event.u.cluster_wait.detail, words); /* what was said before was cut, too */
    if (strncmp(event.u.cluster_wait.detail, seen->row.detail, TEXT_CAP) != 0)
        (void)runtime_post(m->hub->runtime, &event);
}

static void say_short(const struct clusters_maker *m, const struct seen *seen, uint32_t n, uint64_t bytes)
{
    char words[TEXT_CAP];
    uint64_t mib = (bytes >> 20) + 1;
    if (mib >= 10240)
        (void)snprintf(words, sizeof words, "%u of %u workers: %" PRIu64 " GiB short", n, seen->row.members,
                       (mib + 1023) / 1024);
    else
        (void)snprintf(words, sizeof words, "%u of %u workers: %" PRIu64 " MiB short", n, seen->row.members,
                       mib);
    say(m, seen, words);
}

/* Whether it is time for a plan where none is in force, given that one can be made. */
static bool is_time(const struct seen *seen, struct cluster_memory *memory, uint32_t n)
{
    uint64_t could_ms = since(&memory->could_ms, true);
    if (n >= seen->row.members)
        return true;
    if (seen->row.generation == 0)
        return could_ms >= CLUSTERS_GATHER_MS;
    return could_ms >= CLUSTERS_RETURN_MS || !any_begins(seen);
}

/* Whether one that stands is to be replaced now, given that another can be made. */
static bool is_better(const struct clusters_maker *m, const struct seen *seen, struct cluster_memory *memory,
                      uint32_t n)
{
    bool loses = plan_loses(seen);
    bool more = seen->head_ready && seen->row.offered < seen->row.members && n > seen->row.offered;
    uint64_t better_ms = since(&memory->better_ms, loses || more);
    if (better_ms < CLUSTERS_STEADY_MS && !loses)
        return false;
    return (loses || more) && (better_ms >= CLUSTERS_BUSY_MS ||
                               gateway_replica_busy(m->hub->gateway, &seen->row.id, CLUSTER_HEAD) == 0);
}

static void log_plan(const struct seen *seen, const struct event_cluster_plan *plan)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &seen->row.id);
    log_info("cluster_plan", "deployment=%s generation=%u parts=%u tokens_s=%.1f", id, plan->generation,
             plan->parts, (double)plan->token_s_e3 / 1e3);
}

static void learn(const struct clusters_maker *m, struct cluster_memory *memory)
{
    if (memory->learnt != m->samples.changes &&
        cluster_learn(&memory->factors, &m->samples, memory->digest, &memory->shape, speed_of, m) == 0)
        memory->learnt = m->samples.changes;
}

/* The parts of the plan in force, by what is known now. */
static void tell(struct clusters_maker *m, const struct seen *seen, const struct cluster_memory *memory)
{
    struct cluster_part part[CLUSTER_MEMBERS_MAX] = {{.layers = 0}};
    struct view_part of;
    uint32_t n = 0;
    while (view_cluster_part(&seen->row, n, &of)) {
        uint32_t k = 0;
        while (k < seen->n && seen->worker[k].worker.ordinal != of.ordinal)
            k++;
        if (k == seen->n)
            return;
        part[n++] =
            (struct cluster_part){.worker = worker_known(m, memory, &seen->worker[k]), .layers = of.layers};
    }
    m->next[m->nnext++] = (struct told){.id = seen->row.id,
                                        .generation = seen->row.generation,
                                        .what = {.token_s_e3 = cluster_forecast(&memory->shape, part, n),
                                                 .samples = memory->factors.samples,
                                                 .guessed = cluster_guesses(part, n)}};
}

bool clusters_tell(struct clusters_maker *m, const struct uuid *deployment, uint32_t generation,
                   struct clusters_told *out)
{
    bool found = false;
    if (!m)
        return false;
    pthread_mutex_lock(&m->lock);
    for (uint32_t i = 0; i < m->ntold && !found; i++) {
        found = m->told[i].generation == generation && uuid_eq(&m->told[i].id, deployment);
        if (found)
            *out = m->told[i].what;
    }
    pthread_mutex_unlock(&m->lock);
    return found;
}

static void decide(struct clusters_maker *m, const struct seen *seen)
{
    struct event event = {.kind = EVENT_KIND_cluster_plan};
    struct event_cluster_plan *plan = &event.u.cluster_plan;
    struct cluster_worker workers[WORKERS_MAX];
    struct cluster_memory *memory = cluster_memory_of(&m->memories, &seen->row.id);
    uint64_t lacks = 0;
    bool stands = seen->row.parts > 0;
    if (memory->generation != seen->row.generation || stands)
        memory->could_ms = 0;
    memory->generation = seen->row.generation;
    if (!read_shape(m, seen, memory)) {
        say(m, seen, memory->unread);
        return;
    }
    learn(m, memory);
    if (stands)
        tell(m, seen, memory);
    uint32_t n = ready_ones(m, seen, memory, true, workers);
    int rc = cluster_plan_make(&memory->shape, workers, n, seen->tokens, plan, &lacks);
    if (rc == ERR_NO_CAPACITY && !stands) { /* better at a site that is being drained than nowhere */
        n = ready_ones(m, seen, memory, false, workers);
        rc = cluster_plan_make(&memory->shape, workers, n, seen->tokens, plan, &lacks);
    }
    if (rc != 0) {
        (void)since(&memory->could_ms, false);
        if (!stands)
            say_short(m, seen, n, lacks);
        return;
    }
    if (stands ? !is_better(m, seen, memory, n) : !is_time(seen, memory, n))
        return;
    plan->deployment = seen->row.id;
    plan->generation = seen->row.generation + 1;
    add_equal(m, &memory->shape, plan);
    log_plan(seen, plan);
    memory->better_ms = 0;
    (void)runtime_post(m->hub->runtime,
                       &event); /* one that is refused is made anew from what there is then */
}

/* ---- the thread ---- */

static bool waits(struct clusters_maker *m, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return pthread_cond_timedwait(&m->wake, &m->lock, &until) == 0;
}

static void look(struct clusters_maker *m)
{
    m->wanted = true;
    if (runtime_query(m->hub->runtime, take, m, 0) == 0) {
        while (m->wanted && !m->stopping && waits(m, TAKEN_LIMIT_S * 1000))
            continue;
    }
    bool taken = !m->wanted;
    m->wanted = false;
    if (!taken || m->stopping)
        return;
    pthread_mutex_unlock(&m->lock);
    m->nnext = 0;
    for (uint32_t i = 0; i < m->nseen; i++) {
        if (m->seen[i].sampled)
            cluster_samples_add(&m->samples, &m->seen[i].sample);
    }
    for (uint32_t i = 0; i < m->nseen; i++)
        decide(m, &m->seen[i]);
    pthread_mutex_lock(&m->lock);
    memcpy(m->told, m->next, m->nnext * sizeof *m->told);
    m->ntold = m->nnext;
}

static void *run(void *ctx)
{
    struct clusters_maker *m = ctx;
    pthread_mutex_lock(&m->lock);
    while (!m->stopping) {
        look(m);
        if (!m->stopping)
            (void)waits(m, CLUSTERS_LOOK_MS);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* ---- the whole ---- */

static int load(struct clusters_maker *m, struct err *err)
{
    char chips[FS_PATH_MAX], models[FS_PATH_MAX], text[PROBLEM_TEXT_CAP] = "cannot be read";
    struct problems problems;
    if (!fs_join(chips, m->share, "chips.yaml") || !fs_join(models, m->share, "models.yaml"))
        return err_set(err, ERR_INVALID, "the path of the catalogues is too long");
    problems_init(&problems);
    int rc = netfile_load_chips(&m->chips, chips, &problems);
    if (rc == 0)
        rc = models_load(&m->models, models, &problems);
    if (rc != 0 && problems.n > 0)
        problem_format(text, &problems.list[0]);
    if (rc != 0)
        err_set(err, rc, "the catalogues of chips and models: %s", text);
    problems_fini(&problems);
    return rc;
}

int clusters_open(struct clusters_maker **out, const struct hub *hub, const char *share, struct err *err)
{
    struct clusters_maker *m = calloc(1, sizeof *m);
    pthread_condattr_t attr;
    if (!m)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    m->hub = hub;
    m->share = share;
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &attr);
    pthread_condattr_destroy(&attr);
    int rc = load(m, err);
    if (rc == 0 && pthread_create(&m->thread, NULL, run, m) != 0)
        rc = err_set(err, ERR_NO_MEMORY, "cannot start a thread");
    if (rc != 0) {
        m->stopping = true;
        clusters_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

void clusters_stop(struct clusters_maker *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    bool stopped = m->stopping;
    m->stopping = true;
    pthread_cond_broadcast(&m->wake);
    pthread_mutex_unlock(&m->lock);
    if (!stopped)
        pthread_join(m->thread, NULL);
}

void clusters_free(struct clusters_maker *m)
{
    if (!m)
        return;
    if (m->chips)
        netfile_free(m->chips);
    if (m->models)
        models_free(m->models);
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
