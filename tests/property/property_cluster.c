/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random clusters against brute force, in floating point and with formulas of its own: every grouping of the chips of every node, every share of
 * the layers, every batch, every size of attention group where experts are spread, every division into replicas. Where steps overlap the plan is
 * only held to what it says of itself. With many kinds of chips, every way to pair them against plans of the pairs.
 */
#include "support.h"

#include <math.h>

#include "core/cluster.h"

#define POOLS 4u
#define PAIRED 4u
#define CHIPS 4u
#define LAYERS 5u

struct made {
    uint64_t seed;
    struct cluster_problem problem;
    struct cluster_model model;
    struct cluster_pool pool[POOLS];
    struct cluster_site site[2];
};

static uint64_t up_to(struct made *m, uint64_t least, uint64_t most)
{
    return least + test_below(&m->seed, most - least + 1);
}

static void make(struct made *m)
{
    uint64_t divisions = 1;
    m->model = (struct cluster_model){.layers = (uint32_t)up_to(m, 1, LAYERS),
                                      .hidden = (uint32_t)up_to(m, 64, 8192),
                                      .kv_heads = (uint32_t)up_to(m, 1, 8),
                                      .activation_bytes = 2,
                                      .layer_bytes = up_to(m, 1000000, 900000000),
                                      .kv_bytes = up_to(m, 0, 20000),
                                      .head_bytes = up_to(m, 0, 300000000),
                                      .embed_bytes = up_to(m, 0, 300000000)};
    m->model.layer_flop = m->model.layer_bytes * up_to(m, 1, 3);
    m->model.kv_whole = test_below(&m->seed, 2);
    m->model.attend_flop = up_to(m, 0, 300000);
    m->model.attend_first_flop = up_to(m, 0, 100000);
    m->model.head_flop = m->model.head_bytes * up_to(m, 0, 400);
    if (test_below(&m->seed, 2) == 0) {
        m->model.experts = (uint32_t)up_to(m, 2, 64);
        m->model.experts_active = (uint32_t)up_to(m, 1, m->model.experts);
        m->model.expert_bytes = up_to(m, 1000, 20000000);
        m->model.expert_flop = m->model.expert_bytes * up_to(m, 1, 3);
        m->model.dispatch_bytes = (uint32_t)up_to(m, 0, 2);
    }
    for (uint32_t i = 0; i < 2; i++)
        m->site[i] = (struct cluster_site){.hop_ps = (int64_t)up_to(m, 0, 100000000),
                                           .far_ps = (int64_t)up_to(m, 0, 10000000000),
                                           .hop_byte_s = up_to(m, 1000000000, 50000000000),
                                           .far_byte_s = up_to(m, 10000000, 1000000000)};
    m->problem = (struct cluster_problem){.model = &m->model, .pool = m->pool, .site = m->site, .sites = 2};
    for (uint32_t i = 0; i < POOLS; i++) {
        struct cluster_pool *c = &m->pool[i];
        *c = (struct cluster_pool){.site = (uint32_t)test_below(&m->seed, 4) == 0,
                                   .node_chips = 1u << test_below(&m->seed, 3),
                                   .memory_bytes = up_to(m, 100000000, 3000000000),
                                   .byte_s = up_to(m, 50000000000, 3000000000000),
                                   .flop_s = up_to(m, 1000000000000, 900000000000000),
                                   .attend_flop_s = up_to(m, 1000000000000, 900000000000000),
                                   .link_ps = (int64_t)up_to(m, 0, 20000000),
                                   .link_byte_s = up_to(m, 10000000000, 900000000000)};
        c->chips = c->node_chips * (uint32_t)up_to(m, 1, CHIPS / c->node_chips);
        c->domain_chips = (uint32_t)up_to(m, 0, 6);
        c->attend_flop_s = test_below(&m->seed, 3) ? c->attend_flop_s : 0;
        divisions *= c->chips + 1;
        if (divisions > 30 || i == 3)
            break;
        m->problem.pools = i + 1;
    }
    m->problem.goal =
        (struct cluster_goal){.aim = CLUSTER_MOST,
                              .context = (uint32_t)up_to(m, 1, 4096),
                              .batch_max = 1u << test_below(&m->seed, 5),
                              .tpot_ps = test_below(&m->seed, 2) ? (int64_t)up_to(m, 1, 20) * 1000000000 : 0,
                              .corridors = test_below(&m->seed, 2),
                              .spread = test_below(&m->seed, 4) > 0,
                              .draft = (uint32_t)test_below(&m->seed, 3)};
    if (m->problem.goal.draft > 0)
        m->problem.goal.accepted_e3 = (uint32_t)up_to(m, 1000, 1000 * (1 + m->problem.goal.draft));
    m->problem.goal.prompt = (uint32_t)up_to(m, 0, m->problem.goal.context);
    m->problem.goal.ttft_ps = test_below(&m->seed, 4) ? 0 : (int64_t)up_to(m, 1, 100) * 1000000000;
}

