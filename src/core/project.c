/* SPDX-License-Identifier: Apache-2.0 */
/* Projects: parts of a tenant that keys belong to, each for ever to the one that it was made for. */
#include <string.h>

#include "base/err.h"
#include "core/budget.h"
#include "core/state.h"
#include "core/view.h"

uint32_t project_of(const struct core *core, const struct row_key *key)
{
    return map_get(&core->budgets.project_map, &key->project, sizeof key->project);
}

int project_check(const struct core *core, const struct uuid *id, const struct uuid *tenant)
{
    if (uuid_zero(id))
        return 0;
    const struct row_project *row = view_project(core, id);
    return row && uuid_eq(&row->tenant, tenant) && row->removed_ms == 0 ? 0 : ERR_NOT_FOUND;
}

void project_ref(struct core *core, const struct uuid *id)
{
    uint32_t i = map_get(&core->budgets.project_map, id, sizeof *id);
    if (i != MAP_NONE)
        core->budgets.project[i].nkeys++;
}

void project_unref(struct core *core, const struct row_key *key)
{
    uint32_t i = project_of(core, key);
    if (i != MAP_NONE)
        core->budgets.project[i].nkeys--;
}

static uint32_t put(struct core *core, const struct row_project *row, struct tenant_id tenant)
{
    struct budgets *b = &core->budgets;
    uint32_t i = table_take(&b->projects);
    b->project[i] = (struct project){.row = *row, .tenant = tenant, .budget = {INDEX_NONE, INDEX_NONE}};
    map_put(&b->project_map, &row->id, sizeof row->id, i);
    return i;
}

int step_project_add(struct core *core, const struct event *event)
{
    const struct event_project_add *e = &event->u.project_add;
    struct budgets *b = &core->budgets;
    size_t len = text_len(e->name, sizeof e->name);
    struct tenant_id tenant = tenant_by_id(core, &e->tenant);
    if (uuid_zero(&e->project) || !name_valid(e->name, len))
        return ERR_INVALID;
    if (tenant.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (view_project(core, &e->project) || view_project_named(core, &e->tenant, e->name, len))
        return ERR_EXISTS;
    if (table_room(&b->projects) == 0)
        return ERR_LIMIT;
    struct row_project row = {.id = e->project, .tenant = e->tenant, .created_ms = event->at_ms};
    memcpy(row.name, e->name, sizeof row.name);
    (void)put(core, &row, tenant);
    return 0;
}

int step_project_remove(struct core *core, const struct event *event)
{
    struct budgets *b = &core->budgets;
    uint32_t i = map_get(&b->project_map, &event->u.project_remove.project, sizeof(struct uuid));
    if (i == MAP_NONE || b->project[i].row.removed_ms != 0)
        return ERR_NOT_FOUND;
    if (b->project[i].nkeys > 0)
        return ERR_WRONG_STATE;
    /* Its row stays: what was used under its keys goes on to be its own. */
    b->project[i].row.removed_ms = event->at_ms;
    table_touch(&b->projects, i);
    return 0;
}

int load_project(struct core *core, const struct row_project *row)
{
    struct budgets *b = &core->budgets;
    struct tenant_id tenant = tenant_by_id(core, &row->tenant);
    if (tenant.v == INDEX_NONE || view_project(core, &row->id))
        return ERR_CORRUPT;
    if (table_room(&b->projects) == 0)
        return ERR_LIMIT;
    uint32_t p = put(core, row, tenant);
    /* Keys come before projects. */
    for (uint32_t i = 0; i < core->keys.used; i++) {
        struct key *k = &core->key[i];
        if (!table_live(&core->keys, i) || !uuid_eq(&k->row.project, &row->id))
            continue;
        if (k->tenant.v != tenant.v)
            return ERR_CORRUPT;
        k->project = p;
        b->project[p].nkeys += k->row.revoked_ms == 0;
    }
    return 0;
}

const struct row_project *view_project(const struct core *core, const struct uuid *id)
{
    uint32_t i = map_get(&core->budgets.project_map, id, sizeof *id);
    return i == MAP_NONE ? NULL : &core->budgets.project[i].row;
}

const struct row_project *view_project_named(const struct core *core, const struct uuid *tenant,
                                             const char *name, size_t len)
{
    const struct row_project *row;
    for (uint32_t pos = 0; (row = view_project_at(core, &pos)) != NULL;) {
        if (row->removed_ms == 0 && uuid_eq(&row->tenant, tenant) &&
            text_eq(row->name, text_len(row->name, NAME_CAP), name, len))
            return row;
    }
    return NULL;
}
