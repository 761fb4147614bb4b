/* SPDX-License-Identifier: Apache-2.0 */
#include "checker_support.h"

struct checker *ck_checker;
int64_t ck_now_ms;
struct event ck_event;
static struct effect list[64];
static uint32_t n;

static struct uuid uid(uint8_t space, uint32_t number)
{
    struct uuid id = {{space}};
    memcpy(id.b + 12, &number, sizeof number);
    return id;
}

struct uuid ck_site(uint32_t i)
{
    return uid(1, i);
}

struct uuid ck_pool(uint32_t i)
{
    return uid(2, i);
}

struct uuid ck_job(uint32_t i)
{
    return uid(3, i);
}

/* Steps the event that was made, with the effects that were added since. */
void ck_step_rc(int rc)
{
    ck_event.at_ms = ck_now_ms;
    checker_event(ck_checker, &ck_event);
    checker_effects(ck_checker, &ck_event, list, n, rc);
    memset(&ck_event, 0, sizeof ck_event);
    n = 0;
}

void ck_step(void)
{
    ck_step_rc(0);
}

void ck_tick(void)
{
    ck_event.kind = EVENT_KIND_tick;
    ck_step();
}

struct effect *ck_effect(enum effect_kind kind, uint32_t j, uint32_t p)
{
    struct effect *e = &list[n++];
    *e = (struct effect){.kind = kind, .job = ck_job(j), .pool = ck_pool(p)};
    return e;
}

void ck_share(uint32_t j, uint32_t p, uint32_t node, uint32_t chips)
{
    struct effect *e = ck_effect(EFFECT_JOB_SHARE, j, p);
    e->node = node;
    e->chips = chips;
}

struct effect *ck_start(uint32_t j, uint32_t p, uint32_t chips, uint32_t epoch)
{
    struct effect *e = ck_effect(EFFECT_JOB_START, j, p);
    e->chips = chips;
    e->epoch = epoch;
    return e;
}

void ck_stop(uint32_t j, uint32_t p, uint32_t epoch)
{
    ck_effect(EFFECT_JOB_STOP, j, p)->epoch = epoch;
}

/* A job that is small enough for one node. */
void ck_start_one(uint32_t j, uint32_t p, uint32_t node, uint32_t chips, uint32_t epoch)
{
    ck_share(j, p, node, chips);
    (void)ck_start(j, p, chips, epoch);
}

/* A tick that starts nothing else. */
void ck_tick_one(uint32_t j, uint32_t p, uint32_t node, uint32_t chips, uint32_t epoch)
{
    ck_start_one(j, p, node, chips, epoch);
    ck_tick();
}

struct event_job_submit *ck_submit_made(uint32_t j, const char *chip, uint32_t count)
{
    ck_event.kind = EVENT_KIND_job_submit;
    struct event_job_submit *e = &ck_event.u.job_submit;
    e->job = ck_job(j);
    e->count0 = count;
    e->rate0 = 1000;
    (void)snprintf(e->chip0, sizeof e->chip0, "%s", chip);
    return e;
}

void ck_submit(uint32_t j, uint32_t count, int64_t duration_ms)
{
    ck_submit_made(j, "a100", count)->duration_ms = duration_ms;
    ck_step();
}

void ck_end(uint32_t j, uint32_t epoch)
{
    ck_event.kind = EVENT_KIND_job_end;
    ck_event.u.job_end.job = ck_job(j);
    ck_event.u.job_end.epoch = epoch;
}

void ck_cancel(uint32_t j)
{
    ck_event.kind = EVENT_KIND_job_cancel;
    ck_event.u.job_cancel.job = ck_job(j);
}

void ck_set_node(uint32_t p, uint32_t node, uint32_t state)
{
    ck_event.kind = EVENT_KIND_node_state;
    ck_event.u.node_state.pool = ck_pool(p);
    ck_event.u.node_state.node = node;
    ck_event.u.node_state.state = state;
}

