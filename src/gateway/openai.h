/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenAI surface as data: what a request asks for, what the engine is sent, what an error looks like.
 *
 * openai_parse reads the members that the gateway itself must understand; openai_rewrite makes the engine's body from
 * the parsed document: known fields as they are, the fields that set a length or the streaming as the gateway wants
 * them, nothing else. So a member can never mean one thing here and another in the engine.
 */
#ifndef BUSBAR_GATEWAY_OPENAI_H
#define BUSBAR_GATEWAY_OPENAI_H

#include "core/money.h"
#include "engine/spec.h"
#include "net/json.h"

struct openai_request {
    enum engine_surface surface;
    yyjson_doc *doc;
    const char *model; /* in doc */
    size_t model_len;
    bool stream;
    bool include_usage;  /* the client asked for it */
    uint32_t n;          /* answers */
    uint32_t max_tokens; /* 0: not given */
    uint32_t items;      /* inputs, prompts or documents */
    size_t text_bytes;   /* of the body: an upper bound on the tokens of the text in it */
    uint64_t prefix_hash;
    const char *param; /* of an error: the member at fault; static or in doc */
};

/* ERR_INVALID with words and request->param. openai_request_fini in any case. */
int openai_parse(struct openai_request *request, enum engine_surface surface, const char *body, size_t len,
                 struct err *err);
void openai_request_fini(struct openai_request *request);

/* Greatest number of tokens the request can be billed for, before it is run. `context`: tokens of one slot. */
struct tokens openai_worst(const struct openai_request *request, uint32_t context, uint32_t *max_tokens);

/* Appends the engine's body. ERR_INVALID, naming the field, when the engine must not be given it. */
int openai_rewrite(struct openai_request *request, const struct engine_spec *engine,
                   const char *upstream_model, uint32_t max_tokens, struct buf *out, struct err *err);

const char *openai_path(enum engine_surface surface); /* at the engine */

/* {"error":{"message","type","param","code"}}; `code` NULL: made from the status. */
void openai_error(struct buf *out, int status, const char *message, const char *param, const char *code);
/* OpenAI's code for one of our errors, e.g. "insufficient_quota". */
const char *openai_code(int err_code);

/* What an answer or a chunk says of itself. */
struct openai_usage {
    bool present;
    struct tokens tokens;
};
struct openai_usage openai_usage(yyjson_val *root);
/* No more than the request may be billed, and no part above its whole. */
void openai_clamp(struct tokens *tokens, const struct tokens *worst);

/* What of an engine's object the client shall not see as it is. `timings`, which only we asked for, always goes. */
struct openai_veil {
    const char *model;          /* our name for it; NULL: as it is */
    bool drop_usage;            /* the client did not ask for it */
    const struct tokens *usage; /* the right counts, where the engine's are not; NULL: as it is */
};
bool openai_veiled(yyjson_val *root, const struct openai_veil *veil);
void openai_add_veiled(struct buf *out, yyjson_val *root, const struct openai_veil *veil);

#endif
