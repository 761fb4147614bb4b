/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds by ids and names, from data/chips.yaml: there because an operator adds a kind there, and its ids are a fact of it like its
 * memory. A chip is of a kind only where that is sure: `pci` are ids that no other kind has, `pci_shared` those that others have too,
 * so that the tool must have told one of `models`; a kind with neither goes by its maker and `models`.
 */
#include <ctype.h>
#include <cyaml/cyaml.h>
#include <string.h>
#include <strings.h>

#include "probe/parts.h"

#define KINDS_FILE_MAX ((size_t)1 << 20)

struct kind {
    char *name, *vendor;
    char **pci;
    unsigned pci_count;
    char **pci_shared;
    unsigned pci_shared_count;
    char **models;
    unsigned models_count;
};

struct kinds {
    struct kind *chips;
    unsigned chips_count;
};

static const cyaml_schema_value_t text_value = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 63)};

#define TEXTS(key) \
    CYAML_FIELD_SEQUENCE(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct kind, key, &text_value, 0, 64)

static const cyaml_schema_field_t kind_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct kind, name, 1, 31),
    CYAML_FIELD_STRING_PTR("vendor", CYAML_FLAG_POINTER, struct kind, vendor, 1, 63),
    TEXTS(pci),
    TEXTS(pci_shared),
    TEXTS(models),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t kind_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct kind, kind_fields)};

static const cyaml_schema_field_t top_fields[] = {
    CYAML_FIELD_SEQUENCE("chips", CYAML_FLAG_POINTER, struct kinds, chips, &kind_value, 1, 256),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct kinds, top_fields)};

static const cyaml_config_t config = {.mem_fn = cyaml_mem,
                                      .log_level = CYAML_LOG_ERROR,
                                      .flags = CYAML_CFG_NO_ALIAS | CYAML_CFG_IGNORE_UNKNOWN_KEYS};

struct kinds *kinds_load(const char *path)
{
    struct kinds *kinds = NULL;
    struct buf text;
    buf_init(&text, KINDS_FILE_MAX);
    if (fs_read(path, &text, NULL) == 0 && text.len > 0)
        (void)cyaml_load_data((const uint8_t *)text.data, text.len, &config, &top_value,
                              (cyaml_data_t **)&kinds, NULL);
    buf_fini(&text);
    return kinds;
}

void kinds_free(struct kinds *kinds)
{
    (void)cyaml_free(&config, &top_value, kinds, 0);
}

static bool has_id(char *const *list, unsigned n, const char *id)
{
    for (unsigned i = 0; i < n; i++) {
        if (strcasecmp(list[i], id) == 0)
            return true;
    }
    return false;
}

/* As whole words: "910B2" is in "Ascend 910B2" and not in "910B2C". */
static bool names(const struct kind *k, const char *model)
{
    for (unsigned i = 0; i < k->models_count; i++) {
        size_t n = strlen(k->models[i]);
        for (const char *at = model; (at = strcasestr(at, k->models[i])); at++) {
            if ((at == model || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[n]))
                return true;
        }
    }
    return false;
}

static bool is_kind(const struct kind *k, const struct probe_chip *c)
{
    if (strcmp(k->vendor, c->vendor) != 0)
        return false;
    bool named = names(k, c->model);
    if (has_id(k->pci, k->pci_count, c->id))
        return named || !c->model[0] || k->models_count == 0;
    bool shared = has_id(k->pci_shared, k->pci_shared_count, c->id);
    return named && (shared || (k->pci_count == 0 && k->pci_shared_count == 0));
}

const char *kinds_find(const struct kinds *kinds, const struct probe_chip *chip)
{
    const char *found = "";
    for (unsigned i = 0; i < kinds->chips_count; i++) {
        if (!is_kind(&kinds->chips[i], chip))
            continue;
        if (found[0])
            return ""; /* two kinds claim it: neither is sure */
        found = kinds->chips[i].name;
    }
    return found;
}
