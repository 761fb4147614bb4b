/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/marks.h"

#include <stdio.h>
#include <string.h>

#include "core/kinds.h"
#include "sim/duration.h"

/* ---- drills ---- */

void marks_drills(struct record *rec, const struct drills *drills)
{
    for (uint32_t i = 0; i < drills->n; i++)
        (void)record_mark(rec, drills->list[i].at_ms, true, drills->list[i].what);
}

uint32_t marks_drill_at(const struct record *rec, int64_t now_ms)
{
    uint32_t best = RECORD_NONE;
    for (uint32_t i = 0; rec && i < rec->nmarks; i++) {
        const struct record_mark *m = &rec->mark[i];
        if (m->drill && m->at_ms <= now_ms && (best == RECORD_NONE || m->at_ms > rec->mark[best].at_ms))
            best = i;
    }
    return best;
}

/* ---- the network ---- */

static const char *state_text(uint32_t state)
{
    static const char *const words[] = {
#define P(name, number, text) [number] = (text),
        PLACE_STATES(P)
#undef P
    };
    return words[state];
}

static void mark_delivery(struct record *rec, const struct stock *stock, int64_t at_ms)
{
    char text[RECORD_NAME_CAP];
    if (stock->npools == 0)
        return;
    const struct stock_pool *p = &stock->pool[stock->npools - 1];
    (void)snprintf(text, sizeof text, "%u %.31s to %.40s", p->nodes * p->node_chips,
                   stock->kind[p->kind].name, stock->site[p->site].name);
    (void)record_mark(rec, at_ms, false, text);
}

/* Many nodes go at a moment, or one after the other over months: it is told once for each vendor and each time that it begins
 * anew. */
static void mark_node(struct record *rec, const struct stock *stock, int64_t at_ms,
                      const struct event_node_state *e)
{
    char text[RECORD_NAME_CAP];
    const struct stock_pool *p = &stock->pool[stock->last];
    (void)snprintf(text, sizeof text, "%.63s: nodes are %s", stock->kind[p->kind].vendor,
                   state_text(e->state));
    for (uint32_t i = rec->nmarks; i-- > 0;) {
        if (strcmp(rec->mark[i].text, text) == 0 && at_ms - rec->mark[i].last_ms < 30 * DAY_MS) {
            rec->mark[i].last_ms = at_ms;
            return;
        }
    }
    uint32_t i = record_mark(rec, at_ms, false, text);
    if (i != RECORD_NONE)
        rec->mark[i].last_ms = at_ms;
}

void marks_event(struct record *rec, const struct stock *stock, const struct event *event)
{
    char text[RECORD_NAME_CAP];
    if (!rec)
        return;
    if (event->kind == EVENT_KIND_pool_add) {
        mark_delivery(rec, stock, event->at_ms);
    } else if (event->kind == EVENT_KIND_node_state && stock->last < stock->npools) {
        mark_node(rec, stock, event->at_ms, &event->u.node_state);
    } else if (event->kind == EVENT_KIND_site_state) {
        const struct stock_site *site = stock_find_site(stock, &event->u.site_state.site);
        if (!site)
            return;
        (void)snprintf(text, sizeof text, "%.60s is %s", site->name, state_text(event->u.site_state.state));
        (void)record_mark(rec, event->at_ms, false, text);
    }
}
