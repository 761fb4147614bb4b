/* SPDX-License-Identifier: Apache-2.0 */
#include "core/recall.h"

#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

#define LOOK_MS 1000 /* between looks at what is pending */

void recalls_carve(struct core *core, struct arena *arena)
{
    CARVE(core, recalls.table, recalls.recall, RECALLS_MAX);
}

static bool is_in_force(const struct core *core, uint32_t i)
{
    return table_live(&core->recalls.table, i) && core->recalls.recall[i].row.lifted_ms == 0;
}

const struct row_recall *recall_of(const struct core *core, const uint8_t digest[DIGEST_BYTES])
{
    for (uint32_t i = 0; i < core->recalls.table.used; i++) {
        const struct row_recall *row = &core->recalls.recall[i].row;
        if (is_in_force(core, i) && memcmp(row->digest, digest, DIGEST_BYTES) == 0)
            return row;
    }
    return NULL;
}

const struct row_recall *view_recall_at(const struct core *core, uint32_t *pos)
{
    while (*pos < core->recalls.table.used) {
        uint32_t i = (*pos)++;
        if (table_live(&core->recalls.table, i))
            return &core->recalls.recall[i].row;
    }
    return NULL;
}

const struct row_recall *view_recalled(const struct core *core, const struct uuid *model)
{
    const struct row_recall *row = NULL;
    for (uint32_t i = 0; i < core->variants.used && core->recalls.table.live > 0 && !row; i++) {
        if (table_live(&core->variants, i) && uuid_eq(&core->variant[i].row.model, model))
            row = recall_of(core, core->variant[i].row.digest);
    }
    return row;
}

/* ---- what serves them ---- */

static bool has_weights(const struct core *core, const struct uuid *variant, const struct row_recall *row)
{
    uint32_t i = map_get(&core->variant_map, variant, sizeof *variant);
    return i != MAP_NONE && memcmp(core->variant[i].row.digest, row->digest, DIGEST_BYTES) == 0;
}

/* Whatever core still believes to be there or to be waiting. */
static bool is_served(const struct core *core, const struct row_recall *row)
{
    for (uint32_t i = 0; i < core->replicas.used; i++) {
        if (table_live(&core->replicas, i) && has_weights(core, &core->replica[i].row.variant, row))
            return true;
    }
    for (uint32_t i = 0; i < core->service.replicas.used; i++) {
        const struct service_replica *r = &core->service.replica[i];
        if (table_live(&core->service.replicas, i) &&
            has_weights(core, &core->service.service[r->service].row.variant, row))
            return true;
    }
    return false;
}

/* What a step has no room for is stopped with the next look. */
static bool has_room(const struct core *core)
{
    return core->effects->n <= core->effects->cap / 2;
}

static void stop_deployments(struct core *core, const struct row_recall *row)
{
    for (uint32_t d = 0; d < core->deployments.used && has_room(core); d++) {
        if (table_live(&core->deployments, d) && view_recalled(core, &core->deployment[d].row.model) == row)
            deployment_stop(core, d);
    }
}

/* Services that are no deployment's; one at a time, since each that goes moves the others. */
static void remove_services(struct core *core, const struct row_recall *row)
{
    for (uint32_t k = 0; k < core->service.services.live && has_room(core);) {
        const struct service *s = &core->service.service[core->service.by_id[k]];
        struct event event = {.kind = EVENT_KIND_service_remove, .at_ms = core->now_ms};
        event.u.service_remove.service = s->row.id;
        if (s->deployment != INDEX_NONE || !has_weights(core, &s->row.variant, row) ||
            step_service_remove(core, &event) != 0)
            k++;
    }
}

/* ---- steps ---- */

static bool reason_holds(const char *text)
{
    size_t len = text_len(text, TEXT_CAP);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false; /* it is a line of facts */
    }
    return len > 0;
}

static void tell(struct core *core, const struct row_recall *row, int code)
{
    struct effect *effect = effect_add(core, EFFECT_RECALLED);
    effect->service = row->id;
    effect->code = code;
    effect->ms = core->now_ms;
}

