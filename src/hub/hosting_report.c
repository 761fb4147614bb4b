/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sites tell of their replicas. Each is compared with what the core has: a replica that is another site's, or of
 * another epoch, is passed over; what is known already makes no event. A replica that answers gets its portal first, so
 * that whoever is sent there finds it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/kinds.h"
#include "core/view.h"
#include "hub/api.h"
#include "hub/hosting_parts.h"

#define REPORTED_MAX 256 /* replicas of a site; limits of a deployment are below */
#define METERED_MAX 256  /* totals of one call, TOTALS_CALL_MAX of site/totals.h */
#define STEPS_MAX 2      /* states between what the core has and what is told */

struct reported {
    struct tunnel_target target;
    uint32_t state, slots, context;
    char detail[TEXT_CAP];
    char version[NAME_CAP];
    char known[TEXT_CAP]; /* the endpoint that the core has of one that is ready, else "" */
    bool ours;            /* the core has it at this site, under this epoch */
    uint32_t step[STEPS_MAX];
    uint32_t nsteps;
};

struct report {
    struct reported item[REPORTED_MAX];
    uint32_t n;
    /* What was drawn comes first: with the last state goes the replica. */
    struct event event[METERED_MAX + REPORTED_MAX * STEPS_MAX];
    uint32_t nmetered, nevents, replies;
    bool lost;    /* something was not recorded */
    bool stopped; /* one that drained has */
};

/* ---- what has changed ---- */

static const struct row_replica *replica_of(const struct core *core, const struct tunnel_target *target)
{
    const struct row_replica *row;
    for (uint32_t pos = 0; (row = view_replica_at(core, &pos)) != NULL;) {
        if (uuid_eq(&row->deployment, &target->deployment) && row->ordinal == target->ordinal)
            break;
    }
    return row;
}

static bool is_known(const struct row_replica *row, const struct reported *r)
{
    return row->state == r->state && row->slots == r->slots && row->context == r->context &&
           strcmp(row->detail, r->detail) == 0 && strcmp(row->version, r->version) == 0 &&
           (r->state != REPLICA_READY || row->endpoint[0]);
}

/* Between some states the core knows no edge: each ready follows a start, and each start that is none of the first a
 * failure. */
static void plan(struct reported *r, const struct row_replica *row)
{
    bool drains = row->state == REPLICA_DRAINING;
    if (is_known(row, r) || drains != (r->state == REPLICA_STOPPED))
        return;
    if (r->state == REPLICA_READY && row->state == REPLICA_BACKOFF)
        r->step[r->nsteps++] = REPLICA_STARTING;
    if (r->state == REPLICA_STARTING && row->state == REPLICA_READY)
        r->step[r->nsteps++] = REPLICA_BACKOFF;
    r->step[r->nsteps++] = r->state;
}

static bool has_stopped(const struct reported *r)
{
    return r->nsteps > 0 && r->state == REPLICA_STOPPED;
}

static void look(struct visit *visit, const struct core *core)
{
    struct report *report = visit->data;
    for (uint32_t i = 0; i < report->n; i++) {
        struct reported *r = &report->item[i];
        const struct row_replica *row = replica_of(core, &r->target);
        r->ours = row && row->epoch == r->target.epoch && uuid_eq(&row->site, &visit->site);
        if (r->ours && row->state == REPLICA_READY)
            memcpy(r->known, row->endpoint, sizeof r->known);
        if (r->ours)
            plan(r, row);
        report->stopped = report->stopped || has_stopped(r);
    }
}

/* ---- and is recorded ---- */

static void finish(struct visit *visit)
{
    const struct report *report = visit->data;
    struct buf out;
    if (report->lost) {
        hub_refuse(visit->request, ERR_UNAVAILABLE, "");
        visit->request = NULL;
        return;
    }
    visit_begin(visit, &out);
    buf_addf(&out, ",\"changes\":%u", report->nevents - report->nmetered);
    visit_end(visit, &out);
}

static void on_reply(void *ctx, const struct effect *reply)
{
    struct visit *visit = ctx;
    struct report *report = visit->data;
    report->lost |= reply->code == ERR_UNAVAILABLE; /* another refusal: it was taken back meanwhile */
    if (++report->replies < report->nevents)
        return;
    if (report->stopped && !report->lost)
        hosting_changed(visit_hosting(visit)); /* it leaves the list */
    if (visit->request)
        finish(visit);
    visit_free(visit);
}