/* ---- formulas, in seconds ---- */

/* Tokens, those before each, those whose keys and values are read, operations for each pair. */
struct work {
    double tokens, before, held, attend;
};

static struct work step_of(const struct made *m, double batch)
{
    double context = m->problem.goal.context;
    return (struct work){batch * (1 + m->problem.goal.draft), context, batch * context,
                         (double)m->model.attend_flop};
}

static struct work prompt_of(const struct made *m)
{
    double prompt = m->problem.goal.prompt;
    return (struct work){prompt, floor(prompt / 2), 0, (double)m->model.attend_first_flop};
}

static double met(const struct cluster_model *o, double tokens)
{
    return o->experts ? o->experts * (1 - pow(1 - (double)o->experts_active / o->experts, tokens)) : 0;
}

/* On k chips: so many bytes, so many operations with weights for a token, attention, and two all-reduces. */
static double part_s(const struct made *m, const struct cluster_pool *c, double k, struct work w,
                     double bytes, double flop)
{
    const struct cluster_model *o = &m->model;
    double attend_s = (double)(c->attend_flop_s ? c->attend_flop_s : c->flop_s);
    double read = (bytes + w.held * (double)o->kv_bytes * (o->kv_whole ? k : 1)) / (k * (double)c->byte_s);
    double compute =
        w.tokens * flop / (k * (double)c->flop_s) + w.tokens * w.before * w.attend / (k * attend_s);
    double reduce =
        2 * 2 * (k - 1) * ((double)c->link_ps / 1e12 + w.tokens * o->hidden * 2 / k / (double)c->link_byte_s);
    return fmax(read, compute) + reduce;
}

static double layer_s(const struct made *m, const struct cluster_pool *c, double k, struct work w)
{
    const struct cluster_model *o = &m->model;
    return part_s(m, c, k, w, (double)o->layer_bytes + met(o, w.tokens) * (double)o->expert_bytes,
                  (double)o->layer_flop + (double)o->experts_active * (double)o->expert_flop);
}

static double head_s(const struct made *m, const struct cluster_pool *c, double k, double tokens)
{
    return fmax((double)m->model.head_bytes / (k * (double)c->byte_s),
                tokens * (double)m->model.head_flop / (k * (double)c->flop_s));
}

static double hop_s(const struct made *m, const struct cluster_pool *c, double tokens, bool far)
{
    const struct cluster_site *s = &m->site[c->site];
    double bytes = tokens * m->model.hidden * 2;
    return far ? (double)s->far_ps / 1e12 + bytes / (double)s->far_byte_s
               : (double)s->hop_ps / 1e12 + bytes / (double)s->hop_byte_s;
}

