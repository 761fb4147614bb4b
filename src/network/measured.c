/* SPDX-License-Identifier: Apache-2.0 */
#include "network/measured.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fs.h"
#include "network/tree.h"

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))
#define TEXT_MAX ((size_t)1 << 20)
#define S_PS INT64_C(1000000000000)
#define CONTEXT 256                /* tokens, where a row does not say */
#define PASSES 3                   /* a factor can turn which of the two a stage waits for */
#define NO_LIMIT (UINT64_MAX >> 8) /* of computing, so that only reading counts */

static const char *const words_yes[] = {"no", "yes", NULL};

static const struct tree_field stage_fields[] = {
    {"chip", TREE_NAME, offsetof(struct measured_stage, chip), CHIP_CAP, 0, 0, 0, true, NULL},
    {"chips", TREE_NUMBER, offsetof(struct measured_stage, chips), 0, 0, 1, CLUSTER_NODE_MAX, false, NULL},
    {"layers", TREE_NUMBER, offsetof(struct measured_stage, layers), 0, 0, 1, CLUSTER_LAYERS_MAX, true, NULL},
    {"head", TREE_WORD, offsetof(struct measured_stage, head), 0, 0, 0, 0, false, words_yes},
};

/* Of a row and its list of stages side by side. */
struct read_row {
    struct measured_row row;
    yaml_node_t *stages;
};

static const struct tree_field row_fields[] = {
    {"model", TREE_TEXT, offsetof(struct read_row, row.model), MODEL_NAME_CAP, 0, 0, 0, false, NULL},
    {"format", TREE_TEXT, offsetof(struct read_row, row.format), NAME_CAP, 0, 0, 0, false, NULL},
    {"tokens_s", TREE_NUMBER, offsetof(struct read_row, row.tokens_s), 0, 3, 1, INT64_C(1000000000000), true,
     NULL},
    {"batch", TREE_NUMBER, offsetof(struct read_row, row.batch), 0, 0, 1, CLUSTER_BATCH_MAX, false, NULL},
    {"context", TREE_NUMBER, offsetof(struct read_row, row.context), 0, 0, 1, 1 << 24, false, NULL},
    {"check", TREE_WORD, offsetof(struct read_row, row.check), 0, 0, 0, 0, false, words_yes},
    {"stages", TREE_NODE, offsetof(struct read_row, stages), 0, 0, 0, 0, true, NULL},
};

struct top {
    struct figure hop_us;
    yaml_node_t *rows;
};

static const struct tree_field top_fields[] = {
    {"hop_us", TREE_NUMBER, offsetof(struct top, hop_us), 0, 0, 0, 1000000000, false, NULL},
    {"measured", TREE_NODE, offsetof(struct top, rows), 0, 0, 0, 0, true, NULL},
};

/* ---- the file ---- */

static void read_stages(const struct at *row_at, yaml_node_t *node, struct measured_row *row)
{
    struct at list = at_child(row_at, "stages", node);
    row->stages = at_items(&list, CLUSTER_STAGES_MAX);
    if (row->stages == 0)
        at_key_problem(row_at, "stages", "at least one");
    for (uint32_t i = 0; i < row->stages; i++) {
        struct at item = at_item(&list, i);
        struct where where = at_where(&item);
        struct measured_stage *stage = &row->stage[i];
        *stage = (struct measured_stage){.chips = {1, TIER_GIVEN}, .head = MODEL_NO};
        uint32_t given = fields_read(&item, stage_fields, COUNT(stage_fields), stage);
        fields_require(&where, row_at->tree->problems, stage_fields, COUNT(stage_fields), given);
    }
}