static void add_events(struct report *report, const struct reported *r, const char *endpoint)
{
    for (uint32_t k = 0; k < r->nsteps; k++) {
        struct event *event = &report->event[report->nevents++];
        *event = (struct event){.kind = EVENT_KIND_replica_state,
                                .u.replica_state = {.deployment = r->target.deployment,
                                                    .ordinal = r->target.ordinal,
                                                    .epoch = r->target.epoch,
                                                    .state = r->step[k],
                                                    .slots = r->slots,
                                                    .context = r->context}};
        memcpy(event->u.replica_state.detail, r->detail, sizeof r->detail);
        memcpy(event->u.replica_state.version, r->version, sizeof r->version);
        memcpy(event->u.replica_state.endpoint, endpoint, TEXT_CAP);
    }
}

/* ERR_UNAVAILABLE: there is no way to one that runs yet; the site says it again. */
static int open_portals(struct visit *visit, struct report *report, struct err *err)
{
    struct tunnels *tunnels = hosting_tunnels(visit_hosting(visit));
    for (uint32_t i = 0; i < report->n; i++) {
        struct reported *r = &report->item[i];
        char endpoint[TEXT_CAP] = "";
        bool runs = r->ours && (r->state == REPLICA_READY || r->state == REPLICA_STARTING);
        int rc = runs && !tunnels_any(tunnels, &visit->site) ? ERR_UNAVAILABLE : 0;
        if (rc == 0 && r->ours && r->state == REPLICA_READY)
            rc = tunnels_portal(tunnels, &visit->site, &r->target, endpoint, err);
        if (rc != 0)
            return rc;
        if (r->known[0] && endpoint[0] && r->nsteps == 0 && strcmp(r->known, endpoint) != 0)
            r->step[r->nsteps++] = REPLICA_READY; /* a hub before this one had its portal elsewhere */
        add_events(report, r, endpoint);
    }
    return 0;
}

static void answer(struct visit *visit)
{
    struct report *report = visit->data;
    const struct hosting_config *config = hosting_config(visit_hosting(visit));
    struct err err = {0};
    for (uint32_t i = 0; i < report->nmetered; i++)
        report->event[i].u.replica_meter.site = visit->site;
    report->lost = open_portals(visit, report, &err) != 0;
    if (report->lost || report->nevents == 0) {
        finish(visit);
        return;
    }
    for (uint32_t i = 0; i < report->nevents; i++) {
        report->event[i].token = mailbox_token(config->box);
        asks_add(config->asks, report->event[i].token, on_reply, visit);
    }
    visit->kept = true;
    if (runtime_post_all(config->runtime, report->event, report->nevents) == 0)
        return;
    for (uint32_t i = 0; i < report->nevents; i++)
        asks_forget(config->asks, report->event[i].token);
    visit->kept = false;
    report->lost = true;
    finish(visit);
}

/* ---- what the site says ---- */

static bool take_u32(yyjson_val *item, const char *name, uint32_t max, uint32_t *out)
{
    yyjson_val *v = yyjson_obj_get(item, name);
    *out = (uint32_t)yyjson_get_uint(v);
    return yyjson_is_uint(v) && yyjson_get_uint(v) <= max;
}

static bool take_state(yyjson_val *item, uint32_t *out)
{
    const char *word = yyjson_get_str(yyjson_obj_get(item, "state"));
    for (*out = REPLICA_STARTING; word && *out <= REPLICA_STOPPED; ++*out) {
        if (strcmp(word, replica_state_text(*out)) == 0)
            return true;
    }
    return false;
}

static int take_item(struct report *report, yyjson_val *item, struct err *err)
{
    struct reported *r = &report->item[report->n];
    yyjson_val *deployment = yyjson_obj_get(item, "deployment"), *detail = yyjson_obj_get(item, "detail");
    yyjson_val *version = yyjson_obj_get(item, "version"); /* sites of before tell none */
    if (report->n == REPORTED_MAX || !yyjson_is_str(deployment) ||
        !uuid_parse(&r->target.deployment, yyjson_get_str(deployment), yyjson_get_len(deployment)) ||
        !take_u32(item, "ordinal", UINT32_MAX, &r->target.ordinal) ||
        !take_u32(item, "epoch", UINT32_MAX, &r->target.epoch) || !take_state(item, &r->state) ||
        !take_u32(item, "slots", SLOTS_MAX, &r->slots) ||
        !take_u32(item, "context", CONTEXT_MAX, &r->context) || !yyjson_is_str(detail) ||
        !text_set(r->detail, sizeof r->detail, yyjson_get_str(detail), yyjson_get_len(detail)) ||
        (version && (!yyjson_is_str(version) || !text_set(r->version, sizeof r->version,
                                                          yyjson_get_str(version), yyjson_get_len(version)))))
        return err_set(
            err, ERR_INVALID,
            "replicas: each has deployment, ordinal, epoch, state, slots, context and a detail of at most %d "
            "bytes, and may have a version of at most %d; at most %d of them",
            TEXT_CAP - 1, NAME_CAP - 1, REPORTED_MAX);
    report->n++;
    return 0;
}

