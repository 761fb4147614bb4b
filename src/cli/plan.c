/* SPDX-License-Identifier: Apache-2.0 */
/* busbar plan: which of the given chips serve a model, in which groups and stages, and how fast. Needs no hub. */
#include "cli/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "network/decimal.h"

#define JSON_MAX ((size_t)1 << 20)

static uint64_t held(const struct plan_case *pc)
{
    return pc->weights + (uint64_t)pc->problem.goal.context * pc->shape.layers * pc->shape.kv_bytes;
}

/* Memory of the site that has the most, or of all if corridors may be crossed. */
static uint64_t memory(const struct plan_case *pc)
{
    uint64_t most = 0, all = 0;
    for (uint32_t s = 0; s < pc->problem.sites; s++) {
        uint64_t here = 0;
        for (uint32_t i = 0; i < pc->problem.pools; i++)
            here += pc->pool[i].site == s ? pc->pool[i].memory_bytes * pc->pool[i].chips : 0;
        most = here > most ? here : most;
        all += here;
    }
    return pc->problem.goal.corridors ? all : most;
}

/* Says by how much it does not fit, or what would be the soonest if no time were asked for. */
static int refuse(struct plan_case *pc)
{
    uint64_t needs = held(pc), has = memory(pc);
    if (needs > has) {
        fprintf(stderr,
                "busbar: %s with one request of %u tokens needs %.1f GB, the chips%s have %.1f GB for it: "
                "%.1f GB too "
                "little\n",
                pc->name, pc->problem.goal.context, (double)needs / 1e9,
                pc->problem.sites > 1 && !pc->problem.goal.corridors ? " of one site" : "", (double)has / 1e9,
                (double)(needs - has) / 1e9);
        return CLI_FAILED;
    }
    struct cluster_problem any = pc->problem;
    any.goal.aim = CLUSTER_SOONEST;
    any.goal.tpot_ps = any.goal.ttft_ps = 0;
    if (cluster_plan(pc->block, &any, &pc->plan) != 0)
        fprintf(stderr,
                "busbar: %s: %.1f GB fit into %.1f GB, but not as whole layers on these chips, head and "
                "table of tokens "
                "on one of them\n",
                pc->name, (double)needs / 1e9, (double)has / 1e9);
    else
        fprintf(stderr,
                "busbar: %s fits, but nothing meets the goal: the least time for a token is %.2f ms, with "
                "the first "
                "after %.2f ms\n",
                pc->name, (double)pc->plan.replica[0].tpot_ps / 1e9,
                (double)pc->plan.replica[0].ttft_ps / 1e9);
    return CLI_FAILED;
}

uint32_t plan_idle(const struct plan_case *pc, uint32_t pool)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < pc->plan.n; i++) {
        const struct cluster_replica *r = &pc->plan.replica[i];
        for (uint32_t s = 0; s < r->stages; s++)
            used += r->stage[s].pool == pool ? r->count * r->stage[s].chips : 0;
    }
    return pc->pool[pool].chips - used;
}

void plan_reference(struct plan_case *pc)
{
    static const uint32_t counts[] = {1, 2, 4, 8, 16, 32, 64};
    struct cluster_plan *plan = calloc(1, sizeof *plan);
    struct cluster_pool pool;
    struct cluster_problem p = pc->problem;
    p.pool = &pool;
    p.pools = p.sites = 1;
    for (uint32_t i = 0; plan && i < sizeof counts / sizeof *counts; i++) {
        uint32_t chips = counts[i];
        if (!model_pool(&pc->delivered, pc->reference, chips, chips < 8 ? chips : 8, &pool))
            break;
        model_pool_format(&pc->delivered, pc->reference, pc->format, &pool);
        if (cluster_plan(pc->block, &p, plan) != 0 ||
            (pc->reference_chips > 0 &&
             plan->token_s_e3 * pc->reference_chips <= pc->reference_token_s_e3 * chips))
            continue;
        pc->reference_chips = chips;
        pc->reference_token_s_e3 = plan->token_s_e3;
    }
    free(plan);
}

int cli_plan(const struct cli *cli)
{
    struct plan_case *pc = calloc(1, sizeof *pc);
    if (!pc) {
        fprintf(stderr, "busbar: out of memory\n");
        return CLI_FAILED;
    }
    int rc = plan_open(pc, cli);
    if (rc == CLI_OK) {
        int planned = cluster_plan(pc->block, &pc->problem, &pc->plan);
        if (planned == ERR_NO_CAPACITY) {
            rc = refuse(pc);
        } else if (planned != 0) {
            fprintf(stderr, "busbar: %s\n",
                    planned == ERR_LIMIT ? "too many chips for one plan: at most 512" : err_text(planned));
            rc = CLI_FAILED;
        } else {
            plan_reference(pc);
            if (cli->json) {
                struct buf json;
                buf_init(&json, JSON_MAX);
                plan_json(pc, &json);
                rc = print_json_buf(&json);
            } else {
                plan_print(pc);
            }
        }
    }
    plan_close(pc);
    free(pc);
    return rc;
}
