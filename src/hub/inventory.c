/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a site has, as pools of the core.
 *
 * A pool does not change its size. So nodes that come are a further pool, and of a kind of which a site has fewer nodes
 * up than its pools have together, the last ones are cordoned: what runs there goes on (which of its nodes a batch
 * system uses is its own business), and no more than what is there is placed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/osrandom.h"
#include "core/kinds.h"
#include "core/view.h"
#include "hub/api.h"
#include "hub/desk.h"
#include "network/netfile.h"

#define KINDS_MAX 64
#define EVENTS_MAX 512 /* of one call; what is left over comes with the next */

/* Nodes alike. */
struct kind {
    char chip[CHIP_CAP];
    uint32_t node_chips, nodes, up;
};

struct inventory {
    struct event_site_engine engine; /* as the site says it is */
    struct kind kind[KINDS_MAX];
    uint32_t n;
    struct event event[EVENTS_MAX];
    uint32_t nevents;
    bool grown, named; /* it has said what its engine is */
    const struct netfile *catalogue;
};

static struct event *add_event(struct inventory *v, uint32_t kind)
{
    if (v->nevents == EVENTS_MAX)
        return NULL;
    struct event *event = &v->event[v->nevents++];
    *event = (struct event){.kind = kind};
    return event;
}

/* ---- what has to change ---- */

static void settle_nodes(struct inventory *v, const struct core *core, const struct row_pool *row,
                         uint32_t up)
{
    for (uint32_t i = 0; i < row->nodes; i++) {
        uint32_t now = view_node_state(core, &row->id, i), state = i < up ? PLACE_UP : PLACE_CORDONED;
        struct event *event = now == state || now == PLACE_LOST ? NULL : add_event(v, EVENT_KIND_node_state);
        if (event)
            event->u.node_state = (struct event_node_state){.pool = row->id, .node = i, .state = state};
    }
}

static bool add_chip(struct inventory *v, const struct core *core, const struct kind *kind)
{
    struct event chip;
    if (view_chip_known(core, kind->chip))
        return true;
    if (!netfile_chip_event(v->catalogue, kind->chip, &chip))
        return false;
    struct event *event = add_event(v, EVENT_KIND_chip_add);
    if (event)
        event->u = chip.u;
    return event != NULL;
}

/* `price`: that of the chips of the kind that the site has. */
static void add_pool(struct inventory *v, const struct core *core, const struct uuid *site,
                     const struct kind *kind, uint32_t nodes, int64_t price)
{
    struct event *event = add_chip(v, core, kind) ? add_event(v, EVENT_KIND_pool_add) : NULL;
    if (!event)
        return;
    event->u.pool_add = (struct event_pool_add){.pool = uuid_new(),
                                                .site = *site,
                                                .nodes = nodes,
                                                .node_chips = kind->node_chips,
                                                .domain = 1,
                                                .price = price};
    memcpy(event->u.pool_add.chip, kind->chip, sizeof kind->chip);
    v->grown = true;
}

static bool is_of(const struct row_pool *row, const struct kind *kind)
{
    return row->node_chips == kind->node_chips && strcmp(row->chip, kind->chip) == 0;
}

static void settle_kind(struct inventory *v, const struct core *core, const struct uuid *site,
                        const struct kind *kind)
{
    const struct row_pool *row;
    uint32_t up = kind->up;
    int64_t price = 0;
    for (uint32_t pos = 0; (row = view_pool_at(core, &pos)) != NULL;) {
        if (!uuid_eq(&row->site, site) || strcmp(row->chip, kind->chip) != 0)
            continue;
        price = row->price;
        if (!is_of(row, kind))
            continue;
        uint32_t here = up < row->nodes ? up : row->nodes;
        settle_nodes(v, core, row, here);
        up -= here;
    }
    if (up > 0)
        add_pool(v, core, site, kind, up, price);
}

/* Pools of kinds that the site does not speak of any more. */
static void settle_gone(struct inventory *v, const struct core *core, const struct uuid *site)
{
    const struct row_pool *row;
    for (uint32_t pos = 0; (row = view_pool_at(core, &pos)) != NULL;) {
        bool here = !uuid_eq(&row->site, site);
        for (uint32_t i = 0; i < v->n && !here; i++)
            here = is_of(row, &v->kind[i]);
        if (!here)
            settle_nodes(v, core, row, 0);
    }
}

static void settle_engine(struct inventory *v, const struct core *core, const struct uuid *site)
{
    const struct row_site *row = view_site(core, site);
    bool same = row && row->isolation == v->engine.isolation &&
                memcmp(row->engine, v->engine.engine, sizeof row->engine) == 0;
    struct event *event = same || !v->named ? NULL : add_event(v, EVENT_KIND_site_engine);
    if (!event)
        return;
    event->u.site_engine = v->engine;
    event->u.site_engine.site = *site;
}

