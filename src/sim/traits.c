/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/traits.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "core/kinds.h"
#include "sim/duration.h"

#define WORD_CAP 64

static int read_percent(const char *text, const char **rest, uint32_t *percent)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || n > 100)
        return ERR_INVALID;
    *percent = (uint32_t)n;
    *rest = end;
    return 0;
}

/* TIME or TIME:EVERY. A checkpoint that costs nothing is given the least time there is: a job whose checkpoint_ms is 0 writes
 * none. */
static int read_checkpoint(struct traits *t, const char *value)
{
    char cost[WORD_CAP];
    size_t len = strcspn(value, ":");
    memcpy(cost, value, len); /* a word is shorter than WORD_CAP */
    cost[len] = 0;
    int rc = duration_read(cost, &t->checkpoint_ms);
    if (rc == 0 && value[len] == ':')
        rc = duration_read(value + len + 1, &t->checkpoint_every_ms);
    if (t->checkpoint_ms == 0)
        t->checkpoint_ms = 1;
    return rc;
}

static int read_trait(struct traits *t, const char *name, const char *value)
{
    const char *rest = "";
    int rc = ERR_INVALID;
    if (strcmp(name, "interruptible") == 0) {
        rc = read_percent(value, &rest, &t->interruptible);
    } else if (strcmp(name, "checkpoint") == 0) {
        rc = read_checkpoint(t, value);
    } else if (strcmp(name, "deferrable") == 0) {
        rc = read_percent(value, &rest, &t->deferrable);
        if (rc == 0 && *rest != ':')
            rc = ERR_INVALID;
        if (rc == 0)
            rc = duration_read(rest + 1, &t->defer_ms);
        rest = "";
    }
    return rc == 0 && *rest ? ERR_INVALID : rc;
}

int traits_read(struct traits *traits, const char *text, uint64_t seed, struct err *err)
{
    *traits = (struct traits){.seed = seed};
    for (const char *at = text ? text : ""; *at;) {
        char word[WORD_CAP];
        size_t len = strcspn(at, ",");
        char *equals = NULL;
        if (len < sizeof word) {
            memcpy(word, at, len);
            word[len] = 0;
            equals = strchr(word, '=');
        }
        if (equals)
            *equals = 0;
        if (!equals || read_trait(traits, word, equals + 1) != 0)
            return err_set(err, ERR_INVALID,
                           "--traits %.*s: expected interruptible=PERCENT, checkpoint=TIME[:TIME] or "
                           "deferrable=PERCENT:TIME, TIME as 90s, 5m, 24h",
                           (int)len, at);
        at += len + (at[len] == ',');
    }
    return 0;
}

/* True for that share of jobs; another draw for each trait. */
static bool drawn(const struct traits *t, uint32_t i, uint64_t trait, uint32_t percent)
{
    struct rng rng;
    rng_init(&rng, t->seed ^ (trait << 32 | i));
    return rng_below(&rng, 100) < percent;
}

bool traits_interruptible(const struct traits *t, uint32_t i)
{
    return t->interruptible > 0 && drawn(t, i, 1, t->interruptible);
}

int64_t traits_run_ms(const struct traits *t, uint32_t i, int64_t duration_ms, int64_t done_ms)
{
    if (done_ms <= 0)
        return duration_ms;
    return duration_ms - done_ms + (traits_interruptible(t, i) ? t->checkpoint_ms : 0);
}

void traits_apply(const struct traits *t, uint32_t i, int64_t now_ms, struct event_job_submit *request)
{
    if (traits_interruptible(t, i)) {
        request->flags |= JOB_INTERRUPTIBLE;
        request->checkpoint_ms = t->checkpoint_ms;
        request->checkpoint_every_ms = t->checkpoint_every_ms;
    }
    if (t->deferrable > 0 && drawn(t, i, 2, t->deferrable))
        request->start_by_ms = now_ms + t->defer_ms;
}
