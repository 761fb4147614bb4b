/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatch_world.h"

#include "core/state.h"

static const char *const chips[] = {"a100", "h20", "mlu"};
static const char *const vendors[] = {"nvidia", "nvidia", "cambricon"};
static const char *const codes[] = {"DE", "FR", "CN"};

static uint64_t below(struct dispatch_world *w, uint64_t n)
{
    return test_below(&w->random, n);
}

static void ignore_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    (void)ctx;
    (void)kind;
    (void)op;
    (void)row;
}

static uint64_t job_number(const struct uuid *id)
{
    uint64_t n = 0;
    for (int i = 8; i < 16; i++)
        n = n << 8 | id->b[i];
    struct uuid same = uid('j', n);
    assert_true(uuid_eq(&same, id));
    return n;
}

static void runs_no_more(struct dispatch_world *w, const struct uuid *id)
{
    uint64_t job = job_number(id);
    uint32_t i = 0;
    while (w->running[i].job != job)
        i++;
    w->running[i] = w->running[--w->nrunning];
}

static void follow(struct dispatch_world *w, const struct effect *e)
{
    w->replicas += e->kind == EFFECT_REPLICA_ADD;
    if (!uuid_zero(&e->service) && e->kind == EFFECT_JOB_START)
        w->replica_run = (struct event_job_return){.job = e->job, .epoch = e->epoch, .code = 1};
    if (!uuid_zero(&e->service)) /* core ends its replicas itself */
        w->replica_runs += e->kind == EFFECT_JOB_START ? 1 : e->kind == EFFECT_JOB_STOP ? -1 : 0;
    else if (e->kind == EFFECT_JOB_START) {
        assert_true(w->nrunning < DW_JOBS);
        w->running[w->nrunning].job = job_number(&e->job);
        w->running[w->nrunning].pool = e->pool;
        w->running[w->nrunning++].epoch = e->epoch;
        w->starts++;
    } else if (e->kind == EFFECT_JOB_UNMET) {
        w->unmet++;
    } else if (e->kind == EFFECT_TRANSIT) {
        w->transits++;
    } else if (e->kind == EFFECT_JOB_STOP) {
        runs_no_more(w, &e->job);
        w->stops++;
    }
}

/* One field of a start, or of a share of it, is not what core decided. */
static void tamper(struct dispatch_world *w)
{
    for (uint32_t i = 0; i < w->effects.n; i++) {
        struct effect *e = &w->list[i];
        if (e->kind != EFFECT_JOB_SHARE)
            continue;
        switch (below(w, 5)) {
        case 0:
            e->chips++;
            break;
        case 1:
            e->node = 1000;
            break;
        case 2:
            e->pool = uid('p', DW_POOLS);
            break;
        case 3:
            e->kind = EFFECT_REPLY;
            break;
        default:
            while (w->list[i].kind != EFFECT_JOB_START)
                i++;
            w->list[i].epoch++;
            break;
        }
        return;
    }
}

/* Passes take the shapes that wait as they are: all have been matched to the network of now. */
static void check_matched(const struct core *core)
{
    const struct work *work = &core->work;
    for (uint32_t i = 0; i < work->shapes.used && work->reached == core->net.version; i++) {
        const struct shape *shape = &work->shape[i];
        if (table_live(&work->shapes, i) && list_linked(&shape->active))
            assert_int_equal(shape->version, core->net.version);
    }
}

int dispatch_world_step(struct dispatch_world *w, struct event *event)
{
    event->at_ms = w->now_ms;
    if (w->nlog == w->log_cap) {
        w->log_cap = w->log_cap ? 2 * w->log_cap : 4096;
        w->log = realloc(w->log, w->log_cap * sizeof *w->log);
        assert_non_null(w->log);
    }
    w->log[w->nlog++] = *event;
    checker_event(w->checker, event);
    w->effects.n = 0;
    int rc = core_step(w->core, event, &w->effects);
    core_collect(w->core, ignore_row, NULL);
    check_matched(w->core);
    uint64_t before = w->starts;
    if (rc == 0 && event->kind == EVENT_KIND_job_end)
        runs_no_more(w, &event->u.job_end.job);
    for (uint32_t i = 0; i < w->effects.n; i++)
        follow(w, &w->list[i]);
    if (w->tamper_at > before && w->tamper_at <= w->starts)
        tamper(w);
    checker_effects(w->checker, event, w->list, w->effects.n, rc);
    w->taken[event->kind] += rc == 0;
    return rc;
}

