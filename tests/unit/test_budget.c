/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets of tenants, projects and keys: what they refuse, when they begin anew, what is told; compute. */
#include "core/budget.h"

#include "base/timetext.h"
#include "core/notice.h"
#include "dispatch_support.h"

#define DAY INT64_C(86400000)
#define NOON INT64_C(1763812800000) /* Saturday, 2025-11-22T12:00:00Z */
#define MIDNIGHT (NOON + DAY / 2)   /* of the Sunday after it */

static int do_project(struct world *w, uint64_t project, uint64_t tenant)
{
    struct event e = {.kind = EVENT_KIND_project_add,
                      .u.project_add = {.project = uid('Q', project), .tenant = uid('T', tenant)}};
    (void)snprintf(e.u.project_add.name, NAME_CAP, "project-%u", (unsigned)project);
    return world_step(w, &e);
}

static int remove_project(struct world *w, uint64_t project)
{
    struct event e = {.kind = EVENT_KIND_project_remove, .u.project_remove.project = uid('Q', project)};
    return world_step(w, &e);
}

/* A key of tenant 1 in the project. */
static int do_project_key(struct world *w, uint64_t key, uint64_t project, int64_t budget)
{
    struct event e = {.kind = EVENT_KIND_key_add,
                      .u.key_add = {.key = uid('K', key),
                                    .tenant = uid('T', 1),
                                    .scopes = SCOPE_INFERENCE,
                                    .budget = budget,
                                    .transfer = uid('F', w->token + 1),
                                    .project = uid('Q', project)}};
    (void)snprintf(e.u.key_add.name, NAME_CAP, "key-%u", (unsigned)key);
    (void)snprintf(e.u.key_add.public_id, 16, "p%u", (unsigned)key);
    return world_step(w, &e);
}

static struct uuid owner_of(uint32_t scope, uint64_t n)
{
    return uid(scope == BUDGET_TENANT ? 'T' : scope == BUDGET_PROJECT ? 'Q' : 'K', n);
}

static int do_limit(struct world *w, uint32_t scope, uint64_t n, bool soft, uint32_t per, int64_t amount)
{
    struct event e = {
        .kind = EVENT_KIND_budget_set,
        .u.budget_set = {
            .owner = owner_of(scope, n), .scope = scope, .soft = soft, .per = per, .amount = amount}};
    return world_step(w, &e);
}

static struct view_balance limit_of(struct world *w, uint32_t scope, uint64_t n, bool soft)
{
    struct uuid id = owner_of(scope, n);
    struct view_balance b = {-1, -1, -1};
    (void)view_budget(w->core, &id, scope, soft, &b);
    return b;
}

static int64_t granted(const struct world *w)
{
    const struct effect *reply = world_reply(w, w->token);
    return reply && reply->code == 0 ? reply->amount : -1;
}

static int64_t refused(const struct world *w)
{
    const struct effect *reply = world_reply(w, w->token);
    assert_true(reply && reply->code == ERR_BUDGET_SPENT);
    return reply->amount;
}

static struct world *start(int64_t budget)
{
    struct world *w = world_usual(NULL, budget);
    w->now = NOON;
    assert_int_equal(do_project(w, 1, 1), 0);
    assert_int_equal(do_project_key(w, 2, 1, -1), 0);
    assert_int_equal(do_project_key(w, 3, 1, -1), 0);
    return w;
}

