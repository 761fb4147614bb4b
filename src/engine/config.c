/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "engine/workdir.h"

#define CONFIG_MAX ((size_t)1 << 20)

static const cyaml_schema_value_t text_value = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 1023)};
static const cyaml_schema_value_t index_value = {CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t)};

#define OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define TEXT(key, type, max) CYAML_FIELD_STRING_PTR(#key, OPTIONAL, struct type, key, 1, max)
#define TEXTS(key, type, max) CYAML_FIELD_SEQUENCE(#key, OPTIONAL, struct type, key, &text_value, 0, max)

static const cyaml_schema_field_t chips_fields[] = {
    CYAML_FIELD_STRING_PTR("chip", CYAML_FLAG_POINTER, struct engine_chips, chip, 1, 31),
    CYAML_FIELD_UINT("count", CYAML_FLAG_OPTIONAL, struct engine_chips, count),
    CYAML_FIELD_SEQUENCE("indices", OPTIONAL, struct engine_chips, indices, &index_value, 1, JOB_INDICES_MAX),
    TEXTS(cores, engine_chips, JOB_INDICES_MAX),
    TEXT(gres, engine_chips, 127),
    TEXTS(partitions, engine_chips, 64),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t chips_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct engine_chips, chips_fields)};

static const cyaml_strval_t engine_names[] = {{"local", ENGINE_KIND_LOCAL}, {"slurm", ENGINE_KIND_SLURM}};
static const cyaml_strval_t isolation_names[] = {
#define I(name, number, text) {text, ISOLATION_##name + 1},
    ISOLATIONS(I)
#undef I
};

static const cyaml_schema_field_t top_fields[] = {
    CYAML_FIELD_ENUM("engine", CYAML_FLAG_DEFAULT, struct engine_config, engine, engine_names,
                     CYAML_ARRAY_LEN(engine_names)),
    CYAML_FIELD_STRING_PTR("work", CYAML_FLAG_POINTER, struct engine_config, work, 1, WORKDIR_FILE_MAX),
    TEXT(program, engine_config, FS_PATH_MAX - 1),
    TEXT(catalogue, engine_config, FS_PATH_MAX - 1),
    CYAML_FIELD_SEQUENCE("chips", OPTIONAL, struct engine_config, chips, &chips_value, 0, 256),
    TEXTS(binds, engine_config, JOB_BINDS_MAX / 2),
    TEXT(cgroup, engine_config, FS_PATH_MAX - 1),
    TEXT(bin, engine_config, FS_PATH_MAX - 64),
    TEXTS(accounts, engine_config, 64),
    TEXTS(partitions, engine_config, 64),
    CYAML_FIELD_UINT("command_ms", CYAML_FLAG_OPTIONAL, struct engine_config, command_ms),
    CYAML_FIELD_ENUM("isolation", CYAML_FLAG_OPTIONAL, struct engine_config, isolation, isolation_names,
                     CYAML_ARRAY_LEN(isolation_names)),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct engine_config, top_fields)};

static const cyaml_config_t yaml = {
    .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR, .flags = CYAML_CFG_NO_ALIAS};

uint32_t engine_cores_parse(const char *text, uint32_t *cores, uint32_t max)
{
    uint32_t n = 0;
    while (*text) {
        size_t len = strcspn(text, ","), dash = strcspn(text, ",-");
        uint64_t first, last;
        if (!u64_parse(text, dash, JOB_CORES_MAX - 1, &first))
            return 0;
        last = first;
        if (dash < len && !u64_parse(text + dash + 1, len - dash - 1, JOB_CORES_MAX - 1, &last))
            return 0;
        for (; first <= last; first++) {
            if (n == max)
                return 0;
            cores[n++] = (uint32_t)first;
        }
        text += len;
        if (*text == ',' && *++text == 0)
            return 0;
    }
    return n;
}