static void read_row(const struct at *at, struct measured_row *row)
{
    struct read_row *read = calloc(1, sizeof *read);
    if (!read) {
        at_problem(at, "out of memory");
        return;
    }
    read->row.where = at_where(at);
    read->row.check = MODEL_NO;
    read->row.batch = (struct figure){1, TIER_GIVEN};
    read->row.context = (struct figure){CONTEXT, TIER_GIVEN};
    uint32_t given = fields_read(at, row_fields, COUNT(row_fields), read);
    fields_require(&read->row.where, at->tree->problems, row_fields, COUNT(row_fields), given);
    if (read->stages)
        read_stages(at, read->stages, &read->row);
    if (!read->row.model[0] != !read->row.format[0])
        at_problem(at, "model and format go together");
    *row = read->row;
    free(read);
}

int measured_load(struct measured *out, const char *path, struct problems *problems)
{
    struct buf text;
    struct tree tree;
    struct err err = {0};
    struct top top = {0};
    *out = (struct measured){0};
    buf_init(&text, TEXT_MAX);
    int rc = fs_read(path, &text, &err);
    if (rc == 0 && tree_load(&tree, path, text.data, text.len, problems)) {
        struct at root = tree_root(&tree);
        struct where where = at_where(&root);
        uint32_t given = fields_read(&root, top_fields, COUNT(top_fields), &top);
        fields_require(&where, problems, top_fields, COUNT(top_fields), given);
        struct at list = top.rows ? at_child(&root, "measured", top.rows) : root;
        out->hop_us = top.hop_us;
        out->n = top.rows ? at_items(&list, MEASURED_MAX) : 0;
        for (uint32_t i = 0; i < out->n; i++) {
            struct at item = at_item(&list, i);
            read_row(&item, &out->row[i]);
        }
    }
    if (rc == 0)
        tree_fini(&tree);
    buf_fini(&text);
    return rc == 0 && !problems_none(problems) ? ERR_INVALID : rc;
}

/* ---- chips ---- */

static struct measured_chip *chip_of(struct measured *m, const char *name)
{
    for (uint32_t i = 0; i < m->chips; i++) {
        if (strcmp(m->chip[i].name, name) == 0)
            return &m->chip[i];
    }
    if (m->chips == MEASURED_CHIPS_MAX)
        return NULL;
    struct measured_chip *chip = &m->chip[m->chips++];
    *chip = (struct measured_chip){.factor = {CALIBRATE_ONE, CALIBRATE_ONE}};
    memcpy(chip->name, name, sizeof chip->name);
    return chip;
}

void measured_correct(const struct measured *m, const char *chip, struct cluster_pool *pool)
{
    for (uint32_t i = 0; i < m->chips; i++) {
        const int64_t *factor = m->chip[i].factor;
        if (strcmp(m->chip[i].name, chip) != 0)
            continue;
        uint64_t byte_s = (uint64_t)((int128)pool->byte_s * CALIBRATE_ONE / factor[MEASURED_MEMORY]);
        uint64_t flop_s = (uint64_t)((int128)pool->flop_s * CALIBRATE_ONE / factor[MEASURED_COMPUTING]);
        uint64_t attend_s =
            (uint64_t)((int128)pool->attend_flop_s * CALIBRATE_ONE / factor[MEASURED_COMPUTING]);
        pool->byte_s = byte_s ? byte_s : 1;
        pool->flop_s = flop_s ? flop_s : 1;
        pool->attend_flop_s = attend_s; /* 0: as much as flop_s */
    }
}

/* ---- a row as the planner sees it ---- */

struct lesson {
    struct measured *m;
    const struct models *models;
    const struct netfile *chips;
    const struct model_delivered *delivered;
    const struct cluster_model *own;
    const struct model_format *format; /* of it */
    struct problems *problems;
};

static const struct net_chip *net_chip_of(const struct netfile *chips, const char *name)
{
    for (uint32_t i = 0; i < netfile_chips(chips); i++) {
        if (strcmp(netfile_chip(chips, i)->name, name) == 0)
            return netfile_chip(chips, i);
    }
    return NULL;
}

static bool shape_of(const struct lesson *l, const struct measured_row *row, struct cluster_model *out)
{
    const struct net_model *model = models_find(l->models, row->model);
    const struct model_format *format = models_format(l->models, row->format);
    if (!row->model[0]) {
        *out = *l->own;
        return true;
    }
    if (model && format)
        *out = model_cluster(model, format);
    return model && format;
}