static void must(struct dispatch_world *w, struct event *event)
{
    assert_int_equal(dispatch_world_step(w, event), 0);
}

static void set_dispatch(struct dispatch_world *w)
{
    struct event e = {.kind = EVENT_KIND_dispatch_set,
                      .u.dispatch_set = {.order = 1 + (uint32_t)below(w, 3),
                                         .fit = 1 + (uint32_t)below(w, 2),
                                         .pack = 1 + (uint32_t)below(w, 2),
                                         .ageing = 1000,
                                         .carbon_price = (int64_t)below(w, 2) * 1000000,
                                         .preempt = (uint32_t)below(w, 3),
                                         .reserve = (uint32_t)below(w, 3)}};
    must(w, &e);
    w->dispatch = e.u.dispatch_set;
}

static void build(struct dispatch_world *w)
{
    struct event boot = {.kind = EVENT_KIND_hub_boot, .u.hub_boot = {.boot = uid('b', 1), .seed = 1}};
    must(w, &boot);
    for (uint32_t i = 0; i < 2; i++) {
        struct event e = {.kind = EVENT_KIND_tenant_add,
                          .u.tenant_add = {.tenant = uid('t', i), .ledger = EUR, .transfer = uid('f', i)}};
        (void)snprintf(e.u.tenant_add.jurisdiction, CODE_CAP, "%s", codes[i]);
        (void)snprintf(e.u.tenant_add.name, NAME_CAP, "tenant-%u", i);
        must(w, &e);
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct event e = {
            .kind = EVENT_KIND_chip_add,
            .u.chip_add = {
                .watts = 300 + 100 * i, .idle_watts = 50, .tpp = 100 * i, .memory_mib = 40960 * (i + 1)}};
        (void)snprintf(e.u.chip_add.chip, CHIP_CAP, "%s", chips[i]);
        (void)snprintf(e.u.chip_add.vendor, NAME_CAP, "%s", vendors[i]);
        must(w, &e);
    }
    set_dispatch(w);
    for (uint32_t i = 0; i < DW_SITES; i++) {
        struct event e = {.kind = EVENT_KIND_site_add, .u.site_add = {.site = uid('s', i)}};
        (void)snprintf(e.u.site_add.name, NAME_CAP, "site-%u", i);
        (void)snprintf(e.u.site_add.jurisdiction, CODE_CAP, "%s", codes[i % 3]);
        must(w, &e);
    }
    for (uint32_t i = 0; i < DW_POOLS; i++) {
        w->nodes[i] = 1 + (uint32_t)below(w, 6);
        struct event e = {.kind = EVENT_KIND_pool_add,
                          .u.pool_add = {.pool = uid('p', i),
                                         .site = uid('s', i % DW_SITES),
                                         .nodes = w->nodes[i],
                                         .node_chips = i % 2 ? 8 : 4,
                                         .domain = 1 + i % 3,
                                         .price = i == 4 ? 300 : 0}};
        (void)snprintf(e.u.pool_add.chip, CHIP_CAP, "%s", chips[i % 3]);
        must(w, &e);
    }
    for (uint32_t i = 0; i < DW_CORRIDORS; i++) {
        struct event e = {.kind = EVENT_KIND_corridor_add,
                          .u.corridor_add = {.corridor = uid('c', i),
                                             .a = uid('s', i < DW_SITES ? i : 1),
                                             .b = uid('s', i < DW_SITES ? (i + 1) % DW_SITES : 3),
                                             .bits_s = 100000000 * (1 + below(w, 20)),
                                             .rtt = (uint32_t)below(w, 50000),
                                             .price = (int64_t)below(w, 3)}};
        must(w, &e);
    }
}

