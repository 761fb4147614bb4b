/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/visit.h"

#include "hub/api.h"
#include "hub/desk.h"

static void on_reply(void *ctx, const struct effect *reply)
{
    struct visit *visit = ctx;
    visit->rc = visit->rc ? visit->rc : reply->code;
    if (++visit->replies < visit->events)
        return;
    visit->posted(visit, visit->rc);
    visit_free(visit);
}

void visit_post(struct visit *visit, struct event *events, uint32_t n,
                void (*posted)(struct visit *visit, int rc))
{
    const struct desk_config *config = desk_config(visit_desk(visit));
    if (n == 0) {
        posted(visit, 0);
        return;
    }
    visit->posted = posted;
    visit->events = n;
    for (uint32_t i = 0; i < n; i++) {
        events[i].token = mailbox_token(config->box);
        asks_add(config->asks, events[i].token, on_reply, visit);
    }
    visit->kept = true;
    if (runtime_post_all(config->runtime, events, n) == 0)
        return;
    for (uint32_t i = 0; i < n; i++)
        asks_forget(config->asks, events[i].token);
    visit->kept = false;
    hub_refuse(visit->request, ERR_UNAVAILABLE, "");
    visit->request = NULL;
}
