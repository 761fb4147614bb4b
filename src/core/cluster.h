/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters: which chips serve a model together, in which groups, with how many layers each, and how fast that will be.
 *
 * Chips come in pools, equal ones in equal nodes of one site. A replica of a model is a pipeline (core/stages.h) whose stages are single chips or
 * tensor-parallel groups: 2, 4, 8, ... equal chips of one node, as many as divide the heads of keys and values, so that each has whole
 * ones. What a stage takes for a step is a roofline (Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009): the longer of reading weights and the
 * keys and values of all requests in it, and of computing; in a group two all-reduces a layer come on top (Shoeybi et al.: Megatron-LM, 2019), each
 * in a ring (2 (k - 1) hops, 2 (k - 1) / k of the bytes; Patarasuk, Yuan: Bandwidth optimal all-reduce, JPDC 69, 2009). Of a layer of experts
 * those are read that the batch is expected to touch. Bandwidth and computing power are what the chip delivers, not what its data sheet says: who
 * calls multiplies with what was measured (MBU, MFU).
 *
 * Nothing is pipelined over a corridor unless the goal allows it; then each hop is as long as the worst corridor: an upper bound.
 *
 * A model with experts can also be spread: one stage of equal chips of a pool, each of which has an equal part of the experts of every layer, while
 * attention and all that every token meets are at each chip, or at each attention group of some chips that divide it between them. Each group
 * has requests of its own; a token is sent to its experts and what they say is sent back (all-to-all; DeepSeek-V3 report, arXiv 2412.19437, 3.4),
 * over the link to chips of its scale-up domain and over the site's network to others. Experts are taken as equally met, each part of a layer as
 * waiting for the one before it.
 *
 * Replicas: pools are divided among replicas so that the tokens a second of all are the most, by a DP over how many chips of each pool are used. A replica
 * uses of a pool 2^i chips of a node, or whole nodes: sizes of which each divides the next, so that any number of them fits as long as chips are left.
 * Where there are too many ways to divide, each pool is planned alone or together with one other, and the best such pairs are taken: exact among
 * plans in which a pool shares replicas with one other at most.
 * Integers only; one block of memory from the caller; the same problem gives the same plan.
 */
#ifndef BUSBAR_CORE_CLUSTER_H
#define BUSBAR_CORE_CLUSTER_H

#include "core/stages.h"

#define CLUSTER_POOLS_MAX 8u
#define CLUSTER_SITES_MAX 64u
#define CLUSTER_CHIPS_MAX 512u   /* of a problem */
#define CLUSTER_NODE_MAX 16u     /* chips of a node */
#define CLUSTER_STAGES_MAX 64u   /* of a replica */
#define CLUSTER_REPLICAS_MAX 64u /* kinds of replicas of a plan */
#define CLUSTER_DIVISIONS_MAX \
    65536u /* (chips + 1) of each pool, multiplied; of more, pools are planned in pairs */
#define CLUSTER_DRAFT_MAX 16u
#define CLUSTER_BATCH_MAX 4096u
#define CLUSTER_LAYERS_MAX 256u

/* A variant of a model as it is held and computed; all layers are alike. */
struct cluster_model {
    uint32_t layers, hidden, kv_heads;
    uint32_t activation_bytes;        /* of one number between layers */
    uint32_t dispatch_bytes;          /* of one that is sent to an expert; 0: as many */
    uint64_t layer_bytes;             /* weights of a layer, without experts */
    uint64_t layer_flop;              /* for a token: twice the weights it meets, without experts */
    uint64_t expert_bytes;            /* of one, in one layer */
    uint64_t expert_flop;             /* of one, for a token */
    uint32_t experts, experts_active; /* of a layer, and for a token; 0: it has none */
    uint64_t kv_bytes;                /* of a token, in one layer */
    bool kv_whole; /* latent: all heads read all of it, so that each chip of a group keeps all */
    uint64_t attend_flop,
        attend_first_flop; /* for a token and each one before it: of a step, and of a prompt */
    uint64_t head_bytes,
        embed_bytes; /* after the last layer, read for each step; the table of tokens, which is only held */
    uint64_t head_flop; /* for a token; not twice its bytes, which are fewer in 4 bits */
};