void dispatch_world_corridor(struct dispatch_world *w, uint32_t corridor, uint32_t state, uint64_t bits_s)
{
    struct event e = {.kind = EVENT_KIND_corridor_state,
                      .u.corridor_state = {.corridor = uid('c', corridor), .state = state, .bits_s = bits_s}};
    must(w, &e);
}

/* ---- rules ---- */

/* Each of them with its index as its id: a set of rules is a set of bits. Dates are within the run. */
static const char *const bodies[DW_RULES] = {
    "when chip.vendor = nvidia and data.class = secret",
    "when site.jurisdiction = CN and tenant.name = tenant-0",
    "from 1970-01-01T00:20:00Z until 1970-01-01T00:30:00Z when site.name in [site-0, site-3]",
    "when job.chips > 10 and chip.name = h20",
    "when data.home known and site.jurisdiction != data.home",
    "from 1970-01-01T00:25:00Z when tenant.jurisdiction = FR and chip.tpp >= 200",
    "when job.kind = training and chip.memory_gib < 60",
    "when site.jurisdiction = DE",
    /* From DW_RULES_CORRIDOR on they are on corridors. */
    "when corridor.crosses_border = yes and data.class = secret",
    "when corridor.a = site-1 and job.chips > 3",
};

void dispatch_world_rules(struct dispatch_world *w, uint32_t which)
{
    static char text[8 * RULES_PART_CAP];
    size_t len = 0;
    uint32_t parts = 0;
    for (uint32_t i = 0; i < DW_RULES; i++) {
        if (which >> i & 1)
            len += (size_t)snprintf(text + len, sizeof text - len, "deny %u %s because \"b\" cite \"c\"\n", i,
                                    bodies[i]);
    }
    for (size_t at = 0; at < len; at += RULES_PART_CAP - 1) {
        size_t n = len - at < RULES_PART_CAP - 1 ? len - at : RULES_PART_CAP - 1;
        struct event e = {.kind = EVENT_KIND_rules_put, .u.rules_put = {.set = uid('r', 1), .part = parts++}};
        memcpy(e.u.rules_put.text, text + at, n);
        must(w, &e);
    }
    struct event e = {.kind = EVENT_KIND_rules_set, .u.rules_set = {.set = uid('r', 1), .parts = parts}};
    must(w, &e);
    w->rules = which;
}

/* ---- plans ---- */

static void plan_class(struct dispatch_world *w, uint32_t *parts, const char *chip, uint64_t site)
{
    int64_t threshold = (int64_t)below(w, 900), start_by_ms = w->now_ms;
    for (uint64_t n = 1 + below(w, 4); n > 0; n--) {
        start_by_ms += 1 + (int64_t)below(w, 30000);
        struct event e = {
            .kind = EVENT_KIND_plan_class,
            .u.plan_class = {
                .plan = uid('P', 1), .part = (*parts)++, .start_by_ms = start_by_ms, .threshold = threshold}};
        (void)snprintf(e.u.plan_class.chip, CHIP_CAP, "%s", chip);
        if (site < DW_SITES)
            e.u.plan_class.site = uid('s', site);
        must(w, &e);
        threshold -= (int64_t)below(w, 200);
    }
}

void dispatch_world_plan(struct dispatch_world *w, bool any)
{
    uint32_t parts = 0;
    for (uint32_t i = 0; any && i < 3; i++)
        plan_class(w, &parts, chips[i], DW_SITES);
    for (uint32_t i = 0; any && i < DW_SITES; i++)
        plan_class(w, &parts, "", i);
    if (any && below(w, 2))
        plan_class(w, &parts, "", DW_SITES);
    for (uint32_t i = 0; any && i < DW_POOLS; i += 1 + (uint32_t)below(w, 4)) {
        struct event e = {
            .kind = EVENT_KIND_plan_rent,
            .u.plan_rent = {
                .plan = uid('P', 1), .part = parts++, .pool = uid('p', i), .rent = (int64_t)below(w, 300)}};
        must(w, &e);
    }
    struct event e = {.kind = EVENT_KIND_plan_set,
                      .u.plan_set = {.plan = uid('P', 1),
                                     .parts = parts,
                                     .until_ms = w->now_ms + 1 + (int64_t)below(w, 100000)}};
    must(w, &e);
}

