/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expert parallelism: a stage whose chips each have a part of every layer's experts, and what a step takes there. core/cluster.h says how it is counted.
 *
 * An attention group is 1, 2, 4, ... chips of a node, as in tensor parallelism. Every size of group and every batch are tried, so the best is found.
 */
#include <string.h>

#include "base/err.h"
#include "core/cluster_parts.h"

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Experts that the fullest chip has. Where chips are more than experts, some experts are there twice. */
static uint32_t experts_of(const struct cluster_model *m, uint32_t chips)
{
    return (m->experts + chips - 1) / chips;
}

/* Attention and what else every token meets, divided among the chips of a group. */
static int64_t own_ps(const struct cluster_problem *p, const struct cluster_stage *s,
                      const struct cluster_step *step)
{
    const struct cluster_model *m = p->model;
    const struct cluster_pool *c = &p->pool[s->pool];
    uint32_t copies = m->kv_whole ? s->attention : 1;
    int128 bytes = (int128)m->layer_bytes + (int128)step->held * m->kv_bytes * copies;
    int64_t read = cluster_ps_for(bytes, c->byte_s * s->attention);
    int64_t compute = cluster_compute_ps(c, s->attention, (int128)step->tokens * m->layer_flop, step);
    return cluster_add_ps(
        longer(read, compute),
        cluster_reduce_ps(c, s->attention, (int128)step->tokens * m->hidden * m->activation_bytes));
}

/* A chip's experts, for its part of all tokens. */
static int64_t experts_ps(const struct cluster_problem *p, const struct cluster_stage *s, uint64_t tokens)
{
    const struct cluster_model *m = p->model;
    const struct cluster_pool *c = &p->pool[s->pool];
    int128 met = cluster_experts_met(m, tokens) * experts_of(m, s->chips) / m->experts;
    int128 flop = (int128)tokens * m->experts_active * m->expert_flop;
    return longer(cluster_ps_for(met * m->expert_bytes >> 32, c->byte_s),
                  cluster_ps_for((flop + s->chips - 1) / s->chips, c->flop_s));
}

/* What a chip sends to experts elsewhere, and their answers that it gets: over its link and over the network at once. */
static int64_t exchange_ps(const struct cluster_problem *p, const struct cluster_stage *s,
                           const struct cluster_step *step)
{
    const struct cluster_model *m = p->model;
    const struct cluster_pool *c = &p->pool[s->pool];
    const struct cluster_site *site = &p->site[c->site];
    uint32_t reach = c->domain_chips ? c->domain_chips : c->node_chips, near = reach;
    uint32_t sent = m->dispatch_bytes ? m->dispatch_bytes : m->activation_bytes;
    near = near < s->chips ? near : s->chips;
    int128 bytes =
        (int128)step->tokens * m->experts_active * m->hidden * (sent + m->activation_bytes) / s->attention;
    int64_t here =
        cluster_add_ps(2 * c->link_ps, cluster_ps_for(bytes * (int128)(near - 1) / s->chips, c->link_byte_s));
    int64_t there = cluster_add_ps(
        2 * site->hop_ps, cluster_ps_for(bytes * (int128)(s->chips - near) / s->chips, site->hop_byte_s));
    return near < s->chips ? longer(near > 1 ? here : 0, there) : here;
}

int64_t cluster_spread_ps(const struct cluster_problem *p, const struct cluster_stage *s,
                          const struct cluster_step *step, uint32_t groups)
{
    int64_t own = own_ps(p, s, step), experts = experts_ps(p, s, step->tokens * groups);
    return cluster_add_ps(cluster_add_ps(own, experts), exchange_ps(p, s, step));
}

/* ---- a stage that holds the whole model ---- */

static int64_t whole_ps(const struct cluster_problem *p, const struct cluster_stage *s,
                        const struct cluster_step *step, uint32_t groups, uint64_t heads)
{
    if (s->attention == 0)
        return cluster_step_ps(p, s->pool, s->chips, step) * p->model->layers +
               cluster_head_ps(p, s->pool, s->chips, heads);
    return cluster_spread_ps(p, s, step, groups) * p->model->layers +
           cluster_head_ps(p, s->pool, s->attention, heads);
}

int64_t cluster_stage_token_ps(const struct cluster_problem *p, const struct cluster_stage *s, uint32_t batch)
{
    uint32_t groups = s->attention ? s->chips / s->attention : 1;
    const struct cluster_step step = cluster_step_of(p, (batch + groups - 1) / groups);
    return whole_ps(p, s, &step, groups, step.tokens);
}

int64_t cluster_stage_first_ps(const struct cluster_problem *p, const struct cluster_stage *s, uint32_t batch)
{
    uint32_t groups = s->attention ? s->chips / s->attention : 1, each = (batch + groups - 1) / groups;
    const struct cluster_step step = cluster_prompts_of(p, each);
    return whole_ps(p, s, &step, groups < batch ? groups : batch, each);
}

/* ---- the best one ---- */

/* Whether each chip has room for its part of the experts, its group's part of the rest, and `batch` requests of its group. */
static bool fits(const struct cluster_problem *p, const struct cluster_stage *s, uint32_t batch)
{
    const struct cluster_model *m = p->model;
    int128 held = (int128)batch * p->goal.context * m->kv_bytes * m->layers;
    int128 group = (int128)m->layers * m->layer_bytes + m->head_bytes + m->embed_bytes +
                   held * (m->kv_whole ? s->attention : 1);
    int128 experts = (int128)m->layers * experts_of(m, s->chips) * m->expert_bytes;
    return group + experts * s->attention <= (int128)p->pool[s->pool].memory_bytes * s->attention;
}

static void try_spread(const struct cluster_problem *p, const struct cluster_stage *s, uint32_t batch,
                       struct cluster_replica *best)
{
    uint32_t groups = s->chips / s->attention;
    struct cluster_replica r = {.batch = batch * groups, .in_flight = 1, .stages = 1, .stage = {*s}};
    int64_t step = cluster_stage_token_ps(p, s, r.batch);
    if (step > cluster_step_max_ps(&p->goal) || step > STAGE_PS_MAX)
        return;
    r.chips[s->pool] = s->chips;
    r.tpot_ps = cluster_tpot_ps(&p->goal, step);
    r.ttft_ps = cluster_stage_first_ps(p, s, 1);
    r.token_s_e3 = cluster_token_s_e3(&p->goal, r.batch, step);
    if ((p->goal.ttft_ps == 0 || r.ttft_ps <= p->goal.ttft_ps) && cluster_better(p, &r, best))
        *best = r;
}

void cluster_spread_plan(const struct cluster_problem *p, uint32_t pool, uint32_t chips,
                         struct cluster_replica *best)
{
    uint32_t node = chips < p->pool[pool].node_chips ? chips : p->pool[pool].node_chips;
    if (!p->goal.spread || p->model->experts == 0 || chips < 2)
        return;
    for (uint32_t attention = 1; attention <= node; attention *= 2) {
        if (node % attention != 0 || p->model->kv_heads % attention != 0)
            continue;
        const struct cluster_stage stage = {pool, chips, p->model->layers, true, attention};
        for (uint32_t batch = 1; batch <= p->goal.batch_max && fits(p, &stage, batch); batch *= 2)
            try_spread(p, &stage, batch, best);
    }
}