static void test_periods(void **state)
{
    (void)state;
    static const struct {
        uint32_t per;
        int64_t now, begin, end;
    } cases[] = {
        {BUDGET_DAY, NOON, MIDNIGHT - DAY, MIDNIGHT},
        {BUDGET_DAY, MIDNIGHT, MIDNIGHT, MIDNIGHT + DAY},
        {BUDGET_DAY, MIDNIGHT - 1, MIDNIGHT - DAY, MIDNIGHT},
        {BUDGET_WEEK, NOON, MIDNIGHT - 6 * DAY, MIDNIGHT + DAY}, /* Monday the 17th to Monday the 24th */
        {BUDGET_WEEK, MIDNIGHT + DAY - 1, MIDNIGHT - 6 * DAY, MIDNIGHT + DAY},
        {BUDGET_WEEK, MIDNIGHT + DAY, MIDNIGHT + DAY, MIDNIGHT + 8 * DAY},
        {BUDGET_MONTH, NOON, MIDNIGHT - 22 * DAY, MIDNIGHT + 8 * DAY}, /* November has 30 days */
        {BUDGET_MONTH, MIDNIGHT + 8 * DAY, MIDNIGHT + 8 * DAY, MIDNIGHT + 39 * DAY},
        {BUDGET_MONTH, INT64_C(1709208000000), INT64_C(1706745600000),
         INT64_C(1709251200000)}, /* 29 Feb 2024 */
        {BUDGET_EVER, NOON, 0, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(budget_period_begin(cases[i].per, cases[i].now) == cases[i].begin);
        assert_true(budget_period_end(cases[i].per, cases[i].now) == cases[i].end);
    }
}

static void test_setting(void **state)
{
    (void)state;
    struct world *w = start(1000000);
    assert_int_equal(do_limit(w, 0, 1, false, BUDGET_DAY, 5), ERR_INVALID);
    assert_int_equal(do_limit(w, 4, 1, false, BUDGET_DAY, 5), ERR_INVALID);
    assert_int_equal(do_limit(w, BUDGET_KEY, 2, false, 4, 5), ERR_INVALID);
    assert_int_equal(do_limit(w, BUDGET_KEY, 9, false, BUDGET_DAY, 5), ERR_NOT_FOUND);
    assert_int_equal(do_limit(w, BUDGET_PROJECT, 9, false, BUDGET_DAY, 5), ERR_NOT_FOUND);
    assert_int_equal(do_limit(w, BUDGET_TENANT, 9, true, BUDGET_DAY, 5), ERR_NOT_FOUND);
    assert_int_equal(do_limit(w, BUDGET_KEY, 2, false, BUDGET_DAY, MONEY_MAX + 1), ERR_OVERFLOW);
    assert_int_equal(do_limit(w, BUDGET_KEY, 2, false, BUDGET_DAY, -1), ERR_NOT_FOUND); /* it has none */
    world_assert_untouched(w);
    assert_int_equal(do_limit(w, BUDGET_KEY, 2, false, BUDGET_DAY, 1000), 0);
    assert_true(w->effects.routes_changed); /* nobody shares its leases from now on */
    assert_int_equal(do_ask(w, 1, 1, 1, 2, 600), 0);
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 2, 400), 0);
    assert_int_equal(do_limit(w, BUDGET_KEY, 2, false, BUDGET_DAY, 599), ERR_WRONG_STATE);
    world_assert_untouched(w);
    assert_int_equal(do_limit(w, BUDGET_KEY, 2, false, BUDGET_DAY, 600), 0); /* spent or held: 400 and 200 */
    assert_true(limit_of(w, BUDGET_KEY, 2, false).spent == 400 &&
                limit_of(w, BUDGET_KEY, 2, false).held == 200);
    assert_int_equal(do_limit(w, BUDGET_KEY, 2, false, BUDGET_WEEK, 300),
                     0); /* another period counts from now on */
    assert_true(limit_of(w, BUDGET_KEY, 2, false).spent == 0 &&
                limit_of(w, BUDGET_KEY, 2, false).held == 200);
    assert_int_equal(do_limit(w, BUDGET_KEY, 2, false, 0, -1), 0);
    assert_true(limit_of(w, BUDGET_KEY, 2, false).budget == -1 && w->effects.routes_changed);
    assert_int_equal(do_meter(w, 1, 2, 1, 1, 2, 200), 0); /* of a lease that drew on it */
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(core_check(w->core), 0);
    world_free(w);
}

static void test_projects(void **state)
{
    (void)state;
    struct world *w = start(1000);
    assert_int_equal(do_project(w, 1, 1), ERR_EXISTS);
    assert_int_equal(do_project(w, 2, 9), ERR_NOT_FOUND);
    assert_int_equal(do_project_key(w, 5, 9, -1), ERR_NOT_FOUND);
    assert_int_equal(do_tenant(w, 2, 1000), 0);
    assert_int_equal(do_project(w, 2, 2), 0);
    assert_int_equal(do_project_key(w, 5, 2, -1), ERR_NOT_FOUND); /* of another tenant */
    world_assert_untouched(w);
    assert_int_equal(remove_project(w, 1), ERR_WRONG_STATE); /* it has keys */
    assert_int_equal(do_revoke(w, 2), 0);
    assert_int_equal(do_revoke(w, 2), 0);
    assert_int_equal(remove_project(w, 1), ERR_WRONG_STATE);
    assert_int_equal(do_revoke(w, 3), 0);
    assert_int_equal(remove_project(w, 1), 0);
    assert_int_equal(remove_project(w, 1), ERR_NOT_FOUND);
    assert_int_equal(do_project_key(w, 5, 1, -1), ERR_NOT_FOUND);
    assert_int_equal(do_limit(w, BUDGET_PROJECT, 1, false, BUDGET_DAY, 1), ERR_NOT_FOUND);
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(do_project_key(w, 5, 1, -1), ERR_NOT_FOUND);
    assert_int_equal(remove_project(w, 2), 0);
    world_free(w);
}

