/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A month of use in the store of a hub that is stopped. month_load DATABASE FIRST_MS TENANTS MODELS SITES: from that moment on, which is
 * the first of a month, through core and the logbook as the hub's own runtime does it, on virtual time.
 *
 * The store is one that a hub has made, before that month by its clock. In it: sites with pools of chips of several makers, corridors
 * to them, what power costs by the hour; tenants with tax, grants, free tokens, own prices and a minimum; tariffs with hours, discounts,
 * energy that is passed on; new prices each week; each day requests of each tenant to each model at each site, and jobs that run over hours
 * and bring data. Prints a line of JSON for each tenant: what was used, added up here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/month.h"
#include "core/terms.h"
#include "core/view.h"
#include "runtime/batch.h"
#include "runtime/logbook.h"

#define USD 840u
#define UNIT INT64_C(1000000000)
#define HOUR INT64_C(3600000)
#define TENANTS_MOST 64u
#define RUNNING_MOST 64u
#define CHIPS 3u
#define JOB_HOURS 5
#define BATCH 200u

static const char *const chips[CHIPS] = {"h100-sxm", "mi300x", "ascend-910c"};

struct used {
    uint64_t requests, prompt, cached, completion, reasoning, chip_ms, energy_mj, bytes;
};

struct running {
    uint64_t job;
    uint32_t tenant, site, hours;
};

struct month {
    struct core *core;
    int64_t now;
    struct store *store;
    struct batch batch;
    struct logbook book;
    uint32_t tenants, models, sites;
    uint64_t prices, sequence, jobs, seed, token;
    int64_t first_ms, end_ms;
    struct uuid home; /* the hub's own site */
    struct used used[TENANTS_MOST + 1];
    struct running running[RUNNING_MOST];
    uint32_t nrunning;
};

static struct month the_month;

static void die(const char *words, const char *more)
{
    fprintf(stderr, "month_load: %s%s\n", words, more);
    exit(1);
}

/* ---- the store ---- */

static int load_row(void *core, enum row_kind kind, const void *row)
{
    return core_load(core, kind, row);
}

static void begin(struct month *m, const char *path)
{
    struct err err = {0};
    struct limits limits = limits_default();
    size_t size = core_size(&limits);
    void *block = calloc(1, size);
    if (!block)
        die("out of memory", "");
    m->core = core_init(block, size, &limits);
    m->now = m->first_ms;
    logbook_init(&m->book);
    if (store_sqlite_open(&m->store, path, NULL, &err) != 0 || batch_init(&m->batch) != 0)
        die("store: ", err.msg);
    if (m->store->ops->load(m->store, load_row, m->core, &err) != 0 || core_load_done(m->core) != 0 ||
        logbook_load(&m->book, m->store, &err) != 0)
        die("load: ", err.msg);
    batch_reset(&m->batch, view_core(m->core)->events);
    uint32_t pos = 0;
    const struct row_site *home = view_site_at(m->core, &pos);
    if (!home)
        die("a hub without a site", "");
    m->home = home->id;
}

static void commit(struct month *m)
{
    struct err err = {0};
    if (!batch_collect(&m->batch, m->core) || logbook_commit(&m->book, m->store, &m->batch, &err) != 0)
        die("commit: ", err.msg);
    batch_reset(&m->batch, view_core(m->core)->events);
}

static void step(struct month *m, struct event *e)
{
    e->at_ms = m->now;
    e->token = ++m->token;
    int rc = batch_step(&m->batch, m->core, e);
    char text[64];
    (void)snprintf(text, sizeof text, "%u: %s", (unsigned)e->kind, err_name(rc));
    if (rc != 0)
        die("an event was refused: ", text);
    if (m->batch.count >= BATCH)
        commit(m);
}

static void settle(struct month *m)
{
    while (core_deadline_ms(m->core) <= m->now) {
        struct event e = {.kind = EVENT_KIND_tick};
        step(m, &e);
    }
}

static uint64_t draw(struct month *m, uint64_t n)
{
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
    return (m->seed >> 33) % n;
}