/* ---- what happens ---- */

/* Jobs and arrays are numbered apart; the k-th task of array n is job DW_TASKS x n + k. */
struct uuid dispatch_world_array(uint64_t n)
{
    return uid('j', DW_TASKS * (n + 1));
}

/* A few of those that came before, or none. What is over is told as it ended; some that never was is not. */
static void come_after(struct dispatch_world *w, struct event_job_array *a)
{
    struct {
        struct uuid *id;
        uint32_t *kind, *outcome;
    } list[] = {{&a->after0, &a->after_kind0, &a->outcome0},
                {&a->after1, &a->after_kind1, &a->outcome1},
                {&a->after2, &a->after_kind2, &a->outcome2}};
    uint64_t n = below(w, 3) + (a->total == 0);
    for (uint64_t i = 0; i < n && i < 3; i++) {
        uint64_t back = below(w, 60);
        bool array = w->arrays > 0 && below(w, 3) == 0;
        *list[i].kind = (uint32_t)below(w, 3);
        *list[i].outcome = (uint32_t)below(w, 3);
        if (array)
            *list[i].id = dispatch_world_array(w->arrays - 1 - below(w, w->arrays < 6 ? w->arrays : 6));
        else
            *list[i].id = uid('j', w->submitted > back + 1 ? w->submitted - 2 - back : 0);
        if (array && below(w, 2))
            list[i].id->b[15] = (uint8_t)(1 + below(w, 4));
    }
}

static void submit_array(struct dispatch_world *w, const struct event_job_submit *j)
{
    struct event e = {.kind = EVENT_KIND_job_array};
    struct event_job_array *a = &e.u.job_array;
    memcpy(a, j, sizeof *j); /* it begins with the same */
    if (below(w, 2)) {
        a->job = dispatch_world_array(w->arrays);
        a->total = 1 + (uint32_t)below(w, 12);
        a->first = (uint32_t)below(w, 3);
        a->at_once = (uint32_t)below(w, 5);
        a->tasks = below(w, 4) ? a->total : 1 + (uint32_t)below(w, a->total);
    }
    come_after(w, a);
    int rc = dispatch_world_step(w, &e);
    if (a->total == 0 || rc != 0)
        return;
    w->arrays++;
    w->tasks += a->tasks;
    if (a->tasks == a->total)
        return;
    a->at = a->tasks;
    a->tasks = a->total - a->tasks;
    a->after0 = (struct uuid){{0}};
    w->tasks += dispatch_world_step(w, &e) == 0 ? a->tasks : 0;
}

static void submit(struct dispatch_world *w)
{
    struct event e = {.kind = EVENT_KIND_job_submit};
    struct event_job_submit *j = &e.u.job_submit;
    *j = (struct event_job_submit){.job = uid('j', w->submitted++),
                                   .tenant = uid('t', below(w, 2)),
                                   .count0 = 1 + (uint32_t)below(w, below(w, 4) ? 8 : 40),
                                   .rate0 = 1000,
                                   .duration_ms = (int64_t)below(w, 50) * 1000};
    if (below(w, 2))
        (void)snprintf(j->chip0, CHIP_CAP, "%s", chips[below(w, 3)]);
    if (below(w, 3) == 0) {
        (void)snprintf(j->chip1, CHIP_CAP, "%s", chips[below(w, 3)]);
        j->count1 = 1 + (uint32_t)below(w, 20);
        j->rate1 = 500;
    }
    if (below(w, 6) == 0)
        j->site = uid('s', below(w, DW_SITES + 1));
    if (below(w, 6) == 0)
        (void)snprintf(j->jurisdiction, CODE_CAP, "%s", codes[below(w, 3)]);
    if (below(w, 6) == 0)
        (void)snprintf(j->vendor, NAME_CAP, "%s", vendors[below(w, 3)]);
    const uint32_t isolation = below(w, 8) == 0 ? (uint32_t)below(w, 4) << JOB_ISOLATION_SHIFT : 0;
    if (below(w, 3) == 0)
        (void)snprintf(j->data_class, CODE_CAP, "secret");
    if (below(w, 4) == 0)
        j->data_site = uid('s', below(w, DW_SITES + 1));
    if (below(w, 3) == 0) {
        j->data_site = uid('s', below(w, 8) ? below(w, DW_SITES) : DW_SITES);
        j->data_bytes = 1 + below(w, 2000000000);
    }
    if (below(w, 3) == 0)
        j->start_by_ms = w->now_ms + (int64_t)below(w, 60000);
    if (below(w, 6) == 0)
        j->deadline_ms = w->now_ms + (int64_t)below(w, 90000);
    j->kind = (uint32_t)below(w, 2);
    j->flags =
        (below(w, 8) == 0 ? JOB_ONE_DOMAIN : 0) | (below(w, 2) == 0 ? JOB_INTERRUPTIBLE : 0) | isolation;
    if (j->data_bytes == 0 && below(w, 3) == 0)
        j->flags |= JOB_FINISH;
    if (below(w, 2))
        j->checkpoint_ms = (int64_t)below(w, 4000);
    if (below(w, 3) == 0)
        j->checkpoint_every_ms = 1 + (int64_t)below(w, 9000);
    if (below(w, 3) == 0)
        j->priority = (uint32_t)((int32_t)below(w, 5) - 2);
    if (below(w, 6) == 0)
        submit_array(w, j);
    else
        (void)dispatch_world_step(w, &e);
}

