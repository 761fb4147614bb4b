/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine specifications, from data/engines.yaml: how an engine is started, asked whether it is well, and which fields
 * of a request it is given.
 *
 * A request field that is neither the gateway's own nor on the list of the surface is refused, or dropped if the
 * engine's entry says so: no field that we do not know may change what an answer costs. Loaded once at the start and
 * never changed, so all threads may read.
 */
#ifndef BUSBAR_ENGINE_SPEC_H
#define BUSBAR_ENGINE_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* How tokens of a stream are counted. */
enum engine_count {
    ENGINE_COUNT_TIMINGS, /* each chunk carries llama.cpp's `timings` when asked with timings_per_token */
    ENGINE_COUNT_USAGE,   /* each chunk carries `usage` when asked with continuous_usage_stats */
    ENGINE_COUNT_CHUNKS,  /* one token a chunk until the final usage says it exactly */
};

enum engine_surface { SURFACE_CHAT, SURFACE_COMPLETION, SURFACE_EMBEDDING, SURFACE_RERANK, SURFACES };

struct engine_spec {
    char *name;
    char *
        binary; /* looked for on PATH and beside; "{self}": our own; empty: nothing to start, the location is a URL */
    char **argv;
    unsigned argv_count;
    char **env;
    unsigned env_count;
    char *health;
    char *metrics;
    char
        *version; /* where the engine tells its version, as `version_field` of a JSON object; NULL: nowhere */
    char *version_field;
    enum engine_count count;
    /* Further arguments by kind of model. */
    char **args_embedding;
    unsigned args_embedding_count;
    char **args_rerank;
    unsigned args_rerank_count;
    /* Fields forwarded, by surface, and fields dropped without a word. */
    char **chat;
    unsigned chat_count;
    char **completion;
    unsigned completion_count;
    char **embedding;
    unsigned embedding_count;
    char **rerank;
    unsigned rerank_count;
    char **drop;
    unsigned drop_count;
};

struct engine_specs {
    struct engine_spec *engines;
    unsigned engines_count;
};

/* ERR_INVALID or ERR_NOT_FOUND with words. */
int engine_specs_load(struct engine_specs **out, const char *path, struct err *err);
/* The same from text; `name` is for messages. */
int engine_specs_parse(struct engine_specs **out, const char *text, size_t len, const char *name,
                       struct err *err);
void engine_specs_free(struct engine_specs *specs);
const struct engine_spec *engine_spec_named(const struct engine_specs *specs, const char *name);

enum field_rule { FIELD_FORWARD, FIELD_DROP, FIELD_REFUSE };
enum field_rule engine_field(const struct engine_spec *spec, enum engine_surface surface, const char *name,
                             size_t len);

#endif
