/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets what of a charge, as an operator sets it: the network's fee, the price of carbon, tax, owners of sites. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "core/charge.h"
#include "hub/ledger.h"

#define MILLION 1000000u

/* ---- parties ---- */

struct uuid party_id(const char *name)
{
    static const struct uuid network;
    return payment_id("party", &network, name);
}

struct event party_event(const char *name)
{
    struct event e = {.kind = EVENT_KIND_party_add, .u.party_add.party = party_id(name)};
    (void)text_set(e.u.party_add.name, NAME_CAP, name, strlen(name));
    return e;
}

/* ---- the network's own terms ---- */

struct terms {
    uint64_t fee;
    int64_t carbon; /* nano-units for a tonne */
    bool has_fee, has_carbon;
};

static int terms_parse(struct api_call *call)
{
    static const char *const members[] = {"fee_ppm", "carbon_price", NULL};
    struct terms *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_NO_MEMORY;
    call->data = t;
    int rc = body_only(call, members);
    t->has_fee = body_member(call, "fee_ppm");
    t->has_carbon = body_member(call, "carbon_price");
    if (rc == 0)
        rc = body_count(call, "fee_ppm", MILLION, &t->fee);
    if (rc == 0)
        rc = body_amount(call, "carbon_price", false, &t->carbon);
    if (rc == 0 && !t->has_fee && !t->has_carbon)
        rc = err_set(&call->err, ERR_INVALID, "fee_ppm or carbon_price: one of them must be there");
    if (rc == 0 && t->carbon / 1000 > PRICE_MAX)
        rc = err_set(&call->err, ERR_INVALID, "carbon_price: is too much");
    if (rc == 0 && t->carbon % 1000 != 0)
        rc = err_set(&call->err, ERR_INVALID, "carbon_price: has more than six decimals");
    return rc;
}

static int terms_prepare(struct api_call *call, const struct core *core)
{
    const struct terms *t = call->data;
    const struct row_dispatch *now = view_dispatch(core);
    if (t->has_fee)
        call->events[call->nevents++] =
            (struct event){.kind = EVENT_KIND_network_fee, .u.network_fee.fee = (uint32_t)t->fee};
    if (t->has_carbon)
        call->events[call->nevents++] = (struct event){.kind = EVENT_KIND_dispatch_set,
                                                       .u.dispatch_set = {.order = now->order,
                                                                          .fit = now->fit,
                                                                          .pack = now->pack,
                                                                          .ageing = now->ageing,
                                                                          .carbon_price = t->carbon / 1000,
                                                                          .preempt = now->preempt,
                                                                          .reserve = now->reserve}};
    return 0;
}

static int terms_show(struct api_call *call, const struct core *core)
{
    buf_addf(&call->out, "{\"fee_ppm\":%u", view_network_fee(core));
    add_amount(&call->out, "carbon_price", view_dispatch(core)->carbon_price * 1000);
    buf_add_char(&call->out, '}');
    return 0;
}

/* ---- tax ---- */

static int tax_parse(struct api_call *call)
{
    static const char *const members[] = {"tax_ppm", NULL};
    uint64_t tax = 0;
    int rc = body_only(call, members);
    if (rc == 0 && !body_member(call, "tax_ppm"))
        rc = err_set(&call->err, ERR_INVALID, "tax_ppm: is missing");
    if (rc == 0)
        rc = body_count(call, "tax_ppm", MILLION, &tax);
    call->events[0] = (struct event){.kind = EVENT_KIND_tenant_tax, .u.tenant_tax.tax = (uint32_t)tax};
    call->nevents = 1;
    return rc;
}

