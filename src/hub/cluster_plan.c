/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/cluster_plan.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "engine/rpc.h"

#define SCRATCH_MIN (UINT64_C(16) << 20) /* the process itself, and what is rounded up */
#define BATCH 512                        /* tokens that llama.cpp computes in one go */
#define ROOM_ALIGN 16
#define ROOM_MAX (UINT64_C(1) << 52) /* no memory has so much: what is beyond is as good as endless */

struct part {
    uint32_t ordinal, epoch, layers;
};

uint64_t cluster_room(uint64_t asked, uint64_t chip)
{
    uint64_t most = chip / 10 * 9;
    return asked == 0 || (chip > 0 && asked > most) ? most : asked;
}

uint64_t cluster_scratch(const struct shape *s, bool head)
{
    uint64_t numbers = 3 * s->ffn + 4 * (uint64_t)s->model.hidden + (head ? s->vocab : 0);
    return SCRATCH_MIN + BATCH * 4 * numbers + (head ? s->model.head_bytes : 0);
}

static uint64_t layer_room(const struct shape *s, uint64_t tokens)
{
    int128 room = (int128)s->model.layer_bytes + (int128)s->model.kv_bytes * tokens;
    return room < ROOM_MAX ? (uint64_t)room : ROOM_MAX;
}

uint32_t cluster_layers(const struct shape *s, const struct cluster_worker *w, uint64_t tokens, bool head)
{
    uint64_t scratch = cluster_scratch(s, head);
    uint64_t n = w->memory_bytes > scratch ? (w->memory_bytes - scratch) / layer_room(s, tokens) : 0;
    return n < s->model.layers ? (uint32_t)n : s->model.layers;
}

int64_t cluster_time_ps(uint64_t bytes, uint64_t flop, const struct cluster_worker *w)
{
    uint64_t byte_s = w->byte_s ? w->byte_s : CLUSTER_BYTE_S, flop_s = w->flop_s ? w->flop_s : CLUSTER_FLOP_S;
    int128 read = (int128)bytes * 1000000000000 / (int64_t)byte_s;
    int128 compute = (int128)flop * 1000000000000 / (int64_t)flop_s;
    int128 ps = read > compute ? read : compute;
    return ps < 1 ? 1 : ps < STAGE_PS_MAX ? (int64_t)ps : STAGE_PS_MAX;
}

int64_t cluster_hop_ps(const struct cluster_worker *w, const struct cluster_worker *home)
{
    return w->local_ps + (uuid_eq(&w->site, &home->site) ? 0 : w->way_ps + home->way_ps);
}

/* A worker at the site that the most workers are at, and of several the one of the lowest id: the head is to be there. */
static uint32_t home_of(const struct cluster_worker *w, uint32_t n)
{
    uint32_t most = 0, best = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t there = 0;
        for (uint32_t k = 0; k < n; k++)
            there += uuid_eq(&w[k].site, &w[i].site);
        if (there > most || (there == most && memcmp(&w[i].site, &w[best].site, sizeof w[i].site) < 0)) {
            best = i;
            most = there;
        }
    }
    return best;
}

/* What is lacking where no plan can be made, if the one that loses the fewest layers by it takes what comes last. */
static uint64_t lacking(const struct shape *s, const struct cluster_worker *w, uint32_t n, uint64_t tokens)
{
    uint64_t need = s->model.layers, have = 0;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t with = cluster_layers(s, &w[i], tokens, true),
                 without = cluster_layers(s, &w[i], tokens, false);
        have += without;
        if (with > 0 && without - with < least)
            least = without - with;
    }
    bool head = least < UINT32_MAX;
    have -= head ? least : 0;
    uint64_t bytes = need > have ? (need - have) * layer_room(s, tokens) : 0;
    return head ? bytes : bytes + cluster_scratch(s, true);
}

/* The home's first, since the head is where the first part is; what holds the last part comes last. */
static void put_parts(const struct stage_plan *plan, const struct cluster_worker *w, const struct uuid *home,
                      struct event_cluster_plan *out)
{
    struct part parts[CLUSTER_MEMBERS_MAX] = {{0, 0, 0}};
    for (int turn = 0; turn < 3; turn++) {
        for (uint32_t i = 0; i < plan->n; i++) {
            const struct stage *stage = &plan->stage[i];
            int its = stage->head ? 2 : uuid_eq(&w[stage->unit].site, home) ? 0 : 1;
            if (its == turn)
                parts[out->parts++] =
                    (struct part){w[stage->unit].ordinal, w[stage->unit].epoch, stage->layers};
        }
    }
    memcpy((char *)out + offsetof(struct event_cluster_plan, ordinal0), parts, sizeof parts);
}

static int solve(const struct stage_problem *problem, struct stage_plan *plan)
{
    struct arena counted, arena;
    struct stages stages;
    arena_init(&counted, NULL, SIZE_MAX);
    int rc = stages_init(&stages, &counted, problem->layers, problem->nodes, problem->nodes);
    void *block =
        rc == 0 ? aligned_alloc(ROOM_ALIGN, (counted.used + ROOM_ALIGN) / ROOM_ALIGN * ROOM_ALIGN) : NULL;
    if (rc == 0 && !block)
        return ERR_NO_MEMORY;
    if (rc == 0) {
        arena_init(&arena, block, (counted.used + ROOM_ALIGN) / ROOM_ALIGN * ROOM_ALIGN);
        rc = stages_init(&stages, &arena, problem->layers, problem->nodes, problem->nodes);
    }
    if (rc == 0)
        rc = stages_least_sum(&stages, problem, INT64_MAX, plan);
    free(block);
    return rc;
}

int cluster_plan_make(const struct shape *s, const struct cluster_worker *w, uint32_t n, uint64_t tokens,
                      struct event_cluster_plan *out, uint64_t *short_bytes)
{
    struct stage_unit unit[RPC_WORKERS_MAX];
    struct stage_choice choice[RPC_WORKERS_MAX];
    struct stage_node node[RPC_WORKERS_MAX];
    struct stage_plan plan;
    n = n < RPC_WORKERS_MAX ? n : RPC_WORKERS_MAX;
    const struct cluster_worker *home = &w[home_of(w, n)];
    *short_bytes = 0;
    bool known = true;
    for (uint32_t i = 0; i < n; i++) {
        unit[i] =
            (struct stage_unit){.layer_ps = cluster_time_ps(s->model.layer_bytes, s->model.layer_flop, &w[i]),
                                .hop_ps = cluster_hop_ps(&w[i], home),
                                .head_ps = cluster_time_ps(s->model.head_bytes, s->model.head_flop, &w[i]),
                                .layers_max = cluster_layers(s, &w[i], tokens, false),
                                .layers_max_head = cluster_layers(s, &w[i], tokens, true)};
        choice[i] = (struct stage_choice){.first = i, .units = 1};
        node[i] = (struct stage_node){.first = i, .choices = 1};
        known = known && w[i].byte_s > 0;
    }
    const struct stage_problem problem = {
        .layers = s->model.layers, .nodes = n, .node = node, .choice = choice, .unit = unit};
    int rc = n > 0 ? solve(&problem, &plan) : ERR_NO_CAPACITY;
    if (rc == ERR_NO_CAPACITY)
        *short_bytes = lacking(s, w, n, tokens);
    if (rc != 0)
        return rc;
    out->parts = 0;
    put_parts(&plan, w, &home->site, out);
    out->token_s_e3 = known && plan.sum_ps > 0 ? (uint64_t)(INT64_C(1000000000000000) / plan.sum_ps) : 0;
    return 0;
}
