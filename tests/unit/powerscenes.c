/* SPDX-License-Identifier: Apache-2.0 */
#include "powerscenes.h"

#include "base/checked.h"
#include "core/month.h"
#include "dispatch_support.h"
#include "testvfs.h"

#define BUDGET (INT64_C(1000) * UNIT)

#define OK(call) assert_int_equal(call, 0)

static int64_t begun_ms; /* by the world's clock */

static void begin_usual(struct world *w)
{
    OK(do_boot(w, 1));
    OK(do_tenant(w, 1, BUDGET));
    OK(do_key(w, 1, 1, -1));
    do_two_sites(w, 3600 * UNIT);
    OK(do_model(w, 1));
    OK(do_variant(w, 1, 1));
    OK(do_price(w, 1, 1, 1000000, 2000000));
    OK(do_worker(w, 1));
}

static void settle(struct world *w)
{
    while (core_deadline_ms(w->core) <= w->now)
        OK(do_tick(w));
}

/* ---- jobs: submitted, started, metered, ended, cancelled ---- */

static void meter_job(struct world *w, uint64_t job, uint64_t seconds)
{
    struct uuid id = uid('J', job);
    const struct row_job *row = view_job(w->core, &id);
    assert_true(row && row->state == JOB_RUNNING);
    struct event e = {.kind = EVENT_KIND_job_meter,
                      .u.job_meter = {.job = id,
                                      .epoch = 1,
                                      .site = view_pool(w->core, &row->pool)->site,
                                      .ms = seconds * 1000,
                                      .chip_ms = seconds * 1000,
                                      .energy_mj = seconds * 900000}};
    OK(world_step(w, &e));
}

static void step_jobs(struct world *w, uint64_t i)
{
    w->now = begun_ms + (int64_t)i * 1000;
    settle(w);
    OK(do_submit(w, job_request(2 * i, 1, HOUR)));
    OK(do_submit(w, job_request(2 * i + 1, 2, HOUR)));
    if (i >= 3)
        meter_job(w, 2 * (i - 2), 1);
    if (i >= 4)
        meter_job(w, 2 * (i - 3), 2);
    if (i >= 5)
        OK(do_end(w, 2 * (i - 3), 1));
    if (i >= 4)
        OK(do_cancel(w, 2 * (i - 3) + 1));
}

/* ---- requests: a lease of budget, records, one of them twice, what is left given back ---- */

static void step_requests(struct world *w, uint64_t i)
{
    uint64_t lease = 1 + i / 4;
    w->now = begun_ms + (int64_t)i * 300;
    settle(w);
    if (i % 4 == 0)
        OK(do_ask(w, 1, lease, 1, 1, 10000));
    for (uint64_t k = 1; k <= 3; k++)
        OK(do_meter(w, 1, 3 * i + k, lease, 1, 1, (uint32_t)(100 * k)));
    assert_int_equal(do_meter(w, 1, 3 * i + 1, lease, 1, 1, 100), ERR_DUPLICATE);
    if (i % 4 == 3)
        OK(do_return(w, 1, lease, 0, true));
}

/* ---- money: paid in, spent, billed, given back ---- */

int scenes_pay(struct world *w, uint64_t id, int64_t amount)
{
    struct event e = {.kind = EVENT_KIND_wallet_topup,
                      .u.wallet_topup = {.payment = uid('Y', id), .tenant = uid('T', 1), .amount = amount}};
    return world_step(w, &e);
}

static void bill_month(struct world *w, uint64_t id, uint32_t month)
{
    struct event close = {.kind = EVENT_KIND_invoice_close,
                          .u.invoice_close = {.invoice = uid('I', id),
                                              .tenant = uid('T', 1),
                                              .month = month,
                                              .total = 900,
                                              .first_month = month}};
    OK(world_step(w, &close));
    struct event note = {.kind = EVENT_KIND_credit_note,
                         .u.credit_note = {.payment = uid('y', id),
                                           .tenant = uid('T', 1),
                                           .month = month,
                                           .amount = 50,
                                           .reason = "slow",
                                           .before = 50 * (int64_t)(month - month_of(begun_ms))}};
    OK(world_step(w, &note));
}