/* A layer whose experts are spread over n chips; the work is of one of `groups` attention groups of a chips. */
static double spread_s(const struct made *m, const struct cluster_pool *c, double n, double a, struct work w,
                       double groups)
{
    const struct cluster_model *o = &m->model;
    const struct cluster_site *s = &m->site[c->site];
    double tokens = w.tokens * groups, here = ceil(o->experts / n),
           reach = c->domain_chips ? c->domain_chips : c->node_chips;
    double expert = fmax(met(o, tokens) * here / o->experts * (double)o->expert_bytes / (double)c->byte_s,
                         tokens * o->experts_active * (double)o->expert_flop / (n * (double)c->flop_s));
    double sent =
        w.tokens * o->experts_active * o->hidden * ((o->dispatch_bytes ? o->dispatch_bytes : 2) + 2) / a;
    double near = fmin(reach, n);
    double link =
        near > 1 ? 2 * (double)c->link_ps / 1e12 + sent * (near - 1) / n / (double)c->link_byte_s : 0;
    double net = near < n ? 2 * (double)s->hop_ps / 1e12 + sent * (n - near) / n / (double)s->hop_byte_s : 0;
    return part_s(m, c, a, w, (double)o->layer_bytes, (double)o->layer_flop) + expert + fmax(link, net);
}

/* ---- every replica ---- */

struct trial {
    const struct made *m;
    uint32_t chips[POOLS], batch;
    bool far;
    double tpot, ttft; /* bounds */
    double best;       /* least time for a token, of replicas that have the first one in time or not */
    double best_ttft;  /* of that replica, the time to the first token */
};

struct so_far {
    uint32_t pool, node_left, pool_left, layers, stages;
    bool head;
    double sum, bare, first, first_bare;
};

static void search(struct trial *t, struct so_far at)
{
    const struct made *m = t->m;
    if (at.layers == 0 && at.head) {
        double sum = at.stages == 1 ? at.bare : at.sum;
        if (sum < t->best) {
            t->best = sum;
            t->best_ttft = at.stages == 1 ? at.first_bare : at.first;
        }
        return;
    }
    while (at.node_left == 0) {
        if (at.pool_left == 0) {
            if (++at.pool >= m->problem.pools)
                return;
            at.pool_left = t->chips[at.pool];
        }
        uint32_t node = m->pool[at.pool].node_chips;
        at.node_left = at.pool_left < node ? at.pool_left : node;
        at.pool_left -= at.node_left;
    }
    const struct cluster_pool *c = &m->pool[at.pool];
    struct so_far skip = at;
    skip.node_left--;
    search(t, skip);
    for (uint32_t k = 1; k <= at.node_left; k *= 2) {
        if (m->model.kv_heads % k != 0)
            break;
        double each = (double)m->model.layer_bytes +
                      (double)m->model.experts * (double)m->model.expert_bytes +
                      (double)t->batch * m->problem.goal.context * (double)m->model.kv_bytes *
                          (m->model.kv_whole ? k : 1);
        for (uint32_t head = 0; head <= !at.head; head++) {
            for (uint32_t n = 1; n <= at.layers; n++) {
                double bytes = n * each + (head ? (double)(m->model.head_bytes + m->model.embed_bytes) : 0);
                if (bytes > (double)c->memory_bytes * k)
                    break;
                struct so_far next = at;
                struct work step = step_of(m, t->batch), prompt = prompt_of(m);
                next.bare = n * layer_s(m, c, k, step) + (head ? head_s(m, c, k, step.tokens) : 0);
                next.first_bare = n * layer_s(m, c, k, prompt) + (head ? head_s(m, c, k, 1) : 0);
                next.sum += next.bare + hop_s(m, c, step.tokens, t->far);
                next.first += next.first_bare + hop_s(m, c, prompt.tokens, t->far);
                next.node_left -= k;
                next.layers -= n;
                next.stages++;
                next.head |= head;
                search(t, next);
            }
        }
    }
}