/* Who reports of it: the hub itself, its site, or now and then another one; whether it is that. */
static bool report_from(struct dispatch_world *w, uint32_t i, struct uuid *site)
{
    uint64_t own = w->running[i].pool.b[15] % DW_SITES, from = below(w, 20) ? own : below(w, DW_SITES);
    if (below(w, 2))
        *site = uid('s', from);
    return !uuid_zero(site) && from != own;
}

static void end(struct dispatch_world *w)
{
    if (w->nrunning == 0)
        return;
    uint32_t i = (uint32_t)below(w, w->nrunning);
    bool late = below(w, 20) == 0; /* the report of an epoch that is over */
    struct event e = {.kind = EVENT_KIND_job_end,
                      .u.job_end = {.job = uid('j', w->running[i].job),
                                    .epoch = w->running[i].epoch - late,
                                    .code = below(w, 5) == 0}};
    bool foreign = report_from(w, i, &e.u.job_end.site);
    int rc = dispatch_world_step(w, &e);
    assert_true(rc == (late ? ERR_WRONG_STATE : foreign ? ERR_FORBIDDEN : 0));
}

/* A site gives back what runs there, a job or the replica that started last unless that is over. */
static void come_back(struct dispatch_world *w, uint32_t i)
{
    struct event e = {.kind = EVENT_KIND_job_return,
                      .u.job_return = {.job = uid('j', w->running[i].job),
                                       .epoch = w->running[i].epoch,
                                       .code = ENDING_LOST << JOB_CODE_BITS}};
    bool replica = below(w, 4) == 0, foreign = report_from(w, i, &e.u.job_return.site);
    if (replica)
        e.u.job_return = w->replica_run;
    struct uuid job = e.u.job_return.job;
    int rc = dispatch_world_step(w, &e);
    assert_true(replica || rc == (foreign ? ERR_FORBIDDEN : 0));
    w->gave_up += rc == 0 && !view_job(w->core, &job);
    assert_true(rc != 0 || !replica || view_job(w->core, &job));
}

/* Now and then the same job again and again, as long as it finds a place. */
static void come_back_often(struct dispatch_world *w)
{
    uint32_t i = w->nrunning > 0 ? (uint32_t)below(w, w->nrunning) : 0;
    uint64_t job = w->running[i].job;
    for (uint32_t n = below(w, 20) ? 1 : 2 * JOB_RETURNS_MAX; n > 0 && i < w->nrunning; n--) {
        come_back(w, i);
        if (n > 1)
            dispatch_world_settle(w);
        for (i = 0; i < w->nrunning && w->running[i].job != job;)
            i++;
    }
}

