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

static const char *const words_what[] = {"tokens_s_chip", "first_ms", NULL};

static const struct tree_field fields[] = {
    TEXT(model, MODEL_NAME_CAP, true),
    TEXT(format, NAME_CAP, true),
    TEXT(chip, CHIP_CAP, true),
    TEXT(note, TEXT_CAP, false),
    {"what", TREE_WORD, offsetof(struct prediction, what), 0, 0, 0, 0, true, words_what},
    TOKENS(chips, 1, CLUSTER_NODE_MAX, true),
    TOKENS(batch, 1, CLUSTER_BATCH_MAX, true),
    TOKENS(prompt, 1, 1 << 20, true),
    TOKENS(out, 1, 1 << 20, true),
    {"published", TREE_SOURCED, offsetof(struct prediction, published), 0, 3, 1, INT64_C(1000000000000), true,
     NULL},
};

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
            given = fields_read(&item, fields, COUNT(fields), &out->row[i]);
            fields_require(&where, problems, fields, COUNT(fields), given);
        }
    }
    if (rc == 0)
        tree_fini(&tree);
    buf_fini(&text);
    return rc == 0 && !problems_none(problems) ? ERR_INVALID : rc;
}

int64_t prediction_made(const struct prediction *row, const struct models *models,
                        const struct model_delivered *delivered, const struct net_chip *chip)
{
    const struct net_model *m = models_find(models, row->model);
    const struct model_format *format = models_format(models, row->format);
    uint32_t chips = (uint32_t)row->chips.v, batch = (uint32_t)row->batch.v;
    struct cluster_pool pool;
    if (!m || !format || !chip || !model_pool(delivered, chip, chips, chips, &pool))
        return 0;
    struct cluster_model shape = model_cluster(m, format);
    struct cluster_site site = model_site(delivered);
    const struct cluster_problem p = {
        .model = &shape,
        .pool = &pool,
        .site = &site,
        .pools = 1,
        .sites = 1,
        .goal = {.prompt = (uint32_t)row->prompt.v, .context = (uint32_t)(row->prompt.v + row->out.v / 2)}};
    int64_t first = cluster_first_ps(&p, 0, chips);
    if (row->what == PREDICT_FIRST_MS)
        return first / 1000000;
    /* Prompts one after another, then all answers together, each step at half of their length. */
    int128 ps = (int128)first * batch + (int128)cluster_token_ps(&p, 0, chips, batch) * row->out.v;
    return (int64_t)((int128)batch * row->out.v * 1000 * 1000000000000 / ps / chips);
}
