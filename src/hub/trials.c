/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/trials.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_S 10

static atomic_flag busy = ATOMIC_FLAG_INIT;

/* What the core's thread is asked for; whoever is second to let go of it frees it. */
struct asked {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    int64_t now_ms;
    struct trial *trial;
    bool done, given_up;
};

static void asked_free(struct asked *a)
{
    trial_free(a->trial);
    pthread_cond_destroy(&a->answered);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static void take(void *ctx, const struct core *core)
{
    const struct limits limits = limits_default();
    struct asked *a = ctx;
    pthread_mutex_lock(&a->lock);
    bool given_up = a->given_up;
    if (!given_up)
        a->trial = trial_take(core, &limits, a->now_ms);
    a->done = true;
    pthread_cond_signal(&a->answered);
    pthread_mutex_unlock(&a->lock);
    if (given_up)
        asked_free(a);
}

static struct asked *asked_new(struct api_call *call)
{
    struct asked *a = calloc(1, sizeof *a);
    pthread_condattr_t attr;
    if (!a)
        return NULL;
    a->now_ms = runtime_now_ms(call->hub->runtime);
    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&a->answered, &attr);
    pthread_condattr_destroy(&attr);
    return a;
}

/* NULL: the core has not answered, or there was no memory. */
static struct trial *ask(struct api_call *call)
{
    struct asked *a = asked_new(call);
    struct timespec until;
    if (!a)
        return NULL;
    if (runtime_query(call->hub->runtime, take, a, 0) != 0) {
        asked_free(a);
        return NULL;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&a->lock);
    while (!a->done && pthread_cond_timedwait(&a->answered, &a->lock, &until) == 0)
        continue;
    bool done = a->done;
    struct trial *trial = a->trial;
    a->trial = NULL;
    a->given_up = true;
    pthread_mutex_unlock(&a->lock);
    if (done)
        asked_free(a);
    return trial;
}

int trials_begin(struct api_call *call, struct trial **out)
{
    *out = NULL;
    if (atomic_flag_test_and_set(&busy))
        return err_set(&call->err, ERR_UNAVAILABLE, "Something else is being tried on a copy; try again.");
    *out = ask(call);
    if (!*out) {
        trials_end(NULL);
        return err_set(&call->err, ERR_UNAVAILABLE, "The state cannot be copied now; try again.");
    }
    int rc = trial_stand(*out);
    if (rc == 0)
        return 0;
    trials_end(*out);
    *out = NULL;
    return rc == ERR_LIMIT ? err_set(&call->err, rc, "There is too much here to try anything on a copy.")
                           : rc;
}

void trials_end(struct trial *trial)
{
    trial_free(trial);
    atomic_flag_clear(&busy);
}