struct cluster_pool {
    uint32_t site, chips, node_chips; /* chips: a multiple of those of a node, or fewer than one node has */
    uint64_t memory_bytes;            /* of a chip, for weights, keys and values */
    uint32_t domain_chips;            /* that its link reaches; 0: those of a node */
    uint64_t byte_s, flop_s;          /* of a chip, as delivered; flop_s: products with weights */
    uint64_t attend_flop_s;           /* products with keys and values; 0: as many */
    int64_t link_ps;                  /* between chips of a node */
    uint64_t link_byte_s;
};

struct cluster_site {
    int64_t hop_ps, far_ps; /* between nodes, and over the worst of its corridors */
    uint64_t hop_byte_s, far_byte_s;
};

enum cluster_aim {
    CLUSTER_SOONEST,
    CLUSTER_MOST
}; /* one replica, least time for a token; most tokens a second */

struct cluster_goal {
    enum cluster_aim aim;
    uint32_t context, prompt; /* tokens that a request holds; of its prompt */
    uint32_t batch_max;       /* requests in one step; of a model that is spread, of one attention group */
    uint32_t draft;           /* tokens that are guessed for each request and step, and checked in it */
    uint32_t accepted_e3;     /* tokens that a request gains by a step, thousandths; 0: one */
    int64_t tpot_ps, ttft_ps; /* at most; 0: any */
    bool corridors;           /* may be pipelined over */
    bool overlap;             /* the engine works on as many batches as there are stages */
    bool spread;              /* experts may be spread over the chips of a replica */
};

struct cluster_problem {
    const struct cluster_model *model;
    const struct cluster_pool *pool;
    const struct cluster_site *site;
    uint32_t pools, sites;
    struct cluster_goal goal;
};

struct cluster_stage {
    uint32_t pool, chips, layers; /* chips > 1: a group */
    bool head;
    uint32_t
        attention; /* experts are spread over its chips; so many of them divide a request's attention. 0: not spread */
};

struct cluster_replica {
    uint32_t count;            /* of replicas like this */
    uint32_t batch, in_flight; /* requests of a step; steps at once */
    uint32_t stages;
    uint32_t chips[CLUSTER_POOLS_MAX]; /* set aside for it; what its stages leave out is idle */
    int64_t tpot_ps, ttft_ps;
    uint64_t token_s_e3; /* thousandths of a token a second */
    struct cluster_stage stage[CLUSTER_STAGES_MAX];
};

struct cluster_plan {
    uint32_t n;
    uint64_t token_s_e3; /* of all replicas */
    struct cluster_replica replica[CLUSTER_REPLICAS_MAX];
};

struct cluster_work;

/* Bytes of memory that cluster_plan needs; its block is 16-byte aligned. */
size_t cluster_size(void);
/* Plans into *plan with `block` of cluster_size() bytes. ERR_INVALID: a figure is 0 or out of bounds; ERR_LIMIT: too many chips or pools;
 * ERR_NO_CAPACITY: no replica that meets the goal fits. */
int cluster_plan(void *block, const struct cluster_problem *problem, struct cluster_plan *plan);

/* What a stage that holds the whole model takes: for a step of `batch` requests, and for all prompts of `batch` requests.
 * Where it is spread, requests are divided among its attention groups, and what the fullest takes is told. */
int64_t cluster_stage_token_ps(const struct cluster_problem *problem, const struct cluster_stage *stage,
                               uint32_t batch);
int64_t cluster_stage_first_ps(const struct cluster_problem *problem, const struct cluster_stage *stage,
                               uint32_t batch);
/* The same of a group of `chips` chips of a pool. */
int64_t cluster_token_ps(const struct cluster_problem *problem, uint32_t pool, uint32_t chips,
                         uint32_t batch);

#endif
