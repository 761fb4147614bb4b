/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/deploy_cluster.h"

#include <string.h>

#include "core/kinds.h"
#include "engine/rpc.h"
#include "gateway/slots.h"
#include "hub/api.h"
#include "hub/cluster_speed.h"
#include "hub/clusters.h"

#define ENGINE "llama-server"
#define MEMBERS_LEAST 2u
#define MEMORY_MIB_MAX (1u << 24)

/* ---- what is asked for ---- */

static int take_number(struct api_call *call, yyjson_val *cluster, const char *name, uint64_t max,
                       uint64_t *out)
{
    yyjson_val *v = yyjson_obj_get(cluster, name);
    if (!v)
        return 0;
    *out = yyjson_get_uint(v);
    if (!yyjson_is_uint(v) || *out == 0 || *out > max)
        return err_set(&call->err, ERR_INVALID, "cluster: %s must be a number from 1 to %llu", name,
                       (unsigned long long)max);
    return 0;
}

static int take_kinds(struct api_call *call, yyjson_val *kinds, struct event_deploy *e, uint64_t *members)
{
    struct {
        char *chip;
        uint32_t *n;
    } to[] = {{e->kind0, &e->of0}, {e->kind1, &e->of1}, {e->kind2, &e->of2}, {e->kind3, &e->of3}};
    size_t n = yyjson_obj_size(kinds);
    uint64_t sum = 0;
    size_t i, max;
    yyjson_val *key, *v;
    if (!kinds)
        return 0;
    if (!yyjson_is_obj(kinds) || n == 0 || n > CLUSTER_KINDS_MAX || *members > 0 || e->chip[0])
        return err_set(&call->err, ERR_INVALID,
                       "cluster: kinds has 1 to %d kinds of chip with how many workers each, in place of "
                       "members and chip",
                       CLUSTER_KINDS_MAX);
    yyjson_obj_foreach(kinds, i, max, key, v)
    {
        uint64_t count = yyjson_get_uint(v);
        if (!yyjson_is_uint(v) || count == 0 || count > RPC_WORKERS_MAX ||
            !text_set(to[i].chip, CHIP_CAP, yyjson_get_str(key), yyjson_get_len(key)))
            return err_set(&call->err, ERR_INVALID, "cluster: kinds: %.64s: how many workers, from 1 to %u",
                           yyjson_get_str(key), RPC_WORKERS_MAX);
        *to[i].n = (uint32_t)count;
        sum += count;
    }
    *members = sum;
    return sum <= RPC_WORKERS_MAX
               ? 0
               : err_set(&call->err, ERR_INVALID, "cluster: at most %u workers", RPC_WORKERS_MAX);
}

static int check_members(struct api_call *call, yyjson_val *cluster)
{
    static const char *const known[] = {"members", "kinds", "memory_mib", "corridors"};
    static const char *const without[] = {"replicas", "min", "max", "chips", "hold_s", "idle_s"};
    size_t i, max, k;
    yyjson_val *key, *v;
    if (body_member(call, "sites") && body_member(call, "near"))
        return err_set(&call->err, ERR_INVALID, "either sites or near");
    if (!yyjson_is_obj(cluster))
        return err_set(&call->err, ERR_INVALID, "cluster: must be an object, {} for all as usual");
    yyjson_obj_foreach(cluster, i, max, key, v)
    {
        for (k = 0; k < 4 && strcmp(yyjson_get_str(key), known[k]) != 0; k++)
            continue;
        if (k == 4)
            return err_set(&call->err, ERR_INVALID, "cluster: there is no member %.64s", yyjson_get_str(key));
    }
    for (k = 0; k < sizeof without / sizeof *without; k++) {
        if (body_member(call, without[k]))
            return err_set(&call->err, ERR_INVALID,
                           "%s: not of a cluster, which is one replica on one chip of each worker",
                           without[k]);
    }
    return 0;
}