/* Keys of a project draw on its budget together, and nobody else does. */
static void test_project_is_shared(void **state)
{
    (void)state;
    struct world *w = start(1000000);
    assert_int_equal(do_limit(w, BUDGET_PROJECT, 1, false, BUDGET_DAY, 1000), 0);
    assert_int_equal(do_ask(w, 1, 1, 1, 2, 600), 0);
    assert_true(granted(w) == 600);
    assert_int_equal(do_ask(w, 1, 2, 1, 3, 1001), ERR_BUDGET_SPENT);
    assert_true(refused(w) == budget_refusal(BUDGET_PROJECT, BUDGET_DAY, MIDNIGHT));
    world_assert_untouched(w);
    assert_int_equal(do_ask(w, 1, 3, 1, 3, 500), 0); /* waits for what is in flight */
    uint64_t waiting = w->token;
    assert_null(world_reply(w, waiting));
    assert_int_equal(do_ask(w, 1, 4, 1, 1, 5000),
                     0); /* a key of none is not in its way, nor it in the key's */
    assert_true(granted(w) >= 5000);
    assert_int_equal(do_meter(w, 1, 1, 4, 1, 3, 1), ERR_FORBIDDEN); /* not on a lease of others */
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 1, 1), ERR_FORBIDDEN);
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 3, 450), 0); /* shared by the keys of one */
    assert_int_equal(do_return(w, 1, 1, 0, true), 0);
    const struct effect *reply = world_reply(w, waiting);
    assert_true(reply && reply->code == 0 && reply->amount == 500);
    struct view_balance b = limit_of(w, BUDGET_PROJECT, 1, false);
    assert_true(b.spent == 450 && b.held == 500);
    assert_int_equal(world_reload(w), 0);
    b = limit_of(w, BUDGET_PROJECT, 1, false);
    assert_true(b.spent == 450 && b.held == 500);
    assert_int_equal(core_check(w->core), 0);
    world_free(w);
}

/* What waits for a reset is served by it; what is held stays held over it. */
static void test_reset(void **state)
{
    (void)state;
    struct world *w = start(1000000);
    w->now = MIDNIGHT - 2000;
    assert_int_equal(do_limit(w, BUDGET_TENANT, 1, false, BUDGET_DAY, 1000), 0);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, 900), 0);
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 1, 600), 0);
    assert_true(limit_of(w, BUDGET_TENANT, 1, false).held == 300);
    assert_int_equal(do_ask(w, 1, 2, 1, 1, 401), ERR_BUDGET_SPENT);
    assert_true(refused(w) == budget_refusal(BUDGET_TENANT, BUDGET_DAY, MIDNIGHT));
    assert_int_equal(do_ask(w, 1, 3, 1, 1, 400), 0);
    uint64_t waiting = w->token;
    assert_null(world_reply(w, waiting));
    assert_true(core_deadline_ms(w->core) == MIDNIGHT);
    w->now = MIDNIGHT;
    assert_true(core_deadline_ms(w->core) == MIDNIGHT);
    assert_int_equal(do_tick(w), 0);
    const struct effect *reply = world_reply(w, waiting);
    assert_true(reply && reply->code == 0 && reply->amount == 400);
    struct view_balance b = limit_of(w, BUDGET_TENANT, 1, false);
    assert_true(b.spent == 0 && b.held == 700);
    assert_int_equal(do_meter(w, 1, 2, 1, 1, 1, 300), 0); /* held yesterday, counts today */
    assert_int_equal(do_ask(w, 1, 4, 1, 1, 301), 0);
    assert_null(world_reply(w, w->token)); /* 300 and 400 of 1000 */
    /* A hub that is away over the end of a period finds it over, with the first event. */
    w->now = MIDNIGHT + 10 * DAY;
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(do_ask(w, 1, 5, 1, 1, 550), 0);
    assert_true(granted(w) == 550 && limit_of(w, BUDGET_TENANT, 1, false).spent == 0);
    assert_int_equal(do_meter(w, 1, 3, 5, 1, 1, 550), 0);
    b = limit_of(w, BUDGET_TENANT, 1, false);
    assert_true(b.spent == 550 && b.held == 400);
    world_free(w);
}

