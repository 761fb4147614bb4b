/* SPDX-License-Identifier: Apache-2.0 */
#include "site/claims.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

#define TICK_MS 200
#define AGAIN_MS 1000

enum claim_state {
    CLAIM_DUE,     /* the engine is to be asked */
    CLAIM_ASKED,   /* and is */
    CLAIM_HELD,    /* it was granted */
    CLAIM_OVER,    /* nobody needs it any more: the engine is to be told */
    CLAIM_LETTING, /* and is */
};

struct claim {
    struct list node;
    struct claims *claims;
    struct serve_order order;
    enum claim_state state;
    uint32_t serial; /* of one that is over and its successor the engine must know which is meant */
    bool dropped;    /* while the engine is asked */
    uint64_t next_ms;
};

struct claims {
    struct claims_config config;
    struct list list;
    uv_timer_t timer;
    uint32_t serials;
    bool closed;
};

static struct job_id id_of(const struct claim *c)
{
    return (struct job_id){.job = c->order.deployment, .epoch = c->serial};
}

static void claim_free(struct claim *c)
{
    list_remove(&c->node);
    free(c);
}

/* One that is over may be there beside its successor. */
static struct claim *find(const struct claims *s, const struct uuid *deployment, uint32_t ordinal)
{
    list_for_each_safe (it, next, &s->list) {
        struct claim *c = list_entry(it, struct claim, node);
        if (uuid_eq(&c->order.deployment, deployment) && c->order.ordinal == ordinal && !c->dropped &&
            c->state < CLAIM_OVER)
            return c;
    }
    return NULL;
}

static void look(struct claims *s);

static void on_answer(void *ctx, struct engine_call *call)
{
    struct claim *c = ctx;
    struct claims *s = c->claims;
    const bool granted = call->err.code == 0 && call->bytes.len < sizeof c->order.visible;
    if (s->closed || c->state == CLAIM_LETTING) {
        claim_free(c);
        return;
    }
    c->state = granted ? CLAIM_HELD : CLAIM_DUE;
    if (c->dropped) {
        c->state = CLAIM_OVER;
        look(s);
    } else if (granted) {
        memcpy(c->order.visible, call->bytes.data ? call->bytes.data : "", call->bytes.len);
        c->order.visible[call->bytes.len] = 0;
        s->config.granted(s->config.ctx, &c->order);
    } else {
        c->next_ms = uv_now(&s->config.loop->uv) + AGAIN_MS;
        s->config.waits(s->config.ctx, &c->order, call->err.msg);
    }
}

static bool ask(struct claim *c)
{
    const bool hold = c->state == CLAIM_DUE;
    struct engine_call *call = engine_call_new(hold ? ENGINE_HOLD : ENGINE_LET_GO, 1);
    if (!call)
        return false;
    call->ids[0] = id_of(c);
    if (hold) {
        struct job_spec *spec = &call->specs[0];
        spec->job = c->order.deployment;
        spec->epoch = c->serial;
        spec->chips = calloc(1, sizeof *spec->chips);
        if (spec->chips) {
            spec->chips_count = 1;
            spec->chips[0] = (struct job_chips){.kind = strdup(c->order.chip), .count = c->order.chips};
        }
        if (!spec->chips || !spec->chips[0].kind)
            abort(); /* a few bytes */
    }
    if (engine_call(c->claims->config.engine, call, on_answer, c) != 0) {
        engine_call_free(call);
        return false;
    }
    c->state = hold ? CLAIM_ASKED : CLAIM_LETTING;
    return true;
}

/* In their order, so that what is over is let go before its successor asks. */
static void look(struct claims *s)
{
    const uint64_t now = uv_now(&s->config.loop->uv);
    list_for_each_safe (it, next, &s->list) {
        struct claim *c = list_entry(it, struct claim, node);
        bool due = c->state == CLAIM_OVER || (c->state == CLAIM_DUE && now >= c->next_ms);
        if (due && !ask(c))
            return; /* the next tick */
    }
}

static void on_tick(uv_timer_t *timer)
{
    look(timer->data);
}

void claims_start(struct claims *s, const struct serve_order *order)
{
    if (order->chips == 0 || order->chip[0] == 0) {
        s->config.granted(s->config.ctx, order);
        return;
    }
    struct claim *c = calloc(1, sizeof *c);
    assert(!find(s, &order->deployment, order->ordinal));
    if (!c)
        abort();
    *c = (struct claim){.claims = s, .order = *order, .state = CLAIM_DUE, .serial = ++s->serials};
    list_push(&s->list, &c->node);
    look(s);
}

bool claims_stop(struct claims *s, const struct uuid *deployment, uint32_t ordinal)
{
    struct claim *c = find(s, deployment, ordinal);
    if (!c || c->state == CLAIM_HELD)
        return false;
    if (c->state == CLAIM_ASKED)
        c->dropped = true;
    else
        claim_free(c);
    return true;
}

void claims_over(struct claims *s, const struct uuid *deployment, uint32_t ordinal)
{
    struct claim *c = find(s, deployment, ordinal);
    if (!c)
        return;
    assert(c->state == CLAIM_HELD);
    c->state = CLAIM_OVER;
    look(s);
}

/* ---- the whole ---- */

struct claims *claims_new(const struct claims_config *config)
{
    struct claims *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->config = *config;
    list_init(&s->list);
    uv_timer_init(&config->loop->uv, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_tick, TICK_MS, TICK_MS);
    return s;
}

void claims_close(struct claims *s)
{
    s->closed = true;
    uv_close((uv_handle_t *)&s->timer, NULL);
}

void claims_free(struct claims *s)
{
    if (!s)
        return;
    list_for_each_safe (it, next, &s->list)
        claim_free(list_entry(it, struct claim, node));
    free(s);
}
