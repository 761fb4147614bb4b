/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: one file after the other, what it stands on first. */
#include "network/netfile.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network/parts.h"

struct top {
    char about[TEXT_CAP];
    char base[PATH_CAP], chips[PATH_CAP];
    yaml_node_t *keep_sites, *drop_sites, *drop_corridors, *prices, *sites, *corridors, *changes,
        *self_supply, *simulate;
};

#define TOP_TEXT(key, cap) \
    { \
#key, TREE_TEXT, offsetof(struct top, key), cap, 0, 0, 0, false, NULL \
    }
#define TOP_LIST(key) \
    { \
#key, TREE_NODE, offsetof(struct top, key), 0, 0, 0, 0, false, NULL \
    }

static const struct tree_field top_fields[] = {
    TOP_TEXT(about, TEXT_CAP), TOP_TEXT(base, PATH_CAP), TOP_TEXT(chips, PATH_CAP), TOP_LIST(keep_sites),
    TOP_LIST(drop_sites),      TOP_LIST(drop_corridors), TOP_LIST(prices),          TOP_LIST(sites),
    TOP_LIST(corridors),       TOP_LIST(changes),        TOP_LIST(self_supply),     TOP_LIST(simulate),
};

static const struct tree_field price_fields[] = {
    {"chip", TREE_NAME, offsetof(struct price_entry, chip), CHIP_CAP, 0, 0, 0, true, NULL},
    {"usd_chip_hour", TREE_NUMBER, offsetof(struct price_entry, usd_chip_hour), 0, 9, 0,
     INT64_C(1000000000000), true, NULL},
};

bool net_path_beside(char dst[FS_PATH_MAX], const char *file, const char *name)
{
    const char *slash = strrchr(file, '/');
    int dir = slash && name[0] != '/' ? (int)(slash - file + 1) : 0;
    int n = snprintf(dst, FS_PATH_MAX, "%.*s%s", dir, file, name);
    return n > 0 && n < FS_PATH_MAX;
}

/* ---- what a file does to the one that it stands on ---- */

/* The sites of a list of names, as marks. */
static void mark_sites(const struct netfile *nf, const struct at *list, bool marks[NET_SITES_MAX])
{
    uint32_t n = at_items(list, NET_SITES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(list, i);
        char name[NAME_CAP];
        if (!at_name(&item, name, sizeof name))
            continue;
        uint32_t site = net_find_site(nf, name);
        if (site == NET_NONE)
            at_problem(&item, "no such site: %s", name);
        else
            marks[site] = true;
    }
}

static void drop_sites(struct netfile *nf, const struct at *root, const struct top *top)
{
    bool keep[NET_SITES_MAX] = {false}, drop[NET_SITES_MAX] = {false};
    if (top->keep_sites) {
        struct at list = at_child(root, "keep_sites", top->keep_sites);
        mark_sites(nf, &list, keep);
    }
    if (top->drop_sites) {
        struct at list = at_child(root, "drop_sites", top->drop_sites);
        mark_sites(nf, &list, drop);
    }
    for (uint32_t i = 0; i < nf->nsites; i++) {
        if (!nf->site[i].draft.dropped && (drop[i] || (top->keep_sites && !keep[i])))
            net_drop_site(nf, i);
    }
}

static void drop_corridor(struct netfile *nf, const struct at *at)
{
    uint32_t site[2] = {NET_NONE, NET_NONE};
    char name[NAME_CAP];
    uint32_t n = at_items(at, 2);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(at, i);
        if (!at_name(&item, name, sizeof name))
            return;
        site[i] = net_find_site(nf, name);
    }
    uint32_t corridor =
        site[0] != NET_NONE && site[1] != NET_NONE ? net_find_corridor(nf, site[0], site[1]) : NET_NONE;
    if (corridor == NET_NONE)
        at_problem(at, "no such corridor; expected the two sites at its ends");
    else
        net_drop_corridor(nf, corridor);
}

