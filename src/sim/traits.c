/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/traits.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "core/kinds.h"
#include "sim/duration.h"

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

/* "40:20GB" or "40:20GB@SITE+SITE" */
static int read_data(struct traits *t, const char *value)
{
    static const struct {
        const char *unit;
        uint64_t bytes;
    } units[] = {{"MB", 1000000}, {"GB", 1000000000}, {"TB", UINT64_C(1000000000000)}};
    const char *rest;
    char *end;
    if (read_percent(value, &rest, &t->data) != 0 || *rest != ':' || rest[1] < '1' || rest[1] > '9')
        return ERR_INVALID;
    unsigned long long n = strtoull(rest + 1, &end, 10);
    const char *sites = strchr(end, '@');
    size_t len = sites ? (size_t)(sites - end) : strlen(end);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (len != 2 || memcmp(end, units[i].unit, 2) != 0 || n > 1000)
            continue;
        t->data_bytes = n * units[i].bytes;
        if (sites &&
            (sites[1] == 0 || !text_set(t->data_sites, sizeof t->data_sites, sites + 1, strlen(sites + 1))))
            return ERR_INVALID;
        return 0;
    }
    return ERR_INVALID;
}

/* TIME or TIME:EVERY. A checkpoint that costs nothing is given the least time there is: a job whose checkpoint_ms is 0 writes
 * none. */
static int read_checkpoint(struct traits *t, const char *value)
{
    size_t len = strcspn(value, ":");
    const char *every = value[len] ? value + len + 1 : NULL;
    if (!duration_read(value, len, &t->checkpoint_ms) ||
        (every && !duration_read(every, strlen(every), &t->checkpoint_every_ms)))
        return ERR_INVALID;
    if (t->checkpoint_ms == 0)
        t->checkpoint_ms = 1;
    return 0;
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
        if (rc == 0 && (*rest != ':' || !duration_read(rest + 1, strlen(rest + 1), &t->defer_ms)))
            rc = ERR_INVALID;
        rest = "";
    } else if (strcmp(name, "data") == 0) {
        rc = read_data(t, value);
    } else if (strcmp(name, "tied") == 0) {
        t->tied = strcmp(value, "firm") == 0 ? TIED_FIRM : strcmp(value, "all") == 0 ? TIED_ALL : TIED_NONE;
        rc = t->tied == TIED_NONE ? ERR_INVALID : 0;
    }
    return rc == 0 && *rest ? ERR_INVALID : rc;
}

int traits_read(struct traits *traits, const char *text, uint64_t seed, struct err *err)
{
    struct option_list list = option_list("--traits", text);
    *traits = (struct traits){.seed = seed};
    while (option_next(&list, err)) {
        const char *value = option_value(&list);
        if (!value || read_trait(traits, list.item, value) != 0)
            return err_set(err, ERR_INVALID,
                           "--traits %.*s: expected interruptible=PERCENT, checkpoint=TIME[:TIME], "
                           "deferrable=PERCENT:TIME, tied=firm|all or data=PERCENT:SIZE[@SITE+SITE...], TIME "
                           "as 90s, 5m, "
                           "24h, SIZE as 500MB, 20GB, 1TB",
                           list.len, list.written);
    }
    return list.rc;
}

/* ---- where data lies ---- */

/* Site i is one of "NAME+NAME...". */
static bool named(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = list; *at; at += at[strcspn(at, "+")] ? strcspn(at, "+") + 1 : strcspn(at, "+")) {
        if (strcspn(at, "+") == len && memcmp(at, name, len) == 0)
            return true;
    }
    return false;
}

static uint32_t names_in(const char *list)
{
    uint32_t n = *list != 0;
    for (const char *at = list; *at; at++)
        n += *at == '+';
    return n;
}

int traits_place(struct traits *t, const struct netfile *net, struct err *err)
{
    uint64_t upto = 0;
    if (t->data == 0)
        return 0;
    if (!net)
        return err_set(err, ERR_INVALID, "--traits data: needs --network, isolated pools have no corridors");
    t->site = calloc(netfile_sites(net) + 1u, sizeof *t->site);
    if (!t->site)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; i < netfile_sites(net); i++) {
        const struct net_site *site = netfile_site(net, i);
        uint64_t weight = t->data_sites[0] ? named(t->data_sites, site->name) : site->chips;
        if (weight == 0)
            continue;
        upto += weight;
        t->site[t->nsites++] = (struct trait_site){.id = site->uuid, .upto = upto};
    }
    if (t->nsites == 0 || (t->data_sites[0] && t->nsites != names_in(t->data_sites)))
        return err_set(err, ERR_NOT_FOUND, "--traits data: the network has not each of these sites, once: %s",
                       t->data_sites);
    return 0;
}

void traits_free(struct traits *t)
{
    free(t->site);
    t->site = NULL;
}

static struct uuid site_of(const struct traits *t, uint32_t i)
{
    struct rng rng;
    uint32_t k = 0;
    rng_init(&rng, t->seed ^ (UINT64_C(4) << 32 | i));
    uint64_t at = rng_below(&rng, t->site[t->nsites - 1].upto);
    while (t->site[k].upto <= at)
        k++;
    return t->site[k].id;
}

/* ---- what is assumed of a job ---- */

/* True for that share of jobs; another draw for each trait. */
static bool drawn(const struct traits *t, uint32_t i, uint64_t trait, uint32_t percent)
{
    struct rng rng;
    rng_init(&rng, t->seed ^ (trait << 32 | i));
    return rng_below(&rng, 100) < percent;
}

bool traits_defers(const struct traits *t, uint32_t i)
{
    return t->deferrable > 0 && drawn(t, i, 2, t->deferrable);
}

bool traits_ties(const struct traits *t, uint32_t i)
{
    return t->tied == TIED_ALL || (t->tied == TIED_FIRM && !traits_defers(t, i));
}

bool traits_interruptible(const struct traits *t, uint32_t i)
{
    return t->interruptible > 0 && drawn(t, i, 1, t->interruptible);
}

int64_t traits_run_ms(const struct traits *t, uint32_t i, int64_t duration_ms, int64_t done_ms)
{
    if (done_ms <= 0)
        return duration_ms;
    /* A job whose end was reported late may have been stopped when it was over already. */
    int64_t left_ms = duration_ms > done_ms ? duration_ms - done_ms : 1;
    return left_ms + (traits_interruptible(t, i) ? t->checkpoint_ms : 0);
}

void traits_apply(const struct traits *t, uint32_t i, int64_t now_ms, struct event_job_submit *request)
{
    if (traits_interruptible(t, i)) {
        request->flags |= JOB_INTERRUPTIBLE;
        request->checkpoint_ms = t->checkpoint_ms;
        request->checkpoint_every_ms = t->checkpoint_every_ms;
    }
    if (traits_defers(t, i))
        request->start_by_ms = now_ms + t->defer_ms;
    if (t->nsites > 0 && drawn(t, i, 3, t->data)) {
        request->data_site = site_of(t, i);
        request->data_bytes = t->data_bytes;
    }
}