static int tax_prepare(struct api_call *call, const struct core *core)
{
    const struct row_tenant *row = call_tenant(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    call->id = call->events[0].u.tenant_tax.tenant = row->id;
    return 0;
}

static int tax_finish(struct api_call *call, const struct core *core)
{
    const struct row_tenant *row = view_tenant(core, &call->id);
    if (!row)
        return ERR_NOT_FOUND;
    render_tenant(&call->out, core, row);
    return 0;
}

/* ---- owners of a site ---- */

struct owners {
    char name[OWNERS_MAX][NAME_CAP];
    uint32_t share[OWNERS_MAX], n;
};

static int owner_parse(struct api_call *call, struct owners *o, yyjson_val *item)
{
    yyjson_val *name = yyjson_obj_get(item, "name"), *share = yyjson_obj_get(item, "share_ppm");
    const char *text = yyjson_is_str(name) ? yyjson_get_str(name) : "";
    if (!yyjson_is_obj(item) || yyjson_obj_size(item) != 2 || !name_valid(text, strlen(text)))
        return err_set(&call->err, ERR_INVALID, "owners: each needs a name and a share_ppm, and no more");
    if (!yyjson_is_uint(share) || yyjson_get_uint(share) == 0 || yyjson_get_uint(share) > MILLION)
        return err_set(&call->err, ERR_INVALID, "share_ppm: must be a number from 1 to %u", MILLION);
    for (uint32_t i = 0; i < o->n; i++) {
        if (strcmp(o->name[i], text) == 0)
            return err_set(&call->err, ERR_INVALID, "owners: %s is there twice", text);
    }
    (void)text_set(o->name[o->n], NAME_CAP, text, strlen(text));
    o->share[o->n++] = (uint32_t)yyjson_get_uint(share);
    return 0;
}

static int owners_parse(struct api_call *call)
{
    static const char *const members[] = {"owners", NULL};
    struct owners *o = calloc(1, sizeof *o);
    yyjson_val *list = body_member(call, "owners"), *item;
    uint64_t sum = 0;
    if (!o)
        return ERR_NO_MEMORY;
    call->data = o;
    int rc = body_only(call, members);
    if (rc == 0 && (!yyjson_is_arr(list) || yyjson_arr_size(list) > OWNERS_MAX))
        rc = err_set(&call->err, ERR_INVALID, "owners: must be a list of up to %d", OWNERS_MAX);
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while (rc == 0 && (item = yyjson_arr_iter_next(&it)) != NULL)
        rc = owner_parse(call, o, item);
    for (uint32_t i = 0; i < o->n; i++)
        sum += o->share[i];
    if (rc == 0 && o->n > 0 && sum != MILLION)
        rc = err_set(&call->err, ERR_INVALID, "owners: shares come to %llu, not to %u",
                     (unsigned long long)sum, MILLION);
    return rc;
}

static int site_of(struct api_call *call, const struct core *core)
{
    const struct row_site *site = call_site(call, core, call->param);
    if (!site)
        return ERR_NOT_FOUND;
    call->id = site->id;
    return 0;
}

/* Whoever is new, and then all of them as owners. */
static int owners_prepare(struct api_call *call, const struct core *core)
{
    const struct owners *o = call->data;
    struct event last = {.kind = EVENT_KIND_site_owners};
    int rc = site_of(call, core);
    if (rc != 0)
        return rc;
    call->many = calloc(o->n + 1, sizeof *call->many);
    if (!call->many)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < o->n; i++) {
        struct uuid id = party_id(o->name[i]);
        if (!view_party(core, &id))
            call->many[call->nevents++] = party_event(o->name[i]);
        last.u.site_owners.owners.v[i] = id;
    }
    last.u.site_owners.site = call->id;
    last.u.site_owners.owners.n = o->n;
    memcpy(&last.u.site_owners.share0, o->share, sizeof o->share);
    call->many[call->nevents++] = last;
    return 0;
}

static int owners_show(struct api_call *call, const struct core *core)
{
    const struct row_site *site = view_site(core, &call->id);
    const struct row_site_owners *row = view_site_owners(core, &call->id);
    struct buf *out = &call->out;
    if (!site)
        return ERR_NOT_FOUND;
    buf_add_char(out, '{');
    add_text(out, "site", site->name, sizeof site->name);
    if (row)
        add_time(out, "since", row->since_ms);
    else
        buf_add_text(out, ",\"since\":null");
    buf_add_text(out, ",\"data\":[");
    for (uint32_t i = 0; row && i < row->owners.n; i++) {
        const struct row_party *party = view_party(core, &row->owners.v[i]);
        buf_add_text(out, i ? ",{" : "{");
        add_text(out, "name", party ? party->name : "?", NAME_CAP);
        buf_addf(out, ",\"share_ppm\":%u}", (&row->share0)[i]);
    }
    buf_add_text(out, "]}");
    return 0;
}

const struct api_handler api_network_terms = {.finish = terms_show};
const struct api_handler api_network_terms_set = {
    .parse = terms_parse, .prepare = terms_prepare, .finish = terms_show};
const struct api_handler api_tenant_tax = {.parse = tax_parse, .prepare = tax_prepare, .finish = tax_finish};
const struct api_handler api_site_owners = {.prepare = site_of, .finish = owners_show};
const struct api_handler api_site_owners_set = {
    .parse = owners_parse, .prepare = owners_prepare, .finish = owners_show};
