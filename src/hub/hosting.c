/* SPDX-License-Identifier: Apache-2.0 */
/* What sites should serve, and whether they are reached. Their reports: hub/hosting_report.c. */
#include "hub/hosting.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/osrandom.h"
#include "core/kinds.h"
#include "core/view.h"
#include "hub/hosting_parts.h"
#include "hub/peers.h"

#define LOOK_MS 1000
#define FIRST_LOOK_MS 5000 /* after the hub's start: sites come back by then */
#define SITES_MAX 256      /* limits.sites of a hub */
#define DRAIN_MS 30000     /* after that a replica is stopped whatever it answers */
#define AWAY_MAX 512       /* replicas told to be out of touch in one look; the next one goes on */

struct word {
    struct uuid site;
    bool can;
};

struct hosting {
    struct hosting_config config;
    struct tunnels *tunnels;
    struct peers *peers;
    uint64_t version;
    pthread_mutex_t lock; /* of the words */
    struct word word[SITES_MAX];
    uint32_t nwords;
    uv_timer_t timer;
    bool looking, draining;
    /* Of a look: who is reached; what is to be told; who is no member any more. */
    struct tunnels_site reached[SITES_MAX];
    uint32_t nreached;
    struct event event[AWAY_MAX];
    uint32_t nevents;
    bool gone[SITES_MAX];
};

struct tunnels *hosting_tunnels(const struct hosting *hosting)
{
    return hosting->tunnels;
}

struct peers *hosting_peers(const struct hosting *hosting)
{
    return hosting->peers;
}

const struct hosting_config *hosting_config(const struct hosting *hosting)
{
    return &hosting->config;
}

uint64_t hosting_version(const struct hosting *hosting)
{
    return hosting->version;
}

void hosting_changed(struct hosting *s)
{
    s->version++;
    s->config.changed(s->config.ctx);
}

void hosting_effect(struct hosting *s, const struct effect *effect)
{
    if (effect->kind == EFFECT_REPLICA_START && effect->ordinal == CLUSTER_HEAD)
        peers_part(s->peers, &effect->deployment); /* if it is a cluster, they are those of the head before */
    if (effect->kind == EFFECT_REPLICA_START || effect->kind == EFFECT_REPLICA_STOP ||
        effect->kind == EFFECT_RECALLED)
        hosting_changed(s);
}

/* ---- what a site says of itself ---- */

void hosting_says(struct hosting *s, const struct uuid *site, bool can)
{
    uint32_t i = 0;
    pthread_mutex_lock(&s->lock);
    while (i < s->nwords && !uuid_eq(&s->word[i].site, site))
        i++;
    if (i == s->nwords && i < SITES_MAX)
        s->word[s->nwords++].site = *site;
    if (i < s->nwords)
        s->word[i].can = can;
    pthread_mutex_unlock(&s->lock);
}

int hosting_can(struct hosting *s, const struct uuid *site)
{
    int can = -1;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->nwords; i++) {
        if (uuid_eq(&s->word[i].site, site))
            can = s->word[i].can;
    }
    pthread_mutex_unlock(&s->lock);
    return can;
}

/* ---- what a site should serve ---- */

struct wanted {
    struct row_replica replica;
    struct row_variant variant;
    char model[NAME_CAP];
    uint32_t kind, context, slots;
    bool drains;
    /* Of a cluster. */
    uint32_t memory_mib, nparts;
    struct view_part part[CLUSTER_MEMBERS_MAX];
    bool in_plan; /* of a worker */
};

struct hosting_list {
    struct wanted *wanted;
    uint32_t n;
    uint8_t (*recalled)[DIGEST_BYTES]; /* weights that nobody may use */
    uint32_t nrecalled;
};

static void want_role(const struct core *core, struct wanted *out)
{
    const struct row_cluster *cluster = view_cluster(core, &out->replica.deployment);
    if (!cluster)
        return;
    out->memory_mib = cluster_memory_mib(cluster);
    while (view_cluster_part(cluster, out->nparts, &out->part[out->nparts])) {
        const struct view_part *part = &out->part[out->nparts++];
        out->in_plan =
            out->in_plan || (part->ordinal == out->replica.ordinal && part->epoch == out->replica.epoch);
        if (out->nparts == CLUSTER_MEMBERS_MAX)
            break;
    }
}

static bool want(const struct core *core, const struct row_replica *row, struct wanted *out)
{
    const struct row_deployment *deployment = view_deployment(core, &row->deployment);
    const struct row_model *model = deployment ? view_model(core, &deployment->model) : NULL;
    const struct row_variant *variant = view_variant(core, &row->variant);
    if (!model || !variant)
        return false;
    *out = (struct wanted){.replica = *row,
                           .variant = *variant,
                           .kind = model->kind,
                           .context = model->context,
                           .slots = deployment->slots,
                           .drains = row->state == REPLICA_DRAINING};
    memcpy(out->model, model->name, sizeof out->model);
    want_role(core, out);
    return true;
}

