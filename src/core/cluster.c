/* SPDX-License-Identifier: Apache-2.0 */
#include "core/cluster.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "base/err.h"
#include "core/cluster_parts.h"

#define S_PS CLUSTER_S_PS
#define ONE (UINT64_C(1) << 32)

/* ---- what a step takes ---- */

int64_t cluster_ps_for(int128 amount, uint64_t per_s)
{
    int128 ps = (amount * S_PS + per_s - 1) / per_s;
    return ps <= STAGE_PS_MAX ? (int64_t)ps : STAGE_PS_MAX + 1;
}

int64_t cluster_add_ps(int64_t a, int64_t b)
{
    return a + b <= STAGE_PS_MAX ? a + b : STAGE_PS_MAX + 1;
}

/* experts x (1 - (1 - active / experts)^tokens) */
int128 cluster_experts_met(const struct cluster_model *m, uint64_t tokens)
{
    uint64_t miss =
        m->experts ? (uint64_t)(((int128)(m->experts - m->experts_active) * (int128)ONE) / m->experts) : 0;
    uint64_t power = ONE;
    for (uint64_t t = tokens; t > 0; t >>= 1) {
        power = t & 1 ? (uint64_t)((int128)power * miss >> 32) : power;
        miss = (uint64_t)((int128)miss * miss >> 32);
    }
    return (int128)m->experts * (int128)(ONE - power);
}

int64_t cluster_reduce_ps(const struct cluster_pool *pool, uint32_t chips, int128 bytes)
{
    int128 hops = (int128)2 * (chips - 1);
    if (chips == 1)
        return 0;
    int128 ps = 2 * (hops * pool->link_ps + cluster_ps_for(hops * bytes / chips, pool->link_byte_s));
    return ps <= STAGE_PS_MAX ? (int64_t)ps : STAGE_PS_MAX + 1;
}

int64_t cluster_compute_ps(const struct cluster_pool *c, uint32_t chips, int128 flop,
                           const struct cluster_step *step)
{
    uint64_t attend_s = c->attend_flop_s ? c->attend_flop_s : c->flop_s;
    int128 attend = (int128)step->tokens * step->before * step->attend_flop;
    return cluster_add_ps(cluster_ps_for(flop, c->flop_s * chips), cluster_ps_for(attend, attend_s * chips));
}

struct cluster_step cluster_step_of(const struct cluster_problem *p, uint32_t batch)
{
    return (struct cluster_step){(uint64_t)batch * (1 + p->goal.draft), p->goal.context,
                                 (uint64_t)batch * p->goal.context, p->model->attend_flop};
}

struct cluster_step cluster_prompts_of(const struct cluster_problem *p, uint32_t batch)
{
    return (struct cluster_step){(uint64_t)batch * p->goal.prompt, p->goal.prompt / 2, 0,
                                 p->model->attend_first_flop};
}

int64_t cluster_step_ps(const struct cluster_problem *p, uint32_t pool, uint32_t chips,
                        const struct cluster_step *step)
{
    const struct cluster_model *m = p->model;
    const struct cluster_pool *c = &p->pool[pool];
    uint32_t copies = m->kv_whole ? chips : 1;
    int128 bytes = (int128)m->layer_bytes + (cluster_experts_met(m, step->tokens) * m->expert_bytes >> 32) +
                   (int128)step->held * m->kv_bytes * copies;
    int128 flop = (int128)step->tokens * (m->layer_flop + (int128)m->experts_active * m->expert_flop);
    int64_t read = cluster_ps_for(bytes, c->byte_s * chips);
    int64_t compute = cluster_compute_ps(c, chips, flop, step);
    return cluster_add_ps(
        read > compute ? read : compute,
        cluster_reduce_ps(c, chips, (int128)step->tokens * m->hidden * m->activation_bytes));
}

int64_t cluster_token_ps(const struct cluster_problem *p, uint32_t pool, uint32_t chips, uint32_t batch)
{
    const struct cluster_stage stage = {pool, chips, p->model->layers, true, 0};
    return cluster_stage_token_ps(p, &stage, batch);
}