void ck_set_site(uint32_t s, uint32_t state)
{
    ck_event.kind = EVENT_KIND_site_state;
    ck_event.u.site_state.site = ck_site(s);
    ck_event.u.site_state.state = state;
}

void ck_set_order(uint32_t order, uint32_t fit)
{
    ck_event.kind = EVENT_KIND_dispatch_set;
    ck_event.u.dispatch_set.order = order;
    ck_event.u.dispatch_set.fit = fit;
    ck_step();
}

void ck_set_cap(uint32_t s, uint64_t watts)
{
    ck_event.kind = EVENT_KIND_site_cap;
    ck_event.u.site_cap.site = ck_site(s);
    ck_event.u.site_cap.watts = watts;
    ck_step();
}

static void add_site(uint32_t i, const char *jurisdiction)
{
    ck_event.kind = EVENT_KIND_site_add;
    ck_event.u.site_add.site = ck_site(i);
    (void)snprintf(ck_event.u.site_add.jurisdiction, CODE_CAP, "%s", jurisdiction);
    ck_step();
    ck_event.kind = EVENT_KIND_site_signal;
    ck_event.u.site_signal.site = ck_site(i);
    ck_event.u.site_signal.pue = 1250;
    ck_step();
}

void ck_add_chip(const char *name, const char *vendor, uint32_t watts, uint32_t idle_watts)
{
    ck_event.kind = EVENT_KIND_chip_add;
    (void)snprintf(ck_event.u.chip_add.chip, CHIP_CAP, "%s", name);
    (void)snprintf(ck_event.u.chip_add.vendor, NAME_CAP, "%s", vendor);
    ck_event.u.chip_add.watts = watts;
    ck_event.u.chip_add.idle_watts = idle_watts;
    ck_step();
}

void ck_add_pool(uint32_t i, uint32_t s, const char *chip, uint32_t nodes, uint32_t domain)
{
    ck_event.kind = EVENT_KIND_pool_add;
    ck_event.u.pool_add.pool = ck_pool(i);
    ck_event.u.pool_add.site = ck_site(s);
    (void)snprintf(ck_event.u.pool_add.chip, CHIP_CAP, "%s", chip);
    ck_event.u.pool_add.nodes = nodes;
    ck_event.u.pool_add.node_chips = 8;
    ck_event.u.pool_add.domain = domain;
    ck_step();
}

int ck_setup(void **state)
{
    (void)state;
    const struct checker_limits limits = {.sites = 3,
                                          .chips = 2,
                                          .pools = 70,
                                          .nodes = 16,
                                          .jobs = 1000,
                                          .shares = 200,
                                          .tenants = 2,
                                          .asks = 50,
                                          .services = 2,
                                          .demands = 4};
    ck_checker = checker_new(&limits);
    if (!ck_checker)
        return -1;
    ck_now_ms = 1000;
    add_site(1, "DE");
    add_site(2, "CN");
    ck_add_chip("a100", "nvidia", 400, 100);
    ck_add_chip("mlu", "cambricon", 300, 50);
    ck_add_pool(1, 1, "a100", 4, 2);
    ck_add_pool(2, 1, "mlu", 2, 1);
    ck_add_pool(3, 2, "a100", 2, 1);
    return checker_violations(ck_checker) == 0 ? 0 : -1;
}

int ck_teardown(void **state)
{
    (void)state;
    checker_free(ck_checker);
    return 0;
}

void ck_clean(void)
{
    if (checker_violations(ck_checker) > 0)
        fail_msg("%s", checker_first(ck_checker));
}

/* This kind was found, once, and nothing else. */
void ck_found(enum checker_kind kind)
{
    if (checker_violations(ck_checker) != 1 || checker_violations_of(ck_checker, kind) != 1)
        fail_msg("not just \"%s\" but %llu: %s", checker_kind_text(kind),
                 (unsigned long long)checker_violations(ck_checker), checker_first(ck_checker));
    assert_non_null(strstr(checker_first(ck_checker), checker_kind_text(kind)));
}
