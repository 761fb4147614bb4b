/* SPDX-License-Identifier: Apache-2.0 */
#include "network/predictions.h"

#include <string.h>

#include "base/checked.h"
#include "base/fs.h"
#include "network/tree.h"

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))
#define TEXT_MAX ((size_t)1 << 20)
#define TEXT(key, cap, required) \
    { \
#key, TREE_TEXT, offsetof(struct prediction, key), cap, 0, 0, 0, required, NULL \
    }
#define TOKENS(key, min, max, required) \
    { \
#key, TREE_NUMBER, offsetof(struct prediction, key), 0, 0, min, max, required, NULL \
    }

static const char *const words_what[] = {"tokens_s_chip", "first_ms", "answers_s_chip", "prompts_s_chip",
                                         NULL};

static const struct tree_field fields[] = {
    TEXT(model, MODEL_NAME_CAP, true),
    TEXT(format, NAME_CAP, true),
    TEXT(chip, CHIP_CAP, true),
    TEXT(note, TEXT_CAP, false),
    {"what", TREE_WORD, offsetof(struct prediction, what), 0, 0, 0, 0, true, words_what},
    TOKENS(chips, 1, CLUSTER_CHIPS_MAX, true),
    TOKENS(batch, 1, CLUSTER_BATCH_MAX *CLUSTER_CHIPS_MAX, true),
    TOKENS(prompt, 1, 1 << 20, true),
    TOKENS(out, 1, 1 << 20, true),
    TOKENS(attention, 1, CLUSTER_NODE_MAX, false),
    TOKENS(kv, 8, 16, false),
    TOKENS(draft, 1, CLUSTER_DRAFT_MAX, false),
    {"accepted", TREE_SOURCED, offsetof(struct prediction, accepted), 0, 3, 1000,
     1000 * (1 + CLUSTER_DRAFT_MAX), false, NULL},
    {"hop_gbit_s", TREE_SOURCED, offsetof(struct prediction, hop_gbit_s), 0, 3, 8, 100000000, false, NULL},
    {"published", TREE_SOURCED, offsetof(struct prediction, published), 0, 3, 1, INT64_C(1000000000000), true,
     NULL},
};

/* What belongs together has to be there together, and to be of a size that can be. */
static void check_row(const struct at *at, const struct prediction *row)
{
    int64_t chips = row->chips.v, attention = row->attention.v;
    if (attention == 0 && chips > CLUSTER_NODE_MAX)
        at_key_problem(at, "chips",
                       "more than %u are no group, unless attention says that experts are spread",
                       CLUSTER_NODE_MAX);
    if (attention == 0 && row->batch.v > CLUSTER_BATCH_MAX)
        at_key_problem(at, "batch", "at most %u for a group", CLUSTER_BATCH_MAX);
    if (attention > 0 && (chips < 2 || chips % attention != 0))
        at_key_problem(at, "attention", "does not divide chips, or is spread over one");
    if (figure_given(row->kv) && row->kv.v != 8 && row->kv.v != 16)
        at_key_problem(at, "kv", "8 or 16 bits");
    if (figure_given(row->draft) != figure_given(row->accepted) ||
        row->accepted.v > 1000 * (1 + row->draft.v))
        at_key_problem(
            at, "draft",
            "draft and accepted are given together, or neither; one more than draft at most is gained");
}

static const struct tree_field top_fields[] = {{"predictions", TREE_NODE, 0, 0, 0, 0, 0, true, NULL}};

