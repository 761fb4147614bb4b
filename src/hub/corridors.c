/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Corridors as operators see them: what was given, what was measured, what is planned by, what came over them.
 *
 * One is called by its id, or by the name of the site that it leads to from the hub's own.
 */
#include <string.h>

#include "hub/api.h"
#include "hub/measure.h"

#define JOULES_WH 3600

static const struct row_corridor *corridor_named(struct api_call *call, const struct core *core)
{
    struct uuid id;
    const char *text = call->param;
    const size_t len = strlen(text);
    const struct row_site *site = view_site_named(core, text, len);
    const struct row_corridor *row = site                         ? view_corridor_to(core, &site->id)
                                     : uuid_parse(&id, text, len) ? view_corridor(core, &id)
                                                                  : NULL;
    if (!row)
        err_set(
            &call->err, ERR_NOT_FOUND,
            "There is no corridor `%.64s`; one is named by its id, or by the site that it leads to from the "
            "hub's own.",
            text);
    return row;
}

static void add_end(struct buf *out, const struct core *core, const char *name, const struct uuid *id)
{
    const struct row_site *site = view_site(core, id);
    add_text(out, name, site ? site->name : "?", NAME_CAP);
}

static void render(struct buf *out, const struct core *core, const struct row_corridor *row)
{
    buf_add_char(out, '{');
    add_id(out, "id", &row->id);
    add_end(out, core, "a", &row->a);
    add_end(out, core, "b", &row->b);
    add_text(out, "state", place_state_text(row->state), NAME_CAP);
    add_amount(out, "price", row->price);
    buf_addf(out, ",\"energy_wh\":%llu,\"bits_s\":%llu,\"rtt_us\":%u,\"granted_bits_s\":%llu",
             (unsigned long long)(row->energy / JOULES_WH), (unsigned long long)row->bits_s, row->rtt,
             (unsigned long long)view_corridor_granted(core, &row->id));
    if (row->flags & CORRIDOR_ASSUMED)
        buf_addf(out, ",\"given\":null,\"assumed_bits_s\":%llu", (unsigned long long)row->given_bits_s);
    else
        buf_addf(out, ",\"given\":{\"bits_s\":%llu,\"rtt_us\":%u}", (unsigned long long)row->given_bits_s,
                 row->given_rtt);
    if (row->measured_ms > 0) {
        buf_addf(out, ",\"measured\":{\"there_bits_s\":%llu,\"back_bits_s\":%llu,\"rtt_us\":%u",
                 (unsigned long long)row->there_bits_s, (unsigned long long)row->back_bits_s,
                 row->measured_rtt);
        add_time(out, "at", row->measured_ms);
        buf_add_char(out, '}');
    } else {
        buf_add_text(out, ",\"measured\":null");
    }
    buf_addf(out, ",\"bytes_jobs\":%llu,\"bytes_models\":%llu}", (unsigned long long)row->bytes_jobs,
             (unsigned long long)row->bytes_models);
}

static int list(struct api_call *call, const struct core *core)
{
    const struct row_corridor *row;
    const char *sep = "";
    buf_add_text(&call->out, "{\"data\":[");
    for (uint32_t pos = 0; (row = view_corridor_at(core, &pos)) != NULL;) {
        buf_add_text(&call->out, sep);
        sep = ",";
        render(&call->out, core, row);
    }
    page_end_after(&call->out, NULL);
    return 0;
}

static int show(struct api_call *call, const struct core *core)
{
    const struct row_corridor *row = corridor_named(call, core);
    if (!row)
        return ERR_NOT_FOUND;
    render(&call->out, core, row);
    return 0;
}

static int show_id(struct api_call *call, const struct core *core)
{
    render(&call->out, core, view_corridor(core, &call->id)); /* corridors never go */
    return 0;
}

/* ---- what an operator says ---- */

struct given {
    int64_t price;              /* < 0: nothing is said */
    uint64_t bits_s, energy_wh; /* UINT64_MAX: nothing is said */
};

static int set_parse(struct api_call *call)
{
    static const char *const members[] = {"price", "energy_wh", "bits_s", NULL};
    struct given *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_NO_MEMORY;
    call->data = g;
    *g = (struct given){-1, UINT64_MAX, UINT64_MAX};
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_amount(call, "price", false, &g->price);
    if (rc == 0 && g->price > PRICE_MAX) {
        char most[AMOUNT_TEXT_MAX];
        amount_format(most, PRICE_MAX);
        rc = err_set(&call->err, ERR_INVALID, "price: at most %s for a GB", most);
    }
    if (rc == 0)
        rc = body_count(call, "energy_wh", CORRIDOR_WH_MAX, &g->energy_wh);
    if (rc == 0)
        rc = body_count(call, "bits_s", CORRIDOR_BITS_MAX, &g->bits_s);
    if (rc == 0 && g->price < 0 && g->energy_wh == UINT64_MAX && g->bits_s == UINT64_MAX)
        rc = err_set(&call->err, ERR_INVALID, "at least one of price, energy_wh and bits_s must be given");
    return rc;
}

static int set_prepare(struct api_call *call, const struct core *core)
{
    const struct given *g = call->data;
    const struct row_corridor *row = corridor_named(call, core);
    if (!row)
        return ERR_NOT_FOUND;
    struct event_corridor_set *e = &call->events[0].u.corridor_set;
    call->events[0].kind = EVENT_KIND_corridor_set;
    call->nevents = 1;
    call->id = row->id;
    *e = (struct event_corridor_set){.corridor = row->id,
                                     .bits_s = row->given_bits_s,
                                     .price = g->price < 0 ? row->price : g->price,
                                     .energy =
                                         g->energy_wh == UINT64_MAX ? row->energy : g->energy_wh * JOULES_WH,
                                     .flags = row->flags};
    if (g->bits_s == 0) {
        e->bits_s = MEASURE_ASSUMED_BITS_S;
        e->flags |= CORRIDOR_ASSUMED;
    } else if (g->bits_s != UINT64_MAX) {
        e->bits_s = g->bits_s;
        e->flags &= ~(uint32_t)CORRIDOR_ASSUMED;
    }
    return 0;
}

static int set_state(struct api_call *call, const struct core *core, uint32_t state)
{
    const struct row_corridor *row = corridor_named(call, core);
    if (!row)
        return ERR_NOT_FOUND;
    call->id = row->id;
    call->events[0].kind = EVENT_KIND_corridor_state;
    call->events[0].u.corridor_state =
        (struct event_corridor_state){.corridor = row->id, .state = state, .bits_s = row->given_bits_s};
    call->nevents = 1;
    return 0;
}

static int cordon_prepare(struct api_call *call, const struct core *core)
{
    return set_state(call, core, PLACE_CORDONED);
}

static int close_prepare(struct api_call *call, const struct core *core)
{
    return set_state(call, core, PLACE_LOST);
}

static int resume_prepare(struct api_call *call, const struct core *core)
{
    return set_state(call, core, PLACE_UP);
}

const struct api_handler api_corridor_list = {.finish = list};
const struct api_handler api_corridor_show = {.finish = show};
const struct api_handler api_corridor_set = {.parse = set_parse, .prepare = set_prepare, .finish = show_id};
const struct api_handler api_corridor_cordon = {.prepare = cordon_prepare, .finish = show_id};
const struct api_handler api_corridor_close = {.prepare = close_prepare, .finish = show_id};
const struct api_handler api_corridor_resume = {.prepare = resume_prepare, .finish = show_id};
