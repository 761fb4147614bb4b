/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as people read it, and as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cli/plan.h"

#define COMMAND_MAX ((size_t)64 << 10)

static void print_goal(const struct cluster_goal *g)
{
    printf("goal        %s", g->aim == CLUSTER_MOST ? "most tokens a second" : "least time for a token");
    if (g->tpot_ps > 0)
        printf(", a token in at most %.3g ms", (double)g->tpot_ps / 1e9);
    if (g->ttft_ps > 0)
        printf(", the first in at most %.3g ms", (double)g->ttft_ps / 1e9);
    printf("; %u tokens a request, %u of them its prompt; at most %u at once\n", g->context, g->prompt,
           g->batch_max);
}

static void print_command(const struct plan_case *pc, const struct cluster_replica *r)
{
    struct buf text;
    buf_init(&text, COMMAND_MAX);
    plan_command(pc, r, &text);
    char *all = buf_take(&text), *rest = all;
    for (char *line = all ? strsep(&rest, "\n") : NULL; line && *line; line = strsep(&rest, "\n"))
        printf("  %-9s %s\n", line[0] == '#' ? "note" : "run", line[0] == '#' ? line + 2 : line);
    free(all);
    buf_fini(&text);
}

static void print_replica(const struct plan_case *pc, const struct cluster_replica *r)
{
    printf("replica     %u x %u requests at once: %.1f tokens/s each, a token in %.2f ms, the first after "
           "%.1f ms\n",
           r->count, r->batch * r->in_flight, (double)r->token_s_e3 / 1e3, (double)r->tpot_ps / 1e9,
           (double)r->ttft_ps / 1e9);
    for (uint32_t i = 0; i < r->stages; i++) {
        const struct cluster_stage *s = &r->stage[i];
        const struct plan_pool *of = &pc->of[s->pool];
        printf("  stage     %u x %s%s%s, %u layers%s", s->chips, of->chip->name, of->site[0] ? " at " : "",
               of->site, s->layers, s->head ? " and the head" : "");
        if (s->attention > 0)
            printf("; experts spread over all, attention in %u groups of %u", s->chips / s->attention,
                   s->attention);
        putchar('\n');
    }
    print_command(pc, r);
}

/* Thousandths of a chip of the reference. */
static uint64_t equivalent_e3(const struct plan_case *pc)
{
    return (uint64_t)((int128)pc->plan.token_s_e3 * pc->reference_chips * 1000 /
                      (int64_t)pc->reference_token_s_e3);
}

void plan_print(const struct plan_case *pc)
{
    printf("model       %s, %s: %.1f GB of weights, %.1f kB of keys and values a token\n", pc->title,
           pc->quantisation, (double)pc->weights / 1e9,
           (double)(pc->shape.layers * pc->shape.kv_bytes) / 1e3);
    if (pc->model)
        printf("licence     %s%s%s, origin %s\n", pc->model->licence,
               pc->model->use == MODEL_LIMITED ? " (limits use)" : "",
               pc->model->licence_source[0] ? "" : " (as generally known)", pc->model->origin);
    print_goal(&pc->problem.goal);
    for (uint32_t i = 0; i < pc->plan.n; i++)
        print_replica(pc, &pc->plan.replica[i]);
    for (uint32_t i = 0; i < pc->problem.pools; i++) {
        uint32_t idle = plan_idle(pc, i);
        if (idle > 0)
            printf("idle        %u x %s%s%s\n", idle, pc->of[i].chip->name, pc->of[i].site[0] ? " at " : "",
                   pc->of[i].site);
    }
    printf("in all      %.1f tokens/s", (double)pc->plan.token_s_e3 / 1e3);
    if (pc->reference_chips > 0)
        printf(" = %.2f of an %s (%u of them: %.1f tokens/s each)", (double)equivalent_e3(pc) / 1e3,
               pc->reference->name, pc->reference_chips,
               (double)pc->reference_token_s_e3 / 1e3 / pc->reference_chips);
    else
        printf("; no number of %s meets the goal", pc->reference->name);
    printf("\n            predicted from data sheets and shares in data/models.yaml%s\n",
           pc->measured ? ", corrected by what was measured" : ", not measured");
    plan_measured_print(pc);
}

