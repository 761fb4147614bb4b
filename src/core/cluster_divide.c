/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster planner's outside: what is refused, which sizes of replicas there are, and how chips are divided among them. */
#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/err.h"
#include "core/cluster_parts.h"

#define BYTES_MAX (UINT64_C(1) << 50)
#define FLOP_MAX \
    (UINT64_C(1) << 44) /* of an expert: times experts, tokens and picoseconds that is below 2^127 */
#define ATTEND_MAX (UINT64_C(1) << 32) /* likewise, times a prompt and half of it */
#define RATE_MIN UINT64_C(1000000)
#define RATE_MAX (UINT64_C(1) << 57)

static bool within(uint64_t value, uint64_t least, uint64_t most)
{
    return value >= least && value <= most;
}

static bool time_can_be(int64_t ps)
{
    return ps >= 0 && ps <= STAGE_PS_MAX;
}

static bool model_can_be(const struct cluster_model *m)
{
    return within(m->layers, 1, CLUSTER_LAYERS_MAX) && within(m->hidden, 1, 1u << 20) &&
           within(m->kv_heads, 1, 1u << 16) && within(m->activation_bytes, 1, 8) &&
           within(m->layer_bytes, 1, BYTES_MAX) && within(m->layer_flop, 1, BYTES_MAX) &&
           m->expert_bytes <= BYTES_MAX && m->experts <= 1u << 16 && m->experts_active <= m->experts &&
           m->kv_bytes <= UINT64_C(1) << 32 && m->head_bytes <= BYTES_MAX && m->embed_bytes <= BYTES_MAX &&
           m->head_flop <= BYTES_MAX && m->expert_flop <= FLOP_MAX && m->dispatch_bytes <= 8 &&
           m->attend_flop <= ATTEND_MAX && m->attend_first_flop <= ATTEND_MAX;
}

static bool pool_can_be(const struct cluster_pool *c, uint32_t sites)
{
    return c->site < sites && within(c->node_chips, 1, CLUSTER_NODE_MAX) && c->chips > 0 &&
           (c->chips < c->node_chips || c->chips % c->node_chips == 0) &&
           within(c->memory_bytes, 1, BYTES_MAX) && within(c->byte_s, RATE_MIN, RATE_MAX) &&
           within(c->flop_s, RATE_MIN, RATE_MAX) && c->attend_flop_s <= RATE_MAX &&
           (c->attend_flop_s == 0 || c->attend_flop_s >= RATE_MIN) && time_can_be(c->link_ps) &&
           within(c->link_byte_s, RATE_MIN, RATE_MAX);
}

static bool goal_can_be(const struct cluster_goal *g)
{
    return within(g->context, 1, 1u << 24) && g->prompt <= g->context &&
           within(g->batch_max, 1, CLUSTER_BATCH_MAX) && g->tpot_ps >= 0 && g->ttft_ps >= 0 &&
           g->draft <= CLUSTER_DRAFT_MAX &&
           (g->accepted_e3 == 0 || within(g->accepted_e3, 1000, 1000 * (1 + g->draft)));
}

static int check(const struct cluster_problem *p)
{
    uint32_t chips = 0;
    if (p->pools == 0 || p->pools > CLUSTER_POOLS_MAX || p->sites == 0 || p->sites > CLUSTER_SITES_MAX)
        return ERR_LIMIT;
    if (!model_can_be(p->model) || !goal_can_be(&p->goal))
        return ERR_INVALID;
    for (uint32_t i = 0; i < p->sites; i++) {
        const struct cluster_site *s = &p->site[i];
        if (!time_can_be(s->hop_ps) || !time_can_be(s->far_ps) ||
            !within(s->hop_byte_s, RATE_MIN, RATE_MAX) || !within(s->far_byte_s, RATE_MIN, RATE_MAX))
            return ERR_INVALID;
    }
    for (uint32_t i = 0; i < p->pools; i++) {
        if (!pool_can_be(&p->pool[i], p->sites))
            return ERR_INVALID;
        if (p->pool[i].chips > CLUSTER_CHIPS_MAX - chips)
            return ERR_LIMIT;
        chips += p->pool[i].chips;
    }
    return 0;
}

/* ---- sizes ---- */

/* The next size of a replica's part in a pool: 0, 1, 2, 4, ... of a node, whole nodes by doubling, all. UINT32_MAX: there is no other. */
static uint32_t next_size(const struct cluster_pool *c, uint32_t size)
{
    uint32_t node = c->node_chips < c->chips ? c->node_chips : c->chips;
    uint32_t next = size == 0 ? 1 : size * 2;
    if (size == c->chips)
        return UINT32_MAX;
    if (size < node && (next > node || node % next != 0))
        next = node;
    return next < c->chips ? next : c->chips;
}