static void look(struct visit *visit, const struct core *core)
{
    struct inventory *v = visit->data;
    for (uint32_t i = 0; i < v->n; i++)
        settle_kind(v, core, &visit->site, &v->kind[i]);
    settle_gone(v, core, &visit->site);
    settle_engine(v, core, &visit->site);
}

/* ---- and is changed ---- */

static void finish(struct visit *visit, int rc)
{
    struct inventory *v = visit->data;
    struct buf out;
    if (rc != 0)
        log_error("inventory", "site=%s error=\"%s\"", visit->name, err_text(rc));
    if (v->grown && (rc == 0 || !visit->request))
        desk_renew(visit_desk(visit), &visit->site);
    if (!visit->request)
        return;
    if (rc != 0) {
        hub_refuse(visit->request, rc, "");
        visit->request = NULL;
        return;
    }
    visit_begin(visit, &out);
    buf_addf(&out, ",\"changes\":%u", v->nevents);
    visit_end(visit, &out);
}

static void answer(struct visit *visit)
{
    struct inventory *v = visit->data;
    visit_post(visit, v->event, v->nevents, finish);
}

/* ---- what the site says ---- */

static bool take_u32(yyjson_val *item, const char *name, uint32_t max, uint32_t *out)
{
    yyjson_val *v = yyjson_obj_get(item, name);
    *out = (uint32_t)yyjson_get_uint(v);
    return yyjson_is_uint(v) && yyjson_get_uint(v) <= max;
}

static int take_kind(struct inventory *v, yyjson_val *item, struct err *err)
{
    struct kind *kind = &v->kind[v->n];
    struct event unused;
    yyjson_val *chip = yyjson_obj_get(item, "chip");
    if (v->n == KINDS_MAX || !yyjson_is_str(chip) ||
        !text_set(kind->chip, sizeof kind->chip, yyjson_get_str(chip), yyjson_get_len(chip)) ||
        !take_u32(item, "node_chips", NET_NODE_CHIPS_MAX, &kind->node_chips) || kind->node_chips == 0 ||
        !take_u32(item, "nodes", NET_POOL_NODES_MAX, &kind->nodes) ||
        !take_u32(item, "up", kind->nodes, &kind->up))
        return err_set(err, ERR_INVALID,
                       "kinds: each has a chip, node_chips of at most %d, nodes of at most %u, and up; at "
                       "most %d of them",
                       NET_NODE_CHIPS_MAX, NET_POOL_NODES_MAX, KINDS_MAX);
    if (!netfile_chip_event(v->catalogue, kind->chip, &unused))
        return err_set(err, ERR_INVALID, "the hub's catalogue has no chip `%s`", kind->chip);
    v->n++;
    return 0;
}

/* It is one line of a receipt, and words on a page: nothing of it may end a line. */
static bool is_plain(const char *text)
{
    while (*text >= ' ' && *text <= '~')
        text++;
    return *text == 0;
}

static int take_engine(struct inventory *v, yyjson_val *root, struct err *err)
{
    yyjson_val *engine = yyjson_obj_get(root, "engine"), *isolation = yyjson_obj_get(root, "isolation");
    if (!engine && !isolation)
        return 0; /* an agent from before they were told */
    v->named = true;
    if (yyjson_is_str(engine) && yyjson_is_str(isolation) &&
        text_set(v->engine.engine, sizeof v->engine.engine, yyjson_get_str(engine), yyjson_get_len(engine)) &&
        is_plain(v->engine.engine) && isolation_parse(yyjson_get_str(isolation), &v->engine.isolation))
        return 0;
    return err_set(err, ERR_INVALID,
                   "engine and isolation: the engine in plain ASCII words, and a level of isolation");
}

int desk_take_inventory(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct inventory *v = calloc(1, sizeof *v);
    yyjson_val *kinds = yyjson_obj_get(root, "kinds"), *item;
    int rc = 0;
    if (!v)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    visit->data = v;
    visit->drop = free;
    visit->look = look;
    visit->answer = answer;
    v->catalogue = desk_config(visit_desk(visit))->catalogue;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!yyjson_is_arr(kinds))
        return err_set(err, ERR_INVALID, "kinds: must be a list");
    rc = take_engine(v, root, err);
    yyjson_arr_iter it = yyjson_arr_iter_with(kinds);
    while (rc == 0 && (item = yyjson_arr_iter_next(&it)) != NULL)
        rc = take_kind(v, item, err);
    if (rc == 0)
        visit_ask(visit);
    return rc;
}