/* What a job has used, now or to its end. Tenants have no money: what costs something is stopped by it. */
static void meter(struct dispatch_world *w)
{
    if (w->nrunning == 0)
        return;
    uint32_t i = (uint32_t)below(w, w->nrunning);
    struct event e = {.kind = EVENT_KIND_job_meter,
                      .u.job_meter = {.job = uid('j', w->running[i].job),
                                      .epoch = w->running[i].epoch - (uint32_t)below(w, 2),
                                      .ms = below(w, 30000),
                                      .chip_ms = below(w, 60000),
                                      .flags = (uint32_t)below(w, 8)}};
    uint32_t before = w->nrunning, now = w->running[i].epoch;
    bool foreign = report_from(w, i, &e.u.job_meter.site);
    int rc = dispatch_world_step(w, &e); /* it may be stopped by that: then running[i] is another */
    assert_true(rc == 0 || rc == ERR_FORBIDDEN || rc == ERR_WRONG_STATE);
    assert_true(!foreign || rc != 0 || e.u.job_meter.epoch != now);
    w->spent += w->nrunning < before;
}

/* A service comes, changes or goes; mostly another demand. */
static void serve(struct dispatch_world *w)
{
    struct event e = {.kind = EVENT_KIND_service_demand};
    struct uuid service = uid('z', below(w, DW_SERVICES));
    if (below(w, 8) == 0) {
        e.kind = EVENT_KIND_service_set;
        struct event_service_set *s = &e.u.service_set;
        *s = (struct event_service_set){.service = service,
                                        .tenant = uid('t', service.b[15] % 2),
                                        .count0 = 1 + service.b[15] * 3,
                                        .tokens_s0 = 100,
                                        .count1 = service.b[15] % 2 ? 2 : 0,
                                        .tokens_s1 = service.b[15] % 2 ? 60 : 0,
                                        .min = (uint32_t)(below(w, 4) == 0),
                                        .max = 1 + (uint32_t)below(w, 12),
                                        .target = 500 + (uint32_t)below(w, 501),
                                        .cold_ms = 20000,
                                        .hold_ms = (int64_t)below(w, 3) * 15000,
                                        .idle_ms = (int64_t)below(w, 3) * 20000};
        memcpy(s->chip0, chips[service.b[15] % 3], 4);
    } else if (below(w, 12) == 0) {
        e.kind = EVENT_KIND_service_remove;
        e.u.service_remove.service = service;
    } else {
        e.u.service_demand = (struct event_service_demand){.service = service,
                                                           .tokens_s = below(w, 3) ? below(w, 700) : 0,
                                                           .in_flight = (uint32_t)(below(w, 4) == 0)};
        if (below(w, 2))
            e.u.service_demand.site = uid('s', below(w, DW_SITES + 1));
    }
    (void)dispatch_world_step(w, &e);
}

