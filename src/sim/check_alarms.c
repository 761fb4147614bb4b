/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Losses, in the checker: alarms tell how much firm work there is, alternate, and never say that all of it could be placed again
 * where there are not even the chips; and where chips are kept for a loss, firm work leaves as many. It counts chips only: that
 * gangs fit on nodes is what tests of the core show.
 */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "sim/checker_state.h"

/* ---- counts ---- */

void checker_count_share(struct checker *c, const struct check_share *share, bool take)
{
    struct check_node *node = &c->node[share->node];
    struct check_pool *pool = &c->pool[node->pool];
    uint32_t chips = take ? share->chips : -share->chips;
    if (!c->job[share->job].firm) {
        uint64_t watts = checker_watts(c, pool, share->chips);
        c->site[pool->site].soft_load += take ? watts : -watts;
        return;
    }
    node->firm += chips;
    pool->firm_up += node->state == PLACE_UP ? chips : 0;
}

void checker_node_up(struct checker *c, uint32_t i, bool up)
{
    const struct check_node *node = &c->node[i];
    struct check_pool *pool = &c->pool[node->pool];
    if ((node->state == PLACE_UP) == up)
        return;
    pool->up += up ? pool->node_chips : -pool->node_chips;
    pool->firm_up += up ? node->firm : -node->firm;
}

/* What a job takes at least if it runs somewhere else; 0 where it may be that it cannot: also where it demands to be kept apart,
 * which only some sites do, and not for ever. */
static uint32_t least_chips(const struct checker *c, const struct check_request *r)
{
    bool anywhere =
        r->site == NONE && !r->jurisdiction[0] && !r->vendor[0] && r->chip[0] == NONE && r->isolation == 0;
    if (!anywhere || r->count[0] > c->least_node)
        return 0;
    uint32_t least = r->count[0];
    for (uint32_t a = 1; a < CHECKER_ALTERNATIVES && r->count[a] > 0; a++)
        least = r->count[a] < least ? r->count[a] : least;
    return least;
}

void checker_count_job(struct checker *c, uint32_t i, bool take)
{
    struct check_job *job = &c->job[i];
    struct check_pool *pool = &c->pool[job->pool];
    const struct check_request *r = &c->ask[job->ask].request;
    if (!job->firm)
        return;
    pool->firm += take ? r->count[job->alternative] : -r->count[job->alternative];
    if (take)
        job->least = job->data_bytes > 0 ? 0 : least_chips(c, r); /* its data may not come elsewhere */
    pool->firm_least += take ? job->least : -job->least;
}

/* ---- losses ---- */

struct check_loss {
    uint32_t site;      /* NONE: */
    const char *vendor; /* all chips of this one */
};

struct check_sum {
    uint64_t firm,
        firm_least; /* chips that stop; and that those take at least elsewhere which could go anywhere */
    uint64_t room;  /* chips elsewhere that firm work does not have */
    bool elsewhere; /* there is a pool that is up */
};

static struct check_sum sum_of(const struct checker *c, struct check_loss loss)
{
    struct check_sum sum = {0};
    for (uint32_t p = 0; p < c->npools; p++) {
        const struct check_pool *pool = &c->pool[p];
        bool hit = loss.site != NONE ? pool->site == loss.site
                                     : strncmp(c->chip[pool->chip].told.vendor, loss.vendor, NAME_CAP) == 0;
        sum.firm += hit ? pool->firm : 0;
        sum.firm_least += hit ? pool->firm_least : 0;
        if (!hit && c->site[pool->site].state == PLACE_UP) {
            sum.room += pool->up - pool->firm_up;
            sum.elsewhere |= pool->up > 0;
        }
    }
    return sum;
}

/* Where it is kept whether the loss was told not to be covered; NULL: there is nothing that could be lost so. */
static bool *alarm_of(struct checker *c, struct check_loss loss)
{
    if (loss.site != NONE)
        return &c->site[loss.site].alarm;
    for (uint32_t i = 0; i < c->nchips; i++) {
        if (loss.vendor[0] && strncmp(c->chip[i].told.vendor, loss.vendor, NAME_CAP) == 0)
            return &c->chip[i].alarm;
    }
    return NULL;
}

void checker_alarm(struct checker *c, const struct effect *e)
{
    struct check_loss loss = {.site = map_get(&c->site_map, &e->site, sizeof e->site), .vendor = e->vendor};
    bool *alarm = alarm_of(c, loss);
    if (!alarm) {
        checker_violate(c, CHECKER_ALARM, NULL, NULL, NONE, "no such site, or vendor %.63s", e->vendor);
        return;
    }
    struct check_sum sum = sum_of(c, loss);
    bool covered = e->code == 0;
    if (*alarm == !covered || e->chips != sum.firm || covered != (e->amount == (int64_t)e->chips) ||
        (covered && sum.firm_least > sum.room))
        checker_violate(c, CHECKER_ALARM, NULL, NULL, NONE,
                        "%s%.63s, code %d: %" PRId64 " of %" PRIu32 " chips, there are %" PRIu64
                        ", and room for %" PRIu64,
                        loss.site != NONE ? "site " : "vendor ",
                        loss.site != NONE ? c->site[loss.site].told.name : loss.vendor, e->code, e->amount,
                        e->chips, sum.firm, sum.room);
    *alarm = !covered;
}

void checker_judge_reserve(struct checker *c, uint32_t i)
{
    const struct check_job *job = &c->job[i];
    if (c->reserve != RESERVE_KEEP || !job->firm || job->epoch > 1 || checker_has_rules(c))
        return; /* what was stopped is what they are kept for */
    if (job->least == 0)
        return; /* it may be tied to what would be lost: nothing can be kept for it */
    const struct check_pool *pool = &c->pool[job->pool];
    struct check_loss losses[] = {{.site = pool->site},
                                  {.site = NONE, .vendor = c->chip[pool->chip].told.vendor}};
    for (uint32_t k = 0; k < sizeof losses / sizeof losses[0]; k++) {
        struct check_sum sum = sum_of(c, losses[k]);
        bool some = losses[k].site != NONE || losses[k].vendor[0];
        if (!some || !sum.elsewhere || sum.firm_least <= sum.room)
            continue;
        checker_violate(c, CHECKER_RESERVE, &job->id, &pool->id, NONE,
                        "%" PRIu64 " chips would be lost, %" PRIu64 " are left", sum.firm_least, sum.room);
        return;
    }
}