/* The same of one stage on n chips of a pool, with experts spread over them. */
static double spread(const struct made *m, const struct trial *t, uint32_t pool, uint32_t n, bool *close)
{
    const struct cluster_goal *g = &m->problem.goal;
    const struct cluster_model *o = &m->model;
    const struct cluster_pool *c = &m->pool[pool];
    uint32_t node = n < c->node_chips ? n : c->node_chips;
    double best = -1, gain = g->accepted_e3 ? g->accepted_e3 / 1e3 : 1;
    for (uint32_t a = 1; a <= node && g->spread && o->experts > 0 && n > 1; a++) {
        if ((a & (a - 1)) != 0 || node % a != 0 || o->kv_heads % a != 0)
            continue;
        for (uint32_t batch = 1; batch <= g->batch_max; batch *= 2) {
            double held =
                (double)batch * g->context * (double)o->kv_bytes * o->layers * (o->kv_whole ? a : 1);
            double group =
                (double)o->layer_bytes * o->layers + (double)(o->head_bytes + o->embed_bytes) + held;
            double part = ceil((double)o->experts / n) * (double)o->expert_bytes * o->layers;
            if (group / a + part > (double)c->memory_bytes)
                break;
            struct work step = step_of(m, batch);
            double s = (o->layers * spread_s(m, c, n, a, step, n / a) + head_s(m, c, a, step.tokens)) / gain;
            double first = o->layers * spread_s(m, c, n, a, prompt_of(m), 1) + head_s(m, c, a, 1);
            *close |= fabs(s / t->tpot - 1) < 1e-6 || fabs(first / t->ttft - 1) < 1e-6;
            if (s <= t->tpot && first <= t->ttft && batch * (n / a) / s > best)
                best = batch * (n / a) / s;
        }
    }
    return best;
}

/* Tokens a second of the best replica on these chips; -1: nothing fits, or *close: a bound is met so narrowly that rounding may decide. */
static double replica(const struct made *m, const uint32_t *chips, bool *close)
{
    const struct cluster_goal *g = &m->problem.goal;
    struct trial t = {.m = m,
                      .tpot = g->tpot_ps ? (double)g->tpot_ps / 1e12 : INFINITY,
                      .ttft = g->ttft_ps ? (double)g->ttft_ps / 1e12 : INFINITY};
    uint32_t site = UINT32_MAX, pools = 0, pool = 0;
    double best = -1, gain = g->accepted_e3 ? g->accepted_e3 / 1e3 : 1;
    for (uint32_t i = 0; i < m->problem.pools; i++) {
        t.chips[i] = chips[i];
        pools += chips[i] > 0;
        pool = chips[i] > 0 ? i : pool;
        t.far |= chips[i] > 0 && site != UINT32_MAX && site != m->pool[i].site;
        site = chips[i] > 0 ? m->pool[i].site : site;
    }
    if (t.far && !g->corridors)
        return -1;
    if (pools == 1)
        best = spread(m, &t, pool, chips[pool], close);
    for (t.batch = 1; t.batch <= g->batch_max; t.batch *= 2) {
        t.best = INFINITY;
        search(&t, (struct so_far){.pool = UINT32_MAX, .layers = m->model.layers});
        if (isinf(t.best))
            break;
        t.best /= gain;
        *close |= fabs(t.best / t.tpot - 1) < 1e-6 || fabs(t.best_ttft / t.ttft - 1) < 1e-6;
        if (t.best <= t.tpot && t.best_ttft <= t.ttft && t.batch / t.best > best)
            best = t.batch / t.best;
    }
    return best;
}

/* ---- every division ---- */

static double divide(const struct made *m, uint32_t *left, bool *close)
{
    double best = 0;
    uint32_t chips[POOLS] = {0};
    for (;;) {
        uint32_t i = 0;
        while (i < m->problem.pools) {
            uint32_t node = m->pool[i].node_chips, next = chips[i] == 0 ? 1 : chips[i] * 2;
            next = next > left[i] && chips[i] < m->pool[i].chips && left[i] == m->pool[i].chips &&
                           left[i] % node == 0
                       ? left[i]
                       : next;
            chips[i] = next;
            if (next <= left[i])
                break;
            chips[i++] = 0;
        }
        if (i == m->problem.pools)
            return best;
        double one = replica(m, chips, close);
        if (one < 0)
            continue;
        for (uint32_t k = 0; k < m->problem.pools; k++)
            left[k] -= chips[k];
        double all = one + divide(m, left, close);
        for (uint32_t k = 0; k < m->problem.pools; k++)
            left[k] += chips[k];
        best = all > best ? all : best;
    }
}

