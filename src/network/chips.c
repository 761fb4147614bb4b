/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of chips: data/chips.yaml, or an operator's own. */
#include <stddef.h>
#include <string.h>

#include "network/parts.h"

#define FIGURE(key, decimals, min, max) \
    { \
#key, TREE_SOURCED, offsetof(struct net_chip, key), 0, decimals, min, max, false, NULL \
    }

/* By what a probe knows the kind is the probe's to read (probe/kinds.c). */
struct chip_reading {
    struct net_chip chip; /* first: most fields are its */
    yaml_node_t *pci, *pci_shared, *models;
};

static const struct tree_field chip_fields[] = {
    {"name", TREE_NAME, offsetof(struct net_chip, name), CHIP_CAP, 0, 0, 0, true, NULL},
    {"title", TREE_TEXT, offsetof(struct net_chip, title), TEXT_CAP, 0, 0, 0, false, NULL},
    {"vendor", TREE_NAME, offsetof(struct net_chip, vendor), NAME_CAP, 0, 0, 0, true, NULL},
    {"origin", TREE_CODE, offsetof(struct net_chip, origin), CODE_CAP, 0, 0, 0, true, NULL},
    FIGURE(fp16_tflops, 3, 1, 1000000000),
    FIGURE(fp8_tflops, 3, 1, 1000000000),
    FIGURE(int8_tflops, 3, 1, 1000000000),
    FIGURE(fp16_share, 3, 1, 1000),
    FIGURE(fp8_share, 3, 1, 1000),
    FIGURE(int8_share, 3, 1, 1000),
    FIGURE(memory_gib, 3, 1, 16384000),
    FIGURE(bandwidth_tb_s, 3, 1, 1000000),
    FIGURE(tdp_w, 0, 1, 100000),
    FIGURE(server_share, 3, 1000, 10000),
    FIGURE(idle_share, 3, 0, 1000),
    FIGURE(tpp, 0, 0, 100000000),
    FIGURE(die_mm2, 0, 1, 1000000),
    FIGURE(scale_up, 0, 1, 65536),
    FIGURE(link_gb_s, 0, 1, 1000000),
    {"pci", TREE_NODE, offsetof(struct chip_reading, pci), 0, 0, 0, 0, false, NULL},
    {"pci_shared", TREE_NODE, offsetof(struct chip_reading, pci_shared), 0, 0, 0, 0, false, NULL},
    {"models", TREE_NODE, offsetof(struct chip_reading, models), 0, 0, 0, 0, false, NULL},
};

struct catalogue {
    yaml_node_t *chips;
    yaml_node_t *vendors; /* how jobs are given chips is the engines' to read (engine/chipset.h) */
    struct figure server_share, idle_share;
};

static const struct tree_field catalogue_fields[] = {
    {"chips", TREE_NODE, offsetof(struct catalogue, chips), 0, 0, 0, 0, true, NULL},
    {"vendors", TREE_NODE, offsetof(struct catalogue, vendors), 0, 0, 0, 0, false, NULL},
    {"server_share", TREE_SOURCED, offsetof(struct catalogue, server_share), 0, 3, 1000, 10000, true, NULL},
    {"idle_share", TREE_SOURCED, offsetof(struct catalogue, idle_share), 0, 3, 0, 1000, true, NULL},
};

uint32_t net_find_chip(const struct netfile *nf, const char *name)
{
    for (uint32_t i = 0; i < nf->nchips; i++) {
        if (strcmp(nf->chip[i].name, name) == 0)
            return i;
    }
    return NET_NONE;
}

static void read_chip(struct netfile *nf, const struct at *at, const struct catalogue *catalogue)
{
    struct net_chip *chip = &nf->chip[nf->nchips];
    struct chip_reading r = {.chip = {.where = at_where(at),
                                      .server_share = catalogue->server_share,
                                      .idle_share = catalogue->idle_share}};
    uint32_t given = fields_read(at, chip_fields, COUNT(chip_fields), &r);
    *chip = r.chip;
    fields_require(&chip->where, nf->problems, chip_fields, COUNT(chip_fields), given);
    if (chip->name[0] && net_find_chip(nf, chip->name) != NET_NONE) {
        at_key_problem(at, "name", "a chip of this name is there already");
        return;
    }
    if (!figure_given(chip->tpp) && figure_given(chip->fp16_tflops))
        chip->tpp = (struct figure){(chip->fp16_tflops.v * 16 + 500) / 1000, TIER_DERIVED};
    nf->nchips++;
}

void net_read_chips(struct netfile *nf, const char *file, const char *text, size_t len)
{
    struct tree tree;
    struct catalogue catalogue = {0};
    if (tree_load(&tree, file, text, len, nf->problems)) {
        struct at root = tree_root(&tree);
        struct where where = at_where(&root);
        uint32_t given = fields_read(&root, catalogue_fields, COUNT(catalogue_fields), &catalogue);
        fields_require(&where, nf->problems, catalogue_fields, COUNT(catalogue_fields), given);
        if (catalogue.chips) {
            struct at list = at_child(&root, "chips", catalogue.chips);
            uint32_t n = at_items(&list, NET_CHIPS_MAX);
            for (uint32_t i = 0; i < n; i++) {
                struct at item = at_item(&list, i);
                read_chip(nf, &item, &catalogue);
            }
        }
    }
    tree_fini(&tree);
}

uint32_t net_chip_watts(const struct net_chip *chip)
{
    return (uint32_t)((chip->tdp_w.v * chip->server_share.v + 500) / 1000);
}