/* Plans a replica of each size, and keeps those that there are. */
static int plan_sizes(struct cluster_work *w, const struct cluster_problem *p, const uint32_t *radix)
{
    struct cluster_size size = {{0}};
    struct cluster_replica replica;
    w->sizes = 0;
    for (;;) {
        uint32_t i = 0;
        while (i < p->pools && (size.chips[i] = next_size(&p->pool[i], size.chips[i])) == UINT32_MAX)
            size.chips[i++] = 0;
        if (i == p->pools)
            return w->sizes > 0 ? 0 : ERR_NO_CAPACITY;
        if (cluster_replica_plan(w, p, size.chips, &replica) != 0)
            continue;
        if (w->sizes == CLUSTER_SIZES_MAX)
            return ERR_LIMIT;
        size.token_s_e3 = replica.token_s_e3;
        size.division = 0;
        for (i = 0; i < p->pools; i++)
            size.division += size.chips[i] * radix[i];
        w->size[w->sizes++] = size;
    }
}

/* ---- dividing ---- */

static bool has(const struct cluster_problem *p, const uint32_t *radix, uint32_t division,
                const struct cluster_size *size)
{
    for (uint32_t i = 0; i < p->pools; i++) {
        if (division / radix[i] % (p->pool[i].chips + 1) < size->chips[i])
            return false;
    }
    return true;
}

/* The most tokens a second of each division: one chip of a pool fewer, or one replica more. */
static uint32_t divide(struct cluster_work *w, const struct cluster_problem *p, const uint32_t *radix)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < p->pools; i++)
        all += p->pool[i].chips * radix[i];
    for (uint32_t d = 0; d <= all; d++) {
        w->best[d] = 0;
        w->taken[d] = 0;
        for (uint32_t i = 0; i < p->pools; i++) {
            if (d / radix[i] % (p->pool[i].chips + 1) > 0 && w->best[d - radix[i]] > w->best[d])
                w->best[d] = w->best[d - radix[i]];
        }
        for (uint32_t s = 0; s < w->sizes; s++) {
            const struct cluster_size *size = &w->size[s];
            if (!has(p, radix, d, size) || w->best[d - size->division] + size->token_s_e3 <= w->best[d])
                continue;
            w->best[d] = w->best[d - size->division] + size->token_s_e3;
            w->taken[d] = (uint16_t)(s + 1);
        }
    }
    return all;
}

/* A chip less that costs nothing. */
static uint32_t idle(const struct cluster_work *w, const struct cluster_problem *p, const uint32_t *radix,
                     uint32_t d)
{
    for (uint32_t i = 0; i < p->pools; i++) {
        if (d / radix[i] % (p->pool[i].chips + 1) > 0 && w->best[d - radix[i]] == w->best[d])
            return d - radix[i];
    }
    assert(false);
    return 0;
}

static int read_back(struct cluster_work *w, const struct cluster_problem *p, const uint32_t *radix,
                     uint32_t d, struct cluster_plan *plan)
{
    uint32_t of[CLUSTER_REPLICAS_MAX];
    plan->n = 0;
    plan->token_s_e3 = w->best[d];
    while (d > 0 && w->best[d] > 0) {
        if (w->taken[d] == 0) {
            d = idle(w, p, radix, d);
            continue;
        }
        uint32_t s = w->taken[d] - 1u, i = 0;
        d -= w->size[s].division;
        while (i < plan->n && of[i] != s)
            i++;
        if (i == CLUSTER_REPLICAS_MAX)
            return ERR_LIMIT;
        if (i == plan->n) {
            of[plan->n++] = s;
            int rc = cluster_replica_plan(w, p, w->size[s].chips, &plan->replica[i]);
            assert(rc == 0);
        }
        plan->replica[i].count++;
    }
    return 0;
}

/* One replica, on whatever of the chips makes a token soonest: a site's, or all of them if corridors may be crossed; or a part of a pool, spread. */
static int soonest(struct cluster_work *w, const struct cluster_problem *p, struct cluster_plan *plan)
{
    struct cluster_replica best = {0}, replica;
    for (uint32_t site = 0; site <= p->sites; site++) {
        uint32_t chips[CLUSTER_POOLS_MAX], n = 0;
        for (uint32_t i = 0; i < p->pools; i++)
            n += chips[i] = site == p->sites || p->pool[i].site == site ? p->pool[i].chips : 0;
        if (n > 0 && cluster_replica_plan(w, p, chips, &replica) == 0 && cluster_better(p, &replica, &best))
            best = replica;
    }
    for (uint32_t i = 0; i < p->pools; i++) {
        for (uint32_t n = next_size(&p->pool[i], 0); n != UINT32_MAX; n = next_size(&p->pool[i], n))
            cluster_spread_plan(p, i, n, &best);
    }
    plan->n = best.stages > 0;
    plan->token_s_e3 = best.token_s_e3;
    plan->replica[0] = best;
    plan->replica[0].count = plan->n;
    return plan->n > 0 ? 0 : ERR_NO_CAPACITY;
}

/* The most tokens a second of all chips together, by division; the plan itself is read back. */
static int most(struct cluster_work *w, const struct cluster_problem *p, struct cluster_plan *plan)
{
    uint32_t radix[CLUSTER_POOLS_MAX], step = 1;
    for (uint32_t i = 0; i < p->pools; i++) {
        radix[i] = step;
        step *= p->pool[i].chips + 1;
    }
    int rc = plan_sizes(w, p, radix);
    return rc ? rc : read_back(w, p, radix, divide(w, p, radix), plan);
}

