/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recalls of weights (docs/serving.md). Core stops what serves them and says when the last replica was gone; here they are asked for,
 * lifted and listed.
 */
#include <string.h>

#include "base/osrandom.h"
#include "hub/api.h"

/* "sha256:" before the digits may be left out. */
static int read_digest(struct api_call *call, const char *text, uint8_t digest[DIGEST_BYTES])
{
    if (strncmp(text, "sha256:", 7) == 0)
        text += 7;
    return hex_decode(digest, DIGEST_BYTES, text, strlen(text))
               ? 0
               : err_set(&call->err, ERR_INVALID, "digest: must be 64 hexadecimal digits, the SHA-256");
}

/* Replicas of these weights that are not gone, as far as core knows. */
static uint32_t count_replicas(const struct core *core, const struct row_recall *recall)
{
    const struct row_replica *row;
    uint32_t n = 0;
    for (uint32_t pos = 0; (row = view_replica_at(core, &pos)) != NULL;) {
        const struct row_variant *variant = view_variant(core, &row->variant);
        n += variant && memcmp(variant->digest, recall->digest, DIGEST_BYTES) == 0;
    }
    return n;
}

/* The names that the weights go by here. */
static void add_models(struct buf *out, const struct core *core, const struct row_recall *recall)
{
    const struct row_variant *row;
    const char *sep = "";
    buf_add_text(out, ",\"models\":[");
    for (uint32_t pos = 0; (row = view_variant_at(core, &pos)) != NULL;) {
        const struct row_model *model = view_model(core, &row->model);
        if (!model || memcmp(row->digest, recall->digest, DIGEST_BYTES) != 0)
            continue;
        buf_add_text(out, sep);
        buf_add_json(out, model->name, text_len(model->name, NAME_CAP));
        sep = ",";
    }
    buf_add_char(out, ']');
}

static void render(struct buf *out, const struct core *core, const struct row_recall *row)
{
    char digest[2 * DIGEST_BYTES + 1], id[UUID_TEXT_LEN + 1];
    hex_encode(digest, row->digest, DIGEST_BYTES);
    uuid_format(id, &row->id);
    buf_addf(out, "{\"id\":\"%s\",\"digest\":\"%s\"", id, digest);
    add_text(out, "reason", row->reason, sizeof row->reason);
    add_models(out, core, row);
    add_time(out, "asked", row->asked_ms);
    add_time(out, "gone", row->gone_ms);
    add_time(out, "lifted", row->lifted_ms);
    buf_addf(out, ",\"replicas\":%u}", row->lifted_ms ? 0 : count_replicas(core, row));
}

static int list(struct api_call *call, const struct core *core)
{
    const struct row_recall *row;
    const char *sep = "";
    buf_add_text(&call->out, "{\"data\":[");
    for (uint32_t pos = 0; (row = view_recall_at(core, &pos)) != NULL;) {
        buf_add_text(&call->out, sep);
        sep = ",";
        render(&call->out, core, row);
    }
    page_end_after(&call->out, NULL);
    return 0;
}

static int show_id(struct api_call *call, const struct core *core)
{
    const struct row_recall *row;
    for (uint32_t pos = 0; (row = view_recall_at(core, &pos)) != NULL;) {
        if (uuid_eq(&row->id, &call->id))
            render(&call->out, core, row);
    }
    return 0;
}

static int add_parse(struct api_call *call)
{
    static const char *const members[] = {"digest", "reason", NULL};
    struct event_model_recall *e = &call->events[0].u.model_recall;
    char digest[80] = "";
    call->events[0].kind = EVENT_KIND_model_recall;
    call->nevents = 1;
    call->id = e->recall = uuid_new();
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_text(call, "digest", true, digest, sizeof digest);
    if (rc == 0)
        rc = body_text(call, "reason", true, e->reason, sizeof e->reason);
    if (rc == 0)
        rc = read_digest(call, digest, e->digest);
    for (const char *p = e->reason; rc == 0 && *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            rc = err_set(&call->err, ERR_INVALID, "reason: must be one line");
    }
    if (rc == 0 && e->reason[0] == 0)
        rc = err_set(&call->err, ERR_INVALID, "reason: must not be empty");
    return rc;
}

/* The one in force; NULL: there is none. */
static const struct row_recall *in_force(const struct core *core, const uint8_t digest[DIGEST_BYTES])
{
    const struct row_recall *row;
    for (uint32_t pos = 0; (row = view_recall_at(core, &pos)) != NULL;) {
        if (row->lifted_ms == 0 && memcmp(row->digest, digest, DIGEST_BYTES) == 0)
            return row;
    }
    return NULL;
}

static int add_prepare(struct api_call *call, const struct core *core)
{
    return in_force(core, call->events[0].u.model_recall.digest)
               ? err_set(&call->err, ERR_EXISTS, "These weights are recalled already.")
               : 0;
}

static int lift_parse(struct api_call *call)
{
    call->events[0].kind = EVENT_KIND_model_recall_lift;
    call->nevents = 1;
    return read_digest(call, call->param, call->events[0].u.model_recall_lift.digest);
}

static int lift_prepare(struct api_call *call, const struct core *core)
{
    const struct row_recall *row = in_force(core, call->events[0].u.model_recall_lift.digest);
    if (!row)
        return err_set(&call->err, ERR_NOT_FOUND, "No recall of these weights is in force.");
    call->id = row->id;
    return 0;
}

const struct api_handler api_recall_list = {.finish = list};
const struct api_handler api_recall_add = {
    .parse = add_parse, .prepare = add_prepare, .finish = show_id, .status = 201};
const struct api_handler api_recall_lift = {.parse = lift_parse, .prepare = lift_prepare, .finish = show_id};
