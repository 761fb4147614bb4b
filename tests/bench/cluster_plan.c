/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the cluster planner takes: pipelines of 64 single chips and 126 layers, then 64 chips in nodes of 8 with groups, with replicas, and with experts
 * that may be spread; then 512 chips of 6 kinds, whose pools are planned in pairs. cluster_plan ROUNDS.
 * Prints a line of JSON for each: CPU microseconds, the least, the median and the most.
 */
#include <stdint.h>
#include <string.h>

#include "core/cluster.h"

#include "base/rng.h"
#include "bench.h"

#define CHIPS 64u
#define LAYERS 126u
#define ROUNDS_MAX 1000u

static uint64_t took[ROUNDS_MAX];

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void print_times(const char *name, uint32_t rounds)
{
    qsort(took, rounds, sizeof *took, by_size);
    printf("{\"part\":\"%s\",\"rounds\":%u,\"us_min\":%.1f,\"us_median\":%.1f,\"us_max\":%.1f}\n", name,
           rounds, (double)took[0] / 1e3, (double)took[rounds / 2] / 1e3, (double)took[rounds - 1] / 1e3);
}

/* Unequal chips, each a node of its own: only the shortest path. */
static void pipelines(struct rng *rng, uint32_t rounds)
{
    static struct stage_node node[CHIPS];
    static struct stage_choice choice[CHIPS];
    static struct stage_unit unit[CHIPS];
    static struct stage_plan plan;
    const struct stage_problem p = {LAYERS, CHIPS, node, choice, unit};
    static _Alignas(16) uint8_t block[1 << 20];
    struct stages stages;
    struct arena arena;
    arena_init(&arena, block, sizeof block);
    if (stages_init(&stages, &arena, LAYERS, CHIPS, CHIPS) != 0)
        die("no room", "");
    for (uint32_t r = 0; r < rounds; r++) {
        for (uint32_t i = 0; i < CHIPS; i++) {
            node[i] = (struct stage_node){i, 1};
            choice[i] = (struct stage_choice){i, 1};
            unit[i] = (struct stage_unit){.layer_ps = 100000000 + (int64_t)rng_below(rng, 5000000000),
                                          .hop_ps = (int64_t)rng_below(rng, 3000000000),
                                          .layers_max = 2 + (uint32_t)rng_below(rng, 10)};
            unit[i].layers_max_head = unit[i].layers_max - 1;
        }
        uint64_t start = cpu_ns();
        if (stages_least_sum(&stages, &p, INT64_MAX, &plan) != 0)
            die("no plan", "");
        took[r] = cpu_ns() - start;
    }
    print_times("pipeline", rounds);
}

static void clusters(struct rng *rng, uint32_t rounds, const char *name, enum cluster_aim aim, uint32_t chips,
                     uint32_t pools, uint32_t experts)
{
    static struct cluster_plan plan;
    void *block = aligned_alloc(16, cluster_size());
    if (!block)
        die("out of memory", "");
    for (uint32_t r = 0; r < rounds; r++) {
        const struct cluster_model model = {.layers = LAYERS,
                                            .hidden = 16384,
                                            .kv_heads = 8,
                                            .activation_bytes = 2,
                                            .layer_bytes = experts ? 200000000 : 3200000000,
                                            .layer_flop = experts ? 400000000 : 6400000000,
                                            .expert_bytes = experts ? 40000000 : 0,
                                            .expert_flop = experts ? 80000000 : 0,
                                            .experts = experts,
                                            .experts_active = experts ? 8 : 0,
                                            .kv_bytes = 4096,
                                            .attend_flop = 65536,
                                            .attend_first_flop = 65536,
                                            .head_bytes = 4200000000,
                                            .head_flop = 4200000000,
                                            .embed_bytes = 4200000000};
        const struct cluster_site site = {10000000, 0, 25000000000, 25000000000};
        struct cluster_pool pool[CLUSTER_POOLS_MAX];
        for (uint32_t i = 0; i < pools; i++)
            pool[i] = (struct cluster_pool){.chips = 8 * (chips / 8 / pools + (i < chips / 8 % pools)),
                                            .node_chips = 8,
                                            .memory_bytes = 32000000000 + rng_below(rng, 96000000000),
                                            .byte_s = 800000000000 + rng_below(rng, 3000000000000),
                                            .flop_s = 100000000000000 + rng_below(rng, 900000000000000),
                                            .link_ps = 5000000,
                                            .link_byte_s = 50000000000 + rng_below(rng, 400000000000)};
        const struct cluster_problem p = {
            .model = &model,
            .pool = pool,
            .site = &site,
            .pools = pools,
            .sites = 1,
            .goal = {.aim = aim, .context = 4096, .prompt = 1024, .batch_max = 256, .spread = experts > 0}};
        uint64_t start = cpu_ns();
        (void)cluster_plan(block, &p, &plan);
        took[r] = cpu_ns() - start;
    }
    print_times(name, rounds);
    free(block);
}

int main(int argc, char **argv)
{
    uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    struct rng rng;
    if (rounds == 0 || rounds > ROUNDS_MAX)
        die("usage: cluster_plan ROUNDS", "");
    rng_init(&rng, 20261123);
    pipelines(&rng, rounds);
    clusters(&rng, rounds, "groups", CLUSTER_SOONEST, CHIPS, 2, 0);
    clusters(&rng, rounds, "replicas", CLUSTER_MOST, CHIPS, 2, 0);
    clusters(&rng, rounds, "experts", CLUSTER_MOST, CHIPS, 2, 256);
    clusters(&rng, rounds < 5 ? rounds : 5, "many", CLUSTER_MOST, 512, 6, 0);
    return 0;
}