static bool divisible(const struct cluster_problem *p)
{
    uint64_t divisions = 1;
    for (uint32_t i = 0; i < p->pools; i++) {
        divisions *= p->pool[i].chips + 1;
        if (divisions > CLUSTER_DIVISIONS_MAX)
            return false;
    }
    return true;
}

/* ---- pairs ---- */

/* Pools a and b alone, a alone if they are the same. */
static int plan_pair(struct cluster_work *w, const struct cluster_problem *p, uint32_t a, uint32_t b,
                     struct cluster_plan *plan)
{
    const struct cluster_pool pool[2] = {p->pool[a], p->pool[b]};
    struct cluster_problem two = *p;
    two.pool = pool;
    two.pools = a == b ? 1 : 2;
    plan->n = 0;
    plan->token_s_e3 = 0;
    /* Chips of two sites make one replica over a corridor only, so without one they are as good as alone. */
    if (a != b && (!divisible(&two) || (pool[0].site != pool[1].site && !p->goal.corridors)))
        return ERR_NO_CAPACITY;
    return most(w, &two, plan);
}

/* Adds what was planned of a pair to the plan of all, with the pools' own numbers. */
static int add_pair(struct cluster_plan *plan, const struct cluster_plan *two, uint32_t a, uint32_t b)
{
    if (two->n > CLUSTER_REPLICAS_MAX - plan->n)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < two->n; i++) {
        const struct cluster_replica *from = &two->replica[i];
        struct cluster_replica *to = &plan->replica[plan->n++];
        *to = *from;
        memset(to->chips, 0, sizeof to->chips);
        to->chips[b] = from->chips[1];
        to->chips[a] = from->chips[0];
        for (uint32_t s = 0; s < to->stages; s++)
            to->stage[s].pool = from->stage[s].pool ? b : a;
    }
    plan->token_s_e3 += two->token_s_e3;
    return 0;
}

/* For each set of pools, as bits, the most that its first pool gives alone or with another, and the rest: the best way to pair them. */
static int paired(struct cluster_work *w, const struct cluster_problem *p, struct cluster_plan *plan)
{
    uint64_t value[CLUSTER_POOLS_MAX][CLUSTER_POOLS_MAX] = {{0}}, best[1u << CLUSTER_POOLS_MAX] = {0};
    uint8_t with[1u << CLUSTER_POOLS_MAX] = {0};
    struct cluster_plan *two = &w->pair;
    for (uint32_t a = 0; a < p->pools; a++) {
        for (uint32_t b = a; b < p->pools; b++) {
            int rc = plan_pair(w, p, a, b, two);
            if (rc != 0 && rc != ERR_NO_CAPACITY)
                return rc;
            value[a][b] = two->token_s_e3;
        }
    }
    uint32_t all = (1u << p->pools) - 1;
    for (uint32_t set = 1; set <= all; set++) {
        uint32_t a = (uint32_t)__builtin_ctz(set);
        for (uint32_t b = a; b < p->pools; b++) {
            if (!(set >> b & 1) || value[a][b] + best[set & ~(1u << a | 1u << b)] < best[set] + (b > a))
                continue;
            best[set] = value[a][b] + best[set & ~(1u << a | 1u << b)];
            with[set] = (uint8_t)b;
        }
    }
    *plan = (struct cluster_plan){0};
    for (uint32_t set = all; set;) {
        uint32_t a = (uint32_t)__builtin_ctz(set), b = with[set];
        int rc = value[a][b] ? plan_pair(w, p, a, b, two) : 0;
        if (rc == 0 && value[a][b])
            rc = add_pair(plan, two, a, b);
        if (rc != 0)
            return rc;
        set &= ~(1u << a | 1u << b);
    }
    return plan->n > 0 ? 0 : ERR_NO_CAPACITY;
}

size_t cluster_size(void)
{
    struct arena counted;
    struct stages stages;
    arena_init(&counted, NULL, SIZE_MAX);
    int rc = stages_init(&stages, &counted, CLUSTER_LAYERS_MAX, CLUSTER_CHIPS_MAX, UNITS_MAX);
    assert(rc == 0);
    (void)arena_take(&counted, sizeof(struct cluster_work));
    return counted.used;
}

int cluster_plan(void *block, const struct cluster_problem *p, struct cluster_plan *plan)
{
    struct arena arena;
    int rc = check(p);
    if (rc != 0)
        return rc;
    arena_init(&arena, block, cluster_size());
    struct cluster_work *w = arena_take(&arena, sizeof *w);
    rc = stages_init(&w->stages, &arena, CLUSTER_LAYERS_MAX, CLUSTER_CHIPS_MAX, UNITS_MAX);
    assert(rc == 0);
    if (p->goal.aim == CLUSTER_SOONEST)
        return soonest(w, p, plan);
    return divisible(p) ? most(w, p, plan) : paired(w, p, plan);
}