/* Object n of a kind. */
static struct uuid uid(char space, uint64_t n)
{
    struct uuid id = {{(uint8_t)space, 0, 0, 0, 0, 0, 0x70, 0, 0x80}};
    for (int i = 0; i < 4; i++)
        id.b[15 - i] = (uint8_t)(n >> 8 * i);
    return id;
}

static void name_of(char *dst, const char *prefix, uint64_t n)
{
    char text[NAME_CAP];
    (void)snprintf(text, sizeof text, "%s%u", prefix, (unsigned)n);
    memcpy(dst, text, strlen(text));
}

/* ---- the network ---- */

static uint32_t chip_of(uint32_t site)
{
    return site % CHIPS;
}

static void add_site(struct month *m, uint32_t s)
{
    struct event site = {.kind = EVENT_KIND_site_add,
                         .u.site_add = {.site = uid('S', s), .jurisdiction = "de", .owner = "grid"}};
    name_of(site.u.site_add.name, "site-", s);
    step(m, &site);
    struct event pool = {.kind = EVENT_KIND_pool_add,
                         .u.pool_add = {.pool = uid('p', s),
                                        .site = uid('S', s),
                                        .nodes = 64,
                                        .node_chips = 8,
                                        .domain = 1,
                                        .price = INT64_C(1500000000) + (int64_t)s * 250000000}};
    (void)text_set(pool.u.pool_add.chip, CHIP_CAP, chips[chip_of(s)], strlen(chips[chip_of(s)]));
    step(m, &pool);
    struct event link = {.kind = EVENT_KIND_corridor_add,
                         .u.corridor_add = {.corridor = uid('C', s),
                                            .a = m->home,
                                            .b = uid('S', s),
                                            .bits_s = UINT64_C(100000000000),
                                            .rtt = 20000,
                                            .price = 13000000 + (int64_t)s * 1000001,
                                            .energy = 30}};
    step(m, &link);
}

static void add_network(struct month *m)
{
    for (uint32_t c = 0; c < CHIPS; c++) {
        if (view_chip_known(m->core, chips[c]))
            continue;
        struct event e = {.kind = EVENT_KIND_chip_add, .u.chip_add = {.watts = 1000, .idle_watts = 100}};
        (void)text_set(e.u.chip_add.chip, CHIP_CAP, chips[c], strlen(chips[c]));
        (void)text_set(e.u.chip_add.vendor, NAME_CAP, "maker", 5);
        step(m, &e);
    }
    for (uint32_t s = 1; s <= m->sites; s++)
        add_site(m, s);
    for (uint32_t o = 1; o <= 3; o++) {
        struct event e = {.kind = EVENT_KIND_party_add, .u.party_add = {.party = uid('O', o)}};
        name_of(e.u.party_add.name, "owner-", o);
        step(m, &e);
    }
    struct event owners = {.kind = EVENT_KIND_site_owners,
                           .u.site_owners = {.site = uid('S', 1),
                                             .owners = {.n = 3, .v = {uid('O', 1), uid('O', 2), uid('O', 3)}},
                                             .share0 = 333333,
                                             .share1 = 333333,
                                             .share2 = 333334}};
    step(m, &owners);
    struct event fee = {.kind = EVENT_KIND_network_fee, .u.network_fee = {.fee = 50000}};
    step(m, &fee);
    struct event worker = {.kind = EVENT_KIND_worker_join, .u.worker_join.worker = uid('W', 1)};
    step(m, &worker);
}

static void set_price(struct month *m, uint32_t model, int64_t output)
{
    struct event e = {.kind = EVENT_KIND_price_set,
                      .u.price_set = {.price = uid('P', ++m->prices),
                                      .model = uid('M', model),
                                      .prompt = output / 3,
                                      .cached = output / 10,
                                      .completion = output,
                                      .reasoning = output}};
    step(m, &e);
}

