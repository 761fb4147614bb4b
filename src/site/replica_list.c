/* SPDX-License-Identifier: Apache-2.0 */
#include "site/replica_list.h"

#include <string.h>

#define WORKER "rpc-worker" /* in place of an engine, so that an agent of before clusters starts none */
#define HEAD "rpc-head"
#define HEAD_ENGINE "llama-server" /* whose processes both are */

static bool take_u32(yyjson_val *v, const char *name, uint32_t max, uint32_t *out)
{
    yyjson_val *number = yyjson_obj_get(v, name);
    *out = (uint32_t)yyjson_get_uint(number);
    return yyjson_is_uint(number) && yyjson_get_uint(number) <= max;
}

static bool take_text(yyjson_val *v, const char *name, char *dst, size_t cap)
{
    yyjson_val *text = yyjson_obj_get(v, name);
    return yyjson_is_str(text) && text_set(dst, cap, yyjson_get_str(text), yyjson_get_len(text));
}

static bool read_item(yyjson_val *v, struct replica_wanted *out)
{
    struct serve_order *o = &out->order;
    char id[UUID_TEXT_LEN + 1];
    yyjson_val *size = yyjson_obj_get(v, "size"), *stop = yyjson_obj_get(v, "stop");
    *out = (struct replica_wanted){.stop = yyjson_is_true(stop), .size = yyjson_get_uint(size)};
    return yyjson_is_uint(size) && yyjson_is_bool(stop) && take_text(v, "deployment", id, sizeof id) &&
           uuid_parse(&o->deployment, id, strlen(id)) &&
           take_text(v, "digest", out->digest, sizeof out->digest) &&
           blob_name_valid(out->digest, strlen(out->digest)) && out->size <= BLOB_MAX &&
           take_u32(v, "ordinal", UINT32_MAX, &o->ordinal) && take_u32(v, "epoch", UINT32_MAX, &o->epoch) &&
           take_u32(v, "slots", SLOTS_MAX, &o->slots) && take_u32(v, "context", CONTEXT_MAX, &o->context) &&
           take_u32(v, "kind", UINT32_MAX, &o->kind) && take_text(v, "model", o->model, sizeof o->model) &&
           name_valid(o->model, strlen(o->model)) && take_text(v, "engine", o->engine, sizeof o->engine);
}

/* On what it is to run: an older hub does not say. */
static bool read_chips(yyjson_val *v, struct serve_order *o)
{
    o->chips = 1;
    return (!yyjson_obj_get(v, "chip") || take_text(v, "chip", o->chip, sizeof o->chip)) &&
           (!yyjson_obj_get(v, "chips") || take_u32(v, "chips", JOB_INDICES_MAX, &o->chips));
}

static bool read_workers(yyjson_val *list, struct replica_wanted *out)
{
    struct serve_order *o = &out->order;
    yyjson_val *v;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while ((v = yyjson_arr_iter_next(&it)) != NULL) {
        struct tunnel_target *target = &out->worker[o->nworkers];
        if (o->nworkers == CLUSTER_MEMBERS_MAX || !take_u32(v, "ordinal", UINT32_MAX, &target->ordinal) ||
            !take_u32(v, "epoch", UINT32_MAX, &target->epoch) ||
            !take_u32(v, "layers", UINT32_MAX, &o->workers[o->nworkers].layers))
            return false;
        target->deployment = o->deployment;
        o->nworkers++;
    }
    return o->nworkers > 0;
}

static bool read_role(yyjson_val *v, struct replica_wanted *out)
{
    struct serve_order *o = &out->order;
    if (strcmp(o->engine, WORKER) == 0) {
        o->role = REPLICA_WORKER;
        memcpy(o->engine, HEAD_ENGINE, sizeof HEAD_ENGINE);
        return take_u32(v, "memory_mib", UINT32_MAX, &o->memory_mib);
    }
    if (strcmp(o->engine, HEAD) != 0)
        return true;
    o->role = REPLICA_HEAD;
    o->chips = 0; /* its workers have them */
    return take_text(v, "serves", o->engine, sizeof o->engine) &&
           read_workers(yyjson_obj_get(v, "workers"), out);
}

bool replica_list_read(yyjson_val *v, struct replica_wanted *out)
{
    return read_item(v, out) && read_chips(v, &out->order) && read_role(v, out);
}
