/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/notices.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/registry.h"
#include "hub/budgets.h"
#include "hub/webhook.h"
#include "runtime/asks.h"

#define TICK_MS 1000
#define BODY_MAX 4096

struct due {
    struct uuid notice, tenant, webhook;
    char url[PATH_CAP]; /* empty: the webhook is gone */
    struct buf body;
};

struct sending {
    struct notices *notices;
    uv_work_t work;
    bool busy;
    struct due due;
    struct delivery delivery;
};

struct notices {
    struct loop *loop;
    const struct hub *hub;
    struct mailbox box;
    struct asks asks;
    uv_timer_t timer;
    struct sending sending[NOTICES_AT_ONCE];
    bool looking;
    atomic_bool stopping;
    /* Of a look, which is on the core thread: whom to leave out, and what it found. */
    struct uuid served[2 * NOTICES_AT_ONCE];
    struct due found[NOTICES_AT_ONCE];
    uint32_t nserved, nfound, room;
};

/* ---- what it says ---- */

static void add_owner(struct buf *out, const struct core *core, const struct row_notice *row)
{
    const struct row_project *project = view_project(core, &row->owner);
    const struct row_key *key = view_key(core, &row->owner);
    add_text(out, "scope", budget_scope_text(row->scope), KIND_TEXT_CAP);
    if (row->scope == BUDGET_PROJECT && project)
        add_text(out, "project", project->name, NAME_CAP);
    if (row->scope == BUDGET_KEY && key)
        add_text(out, "key", key->public_id, sizeof key->public_id);
}

static void add_budget(struct buf *out, const struct core *core, const struct row_notice *row)
{
    const struct row_tenant *tenant = view_tenant(core, &row->tenant);
    const char *currency = tenant ? currency_code(tenant->ledger) : NULL;
    struct row_budget budget = {.per = row->per};
    add_owner(out, core, row);
    buf_addf(out, ",\"soft\":%s,\"percent\":%u", row->soft ? "true" : "false", row->percent);
    add_text(out, "per", budget_period_text(row->per), KIND_TEXT_CAP);
    add_amount(out, "budget", row->amount);
    add_amount(out, "spent", row->spent);
    add_text(out, "currency", currency ? currency : "?", 4);
    add_time(out, "since", row->begun_ms);
    add_time(out, "resets", view_budget_reset(core, &budget));
}

/* The one that was raised then, and where it is seen. */
static void add_chip(struct buf *out, const struct core *core, const struct row_notice *row)
{
    const struct row_unit *unit = view_unit(core, &row->owner);
    const struct row_unit_alarm *alarm;
    add_text(out, "chip", unit ? unit->name : "?", UNIT_NAME_CAP);
    for (uint32_t pos = 0; unit && (alarm = view_alarm_of_unit_at(core, unit, &pos)) != NULL;) {
        const struct row_site *home = view_site(core, &alarm->home), *site = view_site(core, &alarm->site);
        if (alarm->raised_ms != row->at_ms || !home || !site)
            continue;
        add_text(out, "site", home->name, sizeof home->name);
        add_text(out, "also_at", site->name, sizeof site->name);
    }
}

/* "type", "timestamp" and "data", as the specification recommends. */
static void add_body(struct buf *out, const struct core *core, const struct row_notice *row)
{
    const struct row_tenant *tenant = view_tenant(core, &row->tenant);
    buf_add_char(out, '{');
    add_text(out, "type", notice_kind_text(row->kind), KIND_TEXT_CAP);
    add_time(out, "timestamp", row->at_ms);
    buf_add_text(out, ",\"data\":{");
    add_text(out, "tenant", tenant ? tenant->name : "?", NAME_CAP);
    if (row->kind == NOTICE_BUDGET)
        add_budget(out, core, row);
    if (row->kind == NOTICE_COMPUTE)
        buf_addf(out, ",\"tera_flop\":%lld,\"alarm_tera_flop\":%lld", (long long)row->spent,
                 (long long)row->amount);
    if (row->kind == NOTICE_CHIP)
        add_chip(out, core, row);
    buf_add_text(out, "}}");
}

/* ---- deliveries ---- */

static void on_told(void *ctx, const struct effect *reply)
{
    struct sending *s = ctx;
    (void)reply; /* if it was not recorded, the notice is due still, and comes again */
    s->busy = false;
}

static void tell(struct sending *s)
{
    struct notices *n = s->notices;
    struct event event = {.kind = EVENT_KIND_notice_tried,
                          .token = mailbox_token(&n->box),
                          .u.notice_tried = {.notice = s->due.notice, .status = s->delivery.status}};
    asks_add(&n->asks, event.token, on_told, s);
    if (runtime_post(n->hub->runtime, &event) == 0)
        return;
    asks_forget(&n->asks, event.token);
    s->busy = false;
}

static void on_work(uv_work_t *work)
{
    webhook_deliver(&list_entry(work, struct sending, work)->delivery);
}