static void drop_parts(struct netfile *nf, const struct at *root, const struct top *top)
{
    if (!top->base[0] && (top->keep_sites || top->drop_sites || top->drop_corridors))
        at_problem(root, "keep_sites, drop_sites and drop_corridors need a base");
    if (top->keep_sites || top->drop_sites)
        drop_sites(nf, root, top);
    if (top->drop_corridors) {
        struct at list = at_child(root, "drop_corridors", top->drop_corridors);
        uint32_t n = at_items(&list, NET_CORRIDORS_MAX);
        for (uint32_t i = 0; i < n; i++) {
            struct at item = at_item(&list, i);
            drop_corridor(nf, &item);
        }
    }
}

/* ---- one file ---- */

static void read_prices(struct netfile *nf, const struct at *list, uint32_t file)
{
    uint32_t n = at_items(list, NET_CHIPS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct at item = at_item(list, i);
        struct price_entry price = {.where = at_where(&item), .file = file};
        uint32_t given = fields_read(&item, price_fields, COUNT(price_fields), &price), k = 0;
        fields_require(&price.where, nf->problems, price_fields, COUNT(price_fields), given);
        while (k < nf->nprices && strcmp(nf->price[k].chip, price.chip) != 0)
            k++;
        if (k < nf->nprices && nf->price[k].file == file) {
            at_key_problem(&item, "chip", "has a price in this file already");
        } else if (k == NET_CHIPS_MAX) {
            at_problem(&item, "more than %u prices", NET_CHIPS_MAX);
        } else {
            nf->price[k] = price;
            nf->nprices += k == nf->nprices;
        }
    }
}

static void set_catalogue(struct netfile *nf, const struct at *root, const struct top *top)
{
    if (!top->chips[0])
        return;
    struct at value = at_value(root, "chips");
    nf->catalogue_where = at_where(&value);
    if (!net_path_beside(nf->catalogue, root->tree->file, top->chips))
        at_key_problem(root, "chips", "the path is too long");
}

static void read_lists(struct netfile *nf, const struct at *root, const struct top *top, uint32_t file)
{
    struct at list;
    if (top->prices) {
        list = at_child(root, "prices", top->prices);
        read_prices(nf, &list, file);
    }
    if (top->sites) {
        list = at_child(root, "sites", top->sites);
        net_read_sites(nf, &list, file);
    }
    if (top->corridors) {
        list = at_child(root, "corridors", top->corridors);
        net_read_corridors(nf, &list, file);
    }
    if (top->changes) {
        list = at_child(root, "changes", top->changes);
        net_read_changes(nf, &list);
    }
    if (top->self_supply) {
        list = at_child(root, "self_supply", top->self_supply);
        net_read_goals(nf, &list, file);
    }
    if (top->simulate) {
        list = at_child(root, "simulate", top->simulate);
        net_read_period(nf, &list);
    }
}

static int read_file(struct netfile *nf, const char *path, const struct at *from, const char *key);

static int read_base(struct netfile *nf, const struct at *root, const char *base, uint32_t file)
{
    char path[FS_PATH_MAX];
    bool few = file < NET_BASES_MAX, fits = net_path_beside(path, root->tree->file, base);
    if (few && fits)
        return read_file(nf, path, root, "base");
    if (!few)
        at_key_problem(root, "base", "more than %u files under a file", NET_BASES_MAX);
    else
        at_key_problem(root, "base", "the path is too long");
    nf->unread = true;
    return 0;
}

static int read_tree(struct netfile *nf, struct tree *tree, uint32_t file)
{
    struct top top = {.about = ""};
    struct at root = tree_root(tree);
    (void)fields_read(&root, top_fields, COUNT(top_fields), &top);
    if (top.base[0]) {
        int rc = read_base(nf, &root, top.base, file);
        if (rc != 0 || nf->unread)
            return rc;
    }
    if (top.about[0])
        memcpy(nf->about, top.about, sizeof nf->about);
    drop_parts(nf, &root, &top);
    set_catalogue(nf, &root, &top);
    read_lists(nf, &root, &top, file);
    return 0;
}