/* ---- JSON ---- */

static void text(struct buf *out, const char *member, const char *value)
{
    buf_addf(out, "\"%s\":", member);
    buf_add_json(out, value, strlen(value));
}

static void json_replica(const struct plan_case *pc, const struct cluster_replica *r, struct buf *out)
{
    struct buf command;
    buf_addf(
        out,
        "{\"count\":%u,\"batch\":%u,\"in_flight\":%u,\"tokens_s\":%.3f,\"tpot_us\":%.3f,\"ttft_us\":%.3f,"
        "\"stages\":[",
        r->count, r->batch, r->in_flight, (double)r->token_s_e3 / 1e3, (double)r->tpot_ps / 1e6,
        (double)r->ttft_ps / 1e6);
    for (uint32_t i = 0; i < r->stages; i++) {
        const struct cluster_stage *s = &r->stage[i];
        buf_addf(out, "%s{", i ? "," : "");
        text(out, "chip", pc->of[s->pool].chip->name);
        buf_add_char(out, ',');
        text(out, "site", pc->of[s->pool].site);
        buf_addf(out, ",\"chips\":%u,\"layers\":%u,\"head\":%s", s->chips, s->layers,
                 s->head ? "true" : "false");
        if (s->attention > 0)
            buf_addf(out, ",\"attention\":%u", s->attention);
        buf_add_char(out, '}');
    }
    buf_init(&command, COMMAND_MAX);
    plan_command(pc, r, &command);
    char *lines = buf_take(&command);
    buf_add_text(out, "],");
    text(out, "command", lines ? lines : "");
    buf_add_char(out, '}');
    free(lines);
    buf_fini(&command);
}

void plan_json(const struct plan_case *pc, struct buf *out)
{
    const struct cluster_goal *g = &pc->problem.goal;
    bool first = true;
    buf_add_char(out, '{');
    text(out, "model", pc->name);
    buf_add_char(out, ',');
    text(out, "format", pc->quantisation);
    buf_addf(out, ",\"weights_bytes\":%" PRIu64 ",\"kv_bytes_token\":%" PRIu64, pc->weights,
             pc->shape.layers * pc->shape.kv_bytes);
    buf_addf(out,
             ",\"goal\":{\"aim\":\"%s\",\"tpot_us\":%.3f,\"ttft_us\":%.3f,\"context\":%u,\"prompt\":%u,"
             "\"batch\":%u}",
             g->aim == CLUSTER_MOST ? "throughput" : "latency", (double)g->tpot_ps / 1e6,
             (double)g->ttft_ps / 1e6, g->context, g->prompt, g->batch_max);
    buf_addf(out, ",\"tokens_s\":%.3f,\"replicas\":[", (double)pc->plan.token_s_e3 / 1e3);
    for (uint32_t i = 0; i < pc->plan.n; i++) {
        buf_add_text(out, i ? "," : "");
        json_replica(pc, &pc->plan.replica[i], out);
    }
    buf_add_text(out, "],\"idle\":[");
    for (uint32_t i = 0; i < pc->problem.pools; i++) {
        uint32_t idle = plan_idle(pc, i);
        if (idle == 0)
            continue;
        buf_addf(out, "%s{", first ? "" : ",");
        text(out, "chip", pc->of[i].chip->name);
        buf_add_char(out, ',');
        text(out, "site", pc->of[i].site);
        buf_addf(out, ",\"chips\":%u}", idle);
        first = false;
    }
    buf_add_char(out, ']');
    plan_measured_json(pc, out);
    buf_add_text(out, ",\"equivalent\":");
    if (pc->reference_chips == 0) {
        buf_add_text(out, "null}");
        return;
    }
    buf_add_char(out, '{');
    text(out, "chip", pc->reference->name);
    buf_addf(out, ",\"chips\":%.3f,\"reference_chips\":%u,\"reference_tokens_s\":%.3f}}",
             (double)equivalent_e3(pc) / 1e3, pc->reference_chips, (double)pc->reference_token_s_e3 / 1e3);
}
