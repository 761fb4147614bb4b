/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue of open-weight models: data/models.yaml, or somebody's own. What a model is made of, so that what it weighs, reads
 * and computes can be told for any format of its weights; and shares of a data sheet that are assumed to be delivered.
 *
 * The shape is what the maker's own configuration says. How many parameters that makes is derived here, and a stated
 * number has to agree with it (2 % where each token meets all of them, 5 % with experts): that finds slips of the pen. Norms, biases and
 * routers' corrections are left out; they are far below that. Every mistake is told at once, with line and path (network/problems.h).
 * The catalogue is on the heap and does not change.
 */
#ifndef BUSBAR_NETWORK_MODELS_H
#define BUSBAR_NETWORK_MODELS_H

#include "core/cluster.h"
#include "network/netfile.h"

#define MODELS_MAX 512u
#define MODEL_FORMATS_MAX 64u
#define MODEL_NAME_CAP 48u

enum model_use { MODEL_FREE = 1, MODEL_LIMITED }; /* MODEL_LIMITED: the licence limits for what, or by whom */
enum model_yes { MODEL_NO = 1, MODEL_YES };
enum model_mlp { MLP_GATED = 1, MLP_PLAIN }; /* three matrices, or two */
enum model_file { FILE_GGUF = 1, FILE_TENSORS };
enum model_arithmetic { ARITHMETIC_FP16 = 1, ARITHMETIC_FP8, ARITHMETIC_INT8 };

struct net_model {
    char name[MODEL_NAME_CAP], title[TEXT_CAP], maker[TEXT_CAP], origin[CODE_CAP], licence[TEXT_CAP];
    char source[TEXT_CAP];            /* of the shape */
    char licence_source[TEXT_CAP];    /* where the licence was read; "": it was not looked up */
    uint32_t use;                     /* enum model_use */
    struct figure params_b, active_b; /* as stated, thousandths of 10^9 */
    struct figure layers, hidden, heads, kv_heads, head_dim, vocab, context;
    struct figure ffn;          /* of a layer without experts */
    struct figure dense_layers; /* of those with experts in the rest */
    struct figure experts, experts_active, expert_ffn;
    struct figure shared_ffn; /* of the experts that every token meets, together */
    /* Latent attention (MLA): what is kept of a token is kv_rank + rope_dim numbers. */
    struct figure kv_rank, q_rank, rope_dim, nope_dim, v_dim;
    uint32_t tied, mlp; /* enum model_yes: the table of tokens is the head as well; enum model_mlp */
    struct where where;
};

struct model_format {
    char name[NAME_CAP];
    struct figure bits;  /* of a weight, thousandths */
    uint32_t file;       /* enum model_file: what engines read it */
    uint32_t arithmetic; /* enum model_arithmetic: of products with weights, where the chip has it */
};

/* Of a data sheet, thousandths; times and rates where a catalogue of chips has none. */
struct model_delivered {
    struct figure compute, bandwidth, memory, link; /* compute: where a chip has no share of its own */
    struct figure attention; /* computing, of products with keys and values; as compute unless given */
    struct figure link_gb_s; /* of a chip that has no link of its own, both ways */
    struct figure link_us, hop_us, hop_gbit_s, corridor_ms, corridor_gbit_s;
};

struct models;

/* 0, or ERR_INVALID (see `problems`), ERR_NOT_FOUND, ERR_IO when the file cannot be read, ERR_NO_MEMORY. */
int models_load(struct models **out, const char *path, struct problems *problems);
int models_read(struct models **out, const char *file, const char *text, size_t len,
                struct problems *problems);
void models_free(struct models *models);

uint32_t models_count(const struct models *models);
const struct net_model *models_get(const struct models *models, uint32_t i);
/* NULL: there is none of that name. */
const struct net_model *models_find(const struct models *models, const char *name);
uint32_t models_formats(const struct models *models);
const struct model_format *models_format_get(const struct models *models, uint32_t i);
const struct model_format *models_format(const struct models *models, const char *name);
const struct model_delivered *models_delivered(const struct models *models);

/* Parameters as the shape makes them: all, and those that a token meets; of the table of tokens it only looks up a row. */
uint64_t model_params(const struct net_model *model);
uint64_t model_params_active(const struct net_model *model);
/* Bytes that a token's keys and values take in all layers, 16 bits a number. */
uint64_t model_kv_bytes(const struct net_model *model);
/* As the planner wants it: layers alike, each the mean of all. */
struct cluster_model model_cluster(const struct net_model *model, const struct model_format *format);
/* Keys and values in 8 bits a number instead of 16. */
void model_kv_8bit(struct cluster_model *model);
/* Chips of a kind as the planner wants them, in nodes of `node`. False: its computing power, memory or bandwidth is not published. */
bool model_pool(const struct model_delivered *delivered, const struct net_chip *chip, uint32_t chips,
                uint32_t node, struct cluster_pool *out);
/* The pool computes products with weights of this format as fast as the chip can; without it, as with 16 bits. */
void model_pool_format(const struct model_delivered *delivered, const struct net_chip *chip,
                       const struct model_format *format, struct cluster_pool *pool);
struct cluster_site model_site(const struct model_delivered *delivered);

#endif
