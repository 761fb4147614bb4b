/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/batch.h"

#include <stdlib.h>

#include "base/err.h"
#include "runtime/facts.h"
#include "runtime/journal.h"

#define BATCH_BYTES_MAX ((size_t)64 << 20)

int batch_init(struct batch *batch)
{
    *batch = (struct batch){0};
    buf_init(&batch->rows, BATCH_BYTES_MAX);
    buf_init(&batch->events, BATCH_BYTES_MAX);
    buf_init(&batch->leaves, BATCH_BYTES_MAX);
    buf_init(&batch->facts, BATCH_BYTES_MAX);
    batch->effect_ends = malloc(BATCH_EVENTS_MAX * sizeof *batch->effect_ends);
    batch->effects.cap = EFFECTS_MAX;
    batch->effects.list = malloc(EFFECTS_MAX * sizeof *batch->effects.list);
    return batch->effects.list && batch->effect_ends ? 0 : ERR_NO_MEMORY;
}

void batch_fini(struct batch *batch)
{
    buf_fini(&batch->rows);
    buf_fini(&batch->events);
    buf_fini(&batch->leaves);
    buf_fini(&batch->facts);
    free(batch->effect_ends);
    free(batch->effects.list);
}

void batch_reset(struct batch *batch, uint64_t first)
{
    batch->first = first;
    batch->count = 0;
    buf_clear(&batch->rows);
    buf_clear(&batch->events);
    buf_clear(&batch->leaves);
    buf_clear(&batch->facts);
    batch->effects.n = 0;
    batch->effects.routes_changed = false;
    batch->snapshot = NULL;
}

int batch_step(struct batch *batch, struct core *core, const struct event *event)
{
    uint32_t before = batch->effects.n;
    struct facts facts;
    facts_find(&facts, core, event);
    int code = core_step(core, event, &batch->effects);
    int64_t amount = 0;
    for (uint32_t i = before; i < batch->effects.n; i++) {
        const struct effect *effect = &batch->effects.list[i];
        if (effect->kind == EFFECT_REPLY && effect->token == event->token)
            amount = effect->amount;
    }
    journal_add(&batch->events, &batch->leaves, event, code, amount);
    if (code == 0)
        facts_add(&batch->facts, &facts, core, event, amount, batch->count);
    batch->effect_ends[batch->count++] = batch->effects.n;
    return code;
}

static void collect_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    struct batch *batch = ctx;
    store_row_add(&batch->rows, kind, op, row);
}

bool batch_collect(struct batch *batch, struct core *core)
{
    core_collect(core, collect_row, batch);
    return !batch->rows.failed && !batch->events.failed && !batch->leaves.failed && !batch->facts.failed;
}

bool batch_empty(const struct batch *batch)
{
    return batch->count == 0 && batch->effects.n == 0;
}
