/* SPDX-License-Identifier: Apache-2.0 */
/* Pools as operators see them, and what a chip-hour of each costs. */
#include <string.h>

#include "hub/api.h"

static const struct row_pool *pool_named(struct api_call *call, const struct core *core)
{
    struct uuid id;
    const char *text = call->param;
    const struct row_pool *row = uuid_parse(&id, text, strlen(text)) ? view_pool(core, &id) : NULL;
    if (!row)
        err_set(&call->err, ERR_NOT_FOUND, "There is no pool `%.64s`; pools are named by their ids.", text);
    return row;
}

/* What holds for more work: its site's state, and if that is up the best of its nodes'. */
static uint32_t state_of(const struct core *core, const struct row_pool *row, const struct row_site *site)
{
    uint32_t state = view_site_state(site);
    if (state != PLACE_UP || view_pool_use(core, &row->id).nodes_up > 0)
        return state;
    for (uint32_t i = 0; i < row->nodes; i++) {
        if (view_node_state(core, &row->id, i) == PLACE_CORDONED)
            return PLACE_CORDONED;
    }
    return PLACE_LOST;
}

static void render_pool(struct buf *out, const struct core *core, const struct row_pool *row)
{
    const struct row_site *site = view_site(core, &row->site);
    const struct view_pool_use use = view_pool_use(core, &row->id);
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_text(out, "site", site->name, sizeof site->name);
    add_text(out, "chip", row->chip, sizeof row->chip);
    add_text(out, "state", place_state_text(state_of(core, row, site)), NAME_CAP);
    buf_addf(out, ",\"nodes\":%u,\"nodes_up\":%u,\"node_chips\":%u,\"chips\":%u,\"chips_in_use\":%u",
             row->nodes, use.nodes_up, row->node_chips, row->nodes * row->node_chips, use.chips);
    add_amount(out, "price", row->price);
    buf_add_char(out, '}');
}

static int list(struct api_call *call, const struct core *core)
{
    const struct row_pool *row;
    const char *sep = "";
    buf_add_text(&call->out, "{\"data\":[");
    for (uint32_t pos = 0; (row = view_pool_at(core, &pos)) != NULL;) {
        buf_add_text(&call->out, sep);
        sep = ",";
        render_pool(&call->out, core, row);
    }
    page_end_after(&call->out, NULL);
    return 0;
}

static int price_parse(struct api_call *call)
{
    static const char *const members[] = {"price", NULL};
    struct event_pool_price *e = &call->events[0].u.pool_price;
    call->events[0].kind = EVENT_KIND_pool_price;
    call->nevents = 1;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_amount(call, "price", true, &e->price);
    if (rc == 0 && e->price > PRICE_MAX) {
        char most[AMOUNT_TEXT_MAX];
        amount_format(most, PRICE_MAX);
        rc = err_set(&call->err, ERR_INVALID, "price: at most %s for a chip-hour", most);
    }
    return rc;
}

static int price_prepare(struct api_call *call, const struct core *core)
{
    const struct row_pool *row = pool_named(call, core);
    if (!row)
        return ERR_NOT_FOUND;
    call->id = call->events[0].u.pool_price.pool = row->id;
    return 0;
}

static int price_finish(struct api_call *call, const struct core *core)
{
    render_pool(&call->out, core, view_pool(core, &call->id)); /* pools never go */
    return 0;
}

const struct api_handler api_pool_list = {.finish = list};
const struct api_handler api_pool_price = {
    .parse = price_parse, .prepare = price_prepare, .finish = price_finish};