static void step_money(struct world *w, uint64_t i)
{
    int64_t every = 6 * DAY_MS;
    w->now = begun_ms + (int64_t)i * every;
    settle(w);
    OK(scenes_pay(w, i, 500));
    assert_int_equal(scenes_pay(w, i, 500), ERR_EXISTS);
    OK(do_ask(w, 1, i + 1, 1, 1, 1000));
    OK(do_meter(w, 1, i + 1, i + 1, 1, 1, 400));
    OK(do_return(w, 1, i + 1, 0, true));
    uint32_t before = month_of(w->now - every);
    if (i > 0 && month_of(w->now) > before)
        bill_month(w, i, before);
    OK(do_budget(w, 1, BUDGET + (int64_t)i * 500));
}

/* ---- prices and rules ---- */

static void step_tariff(struct world *w, uint64_t i)
{
    char rule[128];
    w->now = begun_ms + (int64_t)i * 1000;
    settle(w);
    struct event price = {.kind = EVENT_KIND_price_set,
                          .u.price_set = {.price = uid('P', 2 + i),
                                          .model = uid('M', 1),
                                          .prompt = (int64_t)(1000 + i),
                                          .from_ms = i % 2 ? w->now + 1500 : 0}};
    OK(world_step(w, &price));
    struct event pool = {.kind = EVENT_KIND_pool_price,
                         .u.pool_price = {.pool = uid('p', 1),
                                          .price = (int64_t)(500 + i),
                                          .from_ms = i % 3 ? w->now + 2500 : 0}};
    OK(world_step(w, &pool));
    struct event signal = {
        .kind = EVENT_KIND_site_signal,
        .u.site_signal = {.site = uid('S', 1), .price = (int64_t)i, .carbon = 400000, .pue = 1500}};
    OK(world_step(w, &signal));
    (void)snprintf(rule, sizeof rule,
                   "deny a%u when site.name = site-%u and job.kind = training because \"b\" cite \"c\"\n",
                   (unsigned)i, (unsigned)(1 + i % 2));
    OK(do_rules(w, rule));
    OK(do_key(w, 2 + i, 1, (int64_t)i));
    if (i % 2)
        OK(do_revoke(w, 1 + i));
}

/* ---- a little of everything: small commits, so most of the log's trees are of other shapes ---- */

static void step_mixed(struct world *w, uint64_t i)
{
    w->now = begun_ms + (int64_t)i * 1000;
    settle(w);
    if (i == 0)
        OK(do_ask(w, 1, 1, 1, 1, 100000));
    OK(do_meter(w, 1, i + 1, 1, 1, 1, 7));
    if (i % 3 == 0)
        OK(scenes_pay(w, i, 5));
    if (i % 4 == 0)
        OK(do_submit(w, job_request(i, 1, HOUR)));
}

const struct scenario scenarios[SCENARIOS] = {{"jobs", step_jobs},
                                              {"requests", step_requests},
                                              {"money", step_money},
                                              {"prices", step_tariff},
                                              {"mixed", step_mixed}};

/* ---- what all runs begin with ---- */

struct origin origin;

int scenes_begin(void **state)
{
    (void)state;
    struct limits limits = dispatch_limits(4, 4, 64);
    struct powerhub hub;
    testvfs_forget();
    testvfs_reset(1);
    OK(powerhub_begin(&hub, &limits));
    begin_usual(hub.w);
    begun_ms = hub.w->now + 1000;
    OK(powerhub_commit(&hub));
    powerhub_keep(&origin, &hub);
    powerhub_end(&hub);
    testvfs_keep();
    return 0;
}

int scenes_end(void **state)
{
    (void)state;
    powerhub_origin_fini(&origin);
    return 0;
}