int deploy_cluster_parse(struct api_call *call, struct event_deploy *e)
{
    yyjson_val *cluster = body_member(call, "cluster"), *corridors = yyjson_obj_get(cluster, "corridors");
    uint64_t members = 0, memory_mib = 0;
    if (!cluster)
        return 0;
    int rc = check_members(call, cluster);
    if (rc == 0)
        rc = take_number(call, cluster, "members", RPC_WORKERS_MAX, &members);
    if (rc == 0)
        rc = take_kinds(call, yyjson_obj_get(cluster, "kinds"), e, &members);
    if (rc == 0)
        rc = take_number(call, cluster, "memory_mib", MEMORY_MIB_MAX, &memory_mib);
    if (rc == 0 && corridors && !yyjson_is_bool(corridors))
        rc = err_set(&call->err, ERR_INVALID, "cluster: corridors is true or false");
    e->members = members ? (uint32_t)members : UINT32_MAX; /* deploy_cluster_prepare finds them */
    e->member_bytes = memory_mib << 20;
    e->cluster_flags = yyjson_is_true(corridors) ? CLUSTER_CORRIDORS : 0;
    return rc;
}

/* ---- whether it can be ---- */

static const struct row_variant *variant_of(const struct core *core, const struct row_model *model)
{
    const struct row_variant *row;
    for (uint32_t pos = 0; (row = view_variant_at(core, &pos)) != NULL;) {
        if (uuid_eq(&row->model, &model->id))
            break;
    }
    return row;
}

static uint64_t least_memory(const struct core *core, const struct event_deploy *e)
{
    const struct row_chip *chip;
    const struct row_pool *pool;
    uint64_t least = UINT64_MAX;
    for (uint32_t pos = 0; (pool = view_pool_at(core, &pos)) != NULL;) {
        if (!uuid_eq(&pool->site, &e->sites.v[0]) || (e->chip[0] && strcmp(e->chip, pool->chip) != 0))
            continue;
        for (uint32_t at = 0; (chip = view_chip_at(core, &at)) != NULL;) {
            uint64_t bytes = (uint64_t)chip->memory_mib << 20;
            if (strcmp(chip->id, pool->chip) == 0 && bytes < least)
                least = bytes;
        }
    }
    return e->member_bytes ? cluster_room(e->member_bytes, least) : least;
}

/* So many as hold the weights and a quarter more. */
static uint32_t enough(const struct core *core, const struct event_deploy *e,
                       const struct row_variant *variant)
{
    uint64_t memory = least_memory(core, e), n = memory ? variant->size_bytes / 4 * 5 / memory + 1 : 1;
    return n < MEMBERS_LEAST ? MEMBERS_LEAST : n > RPC_WORKERS_MAX ? RPC_WORKERS_MAX : (uint32_t)n;
}

/* Chips of a kind, "" of any, in the pools of a site. */
static uint64_t chips_at(const struct core *core, const struct uuid *site, const char *chip)
{
    const struct row_pool *row;
    uint64_t n = 0;
    for (uint32_t pos = 0; (row = view_pool_at(core, &pos)) != NULL;) {
        if (uuid_eq(&row->site, site) && (chip[0] == 0 || strcmp(chip, row->chip) == 0))
            n += (uint64_t)row->nodes * row->node_chips;
    }
    return n;
}

/* Whether the sites have so many chips; with words of what is missing. */
static int check_chips(struct api_call *call, const struct core *core, const struct event_deploy *e,
                       const struct uuid_list *sites)
{
    const struct {
        const char *chip;
        uint32_t n;
    } kinds[] = {{e->of0 ? e->kind0 : e->chip, e->of0 ? e->of0 : e->members},
                 {e->kind1, e->of1},
                 {e->kind2, e->of2},
                 {e->kind3, e->of3}};
    for (size_t i = 0; i < CLUSTER_KINDS_MAX && kinds[i].n > 0; i++) {
        uint64_t have = 0;
        if (kinds[i].chip[0] && !view_chip_known(core, kinds[i].chip))
            return err_set(&call->err, ERR_NOT_FOUND, "There is no chip kind %s.", kinds[i].chip);
        for (uint32_t k = 0; k < sites->n; k++)
            have += chips_at(core, &sites->v[k], kinds[i].chip);
        if (have < kinds[i].n)
            return err_set(&call->err, ERR_WRONG_STATE,
                           "%u workers need as many chips%s%s, and there are %llu.", kinds[i].n,
                           kinds[i].chip[0] ? " of the kind " : "", kinds[i].chip, (unsigned long long)have);
    }
    return 0;
}