int64_t cluster_head_ps(const struct cluster_problem *p, uint32_t pool, uint32_t chips, uint64_t tokens)
{
    const struct cluster_pool *c = &p->pool[pool];
    int64_t read = cluster_ps_for(p->model->head_bytes, c->byte_s * chips);
    int64_t compute = cluster_ps_for((int128)tokens * p->model->head_flop, c->flop_s * chips);
    return read > compute ? read : compute;
}

static int64_t hop_ps(const struct cluster_problem *p, uint32_t pool, uint64_t tokens, bool far)
{
    const struct cluster_site *s = &p->site[p->pool[pool].site];
    int128 bytes = (int128)tokens * p->model->hidden * p->model->activation_bytes;
    return far ? cluster_add_ps(s->far_ps, cluster_ps_for(bytes, s->far_byte_s))
               : cluster_add_ps(s->hop_ps, cluster_ps_for(bytes, s->hop_byte_s));
}

/* ---- goals ---- */

static uint32_t accepted_e3(const struct cluster_goal *goal)
{
    return goal->accepted_e3 ? goal->accepted_e3 : 1000;
}

int64_t cluster_step_max_ps(const struct cluster_goal *goal)
{
    int128 most = (int128)goal->tpot_ps * accepted_e3(goal) / 1000;
    return goal->tpot_ps > 0 && most < INT64_MAX ? (int64_t)most : INT64_MAX;
}

int64_t cluster_tpot_ps(const struct cluster_goal *goal, int64_t step_ps)
{
    uint32_t accepted = accepted_e3(goal);
    return (int64_t)(((int128)step_ps * 1000 + accepted - 1) / accepted);
}

uint64_t cluster_token_s_e3(const struct cluster_goal *goal, uint64_t requests, int64_t step_ps)
{
    return (uint64_t)((int128)requests * accepted_e3(goal) * S_PS / step_ps);
}

/* ---- units ---- */

/* Layers that fit into what memory is left. */
static uint32_t layers_in(const struct cluster_problem *p, int128 bytes, uint64_t held, uint32_t chips)
{
    const struct cluster_model *m = p->model;
    uint32_t copies = m->kv_whole ? chips : 1;
    int128 each =
        (int128)m->layer_bytes + (int128)m->experts * m->expert_bytes + (int128)copies * held * m->kv_bytes;
    int128 n = bytes > 0 ? bytes / each : 0;
    return n < m->layers ? (uint32_t)n : m->layers;
}

static struct stage_unit unit_of(const struct cluster_problem *p, const struct cluster_try *t, uint32_t pool,
                                 uint32_t chips)
{
    int128 memory = (int128)p->pool[pool].memory_bytes * chips;
    uint64_t held = (uint64_t)t->batch * t->in_flight * p->goal.context;
    int128 without = memory - p->model->head_bytes - p->model->embed_bytes;
    const struct cluster_step step = cluster_step_of(p, t->batch);
    struct stage_unit u = {.layer_ps = cluster_step_ps(p, pool, chips, &step),
                           .hop_ps = hop_ps(p, pool, step.tokens, t->far),
                           .head_ps = cluster_head_ps(p, pool, chips, step.tokens),
                           .layers_max = layers_in(p, memory, held, chips),
                           .layers_max_head = layers_in(p, without, held, chips)};
    if (u.layer_ps <= STAGE_PS_MAX && u.hop_ps <= STAGE_PS_MAX && u.head_ps <= STAGE_PS_MAX)
        return u;
    return (struct stage_unit){.layer_ps = 1}; /* it holds nothing */
}

/* Adds a choice of groups for each way to write `left` as a sum of sizes that do not rise: chips of a node, largest groups first. */
static void add_choices(struct cluster_work *w, const struct stage_unit *by_size, uint32_t pool,
                        uint32_t left, uint32_t largest, uint32_t *taken, uint32_t n)
{
    if (left == 0) {
        struct stage_choice *choice = &w->choice[w->choices++];
        *choice = (struct stage_choice){w->units, n};
        for (uint32_t i = 0; i < n; i++, w->units++) {
            w->unit[w->units] = by_size[taken[i]];
            w->of[w->units] = (struct cluster_unit){pool, taken[i]};
        }
        return;
    }
    for (uint32_t size = largest; size > 0; size /= 2) {
        if (size > left || by_size[size].layer_ps == 0)
            continue;
        taken[n] = size;
        add_choices(w, by_size, pool, left - size, size, taken, n + 1);
    }
}

