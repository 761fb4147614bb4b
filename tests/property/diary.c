/* SPDX-License-Identifier: Apache-2.0 */
#include "diary.h"

static int on_step(struct world *w, const struct event *event)
{
    struct diary *d = w->step_ctx;
    size_t size = (event_size(event->kind) + 7) & ~(size_t)7;
    struct event copy = *event;
    int64_t code = core_step(w->core, event, &w->effects);
    buf_add(&d->told, &copy, size);
    buf_add(&d->told, &code, sizeof code);
    return (int)code;
}

void diary_begin(struct diary *d, struct world *w)
{
    buf_init(&d->told, (size_t)1 << 30);
    w->step = on_step;
    w->step_ctx = d;
    w->batching = true;
    w->mirror.forget_transfers = true;
}

void diary_batch(struct diary *d)
{
    uint64_t none = 0;
    buf_add(&d->told, &none, sizeof none);
}

void diary_live_again(const struct diary *d, const struct world *first)
{
    struct world *w = world_new(&first->limits);
    struct event event;
    w->mirror.forget_transfers = true;
    assert_false(d->told.failed);
    for (size_t at = 0; at < d->told.len;) {
        uint32_t kind;
        memcpy(&kind, d->told.data + at, sizeof kind);
        if (kind == 0) {
            world_collect(w);
            at += sizeof(uint64_t);
            continue;
        }
        size_t size = event_size(kind);
        memcpy(&event, d->told.data + at, size);
        at += (size + 7) & ~(size_t)7;
        int64_t code;
        memcpy(&code, d->told.data + at, sizeof code);
        at += sizeof code;
        w->effects.n = 0;
        assert_int_equal(core_step(w->core, &event, &w->effects), code);
    }
    assert_true(mirror_digest(&w->mirror) == mirror_digest(&first->mirror));
    assert_true(world_views(w) == world_views(first));
    world_free(w);
}

void diary_end(struct diary *d)
{
    buf_fini(&d->told);
}
