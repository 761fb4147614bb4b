/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "hub/tariff.h"

/* Who and what a row is about. */
static void begin_row(struct buf *out, const struct core *core, const struct change *c, const char *price_of)
{
    const struct row_tenant *tenant = view_tenant(core, &c->tenant);
    const struct row_model *model = view_model(core, &c->item);
    const struct row_pool *pool = view_pool(core, &c->item);
    const struct row_corridor *corridor = view_corridor(core, &c->item);
    const struct row_site *a = corridor ? view_site(core, &corridor->a) : NULL;
    const struct row_site *b = corridor ? view_site(core, &corridor->b) : NULL;
    const struct row_site *site = pool ? view_site(core, &pool->site) : NULL;
    const char *what = model ? model->name : pool ? pool->chip : c->chip[0] ? c->chip : "all";
    buf_add_text(out, buf_last(out) == '[' ? "{" : ",{");
    if (a && b)
        buf_addf(out, "\"what\":\"%.63s/%.63s\"", a->name, b->name);
    else
        add_text(out, "what", what, NAME_CAP);
    if (site)
        add_text(out, "site", site->name, NAME_CAP);
    if (tenant)
        add_text(out, "tenant", tenant->name, NAME_CAP);
    add_text(out, "price_of", price_of, KIND_TEXT_CAP);
}

static void end_row(struct buf *out, const struct tariff *t)
{
    add_time(out, "from", t->from_ms);
    buf_add_char(out, '}');
}

/* Of one that the tenant does not have, or will not have any more: what everybody pays. */
static void add_price(struct buf *out, const char *name, bool own, int64_t nano)
{
    if (own)
        add_amount(out, name, nano);
    else
        add_text(out, name, "general", KIND_TEXT_CAP);
}

static void add_prices(struct buf *out, const struct core *core, const struct tariff *t,
                       const struct change *c)
{
    static const char *const of[] = {"input", "cached", "output", "reasoning"};
    for (int i = 0; i < 4; i++) {
        const char *name = c->what == TARIFF_MODEL ? of[i] : c->what == TARIFF_POOL ? "chip-hour" : "GB";
        if (c->had && !c->general && c->now[i] == c->then[i])
            continue;
        if (i > 0 && c->what != TARIFF_MODEL)
            continue;
        begin_row(out, core, c, name);
        add_price(out, "now", c->had, c->now[i]);
        add_price(out, "then", !c->general, c->then[i]);
        end_row(out, t);
    }
}

/* ---- terms in words ---- */

#define WORDS_CAP 128

static void percent(struct buf *out, const struct terms *t, uint32_t mille)
{
    (void)t;
    buf_addf(out, "%u.%u%%", mille / 10, mille % 10);
}

static void deferrable(struct buf *out, const struct terms *t)
{
    percent(out, t, t->deferrable);
}

static void interruptible(struct buf *out, const struct terms *t)
{
    percent(out, t, t->interruptible);
}

static void factor_add(struct buf *out, uint32_t factor)
{
    buf_addf(out, "x%u.%03u", factor / PER_MILLE, factor % PER_MILLE);
}

static void bands(struct buf *out, const struct terms *t)
{
    uint32_t hours, factor, from, to;
    for (uint32_t i = 0; terms_band(t, i, &hours, &factor); i++) {
        buf_add_text(out, i ? ", " : "");
        terms_hours(hours, &from, &to);
        buf_addf(out, "%u-%u ", from, to);
        factor_add(out, factor);
    }
}

static void signal_words(struct buf *out, const struct terms *t)
{
    if (t->signal_max == 0)
        return;
    factor_add(out, t->signal_min);
    buf_add_text(out, " to ");
    factor_add(out, t->signal_max);
}

static void energy(struct buf *out, const struct terms *t)
{
    buf_add_text(out, t->flags & TERMS_ENERGY ? "pass-through" : "included");
}

static void amount_words(struct buf *out, int64_t nano)
{
    char text[AMOUNT_TEXT_MAX];
    amount_format(text, nano);
    buf_add_text(out, text);
}

static void hour(struct buf *out, const struct terms *t)
{
    if (t->flags & TERMS_HOUR)
        amount_words(out, t->hour);
    else
        buf_add_text(out, "general");
}

static void minimum(struct buf *out, const struct terms *t)
{
    amount_words(out, t->minimum);
}

static void free_words(struct buf *out, const struct terms *t)
{
    buf_addf(out, "%llu", (unsigned long long)t->free);
}

static void free_hours(struct buf *out, const struct terms *t)
{
    buf_addf(out, "%llu.%03u", (unsigned long long)(t->free / 3600000), (unsigned)(t->free / 3600 % 1000));
}

typedef void words_fn(struct buf *out, const struct terms *terms);

static void add_terms(struct buf *out, const struct core *core, const struct tariff *t,
                      const struct change *c)
{
    static const struct {
        const char *name;
        words_fn *words;
    } all[] = {{"chip-hour", hour}, {"deferrable", deferrable}, {"interruptible", interruptible},
               {"bands", bands},    {"signal", signal_words},   {"energy", energy},
               {"minimum", minimum}};
    struct buf now, then;
    buf_init(&now, WORDS_CAP);
    buf_init(&then, WORDS_CAP);
    for (size_t i = 0; i <= sizeof all / sizeof all[0]; i++) {
        bool last = i == sizeof all / sizeof all[0];
        words_fn *words = !last ? all[i].words : c->chip[0] ? free_hours : free_words;
        buf_clear(&now);
        buf_clear(&then);
        words(&now, &c->was);
        words(&then, &c->terms);
        if (now.len == then.len && (now.len == 0 || memcmp(now.data, then.data, now.len) == 0))
            continue;
        begin_row(out, core, c, !last ? all[i].name : c->chip[0] ? "free chip-hours" : "free tokens");
        add_text(out, "now", now.len ? now.data : "", now.len);
        add_text(out, "then", then.len ? then.data : "", then.len);
        end_row(out, t);
    }
    buf_fini(&now);
    buf_fini(&then);
}

void tariff_render(struct buf *out, const struct core *core, const struct tariff *t)
{
    buf_add_text(out, "{\"data\":[");
    for (uint32_t k = 0; k < t->n; k++) {
        if (t->change[k].what == TARIFF_TERMS)
            add_terms(out, core, t, &t->change[k]);
        else
            add_prices(out, core, t, &t->change[k]);
    }
    page_end_after(out, NULL);
}