static int check_chips(const struct engine_chips *c, const char *name, struct err *err)
{
    uint32_t cores[JOB_CORES_MAX];
    if ((c->count != 0) + (c->indices_count != 0) + (c->cores_count != 0) > 1)
        return err_set(err, ERR_INVALID, "%s: %s: one of count, indices and cores", name, c->chip);
    if (c->count > JOB_INDICES_MAX)
        return err_set(err, ERR_INVALID, "%s: %s: more than %d chips", name, c->chip, JOB_INDICES_MAX);
    for (unsigned i = 0; i < c->cores_count; i++) {
        if (engine_cores_parse(c->cores[i], cores, JOB_CORES_MAX) == 0)
            return err_set(err, ERR_INVALID, "%s: %s: `%s` is not a list of cores", name, c->chip,
                           c->cores[i]);
    }
    return 0;
}

static int check(const struct engine_config *c, const char *name, struct err *err)
{
    if (c->work[0] != '/' || (c->program && c->program[0] != '/') || (c->bin && c->bin[0] != '/'))
        return err_set(err, ERR_INVALID, "%s: work, program and bin begin with /", name);
    for (unsigned i = 0; i < c->binds_count; i++) {
        if (c->binds[i][0] != '/')
            return err_set(err, ERR_INVALID, "%s: binds begin with /", name);
    }
    for (unsigned i = 0; i < c->chips_count; i++) {
        int rc = check_chips(&c->chips[i], name, err);
        if (rc != 0)
            return rc;
        for (unsigned k = 0; k < i; k++) {
            if (strcmp(c->chips[i].chip, c->chips[k].chip) == 0)
                return err_set(err, ERR_INVALID, "%s: %s twice", name, c->chips[i].chip);
        }
    }
    return 0;
}

int engine_config_parse(struct engine_config **out, const char *text, size_t len, const char *name,
                        struct err *err)
{
    *out = NULL;
    cyaml_err_t rc =
        cyaml_load_data((const uint8_t *)text, len, &yaml, &top_value, (cyaml_data_t **)out, NULL);
    if (rc != CYAML_OK)
        return err_set(err, ERR_INVALID, "%s: %s", name, cyaml_strerror(rc));
    if (!*out)
        return err_set(err, ERR_INVALID, "%s: is empty", name);
    int bad = check(*out, name, err);
    if (bad != 0) {
        engine_config_free(*out);
        *out = NULL;
    }
    return bad;
}

static int load_catalogue(struct engine_config *c, struct err *err)
{
    char share[FS_PATH_MAX], path[FS_PATH_MAX];
    if (!c->catalogue && (!fs_share(share) || !fs_join(path, share, "chips.yaml")))
        return err_set(err, ERR_NOT_FOUND, "the catalogue of chips is not beside the program");
    int rc = chipset_load(&c->chipset, c->catalogue ? c->catalogue : path, err);
    for (unsigned i = 0; rc == 0 && i < c->chips_count; i++) {
        if (!chipset_has(c->chipset, c->chips[i].chip))
            rc = err_set(err, ERR_NOT_FOUND, "no chip `%s` in the catalogue", c->chips[i].chip);
    }
    return rc;
}

int engine_config_load(struct engine_config **out, const char *path, struct err *err)
{
    struct buf text;
    *out = NULL;
    buf_init(&text, CONFIG_MAX);
    int rc = fs_read(path, &text, err);
    if (rc == 0)
        rc = engine_config_parse(out, text.data ? text.data : "", text.len, path, err);
    if (rc == 0 && (rc = load_catalogue(*out, err)) != 0) {
        engine_config_free(*out);
        *out = NULL;
    }
    buf_fini(&text);
    return rc;
}

void engine_config_free(struct engine_config *config)
{
    if (!config)
        return;
    if (config->chipset)
        chipset_free(config->chipset);
    (void)cyaml_free(&yaml, &top_value, config, 0);
}

const struct engine_chips *engine_config_chips(const struct engine_config *config, const char *chip)
{
    for (unsigned i = 0; i < config->chips_count; i++) {
        if (strcmp(config->chips[i].chip, chip) == 0)
            return &config->chips[i];
    }
    return NULL;
}
