/* SPDX-License-Identifier: Apache-2.0 */
/* Models, their variants and prices. */
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

struct model_id model_by_id(const struct core *core, const struct uuid *id)
{
    return (struct model_id){map_get(&core->model_map, id, sizeof *id)};
}

int step_model_add(struct core *core, const struct event *event)
{
    const struct event_model_add *e = &event->u.model_add;
    size_t len = text_len(e->name, sizeof e->name);
    if (uuid_zero(&e->model) || !name_valid(e->name, len) || model_kind_text(e->kind)[0] == '?' ||
        e->context == 0 || e->context > CONTEXT_MAX)
        return ERR_INVALID;
    if (model_by_id(core, &e->model).v != INDEX_NONE || map_get(&core->model_names, e->name, len) != MAP_NONE)
        return ERR_EXISTS;
    uint32_t i = table_take(&core->models);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    struct model *m = &core->model[i];
    *m = (struct model){
        .row = {.id = e->model, .kind = e->kind, .context = e->context, .created_ms = event->at_ms}};
    memcpy(m->row.name, e->name, sizeof e->name);
    memcpy(m->row.licence, e->licence, sizeof e->licence);
    memcpy(m->row.origin, e->origin, sizeof e->origin);
    map_put(&core->model_map, &e->model, sizeof e->model, i);
    map_put(&core->model_names, m->row.name, len, i);
    core->effects->routes_changed = true;
    tariff_look(core); /* prices may be left of one that had the same id */
    return 0;
}

int step_variant_add(struct core *core, const struct event *event)
{
    const struct event_variant_add *e = &event->u.variant_add;
    struct model_id model = model_by_id(core, &e->model);
    if (model.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (uuid_zero(&e->variant) || e->engine[0] == 0 || e->location[0] == 0)
        return ERR_INVALID;
    if (map_get(&core->variant_map, &e->variant, sizeof e->variant) != MAP_NONE)
        return ERR_EXISTS;
    uint32_t i = table_take(&core->variants);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    struct variant *v = &core->variant[i];
    *v = (struct variant){.model = model};
    v->row = (struct row_variant){
        .id = e->variant, .model = e->model, .memory_bytes = e->memory_bytes, .size_bytes = e->size_bytes};
    memcpy(v->row.digest, e->digest, sizeof e->digest);
    memcpy(v->row.format, e->format, sizeof e->format);
    memcpy(v->row.quantisation, e->quantisation, sizeof e->quantisation);
    memcpy(v->row.engine, e->engine, sizeof e->engine);
    memcpy(v->row.chips, e->chips, sizeof e->chips);
    memcpy(v->row.location, e->location, sizeof e->location);
    memcpy(v->row.architecture, e->architecture, sizeof e->architecture);
    map_put(&core->variant_map, &e->variant, sizeof e->variant, i);
    core->model[model.v].nvariants++;
    core->effects->routes_changed = true;
    return 0;
}

int step_model_remove(struct core *core, const struct event *event)
{
    struct model_id id = model_by_id(core, &event->u.model_remove.model);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    struct model *m = &core->model[id.v];
    if (m->ndeployments > 0 || m->nservices > 0)
        return ERR_IN_USE;
    for (uint32_t i = 0; i < core->keys.used; i++) {
        /* A key limited to models must not become a key for all of them when the last one goes. */
        const struct row_key *k = &core->key[i].row;
        for (uint32_t j = 0; j < k->models.n && k->revoked_ms == 0; j++) {
            if (uuid_eq(&k->models.v[j], &m->row.id))
                return ERR_IN_USE;
        }
    }
    for (uint32_t i = 0; i < core->variants.used; i++) {
        if (table_live(&core->variants, i) && core->variant[i].model.v == id.v) {
            accept_forget(core, &core->variant[i].row.id);
            map_remove(&core->variant_map, &core->variant[i].row.id, sizeof(struct uuid));
            table_drop(&core->variants, i);
        }
    }
    map_remove(&core->model_map, &m->row.id, sizeof m->row.id);
    map_remove(&core->model_names, m->row.name, text_len(m->row.name, NAME_CAP));
    table_drop(&core->models, id.v);
    prices_settle(core);
    core->effects->routes_changed = true;
    return 0;
}
