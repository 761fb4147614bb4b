/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/team.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct member {
    struct team *team;
    pthread_t thread;
    uint32_t part;
};

struct team {
    pthread_mutex_t lock;
    pthread_cond_t begun, done;
    uint64_t round; /* of work; each member does each round once */
    uint32_t threads, running;
    uint64_t least;
    bool over;
    team_fn *fn;
    void *ctx;
    struct member members[TEAM_MAX];
};

static void *work(void *arg)
{
    struct member *m = arg;
    struct team *t = m->team;
    uint64_t seen = 0;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->over && t->round == seen)
            pthread_cond_wait(&t->begun, &t->lock);
        if (t->over)
            break;
        seen = t->round;
        pthread_mutex_unlock(&t->lock);
        t->fn(t->ctx, m->part, t->threads);
        pthread_mutex_lock(&t->lock);
        if (--t->running == 0)
            pthread_cond_signal(&t->done);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

struct team *team_new(uint32_t threads, uint64_t least)
{
    struct team *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->begun, NULL);
    pthread_cond_init(&t->done, NULL);
    t->least = least;
    t->threads = 1;
    while (t->threads < threads && t->threads < TEAM_MAX) {
        struct member *m = &t->members[t->threads];
        *m = (struct member){.team = t, .part = t->threads};
        if (pthread_create(&m->thread, NULL, work, m) != 0) {
            team_free(t);
            return NULL;
        }
        t->threads++;
    }
    return t;
}

void team_free(struct team *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->over = true;
    pthread_cond_broadcast(&t->begun);
    pthread_mutex_unlock(&t->lock);
    for (uint32_t i = 1; i < t->threads; i++)
        pthread_join(t->members[i].thread, NULL);
    pthread_cond_destroy(&t->begun);
    pthread_cond_destroy(&t->done);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

uint32_t team_threads(const struct team *t)
{
    return t->threads;
}

void team_run(struct team *t, uint64_t size, team_fn *fn, void *ctx)
{
    if (t->threads == 1 || size < t->least) {
        fn(ctx, 0, 1);
        return;
    }
    pthread_mutex_lock(&t->lock);
    t->fn = fn;
    t->ctx = ctx;
    t->running = t->threads - 1;
    t->round++;
    pthread_cond_broadcast(&t->begun);
    pthread_mutex_unlock(&t->lock);
    fn(ctx, 0, t->threads);
    pthread_mutex_lock(&t->lock);
    while (t->running > 0)
        pthread_cond_wait(&t->done, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

void team_share(uint32_t n, uint32_t part, uint32_t parts, uint32_t *begin, uint32_t *end)
{
    *begin = (uint32_t)((uint64_t)n * part / parts);
    *end = (uint32_t)((uint64_t)n * (part + 1) / parts);
}