static void add_node(struct cluster_work *w, const struct stage_unit *by_size, uint32_t pool, uint32_t chips)
{
    uint32_t taken[CLUSTER_NODE_MAX];
    struct stage_node *node = &w->node[w->nodes++];
    node->first = w->choices;
    add_choices(w, by_size, pool, chips, CLUSTER_NODE_MAX, taken, 0);
    node->choices = w->choices - node->first;
}

/* Nodes, their choices and units, of the chips of a replica. A group's size divides the heads of keys and values. */
static void set_units(struct cluster_work *w, const struct cluster_problem *p, const struct cluster_try *t)
{
    w->nodes = w->choices = w->units = 0;
    for (uint32_t i = 0; i < p->pools; i++) {
        struct stage_unit by_size[CLUSTER_NODE_MAX + 1] = {{0}};
        uint32_t most = p->pool[i].node_chips;
        for (uint32_t size = 1; t->chips[i] > 0 && size <= most; size *= 2) {
            if (p->model->kv_heads % size == 0)
                by_size[size] = unit_of(p, t, i, size);
        }
        for (uint32_t left = t->chips[i]; left > 0;) {
            uint32_t here = left < most ? left : most;
            add_node(w, by_size, i, here);
            left -= here;
        }
    }
}

/* ---- a replica ---- */

static int64_t first_token_ps(const struct cluster_problem *p, const struct cluster_replica *r, bool far)
{
    const struct cluster_step step = cluster_prompts_of(p, 1);
    int64_t ps = 0;
    for (uint32_t i = 0; i < r->stages; i++) {
        const struct cluster_stage *s = &r->stage[i];
        int64_t layer = cluster_step_ps(p, s->pool, s->chips, &step);
        ps += layer * s->layers + (s->head ? cluster_head_ps(p, s->pool, s->chips, 1) : 0) +
              (r->stages > 1 ? hop_ps(p, s->pool, p->goal.prompt, far) : 0);
    }
    return ps;
}

/* What a plan of stages is as a replica, with as many steps in flight as the goal's time for a token allows. False: it does not meet the goal. */
static bool replica_of(const struct cluster_work *w, const struct cluster_problem *p,
                       const struct cluster_try *t, struct cluster_replica *r)
{
    const struct stage_plan *plan = &w->plan;
    int64_t most = cluster_step_max_ps(&p->goal), step = plan->sum_ps;
    if (plan->sum_ps > most || plan->n > CLUSTER_STAGES_MAX)
        return false;
    *r = (struct cluster_replica){.batch = t->batch, .in_flight = 1, .stages = plan->n};
    memcpy(r->chips, t->chips, sizeof r->chips);
    for (uint32_t m = 2; m <= t->in_flight && m <= plan->n; m++) {
        int64_t round = plan->most_ps * m > plan->sum_ps ? plan->most_ps * m : plan->sum_ps;
        if (round > most)
            break;
        r->in_flight = m;
        step = round;
    }
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct cluster_unit *of = &w->of[plan->stage[i].unit];
        r->stage[i] =
            (struct cluster_stage){of->pool, of->chips, plan->stage[i].layers, plan->stage[i].head, 0};
    }
    r->tpot_ps = cluster_tpot_ps(&p->goal, step);
    r->ttft_ps = first_token_ps(p, r, t->far);
    r->token_s_e3 = cluster_token_s_e3(&p->goal, (uint64_t)r->batch * r->in_flight, step);
    return p->goal.ttft_ps == 0 || r->ttft_ps <= p->goal.ttft_ps;
}

bool cluster_better(const struct cluster_problem *p, const struct cluster_replica *a,
                    const struct cluster_replica *b)
{
    if (b->stages == 0)
        return true;
    return p->goal.aim == CLUSTER_SOONEST ? a->tpot_ps < b->tpot_ps : a->token_s_e3 > b->token_s_e3;
}

