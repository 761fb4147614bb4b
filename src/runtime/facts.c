/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/facts.h"

#include <endian.h>
#include <string.h>

#include "base/digest.h"
#include "core/kinds.h"
#include "core/layout.h"
#include "core/registry.h"
#include "core/view.h"
#include "store/store.h"

#define FACTS_MAX 2048
#define ALARMS_TOLD 8 /* of one single chip */

/* Events that are about money alone: whose receipt it is, and its id. */
static bool find_money(struct facts *facts, const struct event *event)
{
    const struct uuid *id = NULL, *tenant = NULL;
    if (event->kind == EVENT_KIND_meter) {
        id = &event->u.meter.request;
        tenant = &event->u.meter.tenant;
    } else if (event->kind == EVENT_KIND_wallet_topup) {
        id = &event->u.wallet_topup.payment;
        tenant = &event->u.wallet_topup.tenant;
    } else if (event->kind == EVENT_KIND_credit_note) {
        id = &event->u.credit_note.payment;
        tenant = &event->u.credit_note.tenant;
    } else if (event->kind == EVENT_KIND_invoice_close) {
        id = &event->u.invoice_close.invoice;
        tenant = &event->u.invoice_close.tenant;
    }
    if (id)
        *facts = (struct facts){.any = true, .id = *id, .tenant = *tenant};
    return id != NULL;
}

/* The one in force of these weights; NULL: there is none. */
static const struct row_recall *recall_in_force(const struct core *core, const uint8_t digest[DIGEST_BYTES])
{
    const struct row_recall *row;
    for (uint32_t pos = 0; (row = view_recall_at(core, &pos)) != NULL;) {
        if (row->lifted_ms == 0 && memcmp(row->digest, digest, DIGEST_BYTES) == 0)
            return row;
    }
    return NULL;
}

/* By its id; zero: the one whose last replica was found to be gone just now. */
static const struct row_recall *find_recall(const struct core *core, const struct uuid *id, int64_t now_ms)
{
    const struct row_recall *row;
    for (uint32_t pos = 0; (row = view_recall_at(core, &pos)) != NULL;) {
        if (uuid_zero(id) ? row->gone_ms == now_ms : uuid_eq(&row->id, id))
            return row;
    }
    return NULL;
}

static void digest_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    uint8_t bytes[LAYOUT_ENCODED_MAX];
    size_t len = layout_encode(layout_row(kind), row, bytes, sizeof bytes);
    const uint32_t head[2] = {htole32((uint32_t)kind), htole32((uint32_t)len)};
    (void)op;
    digest_stream_add(ctx, head, sizeof head);
    digest_stream_add(ctx, bytes, len);
}

static bool digest_state(const struct core *core, uint8_t out[DIGEST_BYTES])
{
    struct digest_stream *stream = digest_stream_new();
    if (!stream)
        return false;
    core_dump(core, digest_row, stream);
    digest_stream_get(stream, out);
    digest_stream_free(stream);
    return true;
}

/* The single chip that an event is about; zero: it is about none, or nothing that is there. */
static struct uuid find_unit(const struct core *core, const struct event *event)
{
    const struct event_unit_seen *seen = &event->u.unit_seen;
    const struct row_unit *row;
    switch (event->kind) {
    case EVENT_KIND_unit_seen:
        row = view_unit_named(core, seen->name, text_len(seen->name, sizeof seen->name));
        return row ? row->id : seen->unit;
    case EVENT_KIND_unit_gone:
        return event->u.unit_gone.unit;
    case EVENT_KIND_unit_declare:
        return event->u.unit_declare.unit;
    case EVENT_KIND_unit_resolve:
        return event->u.unit_resolve.unit;
    default:
        return (struct uuid){{0}};
    }
}

/* Events that are about the network, and no tenant's. A tick tells of a recall, or of nothing. */
static bool find_own(struct facts *facts, const struct core *core, const struct event *event)
{
    const struct row_recall *row;
    switch (event->kind) {
    case EVENT_KIND_hub_boot:
        *facts = (struct facts){.id = event->u.hub_boot.boot};
        facts->any = digest_state(core, facts->state);
        return true;
    case EVENT_KIND_state_digest:
        *facts = (struct facts){.any = true, .id = event->u.state_digest.snapshot};
        return true;
    case EVENT_KIND_model_recall:
        *facts = (struct facts){.any = true, .id = event->u.model_recall.recall};
        return true;
    case EVENT_KIND_model_recall_lift:
        row = recall_in_force(core, event->u.model_recall_lift.digest);
        *facts = (struct facts){.any = row != NULL, .id = row ? row->id : (struct uuid){{0}}};
        return true;
    case EVENT_KIND_accept_result:
        *facts = (struct facts){.any = true, .id = event->u.accept_result.check};
        return true;
    case EVENT_KIND_tick:
        *facts = (struct facts){.any = true};
        return true;
    default:
        *facts = (struct facts){.id = find_unit(core, event)};
        facts->any = !uuid_zero(&facts->id);
        return facts->any;
    }
}