static int hook(struct world *w, const char *url)
{
    struct event e = {.kind = EVENT_KIND_webhook_set,
                      .u.webhook_set = {.webhook = uid('H', w->token + 1), .tenant = uid('T', 1)}};
    (void)snprintf(e.u.webhook_set.url, PATH_CAP, "%s", url);
    return world_step(w, &e);
}

static int tried(struct world *w, const struct uuid *notice, uint32_t status)
{
    struct event e = {.kind = EVENT_KIND_notice_tried,
                      .u.notice_tried = {.notice = *notice, .status = status}};
    return world_step(w, &e);
}

static const struct row_notice *notice_at(struct world *w, uint32_t n)
{
    const struct row_notice *row = NULL;
    for (uint32_t pos = 0, i = 0; i <= n; i++)
        row = view_notice_at(w->core, &pos);
    return row;
}

static void test_soft(void **state)
{
    (void)state;
    struct world *w = start(1000000);
    assert_int_equal(hook(w, ""), ERR_NOT_FOUND);
    assert_int_equal(hook(w, "https://example.org/"), 0);
    assert_int_equal(do_limit(w, BUDGET_PROJECT, 1, true, BUDGET_DAY, 1000), 0);
    assert_int_equal(do_ask(w, 1, 1, 1, 2, 5000), 0);
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 2, 499), 0);
    assert_null(notice_at(w, 0));
    assert_int_equal(do_meter(w, 1, 2, 1, 1, 2, 1), 0);
    const struct row_notice *row = notice_at(w, 0);
    assert_true(row && row->kind == NOTICE_BUDGET && row->percent == 50 && row->spent == 500 &&
                row->soft == 1 && is_uid(&row->owner, 'Q', 1) && is_uid(&row->tenant, 'T', 1));
    assert_int_equal(do_meter(w, 1, 3, 1, 1, 2, 1), 0);
    assert_null(notice_at(w, 1));
    assert_int_equal(do_meter(w, 1, 4, 1, 1, 3, 2000),
                     0); /* past two of them: the higher one; and nothing is refused */
    row = notice_at(w, 1);
    assert_true(row && row->percent == 100 && row->spent == 2501);
    assert_null(notice_at(w, 2));
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(do_meter(w, 1, 5, 1, 1, 2, 1), 0);
    assert_null(notice_at(w, 2)); /* told before the restart */
    w->now = MIDNIGHT;
    assert_int_equal(do_meter(w, 1, 6, 1, 1, 2, 500), 0);
    row = notice_at(w, 2);
    assert_true(row && row->percent == 50 && row->spent == 500 && row->begun_ms == MIDNIGHT);
    world_free(w);
}

static void test_delivery(void **state)
{
    (void)state;
    static const int64_t waits[] = {5000, 300000, 1800000, 7200000, 18000000, 36000000};
    struct world *w = start(1000000);
    struct event test = {.kind = EVENT_KIND_webhook_test, .u.webhook_test.tenant = uid('T', 1)};
    struct event first = test, second = test, third = test;
    assert_int_equal(world_step(w, &test), ERR_NOT_FOUND); /* no webhook */
    assert_int_equal(hook(w, "https://example.org/"), 0);
    assert_int_equal(world_step(w, &first), 0);
    struct uuid id = notice_at(w, 0)->id;
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(tried(w, &id, i ? 503 : 0), 0);
        assert_true(notice_at(w, 0)->next_ms == w->now + waits[i] && notice_at(w, 0)->tries == i + 1);
        assert_int_equal(world_reload(w), 0);
        w->now += waits[i];
    }
    assert_true(w->now - NOON < DAY);
    assert_int_equal(tried(w, &id, 503), 0);
    assert_null(notice_at(w, 0));
    struct row_notice key = {.id = id};
    const struct row_notice *kept = mirror_find(&w->mirror, ROW_KIND_notice, &key);
    assert_true(kept && kept->state == NOTICE_GIVEN_UP && kept->tries == 7);
    assert_int_equal(world_step(w, &second), 0);
    key.id = notice_at(w, 0)->id;
    assert_false(uuid_eq(&key.id, &id));
    assert_int_equal(tried(w, &key.id, 204), 0);
    assert_null(notice_at(w, 0));
    kept = mirror_find(&w->mirror, ROW_KIND_notice, &key);
    assert_true(kept && kept->state == NOTICE_DELIVERED);
    assert_int_equal(tried(w, &key.id, 204), ERR_NOT_FOUND);
    world_assert_untouched(w);
    assert_int_equal(world_step(w, &third), 0);
    assert_int_equal(tried(w, &notice_at(w, 0)->id, 410), 0); /* gone: it is not asked again */
    assert_null(notice_at(w, 0));
    assert_int_equal(hook(w, ""), 0);
    assert_int_equal(world_reload(w), 0);
    struct uuid tenant = uid('T', 1);
    assert_null(view_webhook(w->core, &tenant));
    world_free(w);
}