static void add_models(struct month *m)
{
    for (uint32_t k = 1; k <= m->models; k++) {
        struct event model = {.kind = EVENT_KIND_model_add,
                              .u.model_add = {.model = uid('M', k), .kind = MODEL_CHAT, .context = 65536}};
        name_of(model.u.model_add.name, k % 7 ? "open-weights-" : "an-open-model-with-a-long-name-instruct-",
                k);
        step(m, &model);
        struct event variant = {.kind = EVENT_KIND_variant_add,
                                .u.variant_add = {.variant = uid('V', k),
                                                  .model = uid('M', k),
                                                  .digest = {(uint8_t)k, 7},
                                                  .engine = "url",
                                                  .location = "http://127.0.0.1:9/",
                                                  .memory_bytes = 1u << 30}};
        step(m, &variant);
        set_price(m, k, 1999999999 / (int64_t)k);
    }
}

/* ---- tenants and tariffs ---- */

static void add_tenant(struct month *m, uint32_t t)
{
    struct event e = {.kind = EVENT_KIND_tenant_add,
                      .u.tenant_add = {.tenant = uid('T', t),
                                       .ledger = USD,
                                       .budget = INT64_C(5000000) * UNIT,
                                       .transfer = uid('F', t)}};
    name_of(e.u.tenant_add.name, "tenant-", t);
    step(m, &e);
    e = (struct event){.kind = EVENT_KIND_key_add,
                       .u.key_add = {.key = uid('K', t),
                                     .tenant = uid('T', t),
                                     .scopes = SCOPE_INFERENCE,
                                     .budget = -1,
                                     .name = "k",
                                     .transfer = uid('f', t)}};
    name_of(e.u.key_add.public_id, "m", t);
    e.u.key_add.hash[0] = (uint8_t)t;
    step(m, &e);
    e = (struct event){.kind = EVENT_KIND_tenant_tax,
                       .u.tenant_tax = {.tenant = uid('T', t), .tax = t % 2 ? 190000 : 0}};
    step(m, &e);
    e = (struct event){.kind = EVENT_KIND_lease_ask,
                       .u.lease_ask = {.worker = uid('W', 1),
                                       .lease = uid('L', t),
                                       .key_lease = uid('l', t),
                                       .tenant = uid('T', t),
                                       .key = uid('K', t),
                                       .want = INT64_C(100000) * UNIT}};
    step(m, &e);
    for (uint32_t g = 0; g < 2 && t % 3 == 1; g++) {
        e = (struct event){.kind = EVENT_KIND_grant_add,
                           .u.grant_add = {.grant = uid('G', t * 2 + g),
                                           .tenant = uid('T', t),
                                           .sponsor = uid('O', 3),
                                           .amount = (g ? 40 : 7) * UNIT + 1,
                                           .expires_ms = g ? 0 : m->first_ms + 9 * DAY_MS,
                                           .transfer = uid('g', t * 2 + g)}};
        step(m, &e);
    }
}

static void put(struct month *m, uint64_t tariff, uint32_t *part, struct event_tariff_put put)
{
    put.tariff = uid('t', tariff);
    put.part = (*part)++;
    struct event e = {.kind = EVENT_KIND_tariff_put, .u.tariff_put = put};
    step(m, &e);
}

static void put_chip(struct month *m, uint64_t tariff, uint32_t *part, uint32_t c)
{
    struct event_tariff_put e = {.what = TARIFF_TERMS,
                                 .deferrable = 200,
                                 .interruptible = 400,
                                 .hours0 = 0x3fff80, /* 7 to 22 */
                                 .factor0 = 1200,
                                 .hours1 = 0xc0007f,
                                 .factor1 = 800,
                                 .signal_min = c == 1 ? 500 : 0,
                                 .signal_max = c == 1 ? 2000 : 0,
                                 .flags = c == 0 ? TERMS_ENERGY : 0};
    memcpy(e.chip, chips[c], strlen(chips[c]));
    put(m, tariff, part, e);
}