static void happen(struct dispatch_world *w)
{
    static const uint32_t states[] = {PLACE_UP,   PLACE_UP,       PLACE_CORDONED,
                                      PLACE_LOST, PLACE_DRAINING, PLACE_UP};
    struct event e = {0};
    uint32_t pool = (uint32_t)below(w, DW_POOLS);
    switch (below(w, 60)) {
    case 0:
        e.kind = EVENT_KIND_site_state;
        e.u.site_state =
            (struct event_site_state){.site = uid('s', below(w, DW_SITES)), .state = states[below(w, 6)]};
        break;
    case 1:
    case 2:
        e.kind = EVENT_KIND_node_state;
        e.u.node_state = (struct event_node_state){.pool = uid('p', pool),
                                                   .node = (uint32_t)below(w, w->nodes[pool] + 1),
                                                   .state = states[below(w, 4)]};
        break;
    case 3:
        e.kind = EVENT_KIND_site_cap;
        e.u.site_cap = (struct event_site_cap){.site = uid('s', below(w, DW_SITES)),
                                               .watts = below(w, 2) * below(w, 20000)};
        break;
    case 4:
        e.kind = EVENT_KIND_site_signal;
        e.u.site_signal = (struct event_site_signal){.site = uid('s', below(w, DW_SITES)),
                                                     .pue = 1000 + (uint32_t)below(w, 500),
                                                     .price = (int64_t)below(w, 2500) - 200,
                                                     .carbon = below(w, 2) * below(w, 1000)};
        break;
    case 5:
        set_dispatch(w);
        return;
    case 24:
        e.kind = EVENT_KIND_site_engine;
        e.u.site_engine = (struct event_site_engine){
            .site = uid('s', below(w, DW_SITES)), .engine = "local", .isolation = (uint32_t)below(w, 4)};
        break;
    case 9:
    case 10:
    case 11:
        serve(w);
        return;
    case 12:
        dispatch_world_corridor(w, (uint32_t)below(w, DW_CORRIDORS), states[below(w, 4)],
                                100000000 * (1 + below(w, 20)));
        return;
    case 13:
        dispatch_world_plan(w, below(w, 4) > 0);
        return;
    case 14:
        e.kind = EVENT_KIND_site_shed;
        e.u.site_shed = (struct event_site_shed){.site = uid('s', below(w, DW_SITES))};
        if (below(w, 4)) {
            e.u.site_shed.watts = below(w, 8000);
            e.u.site_shed.until_ms = w->now_ms + 1 + (int64_t)below(w, 100000);
        }
        break;
    case 8:
        if (below(w, 4) == 0) /* each part of them alone would leave few pools: mostly few rules */
            dispatch_world_rules(w, (uint32_t)(test_random(&w->random) & test_random(&w->random)) &
                                        ((1u << DW_RULES) - 1));
        return;
    case 6:
    case 7:
        e.kind = EVENT_KIND_job_cancel;
        e.u.job_cancel.job = uid('j', below(w, w->submitted + 1));
        if (w->arrays > 0 && below(w, 6) == 0)
            e.u.job_cancel.job =
                dispatch_world_array(w->arrays - 1 - below(w, w->arrays < 8 ? w->arrays : 8));
        if (w->arrays > 0 && below(w, 12) == 0)
            e.u.job_cancel.job.b[15] = (uint8_t)(1 + below(w, 12)); /* one task, or nothing */
        break;
    case 20:
        e.kind = EVENT_KIND_site_contact;
        e.u.site_contact =
            (struct event_site_contact){.site = uid('s', below(w, DW_SITES)), .lost = below(w, 3) == 0};
        break;
    case 21:
    case 22:
        meter(w);
        return;
    case 23: /* mostly free: who pays is soon stopped, see meter */
        e.kind = EVENT_KIND_pool_price;
        e.u.pool_price = (struct event_pool_price){.pool = uid('p', pool),
                                                   .price = below(w, 3) ? 0 : (int64_t)below(w, 600)};
        break;
    case 15:
    case 16:
    case 17:
    case 18:
    case 19:
        come_back_often(w);
        return;
    default:
        if (below(w, 5) < 3 && checker_waiting(w->checker) + checker_running(w->checker) < DW_JOBS)
            submit(w);
        else
            end(w);
        return;
    }
    bool cancel = e.kind == EVENT_KIND_job_cancel;
    int rc = dispatch_world_step(w, &e);
    assert_true(rc == 0 || cancel || e.kind == EVENT_KIND_node_state || e.kind == EVENT_KIND_site_signal);
}

/* ---- its life ---- */

/* Passes at one time: each starts or stops somebody, and nobody is stopped for one who is less. */
#define TICKS_MAX 10000

static struct limits world_limits(void)
{
    struct limits limits = small_limits();
    limits.sites = DW_SITES;
    limits.chips = 3;
    limits.pools = DW_POOLS + 1;
    limits.nodes = 128;
    limits.services = DW_SERVICES;
    limits.demands = DW_SERVICES * (DW_SITES + 1);
    limits.service_replicas = 100;
    limits.jobs = DW_JOBS + 200;
    limits.shares = 1000;
    limits.shapes = DW_JOBS + 100;
    limits.arrays = 40;
    limits.afters = 400;
    limits.meters = 20;
    limits.corridors = DW_CORRIDORS;
    return limits;
}