static bool take_u64(yyjson_val *item, const char *name, uint64_t *out)
{
    yyjson_val *v = yyjson_obj_get(item, name);
    *out = yyjson_get_uint(v);
    return yyjson_is_uint(v) && *out <= INT64_MAX;
}

/* A total of what a replica drew. */
static int take_energy(struct report *report, yyjson_val *item, struct err *err)
{
    yyjson_val *deployment = yyjson_obj_get(item, "deployment");
    yyjson_val *estimated = yyjson_obj_get(item, "estimated"), *final = yyjson_obj_get(item, "final");
    struct event_replica_meter e = {.flags = (yyjson_is_true(estimated) ? JOB_METER_ESTIMATED : 0) |
                                             (yyjson_is_true(final) ? JOB_METER_FINAL : 0)};
    if (report->nmetered == METERED_MAX || !yyjson_is_str(deployment) ||
        !uuid_parse(&e.deployment, yyjson_get_str(deployment), yyjson_get_len(deployment)) ||
        !take_u32(item, "ordinal", UINT32_MAX, &e.ordinal) ||
        !take_u32(item, "epoch", UINT32_MAX, &e.epoch) || !take_u64(item, "run", &e.run) ||
        !take_u64(item, "energy_mj", &e.energy_mj) || !yyjson_is_bool(estimated) || !yyjson_is_bool(final))
        return err_set(err, ERR_INVALID,
                       "energy: each has deployment, ordinal, epoch, run, energy_mj, estimated and final; at "
                       "most %d of them",
                       METERED_MAX);
    report->event[report->nmetered++] =
        (struct event){.kind = EVENT_KIND_replica_meter, .u.replica_meter = e};
    return 0;
}

int hosting_take_report(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct report *report = calloc(1, sizeof *report);
    yyjson_val *list = yyjson_obj_get(root, "replicas"), *energy = yyjson_obj_get(root, "energy"), *item;
    int rc = 0;
    if (!report)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    visit->data = report;
    visit->drop = free;
    visit->look = look;
    visit->answer = answer;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!yyjson_is_arr(list))
        return err_set(err, ERR_INVALID, "replicas: must be a list");
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while (rc == 0 && (item = yyjson_arr_iter_next(&it)) != NULL)
        rc = take_item(report, item, err);
    if (rc == 0 && energy && !yyjson_is_arr(energy)) /* an older site says nothing of it */
        rc = err_set(err, ERR_INVALID, "energy: must be a list");
    it = yyjson_arr_iter_with(energy);
    while (rc == 0 && (item = yyjson_arr_iter_next(&it)) != NULL)
        rc = take_energy(report, item, err);
    report->nevents = report->nmetered;
    if (rc == 0)
        visit_ask(visit);
    return rc;
}

/* ---- tunnels ---- */

static void answer_tunnel(struct visit *visit)
{
    struct tunnels *tunnels = hosting_tunnels(visit_hosting(visit));
    int rc = tunnels_add(tunnels, &visit->site, visit->key, visit->request);
    if (rc != 0)
        hub_refuse(visit->request, rc, rc == ERR_LIMIT ? "This site has as many tunnels as it may." : "");
    visit->request = NULL;
}

int hosting_take_tunnel(struct visit *visit, yyjson_val *root, struct err *err)
{
    size_t len;
    const char *protocol = http_request_field(visit->request, "upgrade", &len);
    (void)root;
    visit->answer = answer_tunnel;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!protocol || !text_eq(TUNNEL_PROTOCOL, strlen(TUNNEL_PROTOCOL), protocol, len))
        return err_set(err, ERR_INVALID, "this takes Upgrade: " TUNNEL_PROTOCOL);
    visit_ask(visit);
    return 0;
}