/* In force at once: terms of the chips; in the second one tenants' own as well. */
static void set_tariff(struct month *m, uint64_t tariff)
{
    uint32_t part = 0;
    for (uint32_t c = 0; c < CHIPS; c++)
        put_chip(m, tariff, &part, c);
    for (uint32_t t = 1; t <= m->tenants && tariff > 1; t++) {
        struct event_tariff_put own = {.what = TARIFF_TERMS, .tenant = uid('T', t)};
        if (t == m->tenants) {
            own.minimum = INT64_C(30000) * UNIT;
        } else if (t % 4 == 0) {
            own.item = uid('M', 1);
            own.free = 200000;
        } else if (t % 4 == 1) {
            memcpy(own.chip, chips[1], strlen(chips[1]));
            own.flags = TERMS_HOUR;
            own.hour = 1234567891;
            own.free = 3 * 3600000;
        } else {
            continue;
        }
        put(m, tariff, &part, own);
    }
    struct event e = {.kind = EVENT_KIND_tariff_set,
                      .u.tariff_set = {.tariff = uid('t', tariff), .parts = part}};
    step(m, &e);
}

/* ---- use ---- */

static void request(struct month *m, uint32_t t, uint32_t model, uint32_t s)
{
    struct uuid id = uid('M', model), tenant = uid('T', t);
    const struct row_price *price = view_price_of(m->core, &id, &tenant);
    struct event e = {.kind = EVENT_KIND_meter,
                      .u.meter = {.worker = uid('W', 1),
                                  .sequence = ++m->sequence,
                                  .request = uid('R', m->sequence),
                                  .lease = uid('L', t),
                                  .tenant = tenant,
                                  .key = uid('K', t),
                                  .model = id,
                                  .variant = uid('V', model),
                                  .site = uid('S', s),
                                  .price = price->id,
                                  .prompt = 20 + (uint32_t)draw(m, 4000),
                                  .completion = 1 + (uint32_t)draw(m, 1500),
                                  .flags = METER_FINAL,
                                  .status = 200,
                                  .started_ms = m->now}};
    struct event_meter *r = &e.u.meter;
    r->cached = (uint32_t)draw(m, r->prompt);
    r->reasoning = (uint32_t)draw(m, r->completion);
    step(m, &e);
    struct used *u = &m->used[t];
    u->requests++;
    u->prompt += r->prompt;
    u->cached += r->cached;
    u->completion += r->completion;
    u->reasoning += r->reasoning;
}

static void start_job(struct month *m, uint32_t t, uint32_t s)
{
    if (m->nrunning == RUNNING_MOST)
        return;
    struct event_job_submit job = {
        .job = uid('J', ++m->jobs), .count0 = 8, .rate0 = 1000, .duration_ms = JOB_HOURS * HOUR};
    memcpy(job.chip0, chips[chip_of(s)], strlen(chips[chip_of(s)]));
    job.tenant = uid('T', t);
    job.site = uid('S', s);
    job.flags = draw(m, 2) ? JOB_INTERRUPTIBLE : 0;
    job.start_by_ms = draw(m, 2) ? 1 : 0; /* has passed: it starts at once, and is a job that may wait */
    struct event e = {.kind = EVENT_KIND_job_submit, .u.job_submit = job};
    step(m, &e);
    m->running[m->nrunning++] = (struct running){.job = m->jobs, .tenant = t, .site = s};
}

/* Everything that a job has used in another hour; true: it is over. */
static bool report(struct month *m, struct running *r)
{
    r->hours++;
    bool last = r->hours == JOB_HOURS;
    struct event_job_meter j = {.job = uid('J', r->job),
                                .epoch = 1,
                                .site = uid('S', r->site),
                                .ms = (uint64_t)r->hours * 3599999,
                                .chip_ms = (uint64_t)r->hours * 8 * 3599999,
                                .energy_mj = (uint64_t)r->hours * 8 * 2345678901,
                                .bytes_in = r->hours * UINT64_C(12345678901),
                                .bytes_out = r->hours * UINT64_C(987654321),
                                .flags = last ? JOB_METER_FINAL : 0};
    struct event e = {.kind = EVENT_KIND_job_meter, .u.job_meter = j};
    step(m, &e);
    if (!last)
        return false;
    e = (struct event){.kind = EVENT_KIND_job_end, .u.job_end = {.job = j.job, .epoch = 1, .site = j.site}};
    step(m, &e);
    struct used *u = &m->used[r->tenant];
    u->chip_ms += j.chip_ms;
    u->energy_mj += j.energy_mj;
    u->bytes += j.bytes_in + j.bytes_out;
    return true;
}