/* `from` names the file under `key`; NULL: the caller of netfile_load does. */
static int read_file(struct netfile *nf, const char *path, const struct at *from, const char *key)
{
    struct buf text;
    struct tree tree;
    struct err err = {0};
    uint32_t file = nf->nfiles++;
    (void)snprintf(nf->file[file], sizeof nf->file[file], "%s", path);
    buf_init(&text, TREE_BYTES_MAX);
    int rc = nf->read(nf->read_ctx, path, &text, &err);
    if (rc != 0 && from) {
        at_key_problem(from, key, "%s", err.msg);
        nf->unread = true;
        rc = 0;
    } else if (rc != 0) {
        problems_add(nf->problems, path, 0, "", "%s", err.msg);
    } else {
        if (tree_load(&tree, nf->file[file], text.data ? text.data : "", text.len, nf->problems))
            rc = read_tree(nf, &tree, file);
        else
            nf->unread = true;
        tree_fini(&tree);
    }
    buf_fini(&text);
    return rc;
}

static void read_catalogue(struct netfile *nf)
{
    struct buf text;
    struct err err = {0};
    uint32_t file = nf->nfiles++;
    if (!nf->catalogue[0]) {
        problems_add(nf->problems, nf->file[0], 0, "chips", "is missing: the file with the chip kinds");
        return;
    }
    memcpy(nf->file[file], nf->catalogue, sizeof nf->file[file]);
    buf_init(&text, TREE_BYTES_MAX);
    if (nf->read(nf->read_ctx, nf->catalogue, &text, &err) != 0)
        where_problem(&nf->catalogue_where, nf->problems, "", "%s", err.msg);
    else
        net_read_chips(nf, nf->file[file], text.data ? text.data : "", text.len);
    buf_fini(&text);
}

int netfile_load_with(struct netfile **out, const char *path, netfile_read_fn *read, void *ctx,
                      struct problems *problems)
{
    *out = NULL;
    struct netfile *nf = calloc(1, sizeof *nf);
    if (!nf)
        return ERR_NO_MEMORY;
    nf->read = read;
    nf->read_ctx = ctx;
    nf->problems = problems;
    int rc = read_file(nf, path, NULL, "");
    if (rc == 0 && !nf->unread) {
        read_catalogue(nf);
        rc = net_finish(nf);
    }
    if (rc == 0 && !problems_none(problems))
        rc = ERR_INVALID;
    problems_sort(problems);
    nf->problems = NULL;
    if (rc == 0)
        *out = nf;
    else
        netfile_free(nf);
    return rc;
}

static int read_disk(void *ctx, const char *path, struct buf *out, struct err *err)
{
    (void)ctx;
    return fs_read(path, out, err);
}

int netfile_load(struct netfile **out, const char *path, struct problems *problems)
{
    return netfile_load_with(out, path, read_disk, NULL, problems);
}

int netfile_load_chips(struct netfile **out, const char *path, struct problems *problems)
{
    *out = NULL;
    struct netfile *nf = calloc(1, sizeof *nf);
    if (!nf)
        return ERR_NO_MEMORY;
    nf->read = read_disk;
    nf->problems = problems;
    (void)snprintf(nf->catalogue, sizeof nf->catalogue, "%s", path);
    read_catalogue(nf);
    nf->problems = NULL;
    if (problems_none(problems)) {
        *out = nf;
        return 0;
    }
    netfile_free(nf);
    return ERR_INVALID;
}

void netfile_free(struct netfile *nf)
{
    if (!nf)
        return;
    for (uint32_t i = 0; i < NET_SITES_MAX; i++)
        free(nf->profile[i]);
    free(nf->dated);
    free(nf);
}