static void look_recalled(struct hosting_list *list, const struct core *core)
{
    const struct row_recall *row;
    for (uint32_t pos = 0; (row = view_recall_at(core, &pos)) != NULL;) {
        if (row->lifted_ms != 0)
            continue;
        uint8_t(*more)[DIGEST_BYTES] = realloc(list->recalled, (list->nrecalled + 1) * sizeof *more);
        if (!more)
            abort();
        list->recalled = more;
        memcpy(more[list->nrecalled++], row->digest, DIGEST_BYTES);
    }
}

struct hosting_list *hosting_look(const struct core *core, const struct uuid *site)
{
    struct hosting_list *list = calloc(1, sizeof *list);
    const struct row_replica *row;
    for (uint32_t pos = 0; list && (row = view_replica_at(core, &pos)) != NULL;) {
        if (!uuid_eq(&row->site, site))
            continue;
        struct wanted *more = realloc(list->wanted, (list->n + 1) * sizeof *more);
        if (!more)
            abort();
        list->wanted = more;
        list->n += want(core, row, &more[list->n]);
    }
    if (list)
        look_recalled(list, core);
    return list;
}

void hosting_list_free(struct hosting_list *list)
{
    if (!list)
        return;
    free(list->wanted);
    free(list->recalled);
    free(list);
}

void hosting_add_target(struct buf *out, const struct uuid *deployment, uint32_t ordinal, uint32_t epoch)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, deployment);
    buf_addf(out, "{\"deployment\":\"%s\",\"ordinal\":%u,\"epoch\":%u", id, ordinal, epoch);
}

/* No new requests come; those that it answers may end. What a worker computes its head answers. */
static bool is_to_stop(struct hosting *s, const struct wanted *w)
{
    bool worker = w->replica.role == REPLICA_WORKER;
    bool answers = w->drains && (!worker || w->in_plan) &&
                   s->config.busy(s->config.busy_ctx, &w->replica.deployment,
                                  worker ? CLUSTER_HEAD : w->replica.ordinal) > 0 &&
                   runtime_now_ms(s->config.runtime) - w->replica.since_ms < DRAIN_MS;
    s->draining = s->draining || answers;
    return w->drains && !answers;
}

/* An agent of before there were clusters knows no engine of these names, and says so. */
static const char *engine_of(const struct wanted *w)
{
    switch (w->replica.role) {
    case REPLICA_WORKER:
        return "rpc-worker";
    case REPLICA_HEAD:
        return "rpc-head";
    default:
        return w->variant.engine;
    }
}

static void add_role(struct buf *out, const struct wanted *w)
{
    if (w->replica.role == REPLICA_WORKER)
        buf_addf(out, ",\"memory_mib\":%u", w->memory_mib);
    if (w->replica.role != REPLICA_HEAD)
        return;
    buf_add_text(out, ",\"serves\":");
    buf_add_json(out, w->variant.engine, strlen(w->variant.engine));
    buf_add_text(out, ",\"workers\":[");
    for (uint32_t i = 0; i < w->nparts; i++)
        buf_addf(out, "%s{\"ordinal\":%u,\"epoch\":%u,\"layers\":%u}", i ? "," : "", w->part[i].ordinal,
                 w->part[i].epoch, w->part[i].layers);
    buf_add_char(out, ']');
}

static void add_wanted(struct buf *out, const struct wanted *w, bool stop)
{
    char digest[2 * DIGEST_BYTES + 1];
    hex_encode(digest, w->variant.digest, DIGEST_BYTES);
    hosting_add_target(out, &w->replica.deployment, w->replica.ordinal, w->replica.epoch);
    buf_addf(out, ",\"stop\":%s,\"slots\":%u,\"context\":%u,\"kind\":%u,\"size\":%llu,\"digest\":\"%s\"",
             stop ? "true" : "false", w->slots, w->context, w->kind,
             (unsigned long long)w->variant.size_bytes, digest);
    buf_addf(out, ",\"chips\":%u,\"chip\":", w->replica.chips);
    buf_add_json(out, w->replica.chip, strlen(w->replica.chip));
    buf_add_text(out, ",\"model\":");
    buf_add_json(out, w->model, strlen(w->model));
    buf_add_text(out, ",\"engine\":");
    buf_add_json(out, engine_of(w), strlen(engine_of(w)));
    add_role(out, w);
    buf_add_char(out, '}');
}