/* ---- what a plan says of itself ---- */

static void holds(const struct made *m, const struct cluster_plan *plan)
{
    const struct cluster_goal *g = &m->problem.goal;
    uint32_t used[POOLS] = {0}, stages_most = CHIPS * POOLS;
    uint64_t tokens = 0;
    for (uint32_t r = 0; r < plan->n; r++) {
        const struct cluster_replica *replica = &plan->replica[r];
        uint32_t layers = 0, heads = 0, chips[POOLS] = {0}, site = UINT32_MAX;
        double requests = (double)replica->batch * replica->in_flight;
        uint32_t groups =
            replica->stage[0].attention ? replica->stage[0].chips / replica->stage[0].attention : 1;
        assert_true(replica->count > 0 && replica->stages > 0 && replica->stages <= stages_most);
        assert_true(replica->batch <= g->batch_max * groups && replica->batch % groups == 0);
        assert_true(replica->in_flight == 1 || (g->overlap && replica->in_flight <= replica->stages));
        for (uint32_t i = 0; i < replica->stages; i++) {
            const struct cluster_stage *s = &replica->stage[i];
            const struct cluster_pool *c = &m->pool[s->pool];
            uint32_t group = s->attention ? s->attention : s->chips;
            double copies = m->model.kv_whole ? group : 1;
            double each = (double)m->model.layer_bytes +
                          (s->attention ? 0 : (double)m->model.experts * (double)m->model.expert_bytes) +
                          requests / groups * g->context * (double)m->model.kv_bytes * copies;
            double bytes =
                s->layers * each + (s->head ? (double)(m->model.head_bytes + m->model.embed_bytes) : 0);
            if (s->attention > 0) {
                assert_true(g->spread && replica->stages == 1 && s->chips % group == 0);
                bytes += ceil((double)m->model.experts / s->chips) * (double)m->model.expert_bytes *
                         s->layers * group;
            }
            assert_true(bytes <= (double)c->memory_bytes * group);
            assert_true(group <= c->node_chips && m->model.kv_heads % group == 0);
            assert_true(g->corridors || site == UINT32_MAX || site == c->site);
            site = c->site;
            chips[s->pool] += s->chips;
            layers += s->layers;
            heads += s->head;
        }
        assert_true(layers == m->model.layers && heads == 1);
        assert_true(g->tpot_ps == 0 || replica->tpot_ps <= g->tpot_ps);
        assert_true(g->ttft_ps == 0 || replica->ttft_ps <= g->ttft_ps);
        for (uint32_t i = 0; i < m->problem.pools; i++) {
            assert_true(chips[i] <= replica->chips[i]);
            used[i] += replica->count * replica->chips[i];
        }
        tokens += replica->count * replica->token_s_e3;
    }
    for (uint32_t i = 0; i < m->problem.pools; i++)
        assert_true(used[i] <= m->pool[i].chips);
    assert_int_equal(tokens, plan->token_s_e3);
}

