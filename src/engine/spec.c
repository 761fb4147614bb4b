/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/spec.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"

#define SPECS_MAX ((size_t)1 << 20)

static const cyaml_schema_value_t text_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 1024),
};

static const cyaml_strval_t count_names[] = {
    {"timings", ENGINE_COUNT_TIMINGS},
    {"usage", ENGINE_COUNT_USAGE},
    {"chunks", ENGINE_COUNT_CHUNKS},
};

#define TEXTS(key, member) \
    CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct engine_spec, member, \
                         &text_value, 0, 256)

static const cyaml_schema_field_t engine_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct engine_spec, name, 1, 63),
    CYAML_FIELD_STRING_PTR("binary", CYAML_FLAG_POINTER, struct engine_spec, binary, 0, 255),
    TEXTS("argv", argv),
    TEXTS("env", env),
    CYAML_FIELD_STRING_PTR("health", CYAML_FLAG_POINTER, struct engine_spec, health, 1, 255),
    CYAML_FIELD_STRING_PTR("metrics", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct engine_spec, metrics,
                           0, 255),
    CYAML_FIELD_STRING_PTR("version", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct engine_spec, version,
                           1, 255),
    CYAML_FIELD_STRING_PTR("version_field", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct engine_spec,
                           version_field, 1, 63),
    CYAML_FIELD_ENUM("count", CYAML_FLAG_DEFAULT, struct engine_spec, count, count_names,
                     CYAML_ARRAY_LEN(count_names)),
    TEXTS("args_embedding", args_embedding),
    TEXTS("args_rerank", args_rerank),
    TEXTS("chat", chat),
    TEXTS("completion", completion),
    TEXTS("embedding", embedding),
    TEXTS("rerank", rerank),
    TEXTS("drop", drop),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t engine_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct engine_spec, engine_fields),
};

static const cyaml_schema_field_t top_fields[] = {
    CYAML_FIELD_SEQUENCE("engines", CYAML_FLAG_POINTER, struct engine_specs, engines, &engine_value, 1, 256),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t top_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct engine_specs, top_fields),
};

/* libcyaml reports through a log function; its last line says what was wrong and where. */
struct yaml_log {
    char last[160];
};

__attribute__((format(printf, 3, 0))) static void on_yaml_log(cyaml_log_t level, void *ctx, const char *fmt,
                                                              va_list args)
{
    struct yaml_log *log = ctx;
    if (level >= CYAML_LOG_ERROR)
        (void)vsnprintf(log->last, sizeof log->last, fmt, args);
    log->last[strcspn(log->last, "\n")] = 0;
}

int engine_specs_parse(struct engine_specs **out, const char *text, size_t len, const char *name,
                       struct err *err)
{
    struct yaml_log log = {{0}};
    cyaml_config_t config = {.log_fn = on_yaml_log,
                             .log_ctx = &log,
                             .mem_fn = cyaml_mem,
                             .log_level = CYAML_LOG_ERROR,
                             .flags = CYAML_CFG_NO_ALIAS};
    *out = NULL;
    cyaml_err_t rc =
        cyaml_load_data((const uint8_t *)text, len, &config, &top_value, (cyaml_data_t **)out, NULL);
    if (rc != CYAML_OK)
        return err_set(err, ERR_INVALID, "%s: %s %s", name, cyaml_strerror(rc), log.last);
    if (!*out) /* libcyaml takes an empty document for an absent value */
        return err_set(err, ERR_INVALID, "%s: is empty", name);
    return 0;
}

int engine_specs_load(struct engine_specs **out, const char *path, struct err *err)
{
    struct buf text;
    buf_init(&text, SPECS_MAX);
    int rc = fs_read(path, &text, err);
    if (rc == 0)
        rc = engine_specs_parse(out, text.data ? text.data : "", text.len, path, err);
    buf_fini(&text);
    return rc;
}

void engine_specs_free(struct engine_specs *specs)
{
    cyaml_config_t config = {.mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};
    (void)cyaml_free(&config, &top_value, specs, 0);
}

const struct engine_spec *engine_spec_named(const struct engine_specs *specs, const char *name)
{
    for (unsigned i = 0; i < specs->engines_count; i++) {
        if (strcmp(specs->engines[i].name, name) == 0)
            return &specs->engines[i];
    }
    return NULL;
}

static bool listed(char *const *list, unsigned n, const char *name, size_t len)
{
    for (unsigned i = 0; i < n; i++) {
        if (strncmp(list[i], name, len) == 0 && list[i][len] == 0)
            return true;
    }
    return false;
}

enum field_rule engine_field(const struct engine_spec *spec, enum engine_surface surface, const char *name,
                             size_t len)
{
    static const struct {
        size_t list, count;
    } surfaces[SURFACES] = {
        [SURFACE_CHAT] = {offsetof(struct engine_spec, chat), offsetof(struct engine_spec, chat_count)},
        [SURFACE_COMPLETION] = {offsetof(struct engine_spec, completion),
                                offsetof(struct engine_spec, completion_count)},
        [SURFACE_EMBEDDING] = {offsetof(struct engine_spec, embedding),
                               offsetof(struct engine_spec, embedding_count)},
        [SURFACE_RERANK] = {offsetof(struct engine_spec, rerank), offsetof(struct engine_spec, rerank_count)},
    };
    const char *base = (const char *)spec;
    char *const *list = *(char **const *)(const void *)(base + surfaces[surface].list);
    unsigned n = *(const unsigned *)(const void *)(base + surfaces[surface].count);
    if (listed(list, n, name, len))
        return FIELD_FORWARD;
    return listed(spec->drop, spec->drop_count, name, len) ? FIELD_DROP : FIELD_REFUSE;
}
