/* SPDX-License-Identifier: Apache-2.0 */
/* Where a model of the hub can be served: its pools, with the recipe of each, or why not. */
#include <string.h>

#include "hub/api.h"
#include "hub/recipes.h"

#define SLOTS_USUAL 4u /* as of a deployment that says nothing */

struct spot {
    const struct row_pool *pool;
    const struct row_site *site;
    struct hostable_on on;
};

/* "": it can be there. Words belong to `call`, or are static. */
static const char *why_not(struct api_call *call, const struct core *core, const struct model_on *m,
                           const struct spot *s)
{
    if (s->on.what == HOSTABLE_NONE)
        return "there is no recipe for it there";
    if (s->on.chips > s->pool->node_chips)
        return "no node has chips with enough memory";
    if (!view_may_serve(core, &s->pool->id, m->model, s->on.chips))
        return "the rules let nobody use it there";
    return deployable_at(call, core, s->site) == 0 ? "" : call->err.msg;
}

static void add_spot(struct api_call *call, const struct core *core, const struct model_on *m,
                     const struct spot *s)
{
    struct buf words;
    const char *why = why_not(call, core, m, s);
    buf_init(&words, 4096);
    hostable_words(call->hub, m, s->pool->chip, &s->on, &words);
    buf_add_text(&call->out, "{\"site\":");
    buf_add_json(&call->out, s->site->name, strlen(s->site->name));
    add_text(&call->out, "chip", s->pool->chip, sizeof s->pool->chip);
    buf_addf(&call->out, ",\"chips\":%u,\"can\":%s,\"recipe\":", s->pool->nodes * s->pool->node_chips,
             why[0] ? "false" : "true");
    if (s->on.what == HOSTABLE_NONE)
        buf_add_text(&call->out, "null");
    else
        buf_add_json(&call->out, words.len ? words.data : "", words.len);
    add_text(&call->out, "status", hostable_word(s->on.what), NAME_CAP);
    buf_addf(&call->out, ",\"replica_chips\":%u", s->on.chips);
    add_text(&call->out, "text", why, sizeof call->err.msg);
    buf_add_char(&call->out, '}');
    buf_fini(&words);
}

static int where(struct api_call *call, const struct core *core)
{
    const struct row_model *model = call_model(call, core, call->param);
    struct model_on m = {
        .model = model, .variant = model ? model_variant(core, model) : NULL, .slots = SLOTS_USUAL};
    const struct row_pool *pool;
    const char *sep = "";
    if (!model)
        return ERR_NOT_FOUND;
    if (!m.variant || strstr(m.variant->location, "://"))
        return err_set(&call->err, ERR_UNSUPPORTED,
                       "`%s` is an engine at a URL: it is where it is, and needs no recipe.", model->name);
    m.engine = m.variant->engine;
    buf_add_text(&call->out, "{\"model\":");
    buf_add_json(&call->out, model->name, strlen(model->name));
    add_text(&call->out, "engine", m.engine, NAME_CAP);
    buf_add_text(&call->out, ",\"data\":[");
    for (uint32_t pos = 0; (pool = view_pool_at(core, &pos)) != NULL;) {
        struct spot s = {.pool = pool, .site = view_site(core, &pool->site)};
        if (!s.site)
            continue;
        s.on = model_hostable(call->hub, core, &m, pool->chip);
        s.on.chips = hostable_chips(&s.on, pool->node_chips);
        buf_add_text(&call->out, sep);
        sep = ",";
        add_spot(call, core, &m, &s);
    }
    call->err = (struct err){0};
    page_end_after(&call->out, NULL);
    return 0;
}

const struct api_handler api_model_where = {.finish = where};