static void equal_brute_force(void **state)
{
    (void)state;
    static struct made m;
    static struct cluster_plan plan, again;
    void *block = aligned_alloc(16, cluster_size());
    uint64_t n = test_count(1000, 10000), none = 0, replicas = 0, pipelines = 0, groups = 0, narrow = 0,
             spreads = 0;
    assert_non_null(block);
    m.seed = test_seed();
    for (uint64_t i = 0; i < n; i++) {
        uint32_t left[POOLS];
        bool close = false;
        make(&m);
        for (uint32_t k = 0; k < POOLS; k++)
            left[k] = m.pool[k].chips;
        double most = divide(&m, left, &close);
        int rc = cluster_plan(block, &m.problem, &plan);
        if (close) {
            narrow++;
            continue;
        }
        assert_int_equal(rc, most > 0 ? 0 : ERR_NO_CAPACITY);
        none += rc != 0;
        if (rc != 0)
            continue;
        holds(&m, &plan);
        assert_true(fabs((double)plan.token_s_e3 / 1000 / most - 1) < 1e-4 + 0.01 / most);
        replicas += plan.n > 1 || plan.replica[0].count > 1;
        for (uint32_t k = 0; k < plan.n; k++) {
            pipelines += plan.replica[k].stages > 1;
            groups += plan.replica[k].stage[0].chips > 1 && plan.replica[k].stage[0].attention == 0;
            spreads += plan.replica[k].stage[0].attention > 0;
        }
        m.problem.goal.overlap = true;
        assert_int_equal(cluster_plan(block, &m.problem, &again), 0);
        holds(&m, &again);
        assert_true(again.token_s_e3 >= plan.token_s_e3);
        m.problem.goal.aim = CLUSTER_SOONEST;
        if (cluster_plan(block, &m.problem, &again) == 0)
            holds(&m, &again);
    }
    print_message(
        "# %llu clusters: %llu hold no replica, %llu several; %llu pipelines, %llu groups, %llu spread; "
        "%llu too narrow to judge\n",
        (unsigned long long)n, (unsigned long long)none, (unsigned long long)replicas,
        (unsigned long long)pipelines, (unsigned long long)groups, (unsigned long long)spreads,
        (unsigned long long)narrow);
    assert_true(replicas > n / 10 && pipelines > n / 20 && groups > n / 20 && spreads > n / 20 &&
                narrow < n / 100);
    free(block);
}

/* Every figure as large as it may be, and as small: nothing overflows, nothing is divided by 0. */
static void extremes(void **state)
{
    (void)state;
    static struct cluster_plan plan;
    void *block = aligned_alloc(16, cluster_size());
    assert_non_null(block);
    for (uint32_t i = 0; i < 8; i++) {
        bool large = i & 1, heavy = i & 2;
        struct cluster_model model = {.layers = CLUSTER_LAYERS_MAX,
                                      .hidden = 1u << 20,
                                      .kv_heads = 1u << 16,
                                      .activation_bytes = 8,
                                      .dispatch_bytes = 8,
                                      .layer_bytes = heavy ? UINT64_C(1) << 50 : 1,
                                      .layer_flop = UINT64_C(1) << 50,
                                      .expert_bytes = heavy ? UINT64_C(1) << 50 : 1,
                                      .expert_flop = UINT64_C(1) << 44,
                                      .experts = 1u << 16,
                                      .experts_active = 1u << 16,
                                      .kv_bytes = heavy ? UINT64_C(1) << 32 : 0,
                                      .kv_whole = true,
                                      .attend_flop = UINT64_C(1) << 32,
                                      .attend_first_flop = UINT64_C(1) << 32};
        const struct cluster_site site = {STAGE_PS_MAX, STAGE_PS_MAX, 1000000, 1000000};
        const struct cluster_pool pool = {.chips = 512,
                                          .node_chips = 16,
                                          .domain_chips = large ? UINT32_MAX : 0,
                                          .memory_bytes = UINT64_C(1) << 50,
                                          .byte_s = large ? UINT64_C(1) << 57 : 1000000,
                                          .flop_s = large ? UINT64_C(1) << 57 : 1000000,
                                          .attend_flop_s = large ? UINT64_C(1) << 57 : 1000000,
                                          .link_ps = large ? 0 : STAGE_PS_MAX,
                                          .link_byte_s = large ? UINT64_C(1) << 57 : 1000000};
        const struct cluster_problem p = {.model = &model,
                                          .pool = &pool,
                                          .site = &site,
                                          .pools = 1,
                                          .sites = 1,
                                          .goal = {.aim = i & 4 ? CLUSTER_MOST : CLUSTER_SOONEST,
                                                   .context = 1u << 24,
                                                   .prompt = 1u << 24,
                                                   .batch_max = CLUSTER_BATCH_MAX,
                                                   .draft = CLUSTER_DRAFT_MAX,
                                                   .spread = true}};
        int rc = cluster_plan(block, &p, &plan);
        assert_true(rc == 0 || rc == ERR_NO_CAPACITY);
        model.attend_flop++;
        assert_int_equal(cluster_plan(block, &p, &plan), ERR_INVALID);
    }
    free(block);
}

