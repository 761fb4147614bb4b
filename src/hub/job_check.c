/* SPDX-License-Identifier: Apache-2.0 */
/* A submission that is only thought of: where it could run, at what price, and what is in its way. Nothing is recorded. */
#include "hub/job_check.h"

#include <string.h>

#include "core/why.h"

#define PLACES_MAX 512 /* pools that core holds (limits_default) */

static const struct {
    const char *bar, *text;
} never = {"unmet", "what it comes after ended otherwise: it would never start"};

static void add_bars(struct buf *out, uint32_t bars)
{
    const char *sep = "";
    buf_add_text(out, ",\"in_the_way\":[");
    for (uint32_t i = 0; i < WHYS_N; i++) {
        if (!(bars & 1u << i))
            continue;
        buf_addf(out, "%s\"%s\"", sep, why_bar_word((enum why_bar)i));
        sep = ",";
    }
    buf_add_char(out, ']');
}

static void add_place(struct buf *out, const struct core *core, const struct event_job_array *e,
                      const struct why_terms *place, bool held_up)
{
    const uint32_t counts[] = {e->count0, e->count1, e->count2, e->count3};
    const struct row_pool *pool = view_pool(core, &place->pool);
    const struct row_site *site = pool ? view_site(core, &pool->site) : NULL;
    if (!site)
        return;
    buf_add_char(out, '{');
    add_text(out, "site", site->name, NAME_CAP);
    add_text(out, "jurisdiction", site->jurisdiction, CODE_CAP);
    add_text(out, "chip", pool->chip, CHIP_CAP);
    add_id(out, "pool", &pool->id);
    buf_addf(out, ",\"chips\":%u,\"chips_free\":%u,\"chips_all\":%llu,\"starts_now\":%s",
             counts[place->alternative], view_pool_use(core, &pool->id).free,
             (unsigned long long)pool->nodes * pool->node_chips,
             place->bars == 0 && !held_up ? "true" : "false");
    add_bars(out, place->bars);
    add_amount(out, "price_chip_hour", pool->price);
    buf_addf(out, ",\"time_s\":%lld", (long long)(place->run_ms / 1000));
    add_amount(out, "cost_chips", place->chips);
    add_amount(out, "cost_energy", place->energy);
    add_amount(out, "cost_carbon", place->carbon);
    buf_add_char(out, '}');
}

/* What it comes after is before all else in its way: open, or over in a way that never lets it start. */
static const char *afters(const struct event_job_array *e, uint32_t n, const char **text)
{
    const uint32_t kinds[] = {e->after_kind0, e->after_kind1, e->after_kind2, e->after_kind3};
    const uint32_t outcomes[] = {e->outcome0, e->outcome1, e->outcome2, e->outcome3};
    const char *bar = NULL;
    for (uint32_t i = 0; i < n; i++) {
        if (outcomes[i] == OUTCOME_OPEN && !bar) {
            bar = why_bar_word(WHY_AFTER);
            *text = why_bar_text(WHY_AFTER);
        } else if (outcomes[i] != OUTCOME_OPEN && kinds[i] != AFTER_ANY &&
                   (kinds[i] == AFTER_OK) != (outcomes[i] == OUTCOME_OK)) {
            *text = never.text;
            return never.bar;
        }
    }
    return bar;
}

int job_check_render(struct api_call *call, const struct core *core, const struct event_job_array *e,
                     const struct job_terms *terms, const struct job_eta *eta)
{
    struct event_job_submit request;
    struct why_terms places[PLACES_MAX];
    struct why why;
    const char *text = "";
    uint32_t n;
    job_of_array(&request, e);
    int rc = why_request(core, &request, &why, places, PLACES_MAX, &n);
    if (rc != 0)
        return rc;
    const char *bar = afters(e, terms->nafter, &text);
    const bool held_up = bar != NULL;
    if (!bar && why.bar != WHY_NOTHING) {
        bar = why_bar_word(why.bar);
        text = why_bar_text(why.bar);
    }
    buf_clear(&call->out);
    buf_addf(&call->out, "{\"starts_now\":%s,\"tasks\":%u,\"time_known\":%s", bar ? "false" : "true",
             terms->total ? terms->total : 1, e->duration_ms > 0 ? "true" : "false");
    if (bar) {
        job_eta_render(&call->out, eta);
        buf_add_text(&call->out, ",\"why\":{");
        add_text(&call->out, "bar", bar, KIND_TEXT_CAP);
        add_text(&call->out, "text", text, TEXT_CAP);
        buf_addf(&call->out, ",\"alone\":%s}", !held_up && why.alone ? "true" : "false");
    }
    buf_add_text(&call->out, ",\"data\":[");
    for (uint32_t i = 0; i < n; i++) {
        buf_add_text(&call->out, i ? "," : "");
        add_place(&call->out, core, e, &places[i], held_up);
    }
    buf_add_text(&call->out, "]}");
    return 0;
}