int step_model_recall(struct core *core, const struct event *event)
{
    static const uint8_t none[DIGEST_BYTES];
    const struct event_model_recall *e = &event->u.model_recall;
    struct recalls *all = &core->recalls;
    if (uuid_zero(&e->recall) || memcmp(e->digest, none, sizeof none) == 0 || !reason_holds(e->reason))
        return ERR_INVALID;
    for (uint32_t i = 0; i < all->table.used; i++) {
        if (table_live(&all->table, i) && uuid_eq(&all->recall[i].row.id, &e->recall))
            return ERR_EXISTS;
    }
    if (recall_of(core, e->digest))
        return ERR_EXISTS;
    uint32_t i = table_take(&all->table);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    struct row_recall *row = &all->recall[i].row;
    *row = (struct row_recall){.id = e->recall, .asked_ms = event->at_ms};
    memcpy(row->digest, e->digest, sizeof row->digest);
    memcpy(row->reason, e->reason, sizeof row->reason);
    all->next_ms = event->at_ms;
    core->effects->routes_changed = true;
    stop_deployments(core, row);
    remove_services(core, row);
    tell(core, row, ERR_RECALLED);
    return 0;
}

int step_model_recall_lift(struct core *core, const struct event *event)
{
    const struct row_recall *row = recall_of(core, event->u.model_recall_lift.digest);
    if (!row)
        return ERR_NOT_FOUND;
    uint32_t i = (uint32_t)((const struct recall *)(const void *)row - core->recalls.recall);
    core->recalls.recall[i].row.lifted_ms = event->at_ms;
    core->recalls.next_ms = event->at_ms;
    table_touch(&core->recalls.table, i);
    core->effects->routes_changed = true;
    tell(core, row, 0);
    return 0;
}

/* Keeps a place for the next one: it is free only once the deletion was collected. The log has what is dropped. */
static void make_room(struct core *core)
{
    struct recalls *all = &core->recalls;
    uint32_t oldest = INDEX_NONE;
    for (uint32_t i = 0; i < all->table.used && table_room(&all->table) == 0; i++) {
        const struct row_recall *row = &all->recall[i].row;
        if (table_live(&all->table, i) && row->lifted_ms != 0 &&
            (oldest == INDEX_NONE || row->lifted_ms < all->recall[oldest].row.lifted_ms))
            oldest = i;
    }
    if (oldest != INDEX_NONE)
        table_drop(&all->table, oldest);
}

/* One a tick, so that the event which saw it tells of it alone (runtime/facts.c). */
void recalls_turn(struct core *core)
{
    struct recalls *all = &core->recalls;
    bool told = false;
    if (all->next_ms > core->now_ms)
        return;
    all->next_ms = INT64_MAX;
    make_room(core);
    for (uint32_t i = 0; i < all->table.used; i++) {
        struct row_recall *row = &all->recall[i].row;
        if (!is_in_force(core, i) || row->gone_ms != 0)
            continue;
        stop_deployments(core, row);
        remove_services(core, row);
        if (told || is_served(core, row)) {
            all->next_ms = core->now_ms + LOOK_MS;
            continue;
        }
        row->gone_ms = core->now_ms;
        table_touch(&all->table, i);
        tell(core, row, 0);
        told = true;
    }
}

void recalls_look(struct core *core)
{
    struct recalls *all = &core->recalls;
    all->next_ms = all->table.live > 0 && table_room(&all->table) == 0 ? 0 : INT64_MAX;
    for (uint32_t i = 0; i < all->table.used; i++) {
        const struct row_recall *row = &all->recall[i].row;
        if (table_live(&all->table, i) && row->lifted_ms == 0 && row->gone_ms == 0)
            all->next_ms = 0;
    }
}

int load_recall(struct core *core, const struct row_recall *row)
{
    uint32_t i = table_take(&core->recalls.table);
    if (i == INDEX_NONE)
        return ERR_LIMIT;
    core->recalls.recall[i].row = *row;
    return 0;
}