void facts_find(struct facts *facts, const struct core *core, const struct event *event)
{
    const struct uuid *job = NULL;
    uint32_t epoch = 0;
    *facts = (struct facts){.any = false};
    if (find_money(facts, event) || find_own(facts, core, event))
        return;
    if (event->kind == EVENT_KIND_job_end) {
        job = &event->u.job_end.job;
        epoch = event->u.job_end.epoch;
    } else if (event->kind == EVENT_KIND_job_meter &&
               (event->u.job_meter.flags & (JOB_METER_FINAL | JOB_METER_DATA_TOLD))) {
        job = &event->u.job_meter.job;
        epoch = event->u.job_meter.epoch;
    }
    const struct row_job_usage *usage = job ? view_job_usage(core, job, epoch) : NULL;
    if (!usage)
        return;
    *facts = (struct facts){.any = true,
                            .id = *job,
                            .tenant = usage->tenant,
                            .pool = usage->pool,
                            .site = usage->site,
                            .chips = usage->chips,
                            .price = usage->price,
                            .started_ms = usage->started_ms,
                            .usage = usage};
}

static void add_name(struct buf *out, const char *name, const char *value, size_t cap)
{
    if (value && value[0])
        buf_addf(out, "%s %.*s\n", name, (int)text_len(value, cap), value);
}

static void add_number(struct buf *out, const char *name, int64_t value)
{
    buf_addf(out, "%s %lld\n", name, (long long)value);
}

/* When, if the record said so: those of before have facts as they had. */
static void add_used(struct buf *out, int64_t used_ms)
{
    if (used_ms != 0)
        add_number(out, "used_ms", used_ms);
}

static void add_uuid(struct buf *out, const char *name, const struct uuid *id)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(text, id);
    if (!uuid_zero(id))
        buf_addf(out, "%s %s\n", name, text);
}

static void add_site(struct buf *out, const struct core *core, const struct uuid *id)
{
    const struct row_site *site = view_site(core, id);
    if (site)
        add_name(out, "site", site->name, sizeof site->name);
}

/* Of the replica; one that is counted nowhere is the hub's own, whose machine is the only pool of its site. */
static void add_chip(struct buf *out, const struct core *core, const struct event_meter *m)
{
    const struct row_pool *pool, *only = NULL;
    uint32_t n = 0;
    if (m->chip[0]) {
        if (name_valid(m->chip, text_len(m->chip, sizeof m->chip))) /* a gateway said it */
            add_name(out, "chip", m->chip, sizeof m->chip);
        return;
    }
    for (uint32_t pos = 0; (pool = view_pool_at(core, &pos)) != NULL;) {
        if (uuid_eq(&pool->site, &m->site)) {
            only = pool;
            n++;
        }
    }
    if (n == 1)
        add_name(out, "chip", only->chip, sizeof only->chip);
}

/* Whether it may be a line's value: others than us said it, and nothing of it may end the line. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return false;
    }
    return true;
}

/* Of the engine that answered, as a gateway said it. */
static void add_version(struct buf *out, const struct event_meter *m)
{
    if (is_plain(m->version, text_len(m->version, sizeof m->version)))
        add_name(out, "engine_version", m->version, sizeof m->version);
}

static void add_currency(struct buf *out, const struct core *core, const struct uuid *tenant)
{
    const struct row_tenant *row = view_tenant(core, tenant);
    if (row)
        add_number(out, "currency", row->ledger);
}