/* The nearest that has the chips, since a cluster is at one. */
static void choose_near(struct api_call *call, const struct core *core, struct event_deploy *e)
{
    struct err ignored = call->err;
    for (uint32_t i = 0; i < e->sites.n; i++) {
        const struct uuid_list one = {.n = 1, .v = {e->sites.v[i]}};
        if (check_chips(call, core, e, &one) != 0)
            continue;
        e->sites = one;
        break;
    }
    call->err = ignored;
}

int deploy_cluster_prepare(struct api_call *call, const struct core *core, const struct row_model *model)
{
    struct event_deploy *e = &call->events[0].u.deploy;
    const struct row_variant *variant = variant_of(core, model);
    const struct row_site *own = view_site_own(core), *site;
    const char *engine = e->engine[0] ? e->engine : variant ? variant->engine : "";
    bool corridors = e->cluster_flags & CLUSTER_CORRIDORS;
    if (!body_member(call, "cluster"))
        return 0;
    if (strcmp(engine, ENGINE) != 0)
        return err_set(&call->err, ERR_UNSUPPORTED, "A cluster is served by " ENGINE ", and `%s` is by %s.",
                       model->name, engine[0] ? engine : "nothing");
    if (e->sites.n == 0)
        e->sites = (struct uuid_list){.n = 1, .v = {own->id}};
    if (e->members == UINT32_MAX)
        e->members = enough(core, e, variant);
    e->min = e->replicas = e->members;
    if (e->near[0] && !corridors)
        choose_near(call, core, e);
    if (e->sites.n > 1 && !corridors)
        return err_set(&call->err, ERR_INVALID,
                       "A cluster is at one site, unless it may go over corridors, which makes each token "
                       "wait for the way.");
    for (uint32_t i = 0; i < e->sites.n; i++) {
        site = view_site(core, &e->sites.v[i]);
        if (strncmp(site->engine, "slurm", 5) == 0)
            return err_set(&call->err, ERR_UNSUPPORTED,
                           "The site %s runs a batch system; workers run on a site's own machine.",
                           site->name);
    }
    return check_chips(call, core, e, &e->sites);
}

/* ---- what is shown ---- */

static void add_string(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_json(out, value, strlen(value));
}