static void signals(struct month *m, uint32_t hour)
{
    for (uint32_t s = 1; s <= m->sites; s++) {
        struct event e = {.kind = EVENT_KIND_site_signal,
                          .u.site_signal = {.site = uid('S', s),
                                            .price = (hour % 24 > 16 ? 310000000 : 90000000) + s * 1234567,
                                            .carbon = 200000 + hour % 24 * 10000 + s,
                                            .pue = 1150 + s * 10,
                                            .renewable = 400}};
        step(m, &e);
    }
}

static void one_hour(struct month *m, uint32_t hour)
{
    if (hour % 6 == 0 || hour % 24 == 17)
        signals(m, hour);
    settle(m);
    for (uint32_t i = m->nrunning; i-- > 0;) {
        if (report(m, &m->running[i]))
            m->running[i] = m->running[--m->nrunning];
    }
    bool jobs_end = m->now + (JOB_HOURS + 2) * HOUR < m->end_ms;
    for (uint32_t t = 1; t <= m->tenants; t++) {
        if (jobs_end && (hour + t * 5) % 24 == 4)
            start_job(m, t, 1 + (hour / 24 + t) % m->sites);
    }
    settle(m);
    uint32_t n = 0;
    for (uint32_t t = 1; t <= m->tenants; t++) {
        for (uint32_t k = 1; k <= m->models; k++) {
            for (uint32_t s = 1; s <= m->sites; s++) {
                if (n++ % 24 == hour % 24)
                    request(m, t, k, s);
            }
        }
    }
}

static void use(struct month *m)
{
    for (uint32_t hour = 0; m->first_ms + hour * HOUR < m->end_ms; hour++) {
        m->now = m->first_ms + hour * HOUR + 60000;
        if (hour == 14 * 24)
            set_tariff(m, 2);
        if (hour > 0 && hour % (7 * 24) == 0)
            set_price(m, 1 + hour / (7 * 24) % m->models, 777777777 / (hour / 24));
        one_hour(m, hour);
    }
    for (uint32_t t = 1; t <= m->tenants; t++) {
        struct event e = {.kind = EVENT_KIND_lease_return,
                          .u.lease_return = {.worker = uid('W', 1), .lease = uid('L', t), .close = 1}};
        step(m, &e);
    }
    if (core_check(m->core) != 0)
        die("the books are wrong", "");
}

int main(int argc, char **argv)
{
    struct month *m = &the_month;
    if (argc != 6)
        die("DATABASE FIRST_MS TENANTS MODELS SITES", "");
    m->first_ms = strtoll(argv[2], NULL, 10);
    m->end_ms = month_begin_ms(month_of(m->first_ms) + 1);
    m->tenants = (uint32_t)strtoul(argv[3], NULL, 10);
    m->models = (uint32_t)strtoul(argv[4], NULL, 10);
    m->sites = (uint32_t)strtoul(argv[5], NULL, 10);
    m->seed = 1;
    if (m->tenants > TENANTS_MOST)
        die("so many tenants", "");
    begin(m, argv[1]);
    add_network(m);
    add_models(m);
    set_tariff(m, 1);
    for (uint32_t t = 1; t <= m->tenants; t++)
        add_tenant(m, t);
    use(m);
    commit(m);
    for (uint32_t t = 1; t <= m->tenants; t++) {
        const struct used *u = &m->used[t];
        printf("{\"tenant\":\"tenant-%u\",\"requests\":%" PRIu64 ",\"prompt_tokens\":%" PRIu64
               ",\"cached_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
               ",\"reasoning_tokens\":%" PRIu64 ",\"chip_ms\":%" PRIu64 ",\"energy_mj\":%" PRIu64
               ",\"bytes\":%" PRIu64 "}\n",
               t, u->requests, u->prompt, u->cached, u->completion, u->reasoning, u->chip_ms, u->energy_mj,
               u->bytes);
    }
    m->store->ops->close(m->store);
    batch_fini(&m->batch);
    logbook_fini(&m->book);
    free(m->core);
    return 0;
}
