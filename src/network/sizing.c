/* SPDX-License-Identifier: Apache-2.0 */
/* What a model weighs, reads and computes, from its shape; and what a chip delivers, from its data sheet. */
#include "network/models.h"

#include "base/checked.h"

#define GIB (UINT64_C(1) << 30)
#define KV_BYTES 2u         /* of one number that is kept */
#define ACTIVATION_BYTES 2u /* of one number between layers */

static bool latent(const struct net_model *m)
{
    return figure_given(m->kv_rank);
}

/* Weights of a layer's attention. */
static uint64_t attention(const struct net_model *m)
{
    uint64_t h = (uint64_t)m->hidden.v, heads = (uint64_t)m->heads.v;
    if (!latent(m))
        return 2 * h * (uint64_t)m->head_dim.v * (heads + (uint64_t)m->kv_heads.v);
    uint64_t query = heads * (uint64_t)(m->nope_dim.v + m->rope_dim.v);
    uint64_t rank = (uint64_t)m->q_rank.v, kept = (uint64_t)m->kv_rank.v;
    return (rank ? (h + query) * rank : h * query) + h * (kept + (uint64_t)m->rope_dim.v) +
           kept * heads * (uint64_t)(m->nope_dim.v + m->v_dim.v) + heads * (uint64_t)m->v_dim.v * h;
}

static uint64_t feed_forward(const struct net_model *m, int64_t inner)
{
    return (m->mlp == MLP_PLAIN ? 2u : 3u) * (uint64_t)m->hidden.v * (uint64_t)inner;
}

static uint64_t expert_layers(const struct net_model *m)
{
    return figure_given(m->experts) ? (uint64_t)(m->layers.v - m->dense_layers.v) : 0;
}

/* Weights of all layers that every token meets. */
static uint64_t common(const struct net_model *m)
{
    uint64_t with = expert_layers(m), layers = (uint64_t)m->layers.v;
    return layers * attention(m) + (layers - with) * feed_forward(m, m->ffn.v) +
           with * (feed_forward(m, m->shared_ffn.v) + (uint64_t)m->hidden.v * (uint64_t)m->experts.v);
}

static uint64_t table(const struct net_model *m)
{
    return (uint64_t)m->vocab.v * (uint64_t)m->hidden.v;
}

static uint64_t with_experts(const struct net_model *m, int64_t each)
{
    return common(m) + expert_layers(m) * (uint64_t)each * feed_forward(m, m->expert_ffn.v) + table(m);
}

uint64_t model_params(const struct net_model *m)
{
    return with_experts(m, m->experts.v) + (m->tied == MODEL_YES ? 0 : table(m));
}

uint64_t model_params_active(const struct net_model *m)
{
    return with_experts(m, m->experts_active.v);
}

static uint64_t kv_layer(const struct net_model *m)
{
    if (latent(m))
        return KV_BYTES * (uint64_t)(m->kv_rank.v + m->rope_dim.v);
    return KV_BYTES * 2 * (uint64_t)m->kv_heads.v * (uint64_t)m->head_dim.v;
}

uint64_t model_kv_bytes(const struct net_model *m)
{
    return (uint64_t)m->layers.v * kv_layer(m);
}

static uint64_t bytes_of(uint64_t weights, const struct model_format *format)
{
    return (uint64_t)(((int128)weights * format->bits.v + 7999) / 8000);
}

/* Operations for a token and each one before it. With latent attention a step works on what is kept as it is (the matrices that would
 * unfold it are taken into the query and the output: DeepSeek-V2, arXiv 2405.04434, 2.1); for a prompt it is unfolded. */
static uint64_t attend(const struct net_model *m, bool prompt)
{
    uint64_t heads = (uint64_t)m->heads.v;
    if (!latent(m))
        return 4 * heads * (uint64_t)m->head_dim.v;
    return prompt ? 2 * heads * (uint64_t)(m->nope_dim.v + m->rope_dim.v + m->v_dim.v)
                  : 2 * heads * (uint64_t)(2 * m->kv_rank.v + m->rope_dim.v);
}