void hosting_answer(struct hosting *s, const struct uuid *site, const struct hosting_list *list,
                    uint64_t version, struct buf *out)
{
    struct tunnel_target *keep = calloc(list->n + 1, sizeof *keep);
    buf_addf(out, ",\"replicas\":{\"version\":%llu,\"list\":[", (unsigned long long)version);
    for (uint32_t i = 0; i < list->n; i++) {
        const struct row_replica *row = &list->wanted[i].replica;
        buf_add_text(out, i ? "," : "");
        add_wanted(out, &list->wanted[i], is_to_stop(s, &list->wanted[i]));
        if (keep)
            keep[i] = (struct tunnel_target){row->deployment, row->ordinal, row->epoch};
    }
    buf_add_text(out, "],\"recalled\":[");
    for (uint32_t i = 0; i < list->nrecalled; i++) {
        char digest[2 * DIGEST_BYTES + 1];
        hex_encode(digest, list->recalled[i], DIGEST_BYTES);
        buf_addf(out, "%s\"%s\"", i ? "," : "", digest);
    }
    buf_add_text(out, "]}");
    if (keep)
        tunnels_keep(s->tunnels, site, keep, list->n);
    free(keep);
}

/* ---- sites that are not reached ---- */

static bool is_reached(const struct hosting *s, const struct uuid *site)
{
    for (uint32_t i = 0; i < s->nreached; i++) {
        if (uuid_eq(&s->reached[i].site, site))
            return true;
    }
    return false;
}

static void look(void *ctx, const struct core *core)
{
    static const char words[] = "out of touch with the site";
    struct hosting *s = ctx;
    const struct row_replica *row;
    const struct row_site *own = view_site_own(core);
    for (uint32_t i = 0; i < s->nreached; i++)
        s->gone[i] = !view_is_member(core, &s->reached[i].site, s->reached[i].key);
    for (uint32_t pos = 0; s->nevents < AWAY_MAX && (row = view_replica_at(core, &pos)) != NULL;) {
        bool runs = row->state == REPLICA_READY || row->state == REPLICA_STARTING;
        if (!runs || uuid_eq(&row->site, &own->id) || is_reached(s, &row->site))
            continue;
        struct event *event = &s->event[s->nevents++];
        *event = (struct event){.kind = EVENT_KIND_replica_state,
                                .u.replica_state = {.deployment = row->deployment,
                                                    .ordinal = row->ordinal,
                                                    .epoch = row->epoch,
                                                    .state = REPLICA_BACKOFF}};
        memcpy(event->u.replica_state.detail, words, sizeof words);
        memcpy(event->u.replica_state.endpoint, row->endpoint, sizeof row->endpoint);
    }
}

static void cut(struct hosting *s, const struct uuid *site)
{
    tunnels_cut(s->tunnels, site);
    peers_cut(s->peers, site);
}

static void on_looked(void *ctx, const struct effect *reply)
{
    struct hosting *s = ctx;
    s->looking = false;
    for (uint32_t i = 0; i < s->nreached && reply->code == 0; i++) {
        if (s->gone[i])
            cut(s, &s->reached[i].site);
    }
    if (reply->code == 0 && s->nevents > 0 && runtime_post_all(s->config.runtime, s->event, s->nevents) == 0)
        hosting_changed(s); /* who is back says anew what it has */
}

static void on_tick(uv_timer_t *timer)
{
    struct hosting *s = timer->data;
    if (s->draining) {
        s->draining = false;
        hosting_changed(s); /* sites ask again, and are told to stop what has come to its end */
    }
    if (s->looking)
        return;
    s->nevents = 0;
    s->nreached = tunnels_sites(s->tunnels, s->reached, SITES_MAX);
    for (uint32_t i = 0; i < s->nreached; i++) {
        if (s->config.silent(s->config.ctx, &s->reached[i].site))
            cut(s, &s->reached[i].site);
    }
    uint64_t token = mailbox_token(s->config.box);
    asks_add(s->config.asks, token, on_looked, s);
    s->looking = runtime_query(s->config.runtime, look, s, token) == 0;
    if (!s->looking)
        asks_forget(s->config.asks, token);
}

/* ---- the whole ---- */

int hosting_open(struct hosting **out, const struct hosting_config *config, struct err *err)
{
    struct hosting *s = calloc(1, sizeof *s);
    uint32_t start;
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->config = *config;
    int rc = tunnels_open(&s->tunnels, config->loop, config->run_dir, err);
    if (rc == 0)
        rc = peers_open(&s->peers, config->loop, err);
    if (rc != 0) {
        tunnels_free(s->tunnels);
        free(s);
        return rc;
    }
    os_random(&start, sizeof start); /* a version of an earlier run of the hub is none of this run */
    s->version = ((uint64_t)start << 20) + 1;
    pthread_mutex_init(&s->lock, NULL);
    uv_timer_init(&config->loop->uv, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_tick, FIRST_LOOK_MS, LOOK_MS);
    *out = s;
    return 0;
}

void hosting_close(struct hosting *s)
{
    uv_close((uv_handle_t *)&s->timer, NULL);
    tunnels_close(s->tunnels);
    peers_close(s->peers);
}

void hosting_free(struct hosting *s)
{
    if (!s)
        return;
    tunnels_free(s->tunnels);
    peers_free(s->peers);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