static void after_work(uv_work_t *work, int status)
{
    struct sending *s = list_entry(work, struct sending, work);
    const struct delivery *d = &s->delivery;
    (void)status;
    if (d->status < 200 || d->status > 299)
        log_info("webhook_failed", "notice=%s status=%u why=\"%s\"", d->id, d->status, d->why);
    buf_fini(&s->due.body);
    if (s->notices->stopping)
        s->busy = false; /* what was broken off is no try */
    else
        tell(s);
}

static void send_one(struct sending *s)
{
    struct notices *n = s->notices;
    struct delivery *d = &s->delivery;
    if (s->due.body.failed)
        abort(); /* names are bounded */
    memcpy(d->url, s->due.url, sizeof d->url);
    uuid_format(d->id, &s->due.notice);
    webhook_secret(d->secret, n->hub->webhook_key, &s->due.webhook);
    d->body = s->due.body.data;
    d->len = s->due.body.len;
    d->lax = n->hub->webhook_private;
    d->cancel = &n->stopping;
    if (uv_queue_work(&n->loop->uv, &s->work, on_work, after_work) != 0)
        abort(); /* only without a function to call */
}

/* ---- what is due ---- */

static bool is_served(const struct notices *n, const struct uuid *tenant)
{
    for (uint32_t i = 0; i < n->nserved; i++) {
        if (uuid_eq(&n->served[i], tenant))
            return true;
    }
    return false;
}

static void look(void *ctx, const struct core *core)
{
    struct notices *n = ctx;
    const struct row_notice *row;
    const int64_t now_ms = runtime_now_ms(n->hub->runtime);
    for (uint32_t pos = 0; n->nfound < n->room && (row = view_notice_at(core, &pos)) != NULL;) {
        const struct row_webhook *hook = view_webhook(core, &row->tenant);
        if (row->next_ms > now_ms || is_served(n, &row->tenant))
            continue;
        struct due *due = &n->found[n->nfound++];
        *due = (struct due){.notice = row->id, .tenant = row->tenant};
        n->served[n->nserved++] = row->tenant;
        buf_init(&due->body, BODY_MAX);
        add_body(&due->body, core, row);
        if (!hook)
            continue;
        due->webhook = hook->id;
        memcpy(due->url, hook->url, sizeof due->url);
    }
}

static void take(struct notices *n, const struct due *due)
{
    int i = 0;
    while (n->sending[i].busy) /* there were so many places when the look began, and no fewer since */
        i++;
    struct sending *s = &n->sending[i];
    *s = (struct sending){.notices = n, .busy = true, .due = *due};
    if (due->url[0]) {
        send_one(s);
        return;
    }
    buf_fini(&s->due.body);
    tell(s); /* nobody is there to be told: it is given up */
}

static void on_looked(void *ctx, const struct effect *reply)
{
    struct notices *n = ctx;
    n->looking = false;
    for (uint32_t i = 0; i < n->nfound; i++) {
        if (reply->code == 0)
            take(n, &n->found[i]);
        else
            buf_fini(&n->found[i].body);
    }
    n->nfound = 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct notices *n = timer->data;
    if (n->looking)
        return;
    n->nserved = 0;
    for (int i = 0; i < NOTICES_AT_ONCE; i++) {
        if (n->sending[i].busy)
            n->served[n->nserved++] = n->sending[i].due.tenant;
    }
    n->room = NOTICES_AT_ONCE - n->nserved;
    uint64_t token = mailbox_token(&n->box);
    asks_add(&n->asks, token, on_looked, n);
    n->looking = runtime_query(n->hub->runtime, look, n, token) == 0;
    if (!n->looking)
        asks_forget(&n->asks, token);
}

/* ---- the whole ---- */

static void on_effect(void *ctx, const struct effect *effect)
{
    struct notices *n = ctx;
    asks_reply(&n->asks, effect);
}

int notices_start(struct notices **out, struct loop *loop, const struct hub *hub, struct err *err)
{
    struct notices *n = calloc(1, sizeof *n);
    if (!n)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    n->loop = loop;
    n->hub = hub;
    asks_init(&n->asks);
    int rc = mailbox_init(&n->box, &loop->uv, on_effect, n);
    if (rc == 0)
        rc = runtime_attach(hub->runtime, &n->box);
    if (rc != 0)
        return err_set(err, rc, "notices: %s", err_text(rc)); /* the process ends */
    uv_timer_init(&loop->uv, &n->timer);
    n->timer.data = n;
    uv_timer_start(&n->timer, on_timer, TICK_MS, TICK_MS);
    *out = n;
    return 0;
}

void notices_stop(struct notices *n)
{
    n->stopping = true;
    runtime_detach(n->hub->runtime, &n->box);
    mailbox_close(&n->box, NULL);
    uv_close((uv_handle_t *)&n->timer, NULL);
}

void notices_free(struct notices *n)
{
    if (!n)
        return;
    for (uint32_t i = 0; i < n->nfound; i++)
        buf_fini(&n->found[i].body);
    asks_fini(&n->asks);
    free(n);
}
