/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/gauges.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/contingency.h"

static void init_services(struct gauges *g, struct record *rec, const struct serving *serving)
{
    for (uint32_t i = 0; i < serving_count(serving); i++) {
        const char *service = serving_name(serving, i);
        char name[RECORD_NAME_CAP];
        (void)snprintf(name, sizeof name, "%.60s: warm replicas", service);
        g->service[i].warm = record_series(rec, RECORD_SERVING, name, "", RECORD_LEVEL);
        (void)snprintf(name, sizeof name, "%.60s: requests waiting", service);
        g->service[i].queue = record_series(rec, RECORD_SERVING, name, "", RECORD_LEVEL);
        (void)snprintf(name, sizeof name, "%.60s: written", service);
        g->service[i].tokens = record_series(rec, RECORD_SERVING, name, "tokens", RECORD_COUNT);
    }
}

bool gauges_init(struct gauges *g, struct record *rec, uint32_t corridors, bool reserve,
                 const struct serving *serving)
{
    *g = (struct gauges){.coverage = RECORD_NONE, .alarm = RECORD_NONE, .ncorridors = corridors};
    g->corridor = calloc(corridors + 1u, sizeof *g->corridor);
    g->bytes = calloc(corridors + 1u, sizeof *g->bytes);
    if (!g->corridor || !g->bytes)
        return false;
    for (uint32_t i = 0; i < corridors; i++)
        g->corridor[i] = RECORD_NONE;
    if (reserve) {
        g->coverage = record_series(rec, RECORD_RESERVE, "coverage", "share", RECORD_LEAST);
        g->alarm = record_series(rec, RECORD_RESERVE, "alarm", "", RECORD_LEVEL);
    }
    init_services(g, rec, serving);
    return true;
}

void gauges_fini(struct gauges *g)
{
    free(g->corridor);
    free(g->bytes);
}

static void read_corridors(struct gauges *g, struct record *rec, struct flows *flows, int64_t now_ms)
{
    for (uint32_t i = 0; i < flows_count(flows) && i < g->ncorridors; i++) {
        struct flow flow = flows_at(flows, i, now_ms);
        if (flow.bytes == g->bytes[i])
            continue;
        if (g->corridor[i] == RECORD_NONE) {
            char name[RECORD_NAME_CAP];
            (void)snprintf(name, sizeof name, "%.40s - %.40s", flow.a, flow.b);
            g->corridor[i] = record_series(rec, RECORD_CORRIDOR, name, "B", RECORD_COUNT);
        }
        record_add(rec, g->corridor[i], (double)(flow.bytes - g->bytes[i]));
        g->bytes[i] = flow.bytes;
    }
}

void gauges_read(struct gauges *g, struct record *rec, const struct core *core, const struct outage *outage,
                 struct flows *flows, const struct serving *serving, int64_t now_ms)
{
    if (g->coverage != RECORD_NONE) {
        record_set(rec, g->coverage, contingency_worst(core) / 1e3);
        record_set(rec, g->alarm, outage->standing > 0);
    }
    read_corridors(g, rec, flows, now_ms);
    for (uint32_t i = 0; i < serving_count(serving); i++) {
        struct gauges_service *s = &g->service[i];
        struct serving_state state;
        serving_now(serving, i, &state);
        record_set(rec, s->warm, state.warm);
        record_set(rec, s->queue, (double)state.queue);
        record_add(rec, s->tokens, (double)(state.out_tokens - s->out_tokens));
        s->out_tokens = state.out_tokens;
    }
}