static void add_meter(struct buf *out, const struct core *core, const struct event *event, int64_t amount)
{
    const struct event_meter *m = &event->u.meter;
    const struct row_model *model = view_model(core, &m->model);
    const struct row_variant *variant = view_variant(core, &m->variant);
    add_uuid(out, "response", &m->request);
    add_uuid(out, "tenant", &m->tenant);
    add_uuid(out, "key", &m->key);
    if (model)
        add_name(out, "model", model->name, sizeof model->name);
    if (variant) {
        char digest[2 * DIGEST_BYTES + 1];
        hex_encode(digest, variant->digest, sizeof variant->digest);
        buf_addf(out, "weights sha256:%s\n", digest);
        add_name(out, "format", variant->format, sizeof variant->format);
        add_name(out, "quantisation", variant->quantisation, sizeof variant->quantisation);
        add_name(out, "engine", variant->engine, sizeof variant->engine);
    }
    add_version(out, m);
    add_site(out, core, &m->site);
    add_chip(out, core, m);
    add_number(out, "prompt_tokens", m->prompt);
    add_number(out, "cached_tokens", m->cached);
    add_number(out, "completion_tokens", m->completion);
    add_number(out, "reasoning_tokens", m->reasoning);
    add_uuid(out, "price", &m->price);
    add_number(out, "cost_nano", amount);
    add_currency(out, core, &m->tenant);
    add_number(out, "final", (m->flags & METER_FINAL) != 0);
    add_number(out, "status", m->status);
    add_number(out, "started_ms", m->started_ms);
    add_used(out, m->used_ms);
}

/* What the site runs jobs with, as it said when it was heard of last: its name, and its version behind a space. */
static void add_site_engine(struct buf *out, const struct core *core, const struct uuid *id)
{
    const struct row_site *site = view_site(core, id);
    if (!site || !site->engine[0])
        return;
    size_t len = text_len(site->engine, sizeof site->engine), name = 0;
    if (!is_plain(site->engine, len)) /* one that was heard before the hub refused these */
        return;
    while (name < len && site->engine[name] != ' ')
        name++;
    buf_addf(out, "engine %.*s\n", (int)name, site->engine);
    if (name < len)
        buf_addf(out, "engine_version %.*s\n", (int)(len - name - 1), site->engine + name + 1);
}

static void add_job(struct buf *out, const struct facts *facts, const struct core *core)
{
    const struct row_pool *pool = view_pool(core, &facts->pool);
    add_uuid(out, "job", &facts->id);
    add_uuid(out, "tenant", &facts->tenant);
    add_site(out, core, &facts->site);
    add_site_engine(out, core, &facts->site);
    if (pool)
        add_name(out, "chip", pool->chip, sizeof pool->chip);
    add_number(out, "chips", facts->chips);
    add_number(out, "price_nano_chip_hour", facts->price);
    add_number(out, "started_ms", facts->started_ms);
}

static void add_job_end(struct buf *out, const struct event_job_end *e)
{
    add_number(out, "epoch", e->epoch);
    add_name(out, "ending", job_ending_text(e->code), NAME_CAP);
    add_number(out, "status", e->code & ((1u << JOB_CODE_BITS) - 1));
}

/* As reported, and what all of it has cost by now. */
static void add_job_meter(struct buf *out, const struct facts *facts, const struct core *core,
                          const struct event_job_meter *e)
{
    const struct row_job_usage *usage = facts->usage;
    add_number(out, "epoch", e->epoch);
    add_number(out, "run_ms", (int64_t)e->ms);
    add_number(out, "chip_ms", (int64_t)e->chip_ms);
    add_number(out, "cpu_ms", (int64_t)e->cpu_ms);
    add_number(out, "energy_mj", (int64_t)e->energy_mj);
    add_used(out, e->used_ms);
    add_number(out, "cost_nano", usage->cost);
    add_number(out, "unpaid_nano", usage->unpaid);
    add_uuid(out, "price_version", &usage->version);
    add_number(out, "energy_cost_nano", usage->energy_cost);
    add_number(out, "energy_unpaid_nano", usage->energy_unpaid);
    add_number(out, "bytes_in", (int64_t)usage->bytes_in);
    add_number(out, "bytes_out", (int64_t)usage->bytes_out);
    add_number(out, "data_price_nano_gb", usage->data_price);
    add_number(out, "data_cost_nano", usage->data_cost);
    add_number(out, "data_unpaid_nano", usage->data_unpaid);
    add_currency(out, core, &facts->tenant);
}

/* YYYY-MM; months count from January 1970. */
static void add_month(struct buf *out, const char *name, uint32_t month)
{
    buf_addf(out, "%s %04u-%02u\n", name, 1970 + month / 12, month % 12 + 1);
}

