/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/chipset.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

#define CHIPSET_MAX ((size_t)1 << 20)

struct chip_entry {
    char *name;
    char *vendor;
    char *tdp_w; /* "400 vendor, data sheet" */
};

struct vendor_entry {
    char *name;
    char *visible;
    char **devices;
    unsigned devices_count;
    char **shared;
    unsigned shared_count;
};

struct chipset {
    struct chip_entry *chips;
    unsigned chips_count;
    struct vendor_entry *vendors;
    unsigned vendors_count;
};

static const cyaml_schema_value_t text_value = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 255)};

static const cyaml_schema_field_t chip_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct chip_entry, name, 1, 31),
    CYAML_FIELD_STRING_PTR("vendor", CYAML_FLAG_POINTER, struct chip_entry, vendor, 1, 63),
    CYAML_FIELD_STRING_PTR("tdp_w", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct chip_entry, tdp_w, 1,
                           1023),
    CYAML_FIELD_END,
};

#define TEXTS(key) \
    CYAML_FIELD_SEQUENCE(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct vendor_entry, key, \
                         &text_value, 0, 16)

static const cyaml_schema_field_t vendor_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct vendor_entry, name, 1, 63),
    CYAML_FIELD_STRING_PTR("visible", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct vendor_entry, visible,
                           1, 63),
    TEXTS(devices),
    TEXTS(shared),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t chip_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct chip_entry, chip_fields)};
static const cyaml_schema_value_t vendor_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct vendor_entry, vendor_fields)};

static const cyaml_schema_field_t top_fields[] = {
    CYAML_FIELD_SEQUENCE("chips", CYAML_FLAG_POINTER, struct chipset, chips, &chip_value, 1, 256),
    CYAML_FIELD_SEQUENCE("vendors", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct chipset, vendors,
                         &vendor_value, 0, 256),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct chipset, top_fields)};

/* The rest of the catalogue is the network's to read. */
static const cyaml_config_t config = {.mem_fn = cyaml_mem,
                                      .log_level = CYAML_LOG_ERROR,
                                      .flags = CYAML_CFG_NO_ALIAS | CYAML_CFG_IGNORE_UNKNOWN_KEYS};

int chipset_parse(struct chipset **out, const char *text, size_t len, const char *name, struct err *err)
{
    *out = NULL;
    cyaml_err_t rc =
        cyaml_load_data((const uint8_t *)text, len, &config, &top_value, (cyaml_data_t **)out, NULL);
    if (rc != CYAML_OK)
        return err_set(err, ERR_INVALID, "%s: %s", name, cyaml_strerror(rc));
    return *out ? 0 : err_set(err, ERR_INVALID, "%s: is empty", name);
}

int chipset_load(struct chipset **out, const char *path, struct err *err)
{
    struct buf text;
    *out = NULL;
    buf_init(&text, CHIPSET_MAX);
    int rc = fs_read(path, &text, err);
    if (rc == 0)
        rc = chipset_parse(out, text.data ? text.data : "", text.len, path, err);
    buf_fini(&text);
    return rc;
}

void chipset_free(struct chipset *chipset)
{
    (void)cyaml_free(&config, &top_value, chipset, 0);
}

static const struct chip_entry *find_chip(const struct chipset *c, const char *kind)
{
    for (unsigned i = 0; i < c->chips_count; i++) {
        if (strcmp(c->chips[i].name, kind) == 0)
            return &c->chips[i];
    }
    return NULL;
}

static const struct vendor_entry *find_vendor(const struct chipset *c, const char *name)
{
    for (unsigned i = 0; i < c->vendors_count; i++) {
        if (strcmp(c->vendors[i].name, name) == 0)
            return &c->vendors[i];
    }
    return NULL;
}

bool chipset_has(const struct chipset *chipset, const char *kind)
{
    return find_chip(chipset, kind) != NULL;
}

/* "/dev/nvidia{}" and 3: "/dev/nvidia3"; "{128}" counts from there. */
static char *device_of(const char *pattern, uint32_t index)
{
    char *text = NULL;
    const char *open = strchr(pattern, '{'), *close = open ? strchr(open, '}') : NULL;
    if (!close)
        return strdup(pattern);
    unsigned long first = strtoul(open + 1, NULL, 10);
    if (asprintf(&text, "%.*s%lu%s", (int)(open - pattern), pattern, first + index, close + 1) < 0)
        return NULL;
    return text;
}

static int fill_devices(const struct vendor_entry *v, struct job_chips *c)
{
    size_t most = (size_t)c->index_count * v->devices_count + v->shared_count;
    if (most == 0 || c->index_count == 0)
        return 0;
    c->devices = calloc(most + 1, sizeof(char *));
    if (!c->devices)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < c->index_count; i++) {
        for (unsigned k = 0; k < v->devices_count; k++)
            c->devices[c->devices_count++] = device_of(v->devices[k], c->index[i]);
    }
    for (unsigned k = 0; k < v->shared_count; k++)
        c->devices[c->devices_count++] = strdup(v->shared[k]);
    for (uint32_t i = 0; i < c->devices_count; i++) {
        if (!c->devices[i])
            return ERR_NO_MEMORY;
    }
    return 0;
}

int chipset_fill(const struct chipset *chipset, struct job_chips *c, struct err *err)
{
    const struct chip_entry *chip = find_chip(chipset, c->kind);
    const struct vendor_entry *vendor = chip ? find_vendor(chipset, chip->vendor) : NULL;
    if (!chip)
        return err_set(err, ERR_NOT_FOUND, "no chip `%s` in the catalogue", c->kind);
    for (uint32_t i = 0; i < c->devices_count; i++)
        free(c->devices[i]);
    free(c->devices);
    free(c->visible);
    c->devices = NULL;
    c->devices_count = 0;
    c->visible = NULL;
    c->watts = chip->tdp_w ? (uint32_t)strtoul(chip->tdp_w, NULL, 10) : 0;
    if (vendor && vendor->visible && !(c->visible = strdup(vendor->visible)))
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int rc = vendor ? fill_devices(vendor, c) : 0;
    return rc ? err_set(err, rc, "out of memory") : 0;
}
