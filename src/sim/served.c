/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/served.h"

#include <assert.h>

#include "base/checked.h"

#define STEP UINT64_C(1000000)

void served_init(struct served *s, const struct serve_kind *kind, int64_t now_us)
{
    *s = (struct served){.kind = kind, .at_us = now_us};
}

uint32_t served_count(const struct served *s)
{
    return s->nprompts + s->ndecodes;
}

/* Counts the steps up to now. While a prompt is computed there are none. */
static void advance(struct served *s, int64_t now_us)
{
    if (s->nprompts == 0 && s->ndecodes > 0)
        s->steps +=
            (uint64_t)((int128)(now_us - s->at_us) * 1000 * STEP / serve_step_ns(s->kind, s->ndecodes));
    s->at_us = now_us;
}

static void begin_prompt(struct served *s, const struct flight *f, int64_t now_us)
{
    s->prompt_us = now_us + (int64_t)((uint64_t)f->in_tokens * 1000000 / s->kind->prefill) + 1;
}

void served_take(struct served *s, uint32_t flight, const struct flight *f, int64_t now_us)
{
    assert(served_count(s) < s->kind->slots);
    advance(s, now_us);
    if (s->nprompts == 0)
        begin_prompt(s, f, now_us);
    s->prompt[s->nprompts++] = flight;
}

static uint32_t soonest(const struct served *s)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < s->ndecodes; i++)
        best = s->end[i] < s->end[best] ? i : best;
    return best;
}

int64_t served_next_us(const struct served *s)
{
    if (s->nprompts > 0)
        return s->prompt_us;
    if (s->ndecodes == 0)
        return INT64_MAX;
    uint64_t end = s->end[soonest(s)];
    uint64_t left = end > s->steps ? end - s->steps : 0;
    uint64_t ns = serve_step_ns(s->kind, s->ndecodes);
    return s->at_us + (int64_t)(((int128)left * ns + 1000 * STEP - 1) / (1000 * STEP));
}

static void prompt_done(struct served *s, const struct flight *flights, uint32_t flight, bool *over)
{
    const struct flight *f = &flights[flight];
    s->nprompts--;
    for (uint32_t i = 0; i < s->nprompts; i++)
        s->prompt[i] = s->prompt[i + 1];
    *over = f->out_tokens <= 1;
    if (!*over) {
        s->decode[s->ndecodes] = flight;
        s->end[s->ndecodes++] = s->steps + (uint64_t)(f->out_tokens - 1) * STEP;
    }
}

bool served_happen(struct served *s, const struct flight *flights, int64_t now_us, uint32_t *flight,
                   bool *first, bool *over)
{
    if (served_next_us(s) > now_us)
        return false;
    *first = s->nprompts > 0;
    if (*first) {
        int64_t at_us = s->prompt_us;
        *flight = s->prompt[0];
        advance(s, at_us);
        prompt_done(s, flights, *flight, over);
        if (s->nprompts > 0)
            begin_prompt(s, &flights[s->prompt[0]], at_us);
        return true;
    }
    advance(s, now_us);
    uint32_t i = soonest(s);
    if (s->end[i] > s->steps)
        return false; /* a rounding away */
    *flight = s->decode[i];
    *over = true;
    s->ndecodes--;
    s->decode[i] = s->decode[s->ndecodes];
    s->end[i] = s->end[s->ndecodes];
    return true;
}

bool served_leave(struct served *s, uint32_t *flight)
{
    if (s->nprompts > 0)
        *flight = s->prompt[--s->nprompts];
    else if (s->ndecodes > 0)
        *flight = s->decode[--s->ndecodes];
    else
        return false;
    return true;
}
