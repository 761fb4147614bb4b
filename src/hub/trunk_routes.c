/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/kinds.h"
#include "core/rulebook.h"
#include "hub/trunk.h"

#define SESSIONS_MS 5000 /* between looks at sessions where no routes change */

/* ---- on the core thread ---- */

#define ADD_ALL(kind) \
    do { \
        const struct row_##kind *row_; \
        for (uint32_t pos_ = 0; (row_ = view_##kind##_at(core, &pos_)) != NULL; n++) \
            frame_add_row(out, ROW_KIND_##kind, row_); \
    } while (0)

/* Of deployments that follow demand. */
static uint64_t add_services(struct buf *out, const struct core *core)
{
    uint64_t n = 0;
    const struct row_deployment *row;
    struct view_service service;
    for (uint32_t pos = 0; (row = view_deployment_at(core, &pos)) != NULL;) {
        if (!view_service(core, &row->id, 0, &service))
            continue;
        frame_add_row(out, ROW_KIND_service, service.row);
        n++;
    }
    return n;
}

/* What places cost: carbon goes into what a chip's hour costs, so its price comes before the pools. Of corridors those to the hub's own
 * site, which all requests of gateways pass. */
static uint64_t add_places(struct buf *out, const struct core *core)
{
    uint64_t n = 1;
    const struct row_site *site;
    ADD_ALL(site);
    frame_add_row(out, ROW_KIND_dispatch, view_dispatch(core));
    ADD_ALL(chip);
    ADD_ALL(pool);
    for (uint32_t pos = 0; (site = view_site_at(core, &pos)) != NULL;) {
        const struct row_corridor *way = view_corridor_to(core, &site->id);
        if (!way)
            continue;
        frame_add_row(out, ROW_KIND_corridor, way);
        n++;
    }
    return n;
}

/* The set in force, and nothing of a draft. A gateway from before rules does not take them, nor what comes with them. */
static uint64_t add_rules(struct buf *out, const struct core *core)
{
    const struct rules *rules;
    const char *text;
    size_t len;
    int64_t next_ms;
    const struct row_rules *row = view_rules(core, &rules, &text, &len, &next_ms);
    struct row_rules own = {
        .id = row->id, .set = row->set, .since_ms = row->since_ms, .judged_ms = row->judged_ms};
    uint32_t n;
    if (rules->nrules == 0)
        return 0;
    for (size_t at = 0; (n = rules_cut(text + at, len - at)) > 0; at += n)
        own.parts++;
    frame_add_row(out, ROW_KIND_rules, &own);
    struct row_rules_part part = {.slot = own.slot};
    for (size_t at = 0; (n = rules_cut(text + at, len - at)) > 0; at += n, part.part++) {
        part.at = (uint32_t)at;
        memset(part.text, 0, sizeof part.text);
        memcpy(part.text, text + at, n);
        frame_add_row(out, ROW_KIND_rules_part, &part);
    }
    return 1 + own.parts;
}

/* Without any a gateway of before them takes all this. */
static uint64_t add_clusters(struct buf *out, const struct core *core)
{
    const struct row_deployment *row;
    uint64_t n = 0;
    for (uint32_t pos = 0; (row = view_deployment_at(core, &pos)) != NULL;) {
        const struct row_cluster *cluster = view_cluster(core, &row->id);
        if (cluster)
            frame_add_row(out, ROW_KIND_cluster, cluster);
        n += cluster != NULL;
    }
    return n;
}

/* In the order in which core_load wants them. A key comes with its hash, as it is stored, never with its secret. */
static void add_routes(struct buf *out, const struct core *core, uint64_t version)
{
    uint64_t n = 0;
    const struct row_model *model;
    const struct row_key *key;
    frame_add_number(out, FRAME_ROUTES, version);
    n += add_places(out, core);
    ADD_ALL(tenant);
    for (uint32_t pos = 0; (key = view_key_at(core, &pos)) != NULL;) {
        if (key->revoked_ms != 0)
            continue;
        frame_add_row(out, ROW_KIND_key, key);
        n++;
    }
    ADD_ALL(model);
    ADD_ALL(variant);
    const struct row_price *price;
    for (uint32_t pos = 0; (model = view_model_at(core, &pos)) != NULL;) {
        if ((price = view_price(core, &model->price)) == NULL)
            continue;
        frame_add_row(out, ROW_KIND_price, price);
        n++;
    }
    for (uint32_t pos = 0; (price = view_own_price_at(core, &pos)) != NULL; n++)
        frame_add_row(out, ROW_KIND_price, price);
    ADD_ALL(deployment);
    n += add_services(out, core);
    n += add_clusters(out, core); /* before replicas, which name them by their role */
    ADD_ALL(replica);
    n += add_rules(out, core);
    const struct row_recall *recall; /* without any a gateway of before them takes all this */
    for (uint32_t pos = 0; (recall = view_recall_at(core, &pos)) != NULL;) {
        if (recall->lifted_ms != 0)
            continue;
        frame_add_row(out, ROW_KIND_recall, recall);
        n++;
    }
    frame_add_number(out, FRAME_ROUTES_END, n);
}

static void look(void *ctx, const struct core *core)
{
    struct trunks *s = ctx;
    const struct row_gateway *row;
    s->nfound = 0;
    for (uint32_t pos = 0; (row = view_gateway_at(core, &pos)) != NULL; s->nfound++) {
        const struct row_member *member = view_member(core, &row->id);
        s->found[s->nfound] = (struct session_age){.gateway = row->id, .session = row->session};
        s->member[s->nfound] = member && member->joined_ms > 0;
        if (s->member[s->nfound])
            memcpy(s->key[s->nfound], member->key, DIGEST_LEN);
    }
    if (s->fresh_version != s->version)
        add_routes(&s->fresh, core, s->fresh_version);
}

/* ---- on the loop ---- */

void trunks_send_routes(struct trunks *s, struct trunk *t)
{
    if (s->routed)
        trunk_send(t, &s->routes);
}

static void cut_strangers(struct trunks *s)
{
    list_for_each_safe (it, next, &s->list) {
        struct trunk *t = list_entry(it, struct trunk, node);
        bool member = false;
        for (uint32_t i = 0; i < s->nfound; i++)
            member = member || (s->member[i] && uuid_eq(&s->found[i].gateway, &t->gateway) &&
                                memcmp(s->key[i], t->key, DIGEST_LEN) == 0);
        if (member)
            continue;
        s->config.out(s->config.ctx, &t->gateway);
        trunk_cut(t, "it is no member any more");
    }
}

static bool is_here(const struct trunks *s, const struct session_age *age)
{
    list_for_each_safe (it, next, &s->list) {
        const struct trunk *t = list_entry(it, struct trunk, node);
        if (uuid_eq(&t->gateway, &age->gateway) && t->greeting && uuid_eq(&t->session, &age->session))
            return true;
    }
    return false;
}

/* What is left of a process that is not heard of for too long is void. */
static void end_sessions(struct trunks *s)
{
    uint64_t now = clock_boot_ms();
    struct session_age *ages = calloc(s->nfound + 1, sizeof *ages);
    if (!ages)
        abort(); /* a few hundred bytes */
    for (uint32_t i = 0; i < s->nfound; i++) {
        struct session_age *age = &ages[i];
        *age = s->found[i];
        age->heard_ms = now;
        for (uint32_t k = 0; k < s->nages && !is_here(s, age); k++) {
            if (uuid_eq(&s->age[k].gateway, &age->gateway) && uuid_eq(&s->age[k].session, &age->session))
                age->heard_ms = s->age[k].heard_ms;
        }
        if (uuid_zero(&age->session) || now - age->heard_ms <= s->config.lease_ms)
            continue;
        struct event event = {.kind = EVENT_KIND_gateway_session, .u.gateway_session.gateway = age->gateway};
        if (runtime_post(s->config.runtime, &event) == 0)
            log_warn("gateway_session_over", "its leases are void");
    }
    free(s->age);
    s->age = ages;
    s->nages = s->nfound;
}

static void on_looked(void *ctx, const struct effect *reply)
{
    struct trunks *s = ctx;
    s->looking = false;
    if (reply->code != 0 || s->closing) {
        buf_fini(&s->fresh);
        return;
    }
    cut_strangers(s);
    end_sessions(s);
    if (s->fresh_version == s->version)
        return;
    buf_fini(&s->routes);
    s->routes = s->fresh;
    s->version = s->fresh_version;
    s->routed = !s->routes.failed;
    buf_init(&s->fresh, ROUTES_MAX);
    if (!s->routed)
        log_error("routes_too_large", "gateways are not told of them");
    list_for_each_safe (it, next, &s->list) {
        struct trunk *t = list_entry(it, struct trunk, node);
        if (t->greeted)
            trunks_send_routes(s, t);
    }
}

void trunks_follow(struct trunks *s)
{
    uint64_t version = gateway_version(s->config.gateway), now = uv_now(&s->config.loop->uv);
    bool changed = version != s->version && !list_empty(&s->list);
    if (s->looking || s->closing || (!changed && now - s->looked_ms < SESSIONS_MS))
        return;
    s->fresh_version = changed ? version : s->version;
    s->looked_ms = now;
    buf_fini(&s->fresh);
    buf_init(&s->fresh, ROUTES_MAX);
    uint64_t token = mailbox_token(&s->box);
    asks_add(&s->asks, token, on_looked, s);
    s->looking = runtime_query(s->config.runtime, look, s, token) == 0;
    if (!s->looking)
        asks_forget(&s->asks, token);
}