static void add_parts(struct buf *out, const struct core *core, const struct row_cluster *row)
{
    struct view_part part;
    buf_add_text(out, ",\"parts\":[");
    for (uint32_t i = 0; view_cluster_part(row, i, &part); i++) {
        const struct row_replica *worker = view_cluster_worker(core, row, &part);
        const struct row_site *site = worker ? view_site(core, &worker->site) : NULL;
        buf_addf(out, "%s{\"ordinal\":%u,\"epoch\":%u,\"layers\":%u", i ? "," : "", part.ordinal, part.epoch,
                 part.layers);
        add_string(out, "site", site ? site->name : "");
        add_string(out, "chip", worker ? worker->chip : "");
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

/* Of one slot in use, thousandths of a token a second, as requests here went, or if none did the head's check; 0: neither. */
static uint64_t measured(const struct core *core, const struct row_cluster *row, struct gateway *gateway)
{
    const struct row_replica *r;
    struct slot_queue *queue;
    uint64_t mtok_s = 0;
    for (uint32_t pos = 0; (r = view_replica_at(core, &pos)) != NULL;) {
        if (!uuid_eq(&r->deployment, &row->id) || r->role != REPLICA_HEAD)
            continue;
        struct backend *b = gateway_replica(gateway, &row->id, r->ordinal, r->epoch, &queue);
        if (b) {
            mtok_s = yield_measured(&b->yield);
            backend_unref(b);
        }
    }
    struct cluster_sample sample;
    return mtok_s == 0 && cluster_sample_take(&sample, core, row) ? sample.token_s_e3 : mtok_s;
}

/* By what is known now; of a plan that was not looked at yet, when it was made. */
static struct clusters_told predicted(const struct row_cluster *row, const struct hub *hub)
{
    struct clusters_told told = {.token_s_e3 = row->token_s_e3};
    if (row->parts == 0 || !clusters_tell(hub->clusters, &row->id, row->generation, &told))
        told = (struct clusters_told){.token_s_e3 = row->parts > 0 ? row->token_s_e3 : 0};
    return told;
}

/* "8 + 4 layers, generation 2, 31 tokens/s (= 0.01 of an h100)"; or why there is none. */
static void add_summary(struct buf *out, const struct row_cluster *row, const struct clusters_told *told,
                        uint64_t mtok_s)
{
    struct buf words;
    struct view_part part;
    buf_init(&words, 1024);
    for (uint32_t i = 0; view_cluster_part(row, i, &part); i++)
        buf_addf(&words, "%s%u", i ? "+" : "", part.layers);
    if (row->parts > 0)
        buf_addf(&words, " layers, generation %u", row->generation);
    else
        buf_addf(&words, "%s", row->detail[0] ? row->detail : "waits for its workers");
    if (told->token_s_e3 > 0)
        buf_addf(&words, ", %.1f tokens/s predicted%s%s", (double)told->token_s_e3 / 1e3,
                 told->samples > 0 ? " from what was measured" : "",
                 told->guessed ? " with a way guessed at 40 ms" : "");
    if (row->parts > 0 && row->equal_chip[0])
        buf_addf(&words, " = %.2f of an %s", (double)row->equal_e3 / 1e3, row->equal_chip);
    if (mtok_s > 0)
        buf_addf(&words, ", %.1f measured", (double)mtok_s / 1e3);
    buf_add_char(&words, 0);
    add_string(out, "summary", words.failed ? "" : words.data);
    buf_fini(&words);
}

void render_cluster(struct buf *out, const struct core *core, const struct row_deployment *d,
                    const struct hub *hub)
{
    const struct row_cluster *row = view_cluster(core, &d->id);
    if (!row) {
        buf_add_text(out, ",\"cluster\":null");
        return;
    }
    uint64_t mtok_s = measured(core, row, hub->gateway);
    struct clusters_told told = predicted(row, hub);
    buf_addf(out, ",\"cluster\":{\"members\":%u,\"memory_mib\":%u,\"corridors\":%s,\"generation\":%u",
             row->members, cluster_memory_mib(row), row->cluster_flags & CLUSTER_CORRIDORS ? "true" : "false",
             row->generation);
    add_parts(out, core, row);
    buf_addf(out, ",\"offered\":%u,\"tokens_s_predicted\":%.3f,\"tokens_s_measured\":%.3f", row->offered,
             (double)told.token_s_e3 / 1e3, (double)mtok_s / 1e3);
    buf_addf(out, ",\"samples\":%u,\"way_guessed\":%s", told.samples, told.guessed ? "true" : "false");
    buf_addf(out, ",\"equal\":%.3f", row->parts ? (double)row->equal_e3 / 1e3 : 0);
    add_string(out, "equal_chip", row->equal_chip);
    buf_addf(out, ",\"breaks\":%u,\"outage_ms\":%lld", row->breaks, (long long)row->outage_ms);
    add_string(out, "detail", row->detail);
    add_summary(out, row, &told, mtok_s);
    buf_add_char(out, '}');
}