static void world_core(struct dispatch_world *w, uint64_t seed)
{
    const struct limits limits = world_limits();
    const struct checker_limits of_checker = {.sites = DW_SITES,
                                              .chips = 3,
                                              .pools = DW_POOLS + 1,
                                              .nodes = 128,
                                              .jobs = DW_JOBS + 100,
                                              .services = DW_SERVICES,
                                              .demands = DW_SERVICES * (DW_SITES + 1),
                                              .shares = 1000,
                                              .tenants = 2,
                                              .asks = 8192};
    size_t size = core_size(&limits);
    *w = (struct dispatch_world){.random = seed, .now_ms = 1000000};
    w->block = calloc(1, size);
    assert_non_null(w->block);
    w->effects = (struct effects){.list = w->list, .cap = EFFECTS_MAX};
    w->core = core_init(w->block, size, &limits);
    w->checker = checker_new(&of_checker);
    assert_non_null(w->checker);
}

void dispatch_world_init(struct dispatch_world *w, uint64_t seed, uint64_t tamper_at)
{
    world_core(w, seed);
    w->tamper_at = tamper_at;
    build(w);
}

void dispatch_world_copy(struct dispatch_world *to, const struct dispatch_world *from)
{
    world_core(to, from->random);
    for (size_t i = 0; i < from->nlog; i++) {
        struct event e = from->log[i];
        to->now_ms = e.at_ms;
        (void)dispatch_world_step(to, &e);
    }
    to->now_ms = from->now_ms;
    to->submitted = from->submitted;
    to->arrays = from->arrays;
    to->tasks = from->tasks;
    to->rules = from->rules;
    to->dispatch = from->dispatch;
    memcpy(to->nodes, from->nodes, sizeof to->nodes);
}

struct kept_row {
    enum row_kind kind;
    _Alignas(8) uint8_t row[LAYOUT_ENCODED_MAX];
};

struct rows {
    struct kept_row *list;
    uint32_t n, cap;
};

static void keep_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    struct rows *rows = ctx;
    if (rows->n == rows->cap) {
        rows->cap = rows->cap ? 2 * rows->cap : 256;
        rows->list = realloc(rows->list, rows->cap * sizeof *rows->list);
        assert_non_null(rows->list);
    }
    assert_true(op == ROW_PUT);
    rows->list[rows->n].kind = kind;
    memcpy(rows->list[rows->n++].row, row, layout_row(kind)->size);
}

void dispatch_world_renumber(struct dispatch_world *w)
{
    static struct rows rows;
    const struct limits limits = world_limits();
    rows.n = 0;
    core_dump(w->core, keep_row, &rows);
    memset(w->block, 0, core_size(&limits));
    w->core = core_init(w->block, core_size(&limits), &limits);
    for (uint32_t begin = 0, end; begin < rows.n; begin = end) {
        for (end = begin; end < rows.n && rows.list[end].kind == rows.list[begin].kind;)
            end++;
        for (uint32_t i = end; i-- > begin;)
            assert_int_equal(core_load(w->core, rows.list[i].kind, rows.list[i].row), 0);
    }
    assert_int_equal(core_load_done(w->core), 0);
}

void dispatch_world_reloaded(struct dispatch_world *w)
{
    struct event told = {.kind = EVENT_KIND_tick, .u.tick.reloaded = 1};
    must(w, &told);
}

void dispatch_world_settle(struct dispatch_world *w)
{
    for (uint32_t ticks = 0; core_deadline_ms(w->core) <= w->now_ms; ticks++) {
        struct event tick = {.kind = EVENT_KIND_tick};
        if (ticks == TICKS_MAX)
            fail_msg("at %lld ms the dispatcher comes to no end", (long long)w->now_ms);
        must(w, &tick);
    }
    assert_int_equal(core_check(w->core), 0);
    checker_end_of_time(w->checker, w->now_ms);
}

void dispatch_world_events(struct dispatch_world *w)
{
    for (uint64_t k = below(w, 6); k > 0; k--)
        happen(w);
}

void dispatch_world_instant(struct dispatch_world *w)
{
    dispatch_world_events(w);
    dispatch_world_settle(w);
    w->now_ms += 1000;
}

void dispatch_world_fini(struct dispatch_world *w)
{
    checker_free(w->checker);
    free(w->log);
    free(w->block);
}