/* ---- jobs ---- */

#define CHIPS 8
#define PRICE 3600 /* nano-units for a chip-hour: one for 1,000 chip-ms */

static struct world *start_jobs(int64_t budget)
{
    struct limits limits = dispatch_limits(4, 4, 64);
    limits.meters = 4;
    limits.corridors = 1;
    limits.leases = 16;
    struct world *w = world_dispatch(&limits, 0);
    w->now = NOON;
    assert_int_equal(do_tenant(w, 1, budget), 0);
    do_two_sites(w, PRICE);
    assert_int_equal(do_project(w, 1, 1), 0);
    assert_int_equal(do_project_key(w, 1, 1, -1), 0);
    assert_int_equal(do_project_key(w, 2, 1, 200), 0); /* with a limit of its own */
    return w;
}

static int submit(struct world *w, uint64_t job, uint64_t key)
{
    struct event_job_submit e = job_request(job, CHIPS, HOUR);
    e.site = uid('S', 1);
    e.key = key ? uid('K', key) : (struct uuid){{0}};
    return do_submit(w, e);
}

static int report(struct world *w, uint64_t job, uint64_t ms)
{
    struct event e = {
        .kind = EVENT_KIND_job_meter,
        .u.job_meter = {
            .job = uid('J', job), .epoch = 1, .site = uid('S', 1), .ms = ms, .chip_ms = CHIPS * ms}};
    int rc = world_step(w, &e);
    assert_int_equal(core_check(w->core), 0);
    return rc;
}

static void test_jobs_draw(void **state)
{
    (void)state;
    struct world *w = start_jobs(1000000);
    assert_int_equal(do_limit(w, BUDGET_PROJECT, 1, false, BUDGET_DAY, 300), 0);
    assert_int_equal(do_limit(w, BUDGET_PROJECT, 1, true, BUDGET_EVER, 100), 0);
    assert_int_equal(submit(w, 1, 9), ERR_NOT_FOUND);
    assert_int_equal(submit(w, 1, 1), 0);
    world_settle(w);
    w->now += MINUTE;
    assert_int_equal(report(w, 1, 30000), 0); /* 240 */
    assert_true(limit_of(w, BUDGET_PROJECT, 1, false).spent == 240);
    assert_true(limit_of(w, BUDGET_PROJECT, 1, true).spent == 240);
    assert_int_equal(report(w, 1, 40000), 0); /* 320: the budget has 60 left, and the job is over */
    assert_true(limit_of(w, BUDGET_PROJECT, 1, false).spent == 300 && balance_of(w, 1).spent == 300);
    assert_int_equal(world_job(w, 1)->state, JOB_ENDED);
    assert_int_equal(submit(w, 2, 1), ERR_BUDGET_SPENT);
    assert_true(refused(w) == budget_refusal(BUDGET_PROJECT, BUDGET_DAY, MIDNIGHT));
    world_assert_untouched(w);
    assert_int_equal(submit(w, 2, 0), 0); /* of the tenant, with no key */
    assert_int_equal(do_cancel(w, 2), 0);
    w->now = MIDNIGHT;
    assert_int_equal(submit(w, 3, 2), 0);
    world_settle(w);
    w->now += MINUTE;
    assert_int_equal(report(w, 3, 30000), 0); /* 240: the key's own limit is 200 */
    assert_true(limit_of(w, BUDGET_PROJECT, 1, false).spent == 200);
    struct uuid key = uid('K', 2);
    assert_true(view_key_balance(w->core, &key).spent == 200);
    assert_int_equal(submit(w, 4, 2), ERR_BUDGET_SPENT);
    assert_true(refused(w) == budget_refusal(BUDGET_KEY, BUDGET_EVER, 0));
    assert_int_equal(submit(w, 4, 1), 0); /* the project has 100 left */
    assert_int_equal(world_reload(w), 0);
    assert_int_equal(core_check(w->core), 0);
    world_free(w);
}