/* No stages of these chips can be faster: all layers where one is soonest. 0: they do not hold the layers. */
static int64_t least_ps(const struct cluster_work *w, const struct cluster_problem *p)
{
    int64_t layer = INT64_MAX, head = INT64_MAX;
    uint64_t holds = 0;
    for (uint32_t n = 0; n < w->nodes; n++) {
        uint32_t most = 0;
        for (uint32_t c = w->node[n].first; c < w->node[n].first + w->node[n].choices; c++) {
            uint32_t layers = 0;
            for (uint32_t u = w->choice[c].first; u < w->choice[c].first + w->choice[c].units; u++) {
                layers += w->unit[u].layers_max;
                if (w->unit[u].layers_max > 0 && w->unit[u].layer_ps < layer)
                    layer = w->unit[u].layer_ps;
                if (w->unit[u].layers_max_head > 0 && w->unit[u].head_ps < head)
                    head = w->unit[u].head_ps;
            }
            most = layers > most ? layers : most;
        }
        holds += most;
    }
    return holds < p->model->layers || head == INT64_MAX ? 0 : layer * p->model->layers + head;
}

/* Whether stages that take no less than `ps` in all can be better than what was found. As many steps as there are stages may be under way. */
static bool can_help(const struct cluster_problem *p, const struct cluster_try *t, uint32_t chips, int64_t ps,
                     const struct cluster_replica *best)
{
    uint32_t stages = chips < p->model->layers ? chips : p->model->layers;
    if (ps == 0 || ps > cluster_step_max_ps(&p->goal))
        return false;
    return cluster_token_s_e3(&p->goal, (uint64_t)t->batch * (p->goal.overlap ? stages : 1), ps) >=
           best->token_s_e3;
}

/* With so many requests in a step: stages of the least sum where one step is under way at a time, else of the least maximum. */
static void try_batch(struct cluster_work *w, const struct cluster_problem *p, struct cluster_try *t,
                      uint32_t chips, struct cluster_replica *best)
{
    int64_t most = cluster_step_max_ps(&p->goal);
    for (t->in_flight = 1; t->in_flight <= chips; t->in_flight *= 2) {
        struct cluster_replica r;
        set_units(w, p, t);
        const struct stage_problem stages = {p->model->layers, w->nodes, w->node, w->choice, w->unit};
        if (p->goal.aim == CLUSTER_MOST && !can_help(p, t, chips, least_ps(w, p), best))
            return;
        int rc = t->in_flight == 1 ? stages_least_sum(&w->stages, &stages, INT64_MAX, &w->plan)
                                   : stages_least_most(&w->stages, &stages, most, &w->plan);
        assert(rc == 0 || rc == ERR_NO_CAPACITY);
        if (rc != 0 || w->plan.sum_ps > most)
            return;
        if (replica_of(w, p, t, &r) && cluster_better(p, &r, best))
            *best = r;
        if (!p->goal.overlap || p->goal.aim == CLUSTER_SOONEST || w->plan.n < t->in_flight)
            return;
    }
}

int cluster_replica_plan(struct cluster_work *w, const struct cluster_problem *p, const uint32_t *chips,
                         struct cluster_replica *best)
{
    struct cluster_try t = {.batch = 1};
    uint32_t site = UINT32_MAX, n = 0, pools = 0, pool = 0;
    for (uint32_t i = 0; i < p->pools; i++) {
        pools += chips[i] > 0;
        pool = chips[i] > 0 ? i : pool;
        t.chips[i] = chips[i];
        t.far |= chips[i] > 0 && site != UINT32_MAX && p->pool[i].site != site;
        site = chips[i] > 0 ? p->pool[i].site : site;
        n += chips[i];
    }
    *best = (struct cluster_replica){0};
    if (t.far && !p->goal.corridors)
        return ERR_NO_CAPACITY;
    if (pools == 1)
        cluster_spread_plan(p, pool, n, best);
    /* From the most requests on: fewer are mostly seen to be slower without a plan. */
    while (p->goal.aim == CLUSTER_MOST && t.batch * 2 <= p->goal.batch_max)
        t.batch *= 2;
    for (; t.batch > 0; t.batch /= 2)
        try_batch(w, p, &t, n, best);
    return best->stages > 0 ? 0 : ERR_NO_CAPACITY;
}