static bool row_fits(const struct lesson *l, const struct measured_row *row)
{
    struct cluster_model shape;
    struct cluster_pool pool;
    int64_t layers = 0, heads = 0;
    if (!shape_of(l, row, &shape)) {
        where_problem(&row->where, l->problems, "model", "%s in %s is not in the catalogue", row->model,
                      row->format);
        return false;
    }
    for (uint32_t i = 0; i < row->stages; i++) {
        const struct net_chip *chip = net_chip_of(l->chips, row->stage[i].chip);
        if (!chip || !model_pool(l->delivered, chip, 1, 1, &pool)) {
            where_problem(&row->where, l->problems, "stages", "%s %s", row->stage[i].chip,
                          chip ? "has no published speed" : "is not in the catalogue of chips");
            return false;
        }
        layers += row->stage[i].layers.v;
        heads += row->stage[i].head == MODEL_YES;
    }
    if (layers != shape.layers || heads != 1)
        where_problem(&row->where, l->problems, "stages",
                      "%lld layers and %lld heads, but the model has %u and one", (long long)layers,
                      (long long)heads, shape.layers);
    return layers == shape.layers && heads == 1;
}

/* What a group takes for a model of so many layers, and its head. */
static int64_t whole_ps(const struct cluster_problem *problem, uint32_t layers, uint32_t chips)
{
    struct cluster_model model = *problem->model;
    struct cluster_problem p = *problem;
    model.layers = layers;
    p.model = &model;
    return cluster_token_ps(&p, 0, chips, p.goal.batch_max);
}

/* Adds what the stage takes, to whichever of the two its chip waits for. */
static void add_stage(const struct lesson *l, const struct cluster_problem *p, const struct measured_row *row,
                      const struct measured_stage *stage, struct cluster_pool *pool,
                      struct calibrate_row *out)
{
    uint32_t chips = (uint32_t)stage->chips.v;
    const struct measured_chip *chip = chip_of(l->m, stage->chip);
    const struct net_chip *of = net_chip_of(l->chips, stage->chip);
    (void)model_pool(l->delivered, of, chips, chips, pool);
    model_pool_format(l->delivered, of, row->model[0] ? models_format(l->models, row->format) : l->format,
                      pool);
    measured_correct(l->m, stage->chip, pool);
    int64_t one = whole_ps(p, 1, chips), layer = whole_ps(p, 2, chips) - one;
    uint64_t flop_s = pool->flop_s, attend_s = pool->attend_flop_s;
    pool->flop_s = pool->attend_flop_s = NO_LIMIT;
    bool reads = whole_ps(p, 2, chips) - whole_ps(p, 1, chips) == layer;
    pool->flop_s = flop_s;
    pool->attend_flop_s = attend_s;
    out->part[out->parts++] = (struct calibrate_part){
        .unit = (uint32_t)(chip - l->m->chip) * MEASURED_OF + (reads ? MEASURED_MEMORY : MEASURED_COMPUTING),
        .ps = layer * stage->layers.v + (stage->head == MODEL_YES ? one - layer : 0)};
}

static void pose(const struct lesson *l, const struct measured_row *row, struct calibrate_row *out)
{
    struct cluster_model shape;
    struct cluster_pool pool = {0};
    struct cluster_site site = model_site(l->delivered);
    const struct cluster_problem p = {
        .model = &shape,
        .pool = &pool,
        .site = &site,
        .pools = 1,
        .sites = 1,
        .goal = {.batch_max = (uint32_t)row->batch.v, .context = (uint32_t)row->context.v}};
    *out = (struct calibrate_row){.measured_ps =
                                      (int64_t)((int128)row->batch.v * S_PS * 1000 / row->tokens_s.v)};
    (void)shape_of(l, row, &shape);
    for (uint32_t i = 0; i < row->stages; i++)
        add_stage(l, &p, row, &row->stage[i], &pool, out);
    int128 bytes = (int128)row->batch.v * shape.hidden * shape.activation_bytes;
    int64_t hop = (figure_given(l->m->hop_us) ? l->m->hop_us.v * 1000000 : site.hop_ps) +
                  (int64_t)(bytes * S_PS / site.hop_byte_s);
    out->fixed_ps = row->stages > 1 ? hop * row->stages : 0;
}