/* ---- beside grants ---- */

/* Of sponsor 1 to tenant 1, for work of these kinds, 0: all; with a model: for requests for it alone. */
static int do_grant(struct world *w, uint64_t grant, int64_t amount, uint32_t kinds, bool of_model)
{
    struct event party = {.kind = EVENT_KIND_party_add, .u.party_add = {.party = uid('O', 1), .name = "lab"}};
    struct event e = {.kind = EVENT_KIND_grant_add,
                      .u.grant_add = {.grant = uid('G', grant),
                                      .tenant = uid('T', 1),
                                      .sponsor = uid('O', 1),
                                      .amount = amount,
                                      .kinds = kinds,
                                      .transfer = uid('g', grant)}};
    if (of_model)
        e.u.grant_add.models = (struct uuid_list){.n = 1, .v = {uid('M', 1)}};
    assert_int_equal(world_step(w, &party), 0);
    return world_step(w, &e);
}

/* Budgets count what requests cost, whoever pays for it; a wallet counts what left it. */
static void test_granted_requests(void **state)
{
    (void)state;
    struct world *w = start(1000);
    assert_int_equal(do_limit(w, BUDGET_TENANT, 1, false, BUDGET_DAY, 600), 0);
    assert_int_equal(do_limit(w, BUDGET_TENANT, 1, true, BUDGET_EVER, 1000), 0);
    assert_int_equal(do_grant(w, 1, 200, 0, true), 0);
    assert_int_equal(do_ask(w, 1, 1, 1, 1, 400), 0); /* held on the wallet: the model is not known yet */
    assert_true(balance_of(w, 1).held == 400 && limit_of(w, BUDGET_TENANT, 1, false).held == 400);
    assert_int_equal(do_meter(w, 1, 1, 1, 1, 1, 300), 0); /* the grant pays 200 */
    assert_true(balance_of(w, 1).spent == 100 && balance_of(w, 1).held == 100);
    struct view_balance b = limit_of(w, BUDGET_TENANT, 1, false);
    assert_true(b.spent == 300 && b.held == 100 && limit_of(w, BUDGET_TENANT, 1, true).spent == 300);
    assert_int_equal(core_check(w->core), 0);
    /* More than the wallet has: a grant without conditions holds it, and the budget bounds it all the same. */
    assert_int_equal(do_grant(w, 2, 5000, 0, false), 0);
    assert_int_equal(do_ask(w, 1, 2, 1, 1, 301), ERR_BUDGET_SPENT);
    assert_true(refused(w) == budget_refusal(BUDGET_TENANT, BUDGET_DAY, MIDNIGHT));
    world_assert_untouched(w);
    assert_int_equal(do_limit(w, BUDGET_TENANT, 1, false, BUDGET_DAY, 3000), 0);
    assert_int_equal(do_ask(w, 1, 2, 1, 1, 2000), 0);
    assert_true(granted(w) == 2000 && balance_of(w, 1).held == 100);
    assert_int_equal(do_meter(w, 1, 2, 2, 1, 1, 1500), 0);
    b = limit_of(w, BUDGET_TENANT, 1, false);
    assert_true(b.spent == 1800 && b.held == 600 && balance_of(w, 1).spent == 100);
    assert_int_equal(core_check(w->core), 0);
    assert_int_equal(world_reload(w), 0);
    assert_true(limit_of(w, BUDGET_TENANT, 1, false).held == 600);
    world_free(w);
}