/* Words that somebody wrote: a line of them, whatever is in there. */
static void add_words(struct buf *out, const char *name, const char *words, size_t cap)
{
    buf_addf(out, "%s ", name);
    for (size_t i = 0; i < cap && words[i]; i++)
        buf_add_char(out, (unsigned char)words[i] < ' ' ? ' ' : words[i]);
    buf_add_char(out, '\n');
}

static void add_topup(struct buf *out, const struct event_wallet_topup *e)
{
    add_uuid(out, "payment", &e->payment);
    add_uuid(out, "tenant", &e->tenant);
    add_number(out, "amount_nano", e->amount);
}

static void add_credit(struct buf *out, const struct event_credit_note *e)
{
    add_uuid(out, "credit_note", &e->payment);
    add_uuid(out, "tenant", &e->tenant);
    add_month(out, "invoice_month", e->month);
    add_number(out, "amount_nano", e->amount);
    add_words(out, "reason", e->reason, sizeof e->reason);
}

/* Its total is what the bill asks for: what was summed, and what was missing to a minimum. */
static void add_invoice(struct buf *out, const struct core *core, const struct event_invoice_close *e)
{
    const struct row_tenant *tenant = view_tenant(core, &e->tenant);
    add_uuid(out, "invoice", &e->invoice);
    add_uuid(out, "tenant", &e->tenant);
    add_number(out, "number", (int64_t)view_core(core)->invoices); /* it is the last one */
    add_month(out, "first_month", e->first_month);
    add_month(out, "last_month", e->month);
    add_number(out, "total_nano", tenant ? tenant->closed_total : e->total);
}

static void add_recall(struct buf *out, const struct row_recall *row)
{
    char digest[2 * DIGEST_BYTES + 1];
    hex_encode(digest, row->digest, sizeof row->digest);
    add_uuid(out, "recall", &row->id);
    buf_addf(out, "weights sha256:%s\n", digest);
    add_name(out, "reason", row->reason, sizeof row->reason);
    add_number(out, "asked_ms", row->asked_ms);
    if (row->gone_ms)
        add_number(out, "gone_ms", row->gone_ms);
    if (row->lifted_ms)
        add_number(out, "lifted_ms", row->lifted_ms);
}

static void add_digest(struct buf *out, const char *name, const uint8_t digest[DIGEST_BYTES])
{
    char text[2 * DIGEST_BYTES + 1];
    hex_encode(text, digest, DIGEST_BYTES);
    buf_addf(out, "%s sha256:%s\n", name, text);
}

/* What a check of a replica found, and what core made of it. Refused, it tells nothing. */
static void add_accept(struct buf *out, const struct core *core, const struct uuid *check)
{
    const struct row_acceptance *row;
    for (uint32_t pos = 0; (row = view_acceptance_at(core, &pos)) != NULL && !uuid_eq(&row->check, check);)
        continue;
    const struct row_variant *variant = row ? view_variant(core, &row->variant) : NULL;
    const struct row_model *model = variant ? view_model(core, &variant->model) : NULL;
    add_uuid(out, "check", check);
    if (!model)
        return;
    add_name(out, "model", model->name, sizeof model->name);
    add_digest(out, "weights", variant->digest);
    add_name(out, "format", variant->format, sizeof variant->format);
    add_name(out, "quantisation", variant->quantisation, sizeof variant->quantisation);
    add_name(out, "engine", variant->engine, sizeof variant->engine);
    if (is_plain(row->version, text_len(row->version, sizeof row->version)))
        add_name(out, "engine_version", row->version, sizeof row->version);
    add_site(out, core, &row->site);
    add_name(out, "chip", row->chip, sizeof row->chip);
    add_number(out, "chips", row->chips);
    add_name(out, "verdict", accept_verdict_text(row->verdict), KIND_TEXT_CAP);
    add_name(out, "reason", row->reason, sizeof row->reason);
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {
        {"prompts", row->prompts},      {"tokens", row->tokens},        {"tokens_close", row->close},
        {"tokens_parted", row->parted}, {"mean_millionths", row->mean}, {"max_millionths", row->max},
        {"mtokens_s", row->one},        {"batch", row->batch},          {"batch_mtokens_s", row->many},
        {"read_mtokens_s", row->read},  {"fails", row->fails},          {"barred", row->barred_ms != 0}};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        add_number(out, figures[i].name, (int64_t)figures[i].value);
    if (row->tokens)
        add_digest(out, "golden", row->golden);
}