struct cluster_model model_cluster(const struct net_model *m, const struct model_format *format)
{
    uint64_t layers = (uint64_t)m->layers.v, with = expert_layers(m), each = feed_forward(m, m->expert_ffn.v);
    return (struct cluster_model){
        .layers = (uint32_t)layers,
        .hidden = (uint32_t)m->hidden.v,
        .kv_heads = (uint32_t)(latent(m) ? m->heads.v : m->kv_heads.v),
        .activation_bytes = ACTIVATION_BYTES,
        .dispatch_bytes = format->arithmetic == ARITHMETIC_FP16 ? ACTIVATION_BYTES : 1,
        .layer_bytes = bytes_of(common(m), format) / layers,
        .layer_flop = 2 * common(m) / layers,
        .expert_bytes = bytes_of(with * each, format) / layers,
        .experts = with ? (uint32_t)m->experts.v : 0,
        .experts_active = with ? (uint32_t)m->experts_active.v : 0,
        .expert_flop = 2 * with * each / layers,
        .kv_bytes = kv_layer(m),
        .kv_whole = latent(m),
        .attend_flop = attend(m, false),
        .attend_first_flop = attend(m, true),
        .head_bytes = bytes_of(table(m), format),
        .head_flop = 2 * table(m),
        .embed_bytes = m->tied == MODEL_YES ? 0 : bytes_of(table(m), format),
    };
}

void model_kv_8bit(struct cluster_model *model)
{
    model->kv_bytes /= KV_BYTES;
}

/* What a chip's own figure says is delivered, unless somebody said it for all chips. */
static uint64_t share(const struct model_delivered *d, struct figure own)
{
    return (uint64_t)(figure_given(own) && d->compute.tier != TIER_GIVEN ? own.v : d->compute.v);
}

bool model_pool(const struct model_delivered *d, const struct net_chip *chip, uint32_t chips, uint32_t node,
                struct cluster_pool *out)
{
    if (!figure_given(chip->fp16_tflops) || !figure_given(chip->memory_gib) ||
        !figure_given(chip->bandwidth_tb_s))
        return false;
    /* What is written down is for both ways together. */
    uint64_t link =
        (uint64_t)(figure_given(chip->link_gb_s) ? chip->link_gb_s.v : d->link_gb_s.v) * 1000000000 / 2;
    *out = (struct cluster_pool){
        .chips = chips,
        .node_chips = node,
        .domain_chips = chip->scale_up.v > node ? (uint32_t)chip->scale_up.v : node,
        .memory_bytes = (uint64_t)((int128)chip->memory_gib.v * d->memory.v * (int64_t)GIB / 1000000),
        .byte_s = (uint64_t)(chip->bandwidth_tb_s.v * d->bandwidth.v) * 1000000,
        .flop_s = (uint64_t)chip->fp16_tflops.v * share(d, chip->fp16_share) * 1000000,
        .link_ps = d->link_us.v * 1000,
        .link_byte_s = link / 1000 * (uint64_t)d->link.v,
    };
    return true;
}

void model_pool_format(const struct model_delivered *d, const struct net_chip *chip,
                       const struct model_format *format, struct cluster_pool *pool)
{
    const struct {
        struct figure tflops, share;
    } own[] = {[ARITHMETIC_FP8] = {chip->fp8_tflops, chip->fp8_share},
               [ARITHMETIC_INT8] = {chip->int8_tflops, chip->int8_share}};
    pool->attend_flop_s = figure_given(d->attention)
                              ? (uint64_t)(chip->fp16_tflops.v * d->attention.v) * 1000000
                              : pool->flop_s;
    if (!format || format->arithmetic == ARITHMETIC_FP16)
        return;
    /* Where they are not faster, as INT8 of a B300, 16 bits are computed in. */
    uint64_t eight = (uint64_t)own[format->arithmetic].tflops.v * share(d, own[format->arithmetic].share);
    if (eight * 1000000 > pool->flop_s)
        pool->flop_s = eight * 1000000;
}

struct cluster_site model_site(const struct model_delivered *d)
{
    return (struct cluster_site){.hop_ps = d->hop_us.v * 1000,
                                 .far_ps = d->corridor_ms.v * 1000000,
                                 .hop_byte_s = (uint64_t)d->hop_gbit_s.v * 1000000 / 8,
                                 .far_byte_s = (uint64_t)d->corridor_gbit_s.v * 1000000 / 8};
}