int predictions_load(struct predictions *out, const char *path, struct problems *problems)
{
    struct buf text;
    struct tree tree;
    struct err err = {0};
    yaml_node_t *rows = NULL;
    out->n = 0;
    buf_init(&text, TEXT_MAX);
    int rc = fs_read(path, &text, &err);
    if (rc == 0 && tree_load(&tree, path, text.data, text.len, problems)) {
        struct at root = tree_root(&tree);
        struct where where = at_where(&root);
        uint32_t given = fields_read(&root, top_fields, COUNT(top_fields), &rows);
        fields_require(&where, problems, top_fields, COUNT(top_fields), given);
        struct at list = rows ? at_child(&root, "predictions", rows) : root;
        out->n = rows ? at_items(&list, PREDICTIONS_MAX) : 0;
        for (uint32_t i = 0; i < out->n; i++) {
            struct at item = at_item(&list, i);
            where = at_where(&item);
            out->row[i] = (struct prediction){{0}};
            uint32_t before = problems->n + problems->dropped;
            given = fields_read(&item, fields, COUNT(fields), &out->row[i]);
            fields_require(&where, problems, fields, COUNT(fields), given);
            if (problems->n + problems->dropped == before)
                check_row(&item, &out->row[i]);
        }
    }
    if (rc == 0)
        tree_fini(&tree);
    buf_fini(&text);
    return rc == 0 && !problems_none(problems) ? ERR_INVALID : rc;
}

/* Tokens a second and chip, thousandths. */
static int64_t a_chip(int128 tokens, int128 ps, uint32_t chips)
{
    return (int64_t)(tokens * 1000 * 1000000000000 / ps / chips);
}

static int64_t made_of(const struct prediction *row, const struct cluster_problem *p)
{
    uint32_t chips = (uint32_t)row->chips.v, batch = (uint32_t)row->batch.v;
    const struct cluster_stage stage = {
        .chips = chips, .layers = p->model->layers, .head = true, .attention = (uint32_t)row->attention.v};
    uint32_t groups = stage.attention ? chips / stage.attention : 1, rounds = (batch + groups - 1) / groups;
    /* Each group reads its prompts one after another, then all answer together, each step at half of their length. */
    int128 read = (int128)cluster_stage_first_ps(p, &stage, groups < batch ? groups : batch) * rounds;
    int128 step = cluster_stage_token_ps(p, &stage, batch), gained = row->accepted.v ? row->accepted.v : 1000;
    int128 answer = step * row->out.v * 1000 / gained;
    switch ((enum prediction_what)row->what) {
    case PREDICT_FIRST_MS:
        return cluster_stage_first_ps(p, &stage, 1) / 1000000;
    case PREDICT_ANSWERS_S_CHIP:
        return a_chip((int128)batch * row->out.v, answer, chips);
    case PREDICT_PROMPTS_S_CHIP:
        return a_chip((int128)batch * row->prompt.v, read, chips);
    case PREDICT_TOKENS_S_CHIP:
        break;
    }
    return a_chip((int128)batch * row->out.v, read + answer, chips);
}

int64_t prediction_made(const struct prediction *row, const struct models *models,
                        const struct model_delivered *delivered, const struct net_chip *chip)
{
    const struct net_model *m = models_find(models, row->model);
    const struct model_format *format = models_format(models, row->format);
    uint32_t chips = (uint32_t)row->chips.v, node = chips < CLUSTER_NODE_MAX ? chips : CLUSTER_NODE_MAX;
    struct cluster_pool pool;
    if (!m || !format || !chip || !model_pool(delivered, chip, chips, node, &pool))
        return 0;
    if (figure_given(row->attention) && figure_given(chip->scale_up))
        pool.domain_chips = (uint32_t)chip->scale_up.v;
    model_pool_format(delivered, chip, format, &pool);
    struct cluster_model shape = model_cluster(m, format);
    struct cluster_site site = model_site(delivered);
    if (row->kv.v == 8)
        model_kv_8bit(&shape);
    if (figure_given(row->hop_gbit_s))
        site.hop_byte_s = (uint64_t)row->hop_gbit_s.v * 1000000 / 8;
    if (figure_given(row->attention) && shape.experts == 0)
        return 0;
    const struct cluster_problem p = {.model = &shape,
                                      .pool = &pool,
                                      .site = &site,
                                      .pools = 1,
                                      .sites = 1,
                                      .goal = {.prompt = (uint32_t)row->prompt.v,
                                               .context = (uint32_t)(row->prompt.v + row->out.v / 2),
                                               .draft = (uint32_t)row->draft.v}};
    return made_of(row, &p);
}