static void add_boot(struct buf *out, const struct facts *facts, const struct event *event)
{
    char digest[2 * DIGEST_BYTES + 1];
    hex_encode(digest, facts->state, sizeof facts->state);
    add_uuid(out, "boot", &facts->id);
    add_name(out, "version", event->u.hub_boot.version, NAME_CAP);
    buf_addf(out, "state sha256:%s\n", digest);
}

static void add_snapshot(struct buf *out, const struct event_state_digest *e)
{
    char digest[2 * DIGEST_BYTES + 1];
    hex_encode(digest, e->state, sizeof e->state);
    add_uuid(out, "snapshot", &e->snapshot);
    add_number(out, "event", (int64_t)e->event);
    buf_addf(out, "state sha256:%s\n", digest);
}

/* As it is by now, and at which other sites it is seen. */
static void add_unit(struct buf *out, const struct core *core, const struct uuid *id)
{
    const struct row_unit *row = view_unit(core, id);
    const struct row_unit_alarm *alarm;
    const struct row_site *from = row ? view_site(core, &row->from) : NULL;
    if (!row)
        return;
    add_uuid(out, "unit", &row->id);
    add_name(out, "serial", row->name, sizeof row->name);
    add_name(out, "kind", row->kind, sizeof row->kind);
    add_name(out, "state", unit_state_text(row->state), KIND_TEXT_CAP);
    add_site(out, core, &row->site);
    if (from)
        add_name(out, "from", from->name, sizeof from->name);
    for (uint32_t pos = 0, n = 0; n < ALARMS_TOLD && (alarm = view_alarm_of_unit_at(core, row, &pos)); n++) {
        const struct row_site *site = view_site(core, &alarm->site);
        if (site)
            add_name(out, alarm->resolved_ms ? "alarm_resolved" : "alarm", site->name, sizeof site->name);
    }
    add_name(out, "origin", row->declared_origin[0] ? row->declared_origin : row->origin, CODE_CAP);
    add_name(out, "licence", row->licence, sizeof row->licence);
}

static void add_facts(struct buf *out, const struct facts *facts, const struct core *core,
                      const struct event *event, int64_t amount)
{
    switch (event->kind) {
    case EVENT_KIND_meter:
        add_meter(out, core, event, amount);
        return;
    case EVENT_KIND_hub_boot:
        add_boot(out, facts, event);
        return;
    case EVENT_KIND_state_digest:
        add_snapshot(out, &event->u.state_digest);
        return;
    case EVENT_KIND_tick:
    case EVENT_KIND_model_recall:
    case EVENT_KIND_model_recall_lift:
        add_recall(out, find_recall(core, &facts->id, event->at_ms));
        return;
    case EVENT_KIND_unit_seen:
    case EVENT_KIND_unit_gone:
    case EVENT_KIND_unit_declare:
    case EVENT_KIND_unit_resolve:
        add_unit(out, core, &facts->id);
        return;
    case EVENT_KIND_accept_result:
        add_accept(out, core, &facts->id);
        return;
    case EVENT_KIND_job_end:
        add_job(out, facts, core);
        add_job_end(out, &event->u.job_end);
        return;
    case EVENT_KIND_job_meter:
        add_job(out, facts, core);
        add_job_meter(out, facts, core, &event->u.job_meter);
        return;
    case EVENT_KIND_wallet_topup:
        add_topup(out, &event->u.wallet_topup);
        break;
    case EVENT_KIND_credit_note:
        add_credit(out, &event->u.credit_note);
        break;
    default:
        add_invoice(out, core, &event->u.invoice_close);
    }
    add_currency(out, core, &facts->tenant);
}

void facts_add(struct buf *out, const struct facts *facts, const struct core *core, const struct event *event,
               int64_t amount, uint32_t place)
{
    struct buf text;
    struct uuid id = facts->id;
    const struct row_recall *gone = NULL;
    if (event->kind == EVENT_KIND_tick) {
        gone = find_recall(core, &facts->id, event->at_ms);
        id = gone ? gone->id : id;
    }
    if (!facts->any || (event->kind == EVENT_KIND_tick && !gone))
        return;
    buf_init(&text, FACTS_MAX);
    add_facts(&text, facts, core, event, amount);
    add_number(&text, "time_ms", event->at_ms);
    struct store_receipt receipt = {
        .id = id, .tenant = facts->tenant, .leaf = place, .facts_len = (uint32_t)text.len};
    store_receipt_add(out, &receipt, text.data);
    out->failed |= text.failed;
    buf_fini(&text);
}