/* The same of jobs; a grant pays for a job whose tenant has no money itself, as far as budgets and the key's limit go. */
static void test_granted_jobs(void **state)
{
    (void)state;
    struct world *w = start_jobs(0);
    assert_int_equal(submit(w, 1, 1), ERR_BUDGET_SPENT);
    assert_true(refused(w) == budget_refusal(BUDGET_TENANT, BUDGET_EVER, 0));
    assert_int_equal(do_grant(w, 1, 10000, GRANT_BATCH, false), 0);
    assert_int_equal(do_limit(w, BUDGET_PROJECT, 1, false, BUDGET_DAY, 300), 0);
    assert_int_equal(submit(w, 1, 1), 0);
    world_settle(w);
    w->now += MINUTE;
    assert_int_equal(report(w, 1, 30000), 0); /* 240 */
    assert_true(limit_of(w, BUDGET_PROJECT, 1, false).spent == 240 && balance_of(w, 1).spent == 0);
    assert_int_equal(report(w, 1, 40000), 0); /* 320: the budget has 60 left, whatever the grant has */
    assert_true(limit_of(w, BUDGET_PROJECT, 1, false).spent == 300);
    assert_int_equal(world_job(w, 1)->state, JOB_ENDED);
    w->now = MIDNIGHT;
    assert_int_equal(submit(w, 2, 2), 0);
    world_settle(w);
    w->now += MINUTE;
    assert_int_equal(report(w, 2, 30000), 0); /* 240: the key's own limit is 200 */
    struct uuid key = uid('K', 2);
    assert_true(view_key_balance(w->core, &key).spent == 200);
    assert_true(limit_of(w, BUDGET_PROJECT, 1, false).spent == 200 && balance_of(w, 1).spent == 0);
    struct uuid grant = uid('G', 1);
    const struct row_account *account = view_account(w->core, &grant, ACCOUNT_GRANT, EUR);
    assert_true(account && account->credits_posted - account->debits_posted == 9500);
    assert_int_equal(world_reload(w), 0);
    world_free(w);
}

/* 1e18 FLOP/s a chip: 8e18 a second of the job. */
static void test_compute(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, 4, 64);
    limits.meters = 4;
    struct world *w = world_dispatch(&limits, 1);
    w->now = NOON;
    assert_int_equal(do_site(w, 1), 0);
    struct event chip = {.kind = EVENT_KIND_chip_add,
                         .u.chip_add = {.chip = "chip", .vendor = "v", .watts = 1000, .gflops = 1000000000}};
    assert_int_equal(world_step(w, &chip), 0);
    struct event_pool_add pool = pool_request(1, 1, 1, CHIPS);
    assert_int_equal(do_pool(w, pool), 0);
    assert_int_equal(hook(w, "https://example.org/"), 0);
    struct uuid tenant = uid('T', 1);
    assert_int_equal(submit(w, 1, 0), 0);
    world_settle(w);
    w->now += 10000 * 1000;
    assert_int_equal(report(w, 1, 1), 0);
    assert_true(view_compute(w->core, &tenant)->tera == 8000); /* 8e15 FLOP */
    assert_int_equal(report(w, 1, 9999999), 0);
    const struct row_compute *row = view_compute(w->core, &tenant);
    assert_true(row->tera == UINT64_C(79999992000) && row->alarm0_ms == 0); /* 7.9999992e22 */
    w->now += 2600 * 1000;
    int64_t at_ms = w->now;
    assert_int_equal(report(w, 1, 12500000), 0); /* 1e23 exactly */
    row = view_compute(w->core, &tenant);
    assert_true(row->tera == COMPUTE_ALARM_0 && row->alarm0_ms == at_ms && row->alarm1_ms == 0);
    assert_true(notice_at(w, 0) && notice_at(w, 0)->kind == NOTICE_COMPUTE && !notice_at(w, 1));
    assert_int_equal(world_reload(w), 0);
    w->now += 1300000 * INT64_C(1000);
    assert_int_equal(report(w, 1, 1250000000), 0); /* 1e25 */
    row = view_compute(w->core, &tenant);
    assert_true(row->tera == COMPUTE_ALARM_1 && row->alarm0_ms == at_ms && row->alarm1_ms == w->now);
    assert_true(notice_at(w, 1) && notice_at(w, 1)->amount == (int64_t)COMPUTE_ALARM_1 && !notice_at(w, 2));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_periods),      cmocka_unit_test(test_setting),
        cmocka_unit_test(test_projects),     cmocka_unit_test(test_project_is_shared),
        cmocka_unit_test(test_reset),        cmocka_unit_test(test_soft),
        cmocka_unit_test(test_delivery),     cmocka_unit_test(test_jobs_draw),
        cmocka_unit_test(test_compute),      cmocka_unit_test(test_granted_requests),
        cmocka_unit_test(test_granted_jobs),
    };
    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