/* Tokens a second of these pools alone; 0: none. */
static uint64_t alone(void *block, const struct cluster_problem *p, const struct cluster_pool *pool,
                      uint32_t n)
{
    static struct cluster_plan plan;
    struct cluster_problem part = *p;
    part.pool = pool;
    part.pools = n;
    return cluster_plan(block, &part, &plan) == 0 ? plan.token_s_e3 : 0;
}

/* The best sum over all ways to take pools of `left` alone or in twos. */
static uint64_t match(uint64_t value[PAIRED][PAIRED], uint32_t left)
{
    uint32_t a = 0;
    uint64_t best = 0;
    if (left == 0)
        return 0;
    while (!(left >> a & 1))
        a++;
    for (uint32_t b = a; b < PAIRED; b++) {
        if (!(left >> b & 1))
            continue;
        uint64_t sum = value[a][b] + match(value, left & ~(1u << a | 1u << b));
        best = sum > best ? sum : best;
    }
    return best;
}

/* Four pools of 16 to 20 chips are too many to divide at once. */
static void equal_pairs(void **state)
{
    (void)state;
    static struct made m;
    static struct cluster_plan plan;
    void *block = aligned_alloc(16, cluster_size());
    uint64_t n = test_count(20, 400), pairs = 0;
    assert_non_null(block);
    m.seed = test_seed();
    for (uint64_t i = 0; i < n; i++) {
        make(&m);
        for (uint32_t k = 0; k < PAIRED; k++) {
            m.pool[k] = m.pool[k % m.problem.pools];
            m.pool[k].node_chips = 4;
            m.pool[k].chips = 16 + 4 * (uint32_t)test_below(&m.seed, 2);
            m.pool[k].memory_bytes = up_to(&m, 50000000, 1000000000);
            m.pool[k].byte_s = up_to(&m, 50000000000, 3000000000000);
        }
        m.problem.pools = PAIRED;
        uint64_t value[PAIRED][PAIRED] = {{0}};
        for (uint32_t a = 0; a < PAIRED; a++) {
            for (uint32_t b = a; b < PAIRED; b++) {
                const struct cluster_pool two[2] = {m.pool[a], m.pool[b]};
                value[a][b] = alone(block, &m.problem, two, a == b ? 1 : 2);
            }
        }
        uint64_t most = match(value, (1u << PAIRED) - 1);
        int rc = cluster_plan(block, &m.problem, &plan);
        assert_int_equal(rc, most > 0 ? 0 : ERR_NO_CAPACITY);
        if (rc != 0)
            continue;
        holds(&m, &plan);
        assert_int_equal(plan.token_s_e3, most);
        for (uint32_t k = 0; k < plan.n; k++) {
            uint32_t kinds = 0;
            for (uint32_t a = 0; a < PAIRED; a++)
                kinds += plan.replica[k].chips[a] > 0;
            pairs += kinds == 2;
        }
    }
    print_message("# %llu of four pools, %llu replicas of two\n", (unsigned long long)n,
                  (unsigned long long)pairs);
    assert_true(pairs > n / 10);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equal_brute_force), cmocka_unit_test(equal_pairs),
                                       cmocka_unit_test(extremes)};
    return cmocka_run_group_tests_name("property_cluster", tests, NULL, NULL);
}