static uint64_t tokens_s_e3(const struct lesson *l, const struct measured_row *row)
{
    int64_t factor[CALIBRATE_UNITS_MAX];
    struct calibrate_row posed;
    for (uint32_t u = 0; u < CALIBRATE_UNITS_MAX; u++)
        factor[u] = CALIBRATE_ONE;
    pose(l, row, &posed);
    int64_t ps = calibrate_ps(&posed, factor);
    return (uint64_t)((int128)row->batch.v * S_PS * 1000 / (ps > 0 ? ps : 1));
}

/* ---- learning ---- */

/* What is left to correct, on top of what was learnt before. */
static int pass(struct lesson *l, struct calibrate_row *rows)
{
    struct measured *m = l->m;
    int64_t factor[CALIBRATE_UNITS_MAX];
    uint32_t n = 0;
    for (uint32_t u = 0; u < CALIBRATE_UNITS_MAX; u++)
        factor[u] = CALIBRATE_ONE;
    for (uint32_t i = 0; i < m->n; i++) {
        if (m->row[i].check == MODEL_NO)
            pose(l, &m->row[i], &rows[n++]);
    }
    int rc = calibrate(rows, n, m->chips * MEASURED_OF, factor);
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        for (uint32_t k = 0; k < rows[i].parts; k++)
            m->chip[rows[i].part[k].unit / MEASURED_OF].learnt[rows[i].part[k].unit % MEASURED_OF] = true;
    }
    for (uint32_t u = 0; rc == 0 && u < m->chips * MEASURED_OF; u++) {
        int64_t *f = &m->chip[u / MEASURED_OF].factor[u % MEASURED_OF];
        int128 v = (int128)*f * factor[u] / CALIBRATE_ONE;
        *f = v < CALIBRATE_LEAST ? CALIBRATE_LEAST : v > CALIBRATE_MOST ? CALIBRATE_MOST : (int64_t)v;
    }
    return rc;
}

static int check_rows(const struct lesson *l)
{
    struct measured *m = l->m;
    bool fits = true;
    for (uint32_t i = 0; i < m->n; i++)
        fits = row_fits(l, &m->row[i]) && fits;
    for (uint32_t i = 0; fits && i < m->n; i++) {
        for (uint32_t s = 0; fits && s < m->row[i].stages; s++)
            fits = chip_of(m, m->row[i].stage[s].chip) != NULL;
        if (!fits)
            where_problem(&m->row[i].where, l->problems, "stages", "more than %u kinds of chips in one file",
                          MEASURED_CHIPS_MAX);
    }
    return fits ? 0 : ERR_INVALID;
}

int measured_learn(struct measured *m, const struct models *models, const struct netfile *chips,
                   const struct model_delivered *delivered, const struct cluster_model *own,
                   const struct model_format *format, struct problems *problems)
{
    struct lesson l = {m, models, chips, delivered, own, format, problems};
    struct calibrate_row *rows = calloc(MEASURED_MAX, sizeof *rows);
    int rc = rows ? check_rows(&l) : ERR_NO_MEMORY;
    for (uint32_t i = 0; rc == 0 && i < m->n; i++)
        m->row[i].predicted_e3 = tokens_s_e3(&l, &m->row[i]);
    for (int i = 0; rc == 0 && i < PASSES; i++)
        rc = pass(&l, rows);
    for (uint32_t i = 0; rc == 0 && i < m->n; i++)
        m->row[i].corrected_e3 = tokens_s_e3(&l, &m->row[i]);
    free(rows);
    return rc;
}
