/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/outage.h"

#include <stdlib.h>

#define SAMPLE_MS INT64_C(3600000)

void outage_init(struct outage *o)
{
    *o = (struct outage){.coverage.worst = 1000};
}

void outage_fini(struct outage *o)
{
    free(o->list[0]);
    free(o->list[1]);
}

/* ---- drills ---- */

void outage_stop(struct outage *o, bool firm, uint32_t chips)
{
    o->sum[firm].stopped++;
    o->sum[firm].stopped_chips += chips;
}

bool outage_start(struct outage *o, bool firm, uint32_t chips, int64_t waited_ms)
{
    if (o->n[firm] == o->cap[firm]) {
        uint32_t cap = o->cap[firm] ? 2 * o->cap[firm] : 256;
        struct outage_restart *list = realloc(o->list[firm], cap * sizeof *list);
        if (!list)
            return false;
        o->list[firm] = list;
        o->cap[firm] = cap;
    }
    o->list[firm][o->n[firm]++] = (struct outage_restart){.waited_ms = waited_ms, .chips = chips};
    o->sum[firm].again++;
    o->sum[firm].again_chips += chips;
    return true;
}

static int by_wait(const void *a, const void *b)
{
    const struct outage_restart *x = a, *y = b;
    return (x->waited_ms > y->waited_ms) - (x->waited_ms < y->waited_ms);
}

/* When jobs with so many chips ran again; the list is in order. */
static int64_t when(const struct outage *o, bool firm, uint64_t chips)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < o->n[firm]; i++) {
        seen += o->list[firm][i].chips;
        if (seen >= chips)
            return o->list[firm][i].waited_ms;
    }
    return -1;
}

struct outage_figures outage_figures(struct outage *o, bool firm)
{
    struct outage_figures f = o->sum[firm];
    if (o->n[firm] > 0)
        qsort(o->list[firm], o->n[firm], sizeof *o->list[firm], by_wait);
    f.half_ms = when(o, firm, (f.stopped_chips + 1) / 2);
    f.most_ms = when(o, firm, (f.stopped_chips * 95 + 99) / 100);
    f.last_ms = o->n[firm] > 0 ? o->list[firm][o->n[firm] - 1].waited_ms : -1;
    return f;
}

/* ---- coverage ---- */

static void look(struct outage *o, const struct core *core)
{
    uint32_t worst = contingency_worst(core);
    o->coverage.worst = worst < o->coverage.worst ? worst : o->coverage.worst;
}

void outage_alarm(struct outage *o, const struct core *core, const struct effect *effect, int64_t now_ms)
{
    look(o, core);
    if (effect->code != 0) {
        o->since_ms = o->standing++ == 0 ? now_ms : o->since_ms;
        o->coverage.alarms++;
    } else if (--o->standing == 0) {
        o->coverage.uncovered_ms += now_ms - o->since_ms;
    }
}

void outage_sample(struct outage *o, const struct core *core, int64_t now_ms)
{
    if (now_ms < o->next_ms)
        return;
    o->next_ms = (now_ms / SAMPLE_MS + 1) * SAMPLE_MS;
    look(o, core);
}

struct coverage_figures outage_coverage(const struct outage *o, int64_t now_ms)
{
    struct coverage_figures f = o->coverage;
    f.uncovered_ms += o->standing > 0 ? now_ms - o->since_ms : 0;
    return f;
}
